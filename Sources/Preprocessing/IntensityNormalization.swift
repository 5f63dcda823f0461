// Intensity normalisation per channel, in float32 with the reference's order of additions.
// C channels, Z Y X array axes (slowest first)

import CKernels
import Foundation
package import Reporting
import Tensors

/// How one channel's intensities are brought to a common scale.
package enum IntensityNormalization: Sendable, Equatable {
  /// Subtract the mean and divide by the standard deviation, of the crop or of the object in it.
  case zScore(insideMask: Bool)
  /// Clip to a range, then scale with the mean and standard deviation of the dataset's foreground.
  case ct(lower: Float, upper: Float, mean: Float, deviation: Float)
  /// Scale to 0...1.
  case unitRange
  /// Divide 0...255 by 255.
  case rgb
  case none
}

/// Where a crop lies in the file's array: NumPy sums in that order.
package struct FileLayout: Sendable, Equatable {
  /// Extents of the whole file array.
  package var fileShape: [Int]
  /// Extents of the crop in file order.
  package var cropShape: [Int]

  package init(fileShape: [Int], cropShape: [Int]) {
    self.fileShape = fileShape
    self.cropShape = cropShape
  }

  /// The number of values NumPy adds pairwise in one go.
  ///
  /// Axes that the crop leaves whole join into one run; shorter runs are gathered in a buffer of 8192 values.
  package var runLength: Int {
    var runs = [1]
    var joins = true
    for axis in cropShape.indices.reversed() {
      let isWhole = cropShape[axis] == fileShape[axis]
      // An axis of one sample is no axis, but may tear its neighbours apart.
      if cropShape[axis] == 1 {
        if !isWhole, runs != [1] { joins = false }
        continue
      }
      if joins { runs[runs.count - 1] *= cropShape[axis] } else { runs.append(cropShape[axis]) }
      joins = isWhole
    }
    var core = runs[0]
    if runs.count == 1 || core > Self.bufferSize { return core }
    for run in runs.dropFirst() {
      if core * run > Self.bufferSize { break }
      core *= run
    }
    return Self.bufferSize / core * core
  }

  /// NumPy's default buffer, in elements.
  private static let bufferSize = 8192
}

/// Standard deviations below this count as this (nnU-Net's epsilon for float32).
private let smallestDeviation: Float = 1e-8

extension IntensityNormalization {
  /// Whether the object's mask says what counts, so that a segmentation is needed.
  var usesMask: Bool { self == .zScore(insideMask: true) }

  /// Normalises one channel in place by itself; the scheme must not use the mask.
  ///
  /// The channel lies in the order of its file. RGB values beyond 8 bits are an error.
  package func normalize(_ values: inout [Float], layout: FileLayout) throws(Diagnostic) {
    let (offset, divisor): (Float, Float)
    switch self {
    case .none: return
    case .zScore:
      precondition(!usesMask, "a masked z-score needs a segmentation")
      let (mean, deviation) = values.withUnsafeBufferPointer {
        meanAndDeviation($0, runLength: layout.runLength)
      }
      (offset, divisor) = (mean, max(deviation, smallestDeviation))
    case .ct(let lower, let upper, let mean, let deviation):
      transform(&values) {
        nnk_clip_and_normalize($0, $1, lower, upper, mean, max(deviation, smallestDeviation))
      }
      return
    case .unitRange:
      let range = range(of: values)
      (offset, divisor) = (range.low, max(range.high - range.low, smallestDeviation))
    case .rgb:
      let range = range(of: values)
      guard range.low >= 0, range.high <= 255 else {
        throw Diagnostic(
          "RGB normalisation needs 8-bit values", expected: "values in 0...255",
          found: "values in \(range.low)...\(range.high)",
          remedy:
            "name the channel differently in dataset.json, so that it is normalised by its own range, and plan again"
        )
      }
      (offset, divisor) = (0, 255)
    }
    transform(&values) { nnk_normalize($0, $1, offset, divisor) }
  }

  /// Normalises the part of one channel that lies in the object, where the segmentation is not negative.
  ///
  /// Both lie in the order of the plans.
  package func normalizeInside(_ values: inout [Float], segmentation: [Int16]) {
    precondition(usesMask && values.count == segmentation.count)
    let inside = [Float](unsafeUninitializedCapacity: values.count) { packed, count in
      guard let packed = packed.baseAddress else { return }
      count = nnk_pack_inside(values, segmentation, values.count, packed)
    }
    let (mean, deviation) = inside.withUnsafeBufferPointer { meanAndDeviation($0) }
    values.withUnsafeMutableBufferPointer { values in
      guard let base = values.baseAddress else { return }
      nnk_normalize_inside(base, segmentation, values.count, mean, max(deviation, smallestDeviation))
    }
  }

  private func range(of values: [Float]) -> ClippingRange {
    values.withUnsafeBufferPointer { values in
      values.baseAddress.map { .parallel(of: $0, count: values.count) } ?? ClippingRange(low: 0, high: 0)
    }
  }

  private func transform(
    _ values: inout [Float], _ kernel: @Sendable (UnsafeMutablePointer<Float>, Int) -> Void
  ) {
    values.withUnsafeMutableBufferPointer { values in
      guard let base = values.baseAddress else { return }
      // SAFETY: every piece is written by one task; the values outlive the loop.
      nonisolated(unsafe) let target = base
      forEachPiece(of: values.count) { kernel(target + $0.lowerBound, $0.count) }
    }
  }
}
