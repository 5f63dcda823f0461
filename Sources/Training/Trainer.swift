// nnU-Net's training procedure: epochs of training and validation iterations, pseudo-Dice.
// Which patches come next is decided by BatchRecipe, what a step computes by Networks; what is written and read again is
// in Trainer+Checkpoints.swift.

package import Archives
package import Augmentation
package import Backends
import Datasets
import Foundation
package import Networks
import Planning
package import Reporting
import Tensors

/// Trains one network on one fold.
///
/// The same task, settings, seed and thread count give the same weights, interrupted or not.
package final class Trainer {
  package let task: TrainingTask
  package let settings: TrainerSettings
  package let network: any SegmentationNetwork
  package internal(set) var log = TrainingLog()
  let hooks: TrainerHooks
  let optimizer: Optimizer
  private let loss: DeepSupervisionLoss
  private let progress: any ProgressSink
  private let cancellation: CancellationFlag
  /// The epoch that runs or comes next.
  var epoch = 0
  /// Losses of the running epoch's training iterations.
  var losses: [Double] = []
  var bestDice: Double?
  var lastSave = ContinuousClock.now
  /// Where the time of the running epoch has gone.
  private var performance = EpochPerformance()
  /// Iterations of this launch, training and validation, that are done.
  private var completedIterationCount = 0
  private let supervisionStrides: [[Int]]?

  /// Builds the network and everything around it.
  package init(
    _ task: TrainingTask, settings: TrainerSettings, hooks: TrainerHooks = TrainerHooks(),
    backend: any Backend,
    progress: any ProgressSink = SilentProgress(), cancellation: CancellationFlag = CancellationFlag()
  ) throws {
    self.task = task
    self.settings = settings
    self.hooks = hooks
    self.progress = progress
    self.cancellation = cancellation
    let spec = try NetworkSpec(task.configuration.architecture, source: task.plans.source)
    network = try spec.makeNetwork(
      inputChannelCount: task.channelCount + (task.previousStageLabels?.count ?? 0),
      outputChannelCount: task.labels.outputChannelCount, seed: task.seed, backend: backend)
    optimizer = Optimizer(
      settings.optimizerRule, parameters: network.parameters, backend: backend,
      learningRate: settings.initialLearningRate, weightDecay: settings.weightDecay)
    loss = DeepSupervisionLoss(
      loss: (hooks.loss ?? .diceAndCrossEntropy(batchDice: nil))
        .resolved(batchDice: settings.batchDice ?? task.configuration.batchDice),
      functions: hooks.lossFunctions,
      weights: settings.usesDeepSupervision
        ? DeepSupervisionLoss.standardWeights(headCount: network.headCount) : [1])
    supervisionStrides = settings.usesDeepSupervision ? spec.supervisionStrides(of: network) : nil
    guard !task.labels.hasRegions || hooks.loss?.needsLabels != true else {
      throw Diagnostic(
        "the loss knows labels only", at: settings.name, expected: "a dataset without regions",
        found: "regions", remedy: "use Dice, Tversky and plain cross-entropy for regions")
    }
  }

  private var dimensionCount: Int { task.configuration.patchSize.count }

  /// The loss as data.
  package var lossDescription: JSON { loss.json }

  /// Axes that training mirrors along, and prediction may.
  package var mirrorAxes: [Int] { settings.mirrorAxes(dimensionCount: dimensionCount) }

  /// Whether every epoch has been run.
  package var isFinished: Bool { epoch >= settings.epochs }

  // MARK: - The main loop

  /// Trains from wherever the state stands to the last epoch.
  ///
  /// On cancellation and on an error of a hook the state is written as `checkpoint_latest` before the error is thrown.
  package func run() throws {
    // A run that ended between its last epoch and its last checkpoint lacks only the latter.
    guard !isFinished else { return try finish() }
    let (training, validation) = try makeBatches()
    defer {
      training.stop()
      validation.stop()
    }
    completedIterationCount = 0
    progress.begin("training", total: remainingIterationCount)
    defer { progress.end() }
    do {
      while !isFinished { try runEpoch(training, validation) }
    } catch {
      // A loss that is not a number has spoilt the weights: the last good checkpoint stays.
      if !(error is TrainingDiverged) { try? save(.latest) }
      throw error
    }
    try finish()
  }

  /// Iterations to the end of the training, validation included.
  private var remainingIterationCount: Int {
    (settings.epochs - epoch) * (settings.iterations + settings.validationIterations) - losses.count
  }

  private func tick(_ detail: String) {
    completedIterationCount += 1
    progress.update(
      completed: completedIterationCount, detail: "epoch \(epoch + 1)/\(settings.epochs), \(detail)")
  }

  private func runEpoch(_ training: any BatchSequence, _ validation: any BatchSequence) throws {
    let start = Date().timeIntervalSince1970
    let rate = try hooks.schedule?(epoch) ?? settings.learningRate(epoch: epoch)
    optimizer.learningRate = rate
    if losses.isEmpty { try hooks.epochStart?(epoch) }
    performance = EpochPerformance()
    while losses.count < settings.iterations {
      try cancellation.check()
      let batch = try timed(\.waitingSeconds) { try training.next() }
      let value = try timed(\.stepSeconds) { try step(batch) }
      performance.stepCount += 1
      losses.append(value)
      tick("\(losses.count)/\(settings.iterations), loss \(rounded(value, 3))")
      try hooks.iterationEnd?(epoch, losses.count - 1, value)
      if ContinuousClock.now - lastSave > task.saveInterval { try save(.latest) }
    }
    var confusion = PseudoDice(
      classCount: task.labels.outputChannelCount, skipsFirst: !task.labels.hasRegions)
    var validationLosses: [Double] = []
    for _ in 0..<settings.validationIterations {
      try cancellation.check()
      validationLosses.append(
        try timed(\.validationSeconds) { try validate(validation.next(), &confusion) })
      tick("validation")
    }
    performance.peakMemoryByteCount = peakMemoryByteCount()
    var summary = log.append(
      trainingLoss: mean(losses), validationLoss: mean(validationLosses), dicePerClass: confusion.dice,
      learningRate: rate, start: start, end: Date().timeIntervalSince1970)
    losses = []
    epoch += 1
    // The first epoch always counts as the best so far, even if no class occurred.
    summary.isBest = bestDice.map { summary.movingAverageDice > $0 } ?? true
    try saveAfterEpoch(summary)
    summary.performance = performance
    progress.note(Self.line(summary, of: settings.epochs))
    try hooks.epochEnd?(summary)
  }

  /// Does work and adds its time to a figure of the epoch.
  private func timed<T>(
    _ figure: WritableKeyPath<EpochPerformance, Double>, _ work: () throws -> T
  ) rethrows -> T {
    let start = ContinuousClock.now
    defer { performance[keyPath: figure] += (ContinuousClock.now - start) / .seconds(1) }
    return try work()
  }

  private func step(_ batch: TrainingBatch) throws -> Double {
    try network.backend.pool.cycle("training") { try learn(from: batch) }
  }

  private func learn(from batch: TrainingBatch) throws -> Double {
    let targets = targets(of: batch)
    guard let hook = hooks.step else { return try standardStep(batch, targets) }
    let value = try hook(
      TrainingStep(
        epoch: epoch, iteration: losses.count, batch: batch, targets: targets, network: network,
        optimizer: optimizer, loss: loss, randomKey: randomKey)
    ) { try self.standardStep(batch, targets) }
    try requireFinite(value, batch)
    return value
  }

  private func standardStep(_ batch: TrainingBatch, _ targets: [SegmentationTarget]) throws -> Double {
    let tape = Tape(backend: network.backend, isRecording: true, mode: .training(key: randomKey))
    let input = input(of: batch)
    let heads = try network.forward(input, heads: loss.neededHeadCount, on: tape)
    let value = try loss.evaluate(heads, targets, on: tape)
    try requireFinite(value, batch)
    try tape.backward()
    optimizer.clip(settings.clipNorm)
    optimizer.step()
    return value
  }

  /// The stream of random numbers that networks draw from, beside those of ``BatchRecipe/Stream``.
  private static let networkStream = 2

  /// The key of what an iteration's forward pass draws.
  private var randomKey: [Int] { [task.seed, Self.networkStream, epoch, losses.count] }

  private func requireFinite(_ value: Double, _ batch: TrainingBatch) throws {
    guard !value.isFinite else { return }
    throw TrainingDiverged(
      epoch: epoch, iteration: losses.count, cases: batch.origins.map(\.identifier),
      learningRate: optimizer.learningRate)
  }

  private func validate(_ batch: TrainingBatch, _ confusion: inout PseudoDice) throws -> Double {
    try network.backend.pool.cycle("validation") { try judge(batch, &confusion) }
  }

  private func judge(_ batch: TrainingBatch, _ confusion: inout PseudoDice) throws -> Double {
    let tape = Tape(backend: network.backend, isRecording: false)
    let input = input(of: batch)
    let heads = try network.forward(input, heads: loss.neededHeadCount, on: tape)
    let targets = targets(of: batch)
    confusion.add(network.backend.confusion(logits: heads[0].value, target: targets[0]))
    return try loss.evaluate(heads, targets, on: tape)
  }

  private func input(of batch: TrainingBatch) -> Tensor {
    network.backend.converted(Tensor(batch.images, pool: network.backend.pool), to: task.precision)
  }

  private func targets(of batch: TrainingBatch) -> [SegmentationTarget] {
    batch.targets.map { target in
      task.labels.hasRegions
        ? .regions(target.elements, hasIgnoreMap: task.labels.ignoreLabel != nil)
        : .labels(target.elements, ignored: task.labels.ignoreLabel)
    }
  }

  /// The batches of training and validation, from where the state stands.
  private func makeBatches() throws -> (training: any BatchSequence, validation: any BatchSequence) {
    if !settings.loadsData {
      let batch = try RepeatedBatch(
        task, pipeline: validationPipeline(), inputChannelCount: task.channelCount)
      return (batch, batch)
    }
    let training = try trainingRecipe()
    let validation = try recipe(.validation, task.validation, validationPipeline())
    return (
      BatchLoader(
        training, iterationsPerEpoch: settings.iterations, startingAt: epoch, iteration: losses.count,
        cancellation: cancellation),
      BatchLoader(
        validation, iterationsPerEpoch: settings.validationIterations, startingAt: epoch, queueDepth: 2,
        cancellation: cancellation)
    )
  }

  /// What is in training batches.
  package func trainingRecipe() throws -> BatchRecipe {
    try recipe(.training, task.training, trainingPipeline())
  }

  private func recipe(
    _ stream: BatchRecipe.Stream, _ source: any PatchSource, _ pipeline: AugmentationPipeline
  ) throws -> BatchRecipe {
    var recipe = try BatchRecipe(
      stream, from: source, pipeline: pipeline, batchSize: task.configuration.batchSize,
      hasIgnoreLabel: task.labels.ignoreLabel != nil, seed: task.seed)
    recipe.sampler.foregroundFraction = settings.foregroundFraction
    switch settings.oversampling {
    case .last: break
    case .random: recipe.sampler.forcesByChance = true
    case .matched:
      recipe.sampler.foregroundFraction = recipe.sampler.forcedShare
      recipe.sampler.forcesByChance = true
    }
    return recipe
  }

  /// What training batches go through.
  package func trainingPipeline() throws -> AugmentationPipeline {
    let standard = AugmentationPipeline.standard(
      patchSize: task.configuration.patchSize, mirrorAxes: mirrorAxes,
      usesMaskForNormalization: task.configuration.usesMaskForNormalization, regions: task.regionLists,
      supervisionStrides: supervisionStrides, previousStageLabels: task.previousStageLabels)
    return try hooks.augmentation?(standard) ?? standard
  }

  /// What validation batches go through.
  package func validationPipeline() -> AugmentationPipeline {
    .validation(
      patchSize: task.configuration.patchSize, regions: task.regionLists,
      supervisionStrides: supervisionStrides, previousStageLabels: task.previousStageLabels)
  }

  // MARK: - Words

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(values.count, 1)) }

  private static func line(_ s: EpochSummary, of epochs: Int) -> String {
    let classes = s.dicePerClass.map { "\(rounded($0, 4))" }.joined(separator: ", ")
    return "epoch \(s.epoch + 1)/\(epochs): train loss \(rounded(s.trainingLoss, 4)), validation loss "
      + "\(rounded(s.validationLoss, 4)), pseudo Dice [\(classes)], moving average \(rounded(s.movingAverageDice, 4)), "
      + "learning rate \(rounded(s.learningRate, 5)), \(rounded(s.duration, 1)) s, "
      + "waited for data \(rounded(100 * s.waitingShare, 1)) %"
  }
}

private func rounded(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
