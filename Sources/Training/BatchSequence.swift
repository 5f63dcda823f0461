// What the trainer takes its batches from: the loader, or one batch over and over for measurements without data.

import Augmentation
import Datasets
import Planning
import Tensors

/// Batches one after the other.
protocol BatchSequence {
  func next() throws -> TrainingBatch
  func stop()
}

extension BatchLoader: BatchSequence {}

/// One batch of random numbers, given again and again.
///
/// - Source: nnU-Net's benchmark without data loading.
struct RepeatedBatch: BatchSequence {
  private let batch: TrainingBatch

  /// Images uniform from 0 to 1, labels uniform over all there are.
  init(_ task: TrainingTask, pipeline: AugmentationPipeline, inputChannelCount: Int) throws {
    var random = RandomSource(key: [task.seed])
    let patch = pipeline.patchSize
    let count = patch.reduce(1, *)
    let largest = Double(task.labels.allLabels.max() ?? 0)
    let mapCount = task.previousStageLabels == nil ? 1 : 2
    let samples = try (0..<task.configuration.batchSize).map { _ in
      let image = (0..<inputChannelCount * count).map { _ in Float(random.uniform()) }
      let labels = (0..<mapCount * count).map { _ in
        Int16((random.uniform() * largest).rounded(.toNearestOrEven))
      }
      return try pipeline.apply(
        AugmentationDraw(), image: NDArray(shape: [inputChannelCount] + patch, elements: image),
        segmentation: NDArray(shape: [mapCount] + patch, elements: labels))
    }
    batch = try TrainingBatch(samples, origins: [])
  }

  func next() -> TrainingBatch { batch }
  func stop() {}
}
