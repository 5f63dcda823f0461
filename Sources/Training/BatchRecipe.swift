// How the batch of one iteration comes about. It depends on seed, stream, epoch and iteration alone, never on
// threads.

package import Augmentation
package import Reporting
import Tensors
import Volumes

/// Everything that decides what is in a batch.
package struct BatchRecipe: Sendable {
  /// Keeps the random numbers of different uses apart.
  package enum Stream: Int, Sendable {
    case training = 0
    case validation = 1
  }

  package var source: any PatchSource
  package var sampler: PatchSampler
  package var pipeline: AugmentationPipeline
  package var seed: Int
  package var stream: Stream

  /// A recipe; throws when there is no case to draw from.
  package init(
    source: any PatchSource, sampler: PatchSampler, pipeline: AugmentationPipeline, seed: Int, stream: Stream
  ) throws(Diagnostic) {
    guard !source.identifiers.isEmpty else {
      throw Diagnostic(
        "there is no case to draw \(stream) patches from", expected: "at least one preprocessed case",
        found: "none",
        remedy: "preprocess the dataset, and check that the fold's cases are among the preprocessed ones")
    }
    self.source = source
    self.sampler = sampler
    self.pipeline = pipeline
    self.seed = seed
    self.stream = stream
  }

  /// A recipe with nnU-Net's sampler for a pipeline: enlarged patches if the pipeline rotates and scales, and
  /// patches of the plan's size under the same foreground rule for a validation pipeline.
  package init(
    _ stream: Stream, from source: any PatchSource, pipeline: AugmentationPipeline, batchSize: Int,
    hasIgnoreLabel: Bool, seed: Int
  ) throws(Diagnostic) {
    var sampler = PatchSampler(
      batchSize: batchSize, patchSize: pipeline.patchSize, sourcePatchSize: pipeline.initialPatchSize)
    sampler.hasIgnoreLabel = hasIgnoreLabel
    try self.init(source: source, sampler: sampler, pipeline: pipeline, seed: seed, stream: stream)
  }

  /// Makes the batch of one iteration; `isStopped` is asked before every sample.
  package func batch(
    epoch: Int, iteration: Int, isStopped: () -> Bool = { false }
  ) throws -> TrainingBatch {
    var samples: [AugmentationSample] = []
    var origins: [TrainingBatch.Origin] = []
    for index in 0..<sampler.batchSize {
      if isStopped() { throw Cancelled() }
      let (sample, origin) = try self.sample(index, epoch: epoch, iteration: iteration)
      samples.append(sample)
      origins.append(origin)
    }
    return try TrainingBatch(samples, origins: origins)
  }

  private func sample(
    _ index: Int, epoch: Int, iteration: Int
  ) throws -> (AugmentationSample, TrainingBatch.Origin) {
    var random = RandomSource(key: [seed, stream.rawValue, epoch, iteration, index])
    let identifier = sampler.chooseCase(from: source.identifiers, using: &random)
    let isForced = sampler.isForced(sample: index, using: &random)
    let patchCase = try source.open(identifier)
    let box = sampler.box(
      in: patchCase.shape, candidates: patchCase.foregroundCandidates, isForced: isForced, using: &random)
    let draw = try pipeline.draw(using: &random, channelCount: patchCase.channelCount)
    let needed = needed(of: box, for: draw)
    let extents = Array(needed.shape.suffix(pipeline.patchSize.count))
    let image = try patchCase.readImage(in: needed).reshaped([patchCase.channelCount] + extents)
    var segmentation = try patchCase.readSegmentation(in: needed).reshaped([1] + extents)
    if let previous = try patchCase.readPreviousStage(in: needed) {
      segmentation = NDArray(shape: [2] + extents, elements: segmentation.elements + previous.elements)
    }
    let sample = try pipeline.apply(draw, image: image, segmentation: segmentation)
    let origin = TrainingBatch.Origin(
      identifier: identifier, box: box, isForcedForeground: isForced, draw: draw)
    return (sample, origin)
  }

  /// The part of a box that the draw reads: for most draws only the plan's patch in its middle.
  private func needed(of box: BoundingBox, for draw: AugmentationDraw) -> BoundingBox {
    var inner = pipeline.sourceBox(for: draw)
    if inner.lower.count == 2 { inner = BoundingBox(lower: [0] + inner.lower, upper: [1] + inner.upper) }
    return BoundingBox(
      lower: zip(box.lower, inner.lower).map { $0 + $1 }, upper: zip(box.lower, inner.upper).map { $0 + $1 })
  }
}
