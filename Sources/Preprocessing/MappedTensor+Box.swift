// Patches of mapped arrays: boxes that may reach beyond them, read without loading the rest.

import Archives
import Foundation
import Tensors
import Volumes

extension MappedTensor {
  /// Reads the part of `[C] + shape` inside a box, which may reach beyond the array.
  ///
  /// - Shape: `[C] + box.shape`
  func read<Element: BitwiseCopyable & Sendable>(
    box: BoundingBox, of shape: [Int], channelCount: Int, fill: Element
  ) -> NDArray<Element> {
    precondition(self.count == channelCount * shape.reduce(1, *), "\(count) elements are not [C] + \(shape)")
    let size = box.shape
    precondition(size.count == 3 && size.allSatisfy { $0 >= 0 }, "no box: \(box)")
    let lower = (0..<3).map { min(max(box.lower[$0], 0), shape[$0]) }
    let upper = (0..<3).map { max(min(box.upper[$0], shape[$0]), lower[$0]) }
    let isInside = lower == box.lower && upper == box.upper
    let count = channelCount * size.reduce(1, *)
    let elements = [Element](unsafeUninitializedCapacity: count) { target, initializedCount in
      initializedCount = count
      guard let output = target.baseAddress else { return }
      if !isInside { output.initialize(repeating: fill, count: count) }
      let rowBytes = (upper[2] - lower[2]) * MemoryLayout<Element>.stride
      if rowBytes == 0 { return }
      withBytes { bytes in
        // SAFETY: the box was clamped to the tensor, whose extents the file's header was checked against.
        guard let input = bytes.baseAddress else { return }
        for channel in 0..<channelCount {
          for z in lower[0]..<upper[0] {
            for y in lower[1]..<upper[1] {
              let from = ((channel &* shape[0] &+ z) &* shape[1] &+ y) &* shape[2] &+ lower[2]
              let row = (channel &* size[0] &+ z &- box.lower[0]) &* size[1] &+ y &- box.lower[1]
              let to = row &* size[2] &+ lower[2] &- box.lower[2]
              memcpy(output + to, input + from &* MemoryLayout<Element>.stride, rowBytes)
            }
          }
        }
      }
    }
    return NDArray(shape: [channelCount] + size, elements: elements)
  }
}
