// Cropping to the nonzero part of an image, shared by the fingerprint and preprocessing. Z Y X array axes.

import CKernels
import Synchronization
package import Tensors
package import Volumes

/// The object in an image: the smallest box that holds every nonzero voxel, and which of its voxels lie outside.
///
/// A voxel belongs to the object if any channel differs from zero there, or if it lies in a hole of the object. An
/// image of zeros keeps its full size.
package struct NonzeroRegion: Sendable {
  package let box: BoundingBox
  /// 0 outside the object, in the box; `nil` where the object fills the box.
  private let inside: NDArray<UInt8>?

  /// Looks at all channels of an image.
  ///
  /// - Shape: each channel `[Z, Y, X]`
  package init(of channels: [NDArray<Float>]) {
    box = nonzeroBox(of: channels)
    var mask = nonzeroMask(of: channels, in: box)
    if mask.elements.allSatisfy({ $0 != 0 }) {
      inside = nil
    } else {
      fillHoles(&mask)
      inside = mask
    }
  }

  /// The segmentation inside the box, -1 where it is 0 outside the object; without one, 0 inside.
  package func segmentation(_ labels: consuming NDArray<Int16>?) -> NDArray<Int16> {
    var result =
      labels.map { crop($0, to: box) } ?? NDArray<Int16>(shape: box.shape, repeating: 0)
    guard let inside else { return result }
    precondition(result.shape == inside.shape, "labels do not fit the image")
    result.elements.withUnsafeMutableBufferPointer { result in
      inside.elements.withUnsafeBufferPointer { inside in
        guard let mask = inside.baseAddress, let labels = result.baseAddress else { return }
        nnk_mark_outside(mask, labels, result.count)
      }
    }
    return result
  }
}

/// The smallest box that holds every voxel where any channel differs from zero; the full extent if there is none.
///
/// - Shape: each channel `[Z, Y, X]`
package func nonzeroBox(of channels: [NDArray<Float>]) -> BoundingBox {
  precondition(!channels.isEmpty && channels.allSatisfy { $0.shape.count == 3 }, "channels are [Z, Y, X]")
  let shape = channels[0].shape
  var lower = shape
  var upper = [0, 0, 0]
  for channel in channels {
    precondition(channel.shape == shape, "channels differ in shape")
    guard let box = boundingBox(ofNonzero: channel) else { continue }
    for axis in 0..<3 {
      lower[axis] = min(lower[axis], box.lower[axis])
      upper[axis] = max(upper[axis], box.upper[axis])
    }
  }
  if upper[0] == 0 { return BoundingBox(lower: [0, 0, 0], upper: shape) }
  return BoundingBox(lower: lower, upper: upper)
}

/// The part of an array inside a box over its last three axes.
package func crop<T>(_ array: consuming NDArray<T>, to box: BoundingBox) -> NDArray<T> {
  let spatial = Array(array.shape.suffix(3))
  if box.lower == [0, 0, 0], box.upper == spatial { return array }
  let leading = array.shape.dropLast(3)
  let size = box.shape
  var result: [T] = []
  result.reserveCapacity(leading.reduce(1, *) * size.reduce(1, *))
  array.elements.withUnsafeBufferPointer { elements in
    for channel in 0..<leading.reduce(1, *) {
      for z in box.lower[0]..<box.upper[0] {
        for y in box.lower[1]..<box.upper[1] {
          let row = ((channel * spatial[0] + z) * spatial[1] + y) * spatial[2]
          result.append(contentsOf: elements[(row + box.lower[2])..<(row + box.upper[2])])
        }
      }
    }
  }
  return NDArray(shape: Array(leading) + size, elements: result)
}

/// 1 where any channel differs from zero (NaN does), else 0, inside a box.
private func nonzeroMask(of channels: [NDArray<Float>], in box: BoundingBox) -> NDArray<UInt8> {
  let shape = channels[0].shape
  let size = box.shape
  var mask = NDArray(shape: size, elements: [UInt8](repeating: 0, count: size.reduce(1, *)))
  mask.elements.withUnsafeMutableBufferPointer { mask in
    guard let base = mask.baseAddress else { return }
    for channel in channels {
      channel.elements.withUnsafeBufferPointer { values in
        guard let values = values.baseAddress else { return }
        // SAFETY: every slice of the mask is written by one iteration; both blocks outlive the loop.
        nonisolated(unsafe) let source = values
        nonisolated(unsafe) let target = base
        parallelFor(size[0]) { z in
          for y in 0..<size[1] {
            let row = ((z &+ box.lower[0]) &* shape[1] &+ y &+ box.lower[1]) &* shape[2] &+ box.lower[2]
            nnk_mark_nonzero(source + row, size[2], target + (z &* size[1] &+ y) &* size[2])
          }
        }
      }
    }
  }
  return mask
}

