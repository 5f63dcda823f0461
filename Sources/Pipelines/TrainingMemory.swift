// The memory that a training will take, told before it starts: the network is run without numbers, the rest is counted.
// N batch, C channels.

import Augmentation
import Backends
package import Datasets
import Foundation
import Networks
package import Planning
package import Tensors
import Training

/// The predicted peak of a training's resident memory.
package struct TrainingMemory: Sendable, Equatable {
  /// One thing that takes memory.
  package struct Part: Sendable, Equatable {
    package var name: String
    package var byteCount: Int
  }

  /// What the training allocates, by use.
  package let parts: [Part]
  /// Preprocessed cases, which are mapped: they count as resident once read, and the system takes them back when memory
  /// is short.
  package let mappedByteCount: Int

  /// What the engine's tensors take: network, optimizer, activations and gradients.
  package let tensorByteCount: Int

  /// What must be there.
  package var neededByteCount: Int { parts.reduce(0) { $0 + $1.byteCount } }
  /// What the process shows at its peak, mapped cases included.
  package var peakByteCount: Int { neededByteCount + mappedByteCount }

  /// The peak in words.
  package var summary: String {
    func gigabytes(_ count: Int) -> String { String(format: "%.2f GB", Double(count) / 1e9) }
    return
      "about \(gigabytes(neededByteCount)) at the peak, and up to \(gigabytes(mappedByteCount)) of preprocessed "
      + "cases that the system may take back"
  }
}

/// What decides a training's memory.
package struct TrainingWorkload {
  package var configuration: PlannedConfiguration
  package var labels: LabelScheme
  /// Image channels, without those of a previous stage.
  package var channelCount: Int
  package var precision: Precision
  package var usesDeepSupervision = true
  /// Bytes of the fold's preprocessed cases.
  package var mappedByteCount = 0
  /// Training cases, of which the foreground locations are kept.
  package var caseCount = 0

  package init(
    _ configuration: PlannedConfiguration, labels: LabelScheme, channelCount: Int,
    precision: Precision = .float32
  ) {
    self.configuration = configuration
    self.labels = labels
    self.channelCount = channelCount
    self.precision = precision
  }
}

extension TrainingMemory {
  /// Code, libraries and everything else that does not depend on the network, measured on an idle program.
  static let programByteCount = 64 << 20
  /// Batches that wait or are in use: the training loader's queue, the validation loader's, and the one being learnt from.
  static let queuedBatchCount = 4 + 2 + 1
  /// Batches in the making, whose samples lie beside the whole until it is put together: one per loader.
  static let unfinishedBatchCount = 2
  /// Copies of a sample that augmentation holds at once, as multiples of the enlarged patch.
  static let copiesInAugmentation = 3.0
  /// What the system's allocator keeps in pieces between blocks, of what comes and goes with batches.
  static let fragmentation = 1.1
  /// Large pages of which a tensor uses a part, and small blocks of the convolution library.
  static let pageMargin = 1.03
  /// oneDNN pads the weights of the few convolutions that it still computes in bf16.
  static let halfPrecisionMargin = 1.02
  /// Locations per case and class that preprocessing keeps.
  static let locationCount = 10_000

  /// Predicts a training; building the network without numbers takes milliseconds.
  package init(_ workload: TrainingWorkload) throws {
    let network = try NetworkMemory(workload)
    let batch = BatchMemory(workload)
    let labels = workload.labels
    let locations = min(
      workload.caseCount * labels.foregroundTargets.count * Self.locationCount * 3
        * MemoryLayout<Int32>.stride,
      128 << 20)
    parts = [
      Part(name: "program", byteCount: Self.programByteCount),
      Part(name: "network and optimizer", byteCount: network.parameterByteCount),
      Part(
        name: "activations and gradients",
        byteCount: Int(Double(network.tensorByteCount) * Self.pageMargin) - network.parameterByteCount),
      Part(name: "convolution library", byteCount: network.libraryByteCount),
      Part(name: "batches", byteCount: batch.byteCount),
      Part(name: "checkpoint being written", byteCount: network.checkpointByteCount),
      Part(name: "foreground locations", byteCount: locations),
    ]
    mappedByteCount = workload.mappedByteCount
    tensorByteCount = network.tensorByteCount
  }
}

