// The memory predicted for a training against what the engine takes when it runs.

import Archives
import Backends
import Datasets
import Foundation
import Networks
import Pipelines
import Planning
import Reporting
import Tensors
import TestSupport
import Testing

@Suite("TrainingMemory")
struct TrainingMemoryTests {
  /// Buffers come and go in the same order as in the engine; a few bytes of padding can move one of them into another gap.
  private static let tolerance = 0.07
  /// What oneDNN pads in bf16 depends on the network; a margin for the worst is part of the prediction.
  private static let halfTolerance = 0.1

  private func description() throws -> DatasetDescription {
    try DatasetDescription(
      json: [
        "channel_names": ["0": "MR"], "labels": ["background": 0, "a": 1, "b": 2], "numTraining": 10,
        "file_ending": ".nii.gz",
      ], source: "test")
  }

  /// A configuration of a planner for equal cases.
  private func configuration(
    _ shape: [Int], planner: String, name: String, batchSize: Int? = nil, featureCount: Int = 8,
    arguments: JSONObject = [:]
  ) throws -> PlannedConfiguration {
    let statistics = IntensityStatistics(
      maximum: 9, mean: 5, median: 5, minimum: 1, percentiles: (1, 9), standardDeviation: 2)
    var constants = try PlannerConstants.named(planner)
    constants.baseFeatureCount = featureCount
    let plans = try ExperimentPlanner(constants: constants).plan(
      dataset: description(), datasetName: "Dataset001_A",
      fingerprint: DatasetFingerprint(
        spacings: Array(repeating: [1, 1, 1], count: 10), shapesAfterCrop: Array(repeating: shape, count: 10),
        foregroundIntensities: [statistics], medianRelativeSizeAfterCropping: 1))
    let changes: [String: JSONObject] = batchSize.map { [name: ["batch_size": .integer($0)]] } ?? [:]
    let derived = try plans.deriving(name: "test", changes: changes)
    let architecture = try derived.configuration(named: name).architecture
    return try derived.replacingArchitecture(of: name, by: changed(architecture, arguments))
      .configuration(named: name)
  }

  /// An architecture with other arguments.
  private func changed(_ architecture: JSON, _ arguments: JSONObject) -> JSON {
    var (whole, all) = (architecture.object ?? [:], architecture["arch_kwargs"]?.object ?? [:])
    for (key, value) in arguments.pairs { all[key] = value }
    whole["arch_kwargs"] = .object(all)
    return .object(whole)
  }

  /// What the engine's pool reaches after two steps and a validation.
  private func measured(_ configuration: PlannedConfiguration, precision: Precision) throws -> Int {
    let backend = try CPUBackend()
    let labels = try description().labels
    let network = makeNetwork(
      try ArchitectureSpec(configuration.architecture, source: "test"), inputChannelCount: 1,
      outputChannelCount: labels.outputChannelCount, seed: 0, backend: backend)
    let optimizer = Optimizer(parameters: network.parameters, backend: backend)
    let loss = DeepSupervisionLoss(
      loss: .diceAndCrossEntropy(batchDice: false),
      weights: DeepSupervisionLoss.standardWeights(headCount: network.headCount))
    let shape = [configuration.batchSize, 1] + configuration.patchSize
    let images = NDArray<Float>(shape: shape, elements: (0..<shape.reduce(1, *)).map { Float($0 % 17) / 17 })
    for isRecording in [true, true, false, false] {
      try backend.pool.cycle(isRecording ? "training" : "validation") {
        let tape = Tape(backend: backend, isRecording: isRecording)
        let input = backend.converted(Tensor(images, pool: backend.pool), to: precision)
        let heads = try network.forward(input, heads: loss.neededHeadCount, on: tape)
        let targets = heads.map { head in
          SegmentationTarget.labels(
            Array(repeating: 1, count: head.value.batchCount * head.value.voxelCount), ignored: nil)
        }
        _ = loss(heads, targets, on: tape)
        guard isRecording else { return }
        try tape.backward()
        optimizer.clip(12)
        optimizer.step()
      }
    }
    return backend.pool.reachedByteCount + backend.weightPool.reachedByteCount
  }

