// The training loop: learning, determinism, interruption and resume, hooks, checkpoints.

import Archives
import Augmentation
import Backends
import Foundation
import Networks
import Planning
import Reporting
import Tensors
import TestSupport
import Testing
import Training

@Suite(.serialized) struct TrainerTests {
  private func trainer(
    _ kind: SquareKind = .labels, in folder: URL, epochs: Int, seed: Int = 1,
    hooks: TrainerHooks = TrainerHooks(), architecture: JSON? = nil,
    cancellation: CancellationFlag = CancellationFlag(),
    _ change: (inout TrainerSettings) -> Void = { _ in }
  ) throws -> Trainer {
    try squareTrainer(
      kind, in: folder, epochs: epochs, seed: seed, hooks: hooks, architecture: architecture,
      cancellation: cancellation, change)
  }

  private func weights(_ trainer: Trainer) -> [String: NDArray<Float>] { trainer.checkpoint().weights }

  @Test("A small network learns to find squares")
  func learns() throws {
    let folder = try Goldens.temporaryFolder()
    let trainer = try trainer(in: folder, epochs: 6)
    try trainer.run()
    let log = trainer.log.epochs
    #expect(log.count == 6)
    #expect(log[5].trainingLoss < log[0].trainingLoss)
    #expect(log[5].meanDice > 0.8)
    #expect(FileManager.default.fileExists(atPath: trainer.url(of: .final).path))
    #expect(FileManager.default.fileExists(atPath: trainer.url(of: .best).path))
    #expect(!FileManager.default.fileExists(atPath: trainer.url(of: .latest).path))
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
    #expect(names.allSatisfy { !$0.hasSuffix(".tmp") })
  }

  @Test("The same seed gives the same bits, another seed others")
  func determinism() throws {
    let first = try trainer(in: Goldens.temporaryFolder(), epochs: 1)
    let again = try trainer(in: Goldens.temporaryFolder(), epochs: 1)
    let other = try trainer(in: Goldens.temporaryFolder(), epochs: 1, seed: 2)
    for trainer in [first, again, other] { try trainer.run() }
    #expect(weights(first) == weights(again))
    #expect(weights(first) != weights(other))
  }

  @Test(
    "Two epochs straight equal one epoch, a stop and a resume, also in the middle of an epoch",
    arguments: [12, 17], SquareKind.allCases)
  func resume(stopAfter iterations: Int, _ kind: SquareKind) throws {
    let straight = try trainer(kind, in: Goldens.temporaryFolder(), epochs: 2)
    try straight.run()
    let folder = try Goldens.temporaryFolder()
    let flag = CancellationFlag()
    var hooks = TrainerHooks()
    var done = 0
    hooks.iterationEnd = { _, _, _ in
      done += 1
      if done == iterations { flag.cancel() }
    }
    let interrupted = try trainer(kind, in: folder, epochs: 2, hooks: hooks, cancellation: flag)
    #expect(throws: Cancelled.self) { try interrupted.run() }
    let resumed = try trainer(kind, in: folder, epochs: 2)
    try resumed.restore(Checkpoint(contentsOf: interrupted.url(of: .latest)), source: "latest")
    try resumed.run()
    #expect(weights(resumed) == weights(straight))
    #expect(resumed.checkpoint().optimizer == straight.checkpoint().optimizer)
    #expect(resumed.log.epochs.map(\.trainingLoss) == straight.log.epochs.map(\.trainingLoss))
    #expect(resumed.log.epochs.map(\.dicePerClass) == straight.log.epochs.map(\.dicePerClass))
  }

