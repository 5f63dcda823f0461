// Box arithmetic and the foreground rule.

import Tensors
import Testing
import Training
import Volumes

@Suite struct PatchSamplerTests {
  private func candidates(_ voxels: [[Int32]], coversAllAnnotated: Bool = false) -> ForegroundCandidates {
    ForegroundCandidates(
      coversAllAnnotated: coversAllAnnotated,
      voxels: NDArray(shape: [voxels.count, 3], elements: voxels.flatMap(\.self)))
  }

  @Test(
    "The last third of a batch is forced to contain foreground",
    arguments: [(2, 1), (3, 1), (4, 1), (5, 2), (6, 2), (8, 3), (9, 3), (12, 4), (32, 11), (56, 18)])
  func forcedCounts(batchSize: Int, forcedCount: Int) {
    let sampler = PatchSampler(batchSize: batchSize, patchSize: [4, 4, 4])
    var random = RandomSource(key: [0])
    let forced = (0..<batchSize).map { sampler.isForced(sample: $0, using: &random) }
    #expect(forced == (0..<batchSize).map { $0 >= batchSize - forcedCount })
  }

  @Test("Samples can be forced by chance instead")
  func forcedByChance() {
    var sampler = PatchSampler(batchSize: 2, patchSize: [4, 4, 4])
    sampler.forcesByChance = true
    var random = RandomSource(key: [1])
    let count = (0..<4000).count { _ in sampler.isForced(sample: 0, using: &random) }
    #expect(abs(Double(count) / 4000 - 0.33) < 0.03)  // four standard deviations
  }

  @Test("Random boxes start within nnU-Net's limits")
  func limits() {
    let sampler = PatchSampler(batchSize: 2, patchSize: [40, 56, 40], sourcePatchSize: [73, 80, 64])
    let small = sampler.startLimits(in: [36, 50, 35])
    #expect(small.lower == [-19, -15, -15])
    #expect(small.upper == [-18, -15, -14])
    let large = sampler.startLimits(in: [100, 100, 100])
    #expect(large.lower == [-17, -12, -12])
    #expect(large.upper == [44, 32, 48])
    var random = RandomSource(key: [2])
    var starts: Set<Int> = []
    for _ in 0..<300 {
      let box = sampler.box(in: [36, 50, 35], candidates: [], isForced: true, using: &random)
      #expect(box.shape == [73, 80, 64])
      starts.insert(box.lower[0])
    }
    #expect(starts == [-19, -18])
  }

  @Test("A forced box is centred on its voxel, clamped below and not above")
  func forcedBox() {
    let sampler = PatchSampler(batchSize: 2, patchSize: [40, 56, 40], sourcePatchSize: [73, 80, 64])
    var random = RandomSource(key: [3])
    let box = sampler.box(
      in: [100, 100, 100], candidates: [candidates([[99, 0, 50]])], isForced: true, using: &random)
    #expect(box.lower == [63, -12, 18])
    #expect(box.upper == [136, 68, 82])
  }

  @Test("A class is chosen before its voxel, and classes without voxels never")
  func classFirst() {
    let sampler = PatchSampler(batchSize: 2, patchSize: [1, 1, 1])
    let many = candidates((0..<99).map { [$0, 0, 0] })
    let rare = candidates([[5, 7, 7]])
    let absent = candidates([])
    var random = RandomSource(key: [4])
    let rareCount = (0..<2000).count { _ in
      sampler.box(in: [99, 8, 8], candidates: [many, absent, rare], isForced: true, using: &random).lower == [
        5, 7, 7,
      ]
    }
    #expect(abs(Double(rareCount) / 2000 - 0.5) < 0.045)  // four standard deviations
  }

  @Test(
    "With an ignore label other samples lie on annotated voxels, which forced ones use only without classes")
  func ignoreLabel() {
    var sampler = PatchSampler(batchSize: 2, patchSize: [1, 1, 1])
    sampler.hasIgnoreLabel = true
    let annotated = candidates([[1, 1, 1]], coversAllAnnotated: true)
    let foreground = candidates([[2, 2, 2]])
    var random = RandomSource(key: [5])
    for _ in 0..<20 {
      let free = sampler.box(
        in: [9, 9, 9], candidates: [foreground, annotated], isForced: false, using: &random)
      #expect(free.lower == [1, 1, 1])
      let forced = sampler.box(
        in: [9, 9, 9], candidates: [foreground, annotated], isForced: true, using: &random)
      #expect(forced.lower == [2, 2, 2])
      let only = sampler.box(in: [9, 9, 9], candidates: [annotated], isForced: true, using: &random)
      #expect(only.lower == [1, 1, 1])
    }
    let empty = (0..<100).map { _ in
      sampler.box(in: [9, 9, 9], candidates: [], isForced: false, using: &random).lower
    }
    #expect(Set(empty).count > 50)
  }

  @Test("A flat patch takes one slice")
  func slices() {
    let sampler = PatchSampler(batchSize: 2, patchSize: [4, 4], sourcePatchSize: [6, 6])
    var random = RandomSource(key: [6])
    var slices: Set<Int> = []
    for _ in 0..<300 {
      let box = sampler.box(in: [5, 9, 9], candidates: [], isForced: false, using: &random)
      #expect(box.shape == [1, 6, 6])
      slices.insert(box.lower[0])
    }
    #expect(slices == [0, 1, 2, 3, 4])
    let forced = sampler.box(
      in: [5, 9, 9], candidates: [candidates([[3, 4, 4]])], isForced: true, using: &random)
    #expect(forced.lower == [3, 1, 1])
  }
}

@Suite struct PatchSharesTests {
  /// How a batch is shared; the fractions are those of nnU-Net's trainer.
  struct Shares: Sendable {
    var batch: Int
    var counts: [Int]
    var fractions: [Double]
  }

  static let known = [
    Shares(batch: 2, counts: [1, 1], fractions: [0, 1]),
    Shares(batch: 4, counts: [2, 2], fractions: [0, 0.5]),
    Shares(batch: 5, counts: [3, 2], fractions: [0, 1]),
    Shares(batch: 9, counts: [5, 4], fractions: [0, 0.75]),
    Shares(batch: 12, counts: [3, 3, 2, 2, 2], fractions: [0, 0, 0, 1, 1]),
    Shares(batch: 4, counts: [4], fractions: [0.25]),
  ]

  @Test("Devices share a batch and its forced samples as the reference shares them", arguments: known)
  func shares(_ expected: Shares) {
    let shares = PatchSampler(batchSize: expected.batch, patchSize: [8, 8])
      .shares(deviceCount: expected.counts.count)
    #expect(shares.map(\.batchSize) == expected.counts)
    #expect(shares.map(\.foregroundFraction) == expected.fractions)
  }

  /// Samples that are forced, by batch size.
  static let forcedCounts = [2: 1, 3: 1, 4: 1, 5: 2, 6: 2, 8: 3, 9: 3, 12: 4, 32: 11, 56: 18]

  @Test("The share of forced samples follows the reference's rounding", arguments: forcedCounts.keys.sorted())
  func forcedShare(batch: Int) throws {
    let forced = try #require(Self.forcedCounts[batch])
    let sampler = PatchSampler(batchSize: batch, patchSize: [8, 8])
    #expect(sampler.forcedShare == Double(forced) / Double(batch))
  }
}
