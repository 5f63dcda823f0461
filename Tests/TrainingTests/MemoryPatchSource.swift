// Preprocessed cases made in memory, for the tests of sampling and loading.

import Synchronization
import Tensors
import Training
import Volumes

/// A case whose image holds each voxel's own position, so that a test can see where a patch was read.
struct MemoryCase: PatchCase {
  let shape: [Int]
  var channelCount = 1
  var foregroundCandidates: [ForegroundCandidates] = []

  /// The value at a position inside the image: never 0, which marks the outside.
  func value(_ position: [Int]) -> Int { (position[0] * shape[1] + position[1]) * shape[2] + position[2] + 1 }

  func readImage(in box: BoundingBox) -> NDArray<Float> {
    let values = read(box).map { Float($0 ?? 0) }
    return NDArray(
      shape: [channelCount] + box.shape, elements: Array((0..<channelCount).map { _ in values }.joined()))
  }

  func readSegmentation(in box: BoundingBox) -> NDArray<Int16> {
    NDArray(shape: box.shape, elements: read(box).map { $0.map { Int16($0 % 3) } ?? -1 })
  }

  private func read(_ box: BoundingBox) -> [Int?] {
    var result: [Int?] = []
    for z in box.lower[0]..<box.upper[0] {
      for y in box.lower[1]..<box.upper[1] {
        for x in box.lower[2]..<box.upper[2] {
          let isInside = zip([z, y, x], shape).allSatisfy { (0..<$1).contains($0) }
          result.append(isInside ? value([z, y, x]) : nil)
        }
      }
    }
    return result
  }
}

/// Cases by name; one of them may fail to open.
struct MemorySource: PatchSource {
  var cases: [String: MemoryCase]
  var brokenCase: String?

  struct Unreadable: Error {}

  var identifiers: [String] { cases.keys.sorted() }

  func open(_ identifier: String) throws -> any PatchCase {
    guard identifier != brokenCase, let found = cases[identifier] else { throw Unreadable() }
    return found
  }

  /// Four three-dimensional cases, one smaller than the patches of the tests.
  static let volumes: MemorySource = {
    let shapes = [[12, 14, 11], [9, 10, 13], [5, 6, 7], [14, 9, 12]]
    let cases = shapes.enumerated().map { index, shape in
      let voxels = ForegroundCandidates(voxels: NDArray(shape: [2, 3], elements: [1, 2, 3, 4, 5, 6]))
      return ("case_\(index)", MemoryCase(shape: shape, foregroundCandidates: [voxels]))
    }
    return MemorySource(cases: Dictionary(uniqueKeysWithValues: cases))
  }()
}