  @Test(
    "The engine takes what was counted",
    arguments: [
      ([24, 32, 24], "default", "3d_fullres", 2, Precision.float32, 8),
      ([24, 32, 24], "default", "3d_fullres", 2, .float32, 32),
      ([24, 32, 24], "default", "3d_fullres", 4, .float32, 8),
      ([12, 64, 40], "default", "2d", 6, .float32, 8),
      ([24, 32, 24], "ResEncM", "3d_fullres", 2, .float32, 8),
      ([24, 32, 24], "default", "3d_fullres", 2, .bfloat16, 8),
    ] as [([Int], String, String, Int, Precision, Int)])
  func counted(
    shape: [Int], planner: String, name: String, batchSize: Int, precision: Precision, features: Int
  ) throws {
    guard try CPUBackend().supportedPrecisions.contains(precision) else { return }
    let configuration = try configuration(
      shape, planner: planner, name: name, batchSize: batchSize, featureCount: features)
    var workload = TrainingWorkload(
      configuration, labels: try description().labels, channelCount: 1, precision: precision)
    workload.usesDeepSupervision = true
    let memory = try TrainingMemory(workload)
    let counted = memory.tensorByteCount
    let actual = try measured(configuration, precision: precision)
    let tolerance = precision == .float32 ? Self.tolerance : Self.halfTolerance
    #expect(abs(Double(counted) / Double(actual) - 1) < tolerance, "\(counted) counted, \(actual) taken")
  }

  @Test(
    "Norms, activations, dropout and blocks beside the default ones are counted too",
    arguments: [
      (
        "default",
        [
          "norm_op": "torch.nn.BatchNorm3d", "nonlin": "torch.nn.GELU", "nonlin_kwargs": [:],
          "dropout_op": "torch.nn.Dropout3d", "dropout_op_kwargs": ["p": 0.1],
        ]
      ),
      (
        "default",
        ["norm_op": .null, "norm_op_kwargs": .null, "nonlin": "torch.nn.PReLU", "nonlin_kwargs": [:]]
      ),
      (
        "ResEncM",
        ["block": "x.BottleneckD", "bottleneck_channels": 4, "squeeze_excitation": true, "stem_channels": 8]
      ),
    ] as [(String, JSONObject)])
  func countedVariants(planner: String, arguments: JSONObject) throws {
    let configuration = try configuration(
      [24, 32, 24], planner: planner, name: "3d_fullres", batchSize: 2, arguments: arguments)
    let memory = try TrainingMemory(
      TrainingWorkload(configuration, labels: try description().labels, channelCount: 1))
    let actual = try measured(configuration, precision: .float32)
    #expect(
      abs(Double(memory.tensorByteCount) / Double(actual) - 1) < Self.tolerance,
      "\(memory.tensorByteCount) counted, \(actual) taken")
  }

  @Test("What does not fit is refused with changes that make it fit")
  func advice() throws {
    let configuration = try configuration(
      [24, 32, 24], planner: "default", name: "3d_fullres", batchSize: 64)
    let workload = TrainingWorkload(configuration, labels: try description().labels, channelCount: 1)
    let needed = try TrainingMemory(workload).neededByteCount
    try workload.require(fitsInto: MemoryCap(gigabytes: Double(needed) / 1e9 + 0.001), canUseBFloat16: true)
    let error = #expect(throws: Diagnostic.self) {
      try workload.require(fitsInto: MemoryCap(gigabytes: Double(needed) / 1e9 * 0.8), canUseBFloat16: true)
    }
    #expect(error?.remedy?.contains("--precision bf16 needs") == true)
    #expect(error?.remedy?.contains("--set 3d_fullres.batch_size=32") == true)
    #expect(error?.found?.contains("activations and gradients") == true)
    let tight = #expect(throws: Diagnostic.self) {
      try workload.require(fitsInto: MemoryCap(gigabytes: 0.001), canUseBFloat16: false)
    }
    #expect(tight?.remedy == "plan a smaller patch with -gpu_memory_target")
    #expect(MemoryCap.ofMachine().byteCount > 0)
  }

  @Test("More channels and larger batches take more, halved activations less")
  func order() throws {
    func needed(_ change: (inout TrainingWorkload) -> Void, batchSize: Int = 2) throws -> Int {
      let configuration = try configuration(
        [24, 32, 24], planner: "default", name: "3d_fullres", batchSize: batchSize)
      var workload = TrainingWorkload(configuration, labels: try description().labels, channelCount: 1)
      change(&workload)
      return try TrainingMemory(workload).neededByteCount
    }
    let base = try needed { _ in }
    #expect(try needed { $0.channelCount = 4 } > base)
    #expect(try needed({ _ in }, batchSize: 4) > base)
    #expect(try needed { $0.precision = .bfloat16 } < base)
  }

  @Test("A training above the cap stops before it writes anything")
  func cappedTraining() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    var request = small.request()
    request.memoryCap = MemoryCap(gigabytes: 0.001)
    let error = #expect(throws: Diagnostic.self) {
      try small.pipeline.train(request, with: small.definition())
    }
    #expect(error?.failure == "the training does not fit the memory")
    #expect(!FileManager.default.fileExists(atPath: small.results.path))
  }
}