  @Test("Running statistics and dropout resume bit for bit")
  func resumeOfBlocks() throws {
    let architecture: JSON = [
      "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
      "arch_kwargs": [
        "n_stages": 3, "features_per_stage": 16, "kernel_sizes": [[3, 3], [3, 3], [3, 3]],
        "strides": [[1, 1], [2, 2], [2, 2]], "n_conv_per_stage": 1, "n_conv_per_stage_decoder": 1,
        "conv_bias": true, "norm_op": "torch.nn.modules.batchnorm.BatchNorm2d",
        "norm_op_kwargs": ["eps": 1e-5, "affine": true],
        "dropout_op": "torch.nn.modules.dropout.Dropout", "dropout_op_kwargs": ["p": 0.1],
        "nonlin": "torch.nn.LeakyReLU",
      ],
    ]
    let straight = try trainer(in: Goldens.temporaryFolder(), epochs: 2, architecture: architecture)
    try straight.run()
    let flag = CancellationFlag()
    var hooks = TrainerHooks()
    var done = 0
    hooks.iterationEnd = { _, _, _ in
      done += 1
      if done == 17 { flag.cancel() }
    }
    let folder = try Goldens.temporaryFolder()
    let interrupted = try trainer(
      in: folder, epochs: 2, hooks: hooks, architecture: architecture, cancellation: flag)
    #expect(throws: Cancelled.self) { try interrupted.run() }
    let resumed = try trainer(in: folder, epochs: 2, architecture: architecture)
    try resumed.restore(Checkpoint(contentsOf: interrupted.url(of: .latest)), source: "latest")
    try resumed.run()
    #expect(weights(resumed) == weights(straight))
    #expect(resumed.log.epochs.map(\.trainingLoss) == straight.log.epochs.map(\.trainingLoss))
    #expect(resumed.log.epochs.map(\.validationLoss) == straight.log.epochs.map(\.validationLoss))
    let counted = weights(resumed)["encoder.stages.0.0.convs.0.norm.num_batches_tracked"]
    #expect(counted?.elements == [24])
  }

