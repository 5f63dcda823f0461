// Cropping to the nonzero part of an image, shared by the fingerprint and preprocessing. C channels, Z Y X array axes.

package import Tensors
package import Volumes

/// Crops to the smallest box that holds every nonzero voxel and marks what lies outside the object with -1.
///
/// A voxel belongs to the object if any channel differs from zero there, or if it lies in a hole of the object. Labels
/// other than 0 are never overwritten. An image of zeros keeps its full size.
///
/// - Shape: images `[C, Z, Y, X]`; segmentation `[Z, Y, X]` or `[S, Z, Y, X]`, returned with the same rank.
/// - Returns: the box in the axes given, the cropped images, and the cropped segmentation (0 inside without one given).
package func cropToNonzero(
  images: NDArray<Float>, segmentation: NDArray<Int16>?
) -> (box: BoundingBox, images: NDArray<Float>, segmentation: NDArray<Int16>) {
  precondition(images.shape.count == 4, "images are [C, Z, Y, X], not \(images.shape)")
  let shape = Array(images.shape.dropFirst())
  let mask = nonzeroMask(of: images)
  let box = boundingBox(of: mask, shape: shape)
  var inside = crop(NDArray(shape: shape, elements: mask), to: box)
  fillHoles(&inside)
  let source = segmentation ?? NDArray<Int16>(shape: shape, repeating: 0)
  precondition(
    Array(source.shape.suffix(3)) == shape, "segmentation \(source.shape) does not fit image \(images.shape)")
  var labels = crop(source, to: box)
  let voxelCount = inside.count
  inside.elements.withUnsafeBufferPointer { inside in
    labels.elements.withUnsafeMutableBufferPointer { labels in
      for start in stride(from: 0, to: labels.count, by: max(voxelCount, 1)) {
        for i in 0..<voxelCount where inside[i] == 0 && labels[start + i] == 0 { labels[start + i] = -1 }
      }
    }
  }
  return (box, crop(images, to: box), labels)
}

/// The smallest box that holds every voxel where any channel differs from zero; the full extent if there is none.
package func nonzeroBox(of images: NDArray<Float>) -> BoundingBox {
  boundingBox(of: nonzeroMask(of: images), shape: Array(images.shape.dropFirst()))
}

/// The part of an array inside a box over its last three axes.
package func crop<T>(_ array: NDArray<T>, to box: BoundingBox) -> NDArray<T> {
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

/// 1 where any channel differs from zero (NaN does), else 0.
private func nonzeroMask(of images: NDArray<Float>) -> [UInt8] {
  let channelCount = images.shape[0]
  let voxelCount = images.shape.dropFirst().reduce(1, *)
  var mask = Array<UInt8>(repeating: 0, count: voxelCount)
  images.elements.withUnsafeBufferPointer { images in
    mask.withUnsafeMutableBufferPointer { mask in
      for channel in 0..<channelCount {
        let start = channel &* voxelCount
        for i in 0..<voxelCount { mask[i] |= images[start &+ i] != 0 ? 1 : 0 }
      }
    }
  }
  return mask
}

/// The tight box around the voxels that are not 0; the full extent if there is none.
private func boundingBox(of mask: [UInt8], shape: [Int]) -> BoundingBox {
  var (minZ, minY, minX) = (shape[0], shape[1], shape[2])
  var (maxZ, maxY, maxX) = (-1, -1, -1)
  let width = shape[2]
  mask.withUnsafeBufferPointer { mask in
    for z in 0..<shape[0] {
      for y in 0..<shape[1] {
        let row = (z &* shape[1] &+ y) &* width
        var first = 0
        while first < width, mask[row &+ first] == 0 { first &+= 1 }
        if first == width { continue }
        var last = width &- 1
        while mask[row &+ last] == 0 { last &-= 1 }
        (minZ, minY, minX) = (min(minZ, z), min(minY, y), min(minX, first))
        (maxZ, maxY, maxX) = (z, max(maxY, y), max(maxX, last))
      }
    }
  }
  if maxZ < 0 { return BoundingBox(lower: [0, 0, 0], upper: shape) }
  return BoundingBox(lower: [minZ, minY, minX], upper: [maxZ + 1, maxY + 1, maxX + 1])
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
