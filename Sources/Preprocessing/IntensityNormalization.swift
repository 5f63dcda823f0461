// Intensity normalisation per channel, in float32 with the reference's order of additions.
// C channels, Z Y X array axes (slowest first)

import Foundation
package import Reporting
package import Tensors

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

/// Where a cropped, transposed image lies in the file's array: NumPy sums in that order.
package struct FileLayout: Sendable, Equatable {
  /// Extents of the whole file array.
  package var fileShape: [Int]
  /// Extents of the crop in file order.
  package var cropShape: [Int]
  /// The permutation that takes the array back to file order.
  package var backward: [Int]

  package init(fileShape: [Int], cropShape: [Int], backward: [Int]) {
    self.fileShape = fileShape
    self.cropShape = cropShape
    self.backward = backward
  }

  /// A contiguous array in file order.
  package init(shape: [Int]) {
    self.init(fileShape: shape, cropShape: shape, backward: Array(shape.indices))
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

/// Normalises every channel in place.
///
/// In the cropped segmentation, values below 0 mean outside the object. A number of channels that does not fit the
/// schemes, or RGB values beyond 8 bits, are errors.
/// - Shape: image `[C, Z, Y, X]`, segmentation `[Z, Y, X]`
package func normalize(
  _ image: inout NDArray<Float>, segmentation: NDArray<Int16>, using schemes: [IntensityNormalization],
  layout: FileLayout
) throws(Diagnostic) {
  guard schemes.count == image.shape[0] else {
    throw Diagnostic(
      "the image does not fit the plans", expected: "\(schemes.count) channels",
      found: "\(image.shape[0]) channels",
      remedy: "check channel_names in dataset.json and the image files of the case")
  }
  let size = segmentation.count
  for (channel, scheme) in schemes.enumerated() {
    var values = NDArray(
      shape: segmentation.shape, elements: Array(image.elements[channel * size..<(channel + 1) * size]))
    switch scheme {
    case .none: continue
    case .zScore(insideMask: false):
      let (mean, deviation) = meanAndDeviation(
        values.transposed(layout.backward).elements, runLength: layout.runLength)
      scale(&values.elements, subtracting: mean, dividingBy: max(deviation, smallestDeviation))
    case .zScore(insideMask: true): normalizeInside(&values.elements, segmentation: segmentation.elements)
    case .ct(let lower, let upper, let mean, let deviation):
      for i in values.elements.indices { values.elements[i] = min(max(values.elements[i], lower), upper) }
      scale(&values.elements, subtracting: mean, dividingBy: max(deviation, smallestDeviation))
    case .unitRange:
      let low = values.elements.min() ?? 0
      let high = (values.elements.max() ?? 0) - low
      scale(&values.elements, subtracting: low, dividingBy: max(high, smallestDeviation))
    case .rgb:
      try checkRGB(values.elements, channel: channel)
      scale(&values.elements, subtracting: 0, dividingBy: 255)
    }
    image.elements.replaceSubrange(channel * size..<(channel + 1) * size, with: values.elements)
  }
}

private func scale(_ values: inout [Float], subtracting offset: Float, dividingBy divisor: Float) {
  values.withUnsafeMutableBufferPointer { values in
    for i in 0..<values.count { values[i] = (values[i] - offset) / divisor }
  }
}

private func normalizeInside(_ values: inout [Float], segmentation: [Int16]) {
  let inside = zip(values, segmentation).compactMap { $1 >= 0 ? $0 : nil }
  let (mean, standardDeviation) = meanAndDeviation(inside)
  let deviation = max(standardDeviation, smallestDeviation)
  values.withUnsafeMutableBufferPointer { values in
    segmentation.withUnsafeBufferPointer { segmentation in
      for i in 0..<values.count where segmentation[i] >= 0 { values[i] = (values[i] - mean) / deviation }
    }
  }
}

private func checkRGB(_ values: [Float], channel: Int) throws(Diagnostic) {
  let low = values.min() ?? 0
  let high = values.max() ?? 0
  guard low >= 0, high <= 255 else {
    throw Diagnostic(
      "RGB normalisation needs 8-bit values", at: "channel \(channel)", expected: "values in 0...255",
      found: "values in \(low)...\(high)",
      remedy:
        "name the channel differently in dataset.json, so that it is normalised by its own range, and plan again"
    )
  }
}