  @Test("After a kill the best checkpoint of the first epoch is enough to reach the same end")
  func resumeFromBest() throws {
    let straight = try trainer(in: Goldens.temporaryFolder(), epochs: 2)
    var afterFirst: Checkpoint?
    var hooks = TrainerHooks()
    let watched = try trainer(
      in: Goldens.temporaryFolder(), epochs: 2,
      hooks: {
        hooks.epochStart = { _ in }
        return hooks
      }())
    try straight.run()
    hooks.epochEnd = { summary in
      if summary.epoch == 0 { throw Cancelled() }
    }
    let killed = try trainer(in: Goldens.temporaryFolder(), epochs: 2, hooks: hooks)
    #expect(throws: Cancelled.self) { try killed.run() }
    afterFirst = try Checkpoint(contentsOf: killed.url(of: .best))
    try watched.restore(#require(afterFirst), source: "best")
    try watched.run()
    #expect(weights(watched) == weights(straight))
  }

  @Test("An error of an observing function stops the run with its checkpoint")
  func hookError() throws {
    struct Refusal: Error {}
    var hooks = TrainerHooks()
    hooks.epochEnd = { _ in throw Refusal() }
    let trainer = try trainer(in: Goldens.temporaryFolder(), epochs: 3, hooks: hooks)
    #expect(throws: Refusal.self) { try trainer.run() }
    #expect(try Checkpoint.state(of: trainer.url(of: .latest)).epoch == 1)
  }

  @Test("A network of layers learns, and predicts from its checkpoint alone")
  func networkOfLayers() throws {
    func block(_ channels: Int, stride: Int = 1) -> LayerSpec {
      .block(
        channels: channels, kernel: [3], stride: [stride], bias: true, norm: .instance, epsilon: 1e-5,
        slope: 0.01, dropout: 0, zero: false)
    }
    // Without skip connections; a gate of one channel says where to look.
    let spec = LayerSpec.sequence([
      block(16), block(16, stride: 2), .head, .upsampling(channels: 16, stride: [2]),
      .product([
        .identity,
        .sequence([
          .convolution(channels: 1, kernel: [1], stride: [1], bias: true), .activation(.sigmoid, slope: 0),
        ]),
      ]), block(16), .head,
    ])
    let trainer = try trainer(
      in: Goldens.temporaryFolder(), epochs: 4,
      architecture: LayerNetworkSpec(spec, dimensionCount: 2).json)
    try trainer.run()
    let log = trainer.log.epochs
    #expect(log[3].trainingLoss < log[0].trainingLoss - 0.1)
    let checkpoint = try Checkpoint(contentsOf: trainer.url(of: .final))
    let configuration = try Plans(json: checkpoint.state.plans, source: "checkpoint").configuration(
      named: "2d")
    let network = try NetworkSpec(configuration.architecture, source: "checkpoint").makeNetwork(
      inputChannelCount: 1, outputChannelCount: 2, seed: 9, backend: CPUBackend())
    try network.load(checkpoint.weights, source: "checkpoint")
    let image = NDArray<Float>(shape: [1, 1, 16, 16], elements: (0..<256).map { Float($0 % 7) / 7 })
    func predict(_ network: any SegmentationNetwork) throws -> NDArray<Float> {
      try network.predict(Tensor(image, pool: network.backend.pool)).hostArray
    }
    #expect(try predict(network) == predict(trainer.network))
  }

  @Test("A loss made of tensor operations trains as the built-in one does")
  func lossFunction() throws {
    let entropy = LossFunction { input in
      let tape = input.tape
      guard case .labels(let labels, _) = input.target else { return input.output }
      let shape = [input.output.value.shape[0], 1] + input.output.value.spatialShape
      let index = Tensor(NDArray(shape: shape, elements: labels.map(Float.init)), pool: tape.backend.pool)
      let picked = tape.select(tape.logSoftmax(input.output, axis: 1), at: index, axis: 1)
      let mean = tape.mean(picked, axes: Array(shape.indices))
      return tape.map(mean, .affine(scale: -1, offset: 0))
    }
    var (own, builtIn) = (TrainerHooks(), TrainerHooks())
    own.loss = SegmentationLoss([WeightedLossTerm(1, .dice())])
    own.lossFunctions = [WeightedLossFunction(1, entropy)]
    builtIn.loss = .diceAndCrossEntropy(batchDice: nil)
    let trainers = try [own, builtIn].map { try trainer(in: Goldens.temporaryFolder(), epochs: 1, hooks: $0) }
    for trainer in trainers { try trainer.run() }
    let (a, b) = (trainers[0].log.epochs[0], trainers[1].log.epochs[0])
    // Rounding differs, and a dozen steps at momentum 0.99 amplify it.
    #expect(abs(a.trainingLoss - b.trainingLoss) < 1e-3)
    #expect(abs(a.validationLoss - b.validationLoss) < 1e-2)
  }

  @Test("A step of one's own sees batch, network and optimizer, and may call the default")
  func ownStep() throws {
    var seen: [Int] = []
    var hooks = TrainerHooks()
    hooks.step = { step, standard in
      seen.append(step.iteration)
      #expect(step.batch.images.shape == [4, 1, 16, 16] && step.targets.count == 2)
      return step.iteration % 2 == 0 ? try standard() : 0.25
    }
    let own = try trainer(in: Goldens.temporaryFolder(), epochs: 1, hooks: hooks)
    try own.run()
    #expect(seen == Array(0..<12))
    #expect(own.checkpoint().state.stepCount == 6)
    #expect(own.checkpoint().state.usesHooks)
    hooks.step = { _, _ in .nan }
    let broken = try trainer(in: Goldens.temporaryFolder(), epochs: 1, hooks: hooks)
    #expect(throws: TrainingDiverged.self) { try broken.run() }
  }

  @Test("A schedule in place of the polynomial one sets the learning rate")
  func schedule() throws {
    var hooks = TrainerHooks()
    hooks.schedule = { epoch in epoch == 0 ? 0.02 : 0.001 }
    let trainer = try trainer(in: Goldens.temporaryFolder(), epochs: 2, hooks: hooks)
    try trainer.run()
    #expect(trainer.log.epochs.map(\.learningRate) == [0.02, 0.001])
  }

  @Test("A loss that is not a number stops the run and leaves the checkpoints alone")
  func divergence() throws {
    var hooks = TrainerHooks()
    hooks.schedule = { epoch in epoch == 0 ? 0.01 : .infinity }
    let trainer = try trainer(in: Goldens.temporaryFolder(), epochs: 3, hooks: hooks)
    let error = #expect(throws: TrainingDiverged.self) { try trainer.run() }
    #expect(error?.cases.count == 4)
    #expect(error?.diagnostic.found?.contains("infinity at learning rate inf on") == true)
    let unknown = (error?.cases ?? []).filter { !["a", "b", "c", "d"].contains($0) }
    #expect(unknown == [])
    #expect(try Checkpoint.state(of: trainer.url(of: .best)).epoch == 1)
    #expect(!FileManager.default.fileExists(atPath: trainer.url(of: .latest).path))
  }

  @Test("A cascade's network sees the image and one channel per label of the previous stage")
  func cascade() throws {
    let trainer = try trainer(.cascade, in: Goldens.temporaryFolder(), epochs: 1)
    try trainer.run()
    let first = trainer.checkpoint().weights.first { $0.value.shape.count == 4 && $0.value.shape[1] == 3 }
    #expect(first?.value.shape == [16, 3, 3, 3])
    #expect(try trainer.trainingPipeline().steps.map(\.name).contains("move_seg_as_one_hot"))
  }

  @Test("A benchmark without data learns one random batch over and over", arguments: SquareKind.allCases)
  func repeatedBatch(_ kind: SquareKind) throws {
    let trainer = try trainer(kind, in: Goldens.temporaryFolder(), epochs: 4) { $0.loadsData = false }
    try trainer.run()
    let log = trainer.log.epochs
    #expect(log.count == 4)
    #expect(log[3].trainingLoss < log[0].trainingLoss)
  }

  @Test("Oversampling by chance forces what the rule of the last samples comes to")
  func matchedOversampling() throws {
    // A batch of 4 forces its last sample: a fourth.
    let settings = ["last", "random", "matched"]
    for name in settings {
      let trainer = try trainer(in: Goldens.temporaryFolder(), epochs: 1) {
        $0.oversampling = TrainerSettings.Oversampling(rawValue: name) ?? .last
      }
      let sampler = try trainer.trainingRecipe().sampler
      #expect(sampler.forcesByChance == (name != "last"))
      #expect(sampler.foregroundFraction == (name == "matched" ? 0.25 : 0.33))
    }
  }

  @Test("Epochs tell the time of steps, of waiting and of validation, and the memory")
  func performance() throws {
    var hooks = TrainerHooks()
    var seen: [EpochSummary] = []
    hooks.epochEnd = { seen.append($0) }
    try trainer(in: Goldens.temporaryFolder(), epochs: 2, hooks: hooks).run()
    #expect(seen.map(\.isBest).first == true)
    for summary in seen {
      let performance = try #require(summary.performance)
      #expect(performance.stepCount == 12)
      #expect(performance.stepSeconds > 0 && performance.validationSeconds > 0)
      #expect(performance.waitingSeconds >= 0)
      let sum = performance.stepSeconds + performance.validationSeconds + performance.waitingSeconds
      #expect(sum <= summary.duration + 0.01)  // the clocks are read one after the other
      #expect(performance.peakMemoryByteCount > 1 << 20)
    }
  }

  @Test("The polynomial schedule gives the reference's rates")
  func polynomialSchedule() {
    // Values of the reference for 1000 epochs (section A.5 of its behavioural specification).
    let settings = TrainerSettings()
    for (epoch, rate) in [(0, 0.01), (1, 0.00999099955), (500, 0.00535886731), (999, 1.9952623e-05)] {
      #expect(abs(settings.learningRate(epoch: epoch) - rate) < 1e-9)
    }
  }
}
