// Where each label lies in two label maps. Z Y X array axes.

import Datasets
import Tensors
import Volumes

/// The boxes around every label of a reference and a prediction, found in one pass.
///
/// Voxels whose reference is the ignore label are left out.
struct TargetBoxes {
  private var boxes: [Box?]

  /// Bounds of voxels, both ends included.
  private struct Box {
    var lower: SIMD4<Int32>
    var upper: SIMD4<Int32>

    mutating func unite(_ other: Box) {
      lower = pointwiseMin(lower, other.lower)
      upper = pointwiseMax(upper, other.upper)
    }
  }

  /// Looks at both maps.
  ///
  /// - Shape: both maps `[Z, Y, X]`
  init(reference: NDArray<Int16>, prediction: NDArray<Int16>, ignoreLabel: Int?) {
    let (depth, height, width) = (reference.shape[0], reference.shape[1], reference.shape[2])
    var boxes = [Box?](repeating: nil, count: 1 << 16)
    func grow(_ label: Int16, z: Int, y: Int, _ x: Range<Int>) {
      let run = Box(
        lower: SIMD4(Int32(z), Int32(y), Int32(x.lowerBound), 0),
        upper: SIMD4(Int32(z), Int32(y), Int32(x.upperBound - 1), 0))
      let index = Int(UInt16(bitPattern: label))
      if boxes[index] == nil { boxes[index] = run } else { boxes[index]?.unite(run) }
    }
    reference.elements.withUnsafeBufferPointer { reference in
      prediction.elements.withUnsafeBufferPointer { prediction in
        for z in 0..<depth {
          for y in 0..<height {
            let row = (z * height + y) * width
            var start = 0
            // Runs of equal pairs are long; a box grows only at their ends.
            while start < width {
              let (a, b) = (reference[row + start], prediction[row + start])
              var end = start + 1
              while end < width, reference[row + end] == a, prediction[row + end] == b { end += 1 }
              if ignoreLabel != Int(a) {
                grow(a, z: z, y: y, start..<end)
                if b != a { grow(b, z: z, y: y, start..<end) }
              }
              start = end
            }
          }
        }
      }
    }
    self.boxes = boxes
  }

  /// The box around a target in either map; nil if it is in neither.
  func box(of target: LabelValue) -> BoundingBox? {
    var all: Box?
    for label in target.labels {
      guard let index = Int16(exactly: label), let box = boxes[Int(UInt16(bitPattern: index))] else {
        continue
      }
      if all == nil { all = box } else { all?.unite(box) }
    }
    return all.map { box in
      BoundingBox(
        lower: (0..<3).map { Int(box.lower[$0]) }, upper: (0..<3).map { Int(box.upper[$0]) + 1 })
    }
  }
}