/// What the engine allocates in a training step.
private struct NetworkMemory {
  let tensorByteCount: Int
  /// Weights, gradients and momentum.
  let parameterByteCount: Int
  let libraryByteCount: Int
  let checkpointByteCount: Int

  init(_ workload: TrainingWorkload) throws {
    let configuration = workload.configuration
    let backend = CountingBackend()
    let spec = try NetworkSpec(configuration.architecture, source: "configuration \(configuration.name)")
    let previous = configuration.previousStage == nil ? 0 : workload.labels.foregroundLabels.count
    let network = try spec.makeNetwork(
      inputChannelCount: workload.channelCount + previous,
      outputChannelCount: workload.labels.outputChannelCount, seed: 0, backend: backend)
    let optimizer = Optimizer(parameters: network.parameters, backend: backend)
    let loss = DeepSupervisionLoss(
      loss: .diceAndCrossEntropy(batchDice: configuration.batchDice),
      weights: workload.usesDeepSupervision
        ? DeepSupervisionLoss.standardWeights(headCount: network.headCount) : [1])
    let shape = [configuration.batchSize, workload.channelCount + previous] + configuration.patchSize
    // The second step finds the momentum that the first one made; the last pass is a validation.
    for isRecording in [true, true, false, false] {
      try backend.pool.cycle(isRecording ? "training" : "validation") {
        let tape = Tape(backend: backend, isRecording: isRecording)
        let input = backend.converted(
          Tensor(uninitialized: shape, pool: backend.pool), to: workload.precision)
        let heads = try network.forward(input, heads: loss.neededHeadCount, on: tape)
        _ = loss(heads, heads.map { _ in .labels([], ignored: nil) }, on: tape)
        guard isRecording else { return }
        try tape.backward()
        optimizer.clip(1)
        optimizer.step()
      }
    }
    let weights = network.parameterCount * Precision.float32.byteCount
    let margin = workload.precision == .float32 ? 1 : TrainingMemory.halfPrecisionMargin
    tensorByteCount = Int(
      Double(backend.pool.reachedByteCount + backend.weightPool.reachedByteCount) * margin)
    parameterByteCount = 3 * weights
    libraryByteCount = backend.largestWeightByteCount * ProcessInfo.processInfo.activeProcessorCount
    // Weights and momentum are copied to the host; the file is written piece by piece.
    checkpointByteCount = 2 * weights
  }
}

/// What the loaders allocate.
private struct BatchMemory {
  let byteCount: Int

  init(_ workload: TrainingWorkload) {
    let configuration = workload.configuration
    let labels = workload.labels
    let patch = configuration.patchSize
    let mapCount =
      labels.hasRegions ? labels.foregroundRegions.count + (labels.ignoreLabel == nil ? 0 : 1) : 1
    let strides = workload.usesDeepSupervision ? configuration.topology?.strides.dropLast() ?? [] : []
    let pipeline = AugmentationPipeline.standard(
      patchSize: patch, mirrorAxes: Array(patch.indices),
      usesMaskForNormalization: configuration.usesMaskForNormalization, regions: nil, supervisionStrides: nil)
    var scale = patch.map { _ in 1 }
    var targetCount = strides.isEmpty ? patch.reduce(1, *) : 0
    for stride in strides {
      scale = zip(scale, stride).map { $0 * $1 }
      targetCount += zip(patch, scale).map { $0 / $1 }.reduce(1, *)
    }
    let imageByteCount = workload.channelCount * MemoryLayout<Float>.stride
    let previous = configuration.previousStage == nil ? 0 : labels.foregroundLabels.count
    let sample =
      patch.reduce(1, *) * (imageByteCount + previous * MemoryLayout<Float>.stride) + targetCount * mapCount
      * MemoryLayout<Int16>.stride
    let enlarged =
      pipeline.initialPatchSize.reduce(1, *)
      * (imageByteCount + (previous == 0 ? 1 : 2) * MemoryLayout<Int16>.stride)
    let batches =
      configuration.batchSize * (TrainingMemory.queuedBatchCount + 2 * TrainingMemory.unfinishedBatchCount)
    let working = TrainingMemory.copiesInAugmentation * Double(enlarged * TrainingMemory.unfinishedBatchCount)
    byteCount = Int((Double(sample * batches) + working) * TrainingMemory.fragmentation)
  }
}