/// The tight box around the voxels that are not 0, if there are any.
private func boundingBox(ofNonzero image: NDArray<Float>) -> BoundingBox? {
  let (depth, height, width) = (image.shape[0], image.shape[1], image.shape[2])
  let total = Mutex<BoundingBox?>(nil)
  image.elements.withUnsafeBufferPointer { values in
    guard let base = values.baseAddress else { return }
    // SAFETY: slices are only read, and the image outlives the loop.
    nonisolated(unsafe) let values = base
    parallelFor(depth) { z in
      var (minY, minX, maxY, maxX) = (height, width, -1, -1)
      for y in 0..<height {
        let row = values + (z &* height &+ y) &* width
        var first = 0
        while first < width, row[first] == 0 { first &+= 1 }
        if first == width { continue }
        var last = width &- 1
        while row[last] == 0 { last &-= 1 }
        (minY, minX) = (min(minY, y), min(minX, first))
        (maxY, maxX) = (y, max(maxX, last))
      }
      if maxY < 0 { return }
      total.withLock { box in
        let known = box ?? BoundingBox(lower: [z, minY, minX], upper: [z + 1, maxY + 1, maxX + 1])
        box = BoundingBox(
          lower: [min(known.lower[0], z), min(known.lower[1], minY), min(known.lower[2], minX)],
          upper: [max(known.upper[0], z + 1), max(known.upper[1], maxY + 1), max(known.upper[2], maxX + 1)])
      }
    }
  }
  return total.withLock { $0 }
}

/// Sets to 1 every 0 that no path through face neighbours joins to the outside of the array.
package func fillHoles(_ mask: inout NDArray<UInt8>) {
  precondition(mask.shape.count == 3, "a mask is [Z, Y, X], not \(mask.shape)")
  // Along an axis of one or two voxels everything touches the outside.
  if mask.shape.contains(where: { $0 <= 2 }) { return }
  var flood = OutsideFlood(shape: mask.shape)
  mask.elements.withUnsafeMutableBufferPointer { mask in
    flood.run(mask)
    for i in 0..<mask.count { mask[i] = mask[i] == OutsideFlood.outside ? 0 : 1 }
  }
}

/// A flood of the background from the faces of an array, one run of voxels at a time.
private struct OutsideFlood {
  /// The mark of a reached background voxel.
  static let outside: UInt8 = 2

  let depth: Int
  let height: Int
  let width: Int
  /// Voxels whose run is still to be visited.
  private var pending: [(row: Int, x: Int)] = []

  init(shape: [Int]) {
    depth = shape[0]
    height = shape[1]
    width = shape[2]
  }

  mutating func run(_ mask: UnsafeMutableBufferPointer<UInt8>) {
    for row in 0..<(depth * height) {
      let z = row / height
      let y = row % height
      if z == 0 || z == depth - 1 || y == 0 || y == height - 1 {
        seedRuns(mask, row: row, from: 0, to: width)
      } else {
        if mask[row * width] == 0 { pending.append((row, 0)) }
        if mask[row * width + width - 1] == 0 { pending.append((row, width - 1)) }
      }
      drain(mask)
    }
  }

  private mutating func drain(_ mask: UnsafeMutableBufferPointer<UInt8>) {
    while let (row, x) = pending.popLast() {
      let start = row &* width
      if mask[start &+ x] != 0 { continue }
      var first = x
      while first > 0, mask[start &+ first &- 1] == 0 { first &-= 1 }
      var end = x &+ 1
      while end < width, mask[start &+ end] == 0 { end &+= 1 }
      for i in first..<end { mask[start &+ i] = Self.outside }
      let y = row % height
      if y > 0 { seedRuns(mask, row: row &- 1, from: first, to: end) }
      if y < height &- 1 { seedRuns(mask, row: row &+ 1, from: first, to: end) }
      if row >= height { seedRuns(mask, row: row &- height, from: first, to: end) }
      if row < (depth &- 1) &* height { seedRuns(mask, row: row &+ height, from: first, to: end) }
    }
  }

  /// Remembers the first voxel of each unvisited background run that begins in, or reaches into, a stretch of a row.
  private mutating func seedRuns(_ mask: UnsafeMutableBufferPointer<UInt8>, row: Int, from: Int, to: Int) {
    let start = row &* width
    var previous: UInt8 = 1
    for x in from..<to {
      let value = mask[start &+ x]
      if value == 0, previous != 0 { pending.append((row, x)) }
      previous = value
    }
  }
}
