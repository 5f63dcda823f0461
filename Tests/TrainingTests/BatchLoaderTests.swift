// Batches: what is in them, that threads do not change them, and how loading ends.

import Augmentation
import Foundation
import Reporting
import Tensors
import Testing
import Training
import Volumes

@Suite struct BatchLoaderTests {
  static let patch = [6, 8, 7]
  static let strides = [[1, 1, 1], [2, 2, 2], [2, 2, 2]]

  private func recipe(
    seed: Int = 7, source: MemorySource = .volumes, stream: BatchRecipe.Stream = .training
  ) throws -> BatchRecipe {
    let pipeline: AugmentationPipeline =
      switch stream {
      case .training: .standard(patchSize: Self.patch, supervisionStrides: Self.strides)
      case .validation: .validation(patchSize: Self.patch, supervisionStrides: Self.strides)
      }
    return try BatchRecipe(
      stream, from: source, pipeline: pipeline, batchSize: 3, hasIgnoreLabel: false, seed: seed)
  }

  private func take(_ count: Int, from loader: BatchLoader) throws -> [TrainingBatch] {
    try (0..<count).map { _ in try loader.next() }
  }

  private func areEqual(_ a: [TrainingBatch], _ b: [TrainingBatch]) -> Bool {
    a.count == b.count
      && zip(a, b).allSatisfy {
        $0.images == $1.images && $0.targets == $1.targets && $0.origins == $1.origins
      }
  }

  @Test("The same seed gives the same batches whatever the thread count", arguments: [0, 3])
  func threadCounts(_ threadCount: Int) throws {
    let single = try take(9, from: BatchLoader(recipe(), iterationsPerEpoch: 4, threadCount: 1))
    let other = try take(
      9, from: BatchLoader(recipe(), iterationsPerEpoch: 4, threadCount: threadCount, queueDepth: 2))
    #expect(areEqual(single, other))
    #expect(!areEqual([single[0]], [single[4]]))
    #expect(single[0].images.shape == [3, 1] + Self.patch)
    #expect(single[0].targets.map(\.shape) == [[3, 1, 6, 8, 7], [3, 1, 3, 4, 4]])
  }

  @Test("Seeds and streams give different batches")
  func seedsAndStreams() throws {
    let first = try recipe(seed: 7).batch(epoch: 0, iteration: 0)
    #expect(try recipe(seed: 8).batch(epoch: 0, iteration: 0).origins != first.origins)
    var validation = try recipe(seed: 7)
    validation.stream = .validation
    #expect(try validation.batch(epoch: 0, iteration: 0).origins != first.origins)
  }

  @Test("Starting at a later epoch gives the batches of that epoch")
  func resume() throws {
    let straight = try take(8, from: BatchLoader(recipe(), iterationsPerEpoch: 3))
    let resumed = try take(2, from: BatchLoader(recipe(), iterationsPerEpoch: 3, startingAt: 2))
    #expect(areEqual(Array(straight[6...]), resumed))
    #expect(areEqual([straight[4]], [try recipe().batch(epoch: 1, iteration: 1)]))
  }

  @Test("A validation patch holds the voxels of its box, padded outside")
  func validationPatch() throws {
    let batch = try recipe(stream: .validation).batch(epoch: 0, iteration: 0)
    #expect(batch.origins.map(\.isForcedForeground) == [false, false, true])
    for (index, origin) in batch.origins.enumerated() {
      let source = try #require(MemorySource.volumes.cases[origin.identifier])
      let count = Self.patch.reduce(1, *)
      #expect(origin.box.shape == Self.patch)
      #expect(
        Array(batch.images.elements[index * count..<(index + 1) * count])
          == source.readImage(in: origin.box).elements)
      let labels = source.readSegmentation(in: origin.box).elements.map { max(0, $0) }
      #expect(Array(batch.targets[0].elements[index * count..<(index + 1) * count]) == labels)
    }
  }

  @Test("A replayed draw gives the sample of the batch")
  func replay() throws {
    let recipe = try recipe()
    let batch = try recipe.batch(epoch: 3, iteration: 1)
    for (index, origin) in batch.origins.enumerated() {
      let source = try #require(MemorySource.volumes.cases[origin.identifier])
      let segmentation = source.readSegmentation(in: origin.box)
      let sample = try recipe.pipeline.apply(
        origin.draw, image: source.readImage(in: origin.box),
        segmentation: segmentation.reshaped([1] + segmentation.shape))
      let count = sample.image.count
      #expect(Array(batch.images.elements[index * count..<(index + 1) * count]) == sample.image.elements)
    }
  }

  @Test("Flat patches lose their slice axis")
  func flatPatches() throws {
    let pipeline = AugmentationPipeline.standard(patchSize: [8, 6], supervisionStrides: [[1, 1], [2, 2]])
    let recipe = try BatchRecipe(
      .training, from: MemorySource.volumes, pipeline: pipeline, batchSize: 4, hasIgnoreLabel: false, seed: 1)
    let batch = try recipe.batch(epoch: 0, iteration: 0)
    #expect(batch.images.shape == [4, 1, 8, 6])
    #expect(batch.targets.map(\.shape) == [[4, 1, 8, 6]])
  }

  @Test(
    "A failure in the background surfaces at the batch it belongs to", .timeLimit(.minutes(1)),
    arguments: [0, 2])
  func failures(threadCount: Int) throws {
    var source = MemorySource.volumes
    source.brokenCase = "case_2"
    let broken = try recipe(source: source)
    let firstFailure = try #require(
      (0..<50).first { iteration in (try? broken.batch(epoch: 0, iteration: iteration)) == nil })
    let loader = BatchLoader(broken, iterationsPerEpoch: 1000, threadCount: threadCount)
    for _ in 0..<firstFailure { _ = try loader.next() }
    #expect(throws: MemorySource.Unreadable.self) { try loader.next() }
    #expect(throws: MemorySource.Unreadable.self) { try loader.next() }
  }

  @Test("A stopped or cancelled loader throws instead of waiting", .timeLimit(.minutes(1)))
  func stopping() throws {
    let loader = BatchLoader(try recipe(), iterationsPerEpoch: 10, threadCount: 2)
    _ = try loader.next()
    loader.stop()
    loader.stop()
    #expect(throws: Cancelled.self) { try loader.next() }
    let flag = CancellationFlag()
    let other = BatchLoader(try recipe(), iterationsPerEpoch: 10, cancellation: flag)
    _ = try other.next()
    flag.cancel()
    #expect(throws: Cancelled.self) { try other.next() }
  }

  @Test("A source without cases is refused")
  func emptySource() {
    #expect(throws: Diagnostic.self) { try recipe(source: MemorySource(cases: [:])) }
  }
}
