// The training loop: learning, determinism, interruption and resume, hooks, checkpoints.

import Archives
import Backends
import Datasets
import Foundation
import Planning
import Reporting
import Tensors
import TestSupport
import Testing
import Training
import Volumes

/// A flat image with one bright square, labelled 1; squares lie elsewhere in every case.
private struct SquareCase: PatchCase {
  let corner: [Int]
  let shape = [1, 24, 24]
  let channelCount = 1

  var foregroundCandidates: [ForegroundCandidates] {
    [
      ForegroundCandidates(
        voxels: NDArray(shape: [1, 3], elements: [0, Int32(corner[0] + 4), Int32(corner[1] + 4)]))
    ]
  }

  private func isInside(_ y: Int, _ x: Int) -> Bool {
    (corner[0]..<corner[0] + 8).contains(y) && (corner[1]..<corner[1] + 8).contains(x)
  }

  private func read<T>(_ box: BoundingBox, outside: T, _ value: (Int, Int) -> T) -> NDArray<T> {
    var elements: [T] = []
    for y in box.lower[1]..<box.upper[1] {
      for x in box.lower[2]..<box.upper[2] {
        let isImage = (0..<24).contains(y) && (0..<24).contains(x)
        elements.append(isImage ? value(y, x) : outside)
      }
    }
    return NDArray(shape: box.shape, elements: elements)
  }

  func readImage(in box: BoundingBox) -> NDArray<Float> {
    let plane = read(box, outside: Float(0)) { y, x in
      Float((y * 7 + x * 5) % 9) / 9 - 0.5 + (isInside(y, x) ? 2 : 0)
    }
    return plane.reshaped([1] + box.shape)
  }

  func readSegmentation(in box: BoundingBox) -> NDArray<Int16> {
    read(box, outside: Int16(-1)) { y, x in isInside(y, x) ? 1 : 0 }
  }
}

private struct Squares: PatchSource {
  let identifiers = ["a", "b", "c", "d"]
  func open(_ identifier: String) -> any PatchCase {
    SquareCase(corner: ["a": [2, 3], "b": [9, 12], "c": [14, 5], "d": [6, 15]][identifier] ?? [0, 0])
  }
}

@Suite(.serialized) struct TrainerTests {
  private static let plans: JSON = [
    "dataset_name": "Dataset001_Squares", "plans_name": "nnUNetPlans", "image_reader_writer": "SimpleITKIO",
    "original_median_spacing_after_transp": [1.0, 1.0, 1.0],
    "original_median_shape_after_transp": [1, 24, 24],
    "transpose_forward": [0, 1, 2], "transpose_backward": [0, 1, 2],
    "experiment_planner_used": "ExperimentPlanner",
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": [
      "0": [
        "max": 2.0, "mean": 1.0, "median": 1.0, "min": 0.0, "percentile_00_5": 0.0, "percentile_99_5": 2.0,
        "std": 1.0,
      ]
    ],
    "configurations": [
      "2d": [
        "data_identifier": "nnUNetPlans_2d", "preprocessor_name": "DefaultPreprocessor", "batch_size": 4,
        "patch_size": [16, 16], "median_image_size_in_voxels": [24.0, 24.0], "spacing": [1.0, 1.0],
        "normalization_schemes": ["ZScoreNormalization"], "use_mask_for_norm": [false],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": ["is_seg": false, "order": 3, "order_z": 0, "force_separate_z": .null],
        "resampling_fn_seg_kwargs": ["is_seg": true, "order": 1, "order_z": 0, "force_separate_z": .null],
        "resampling_fn_probabilities_kwargs": [
          "is_seg": false, "order": 1, "order_z": 0, "force_separate_z": .null,
        ],
        "batch_dice": true,
        "architecture": [
          "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
          "arch_kwargs": [
            "n_stages": 3, "features_per_stage": [16, 16, 16], "kernel_sizes": [[3, 3], [3, 3], [3, 3]],
            "strides": [[1, 1], [2, 2], [2, 2]], "n_conv_per_stage": [1, 1, 1],
            "n_conv_per_stage_decoder": [1, 1],
          ],
        ],
      ]
    ],
  ]

  private func trainer(
    in folder: URL, epochs: Int, seed: Int = 1, hooks: TrainerHooks = TrainerHooks(),
    cancellation: CancellationFlag = CancellationFlag()
  ) throws -> Trainer {
    let plans = try Plans(json: Self.plans, source: "test")
    let labels = try LabelScheme(
      entries: [.init(name: "background", value: .label(0)), .init(name: "square", value: .label(1))],
      regionsClassOrder: nil, source: "test")
    let task = TrainingTask(
      plans: plans, configuration: try plans.configuration(named: "2d"), labels: labels, dataset: [:],
      channelCount: 1,
      fold: .number(0), training: Squares(), validation: Squares(), folder: folder, seed: seed)
    var settings = TrainerSettings()
    settings.epochs = epochs
    settings.iterations = 12
    settings.validationIterations = 2
    return try Trainer(
      task, settings: settings, hooks: hooks, backend: CPUBackend(), cancellation: cancellation)
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
    arguments: [12, 17])
  func resume(stopAfter iterations: Int) throws {
    let straight = try trainer(in: Goldens.temporaryFolder(), epochs: 2)
    try straight.run()
    let folder = try Goldens.temporaryFolder()
    let flag = CancellationFlag()
    var hooks = TrainerHooks()
    var done = 0
    hooks.iterationEnd = { _, _, _ in
      done += 1
      if done == iterations { flag.cancel() }
    }
    let interrupted = try trainer(in: folder, epochs: 2, hooks: hooks, cancellation: flag)
    #expect(throws: Cancelled.self) { try interrupted.run() }
    let resumed = try trainer(in: folder, epochs: 2)
    try resumed.restore(Checkpoint(contentsOf: interrupted.url(of: .latest)), source: "latest")
    try resumed.run()
    #expect(weights(resumed) == weights(straight))
    #expect(resumed.checkpoint().optimizer == straight.checkpoint().optimizer)
    #expect(resumed.log.epochs.map(\.trainingLoss) == straight.log.epochs.map(\.trainingLoss))
    #expect(resumed.log.epochs.map(\.dicePerClass) == straight.log.epochs.map(\.dicePerClass))
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
    #expect(throws: TrainingDiverged.self) { try trainer.run() }
    #expect(try Checkpoint.state(of: trainer.url(of: .best)).epoch == 1)
    #expect(!FileManager.default.fileExists(atPath: trainer.url(of: .latest).path))
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
