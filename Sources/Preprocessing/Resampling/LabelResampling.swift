// Resizing label maps: the label whose linearly resized indicator is largest wins, with nnU-Net's rule for ties.
// Every voxel looks only at its eight neighbours, so cost and memory do not depend on the number of labels.

import CKernels
import Foundation
package import Tensors

/// How two labels with equal claims to a voxel are told apart.
package enum LabelTieRule: Sendable {
  /// Scores are doubles; among exact ties the nearest neighbour's label wins, else the smallest.
  case nearestThenSmallest
  /// Scores are rounded to half precision after scaling to 1000; the smallest label wins.
  ///
  /// - Source: nnU-Net's resample_torch_fornnunet.
  case halfPrecision
}

/// Resizes a label map; one that has the size already is returned untouched.
///
/// Scores are doubles added up over the neighbours in C order.
/// - Shape: input `[Z, Y, X]`, output `newShape`
package func resizeLabelMap(
  _ labels: NDArray<Int16>, to newShape: [Int], separateAxis: Int?,
  sliceChoice: SliceChoice = .roundedHalfUp, ties: LabelTieRule = .nearestThenSmallest
) -> NDArray<Int16> {
  let axes = (0..<3).map { axis in
    axis == separateAxis
      ? LabelAxis(picking: sliceChoice.indices(inputCount: labels.shape[axis], outputCount: newShape[axis]))
      : LabelAxis(inputCount: labels.shape[axis], outputCount: newShape[axis])
  }
  return resizeLabelMap(labels, to: newShape, axes: axes, ties: ties)
}

/// Resizes a label map by taking the nearest label everywhere.
package func pickLabels(_ labels: NDArray<Int16>, to newShape: [Int]) -> NDArray<Int16> {
  let axes = (0..<3).map { axis in
    LabelAxis(picking: nearestIndices(inputCount: labels.shape[axis], outputCount: newShape[axis]))
  }
  return resizeLabelMap(labels, to: newShape, axes: axes, ties: .nearestThenSmallest)
}

private func resizeLabelMap(
  _ labels: NDArray<Int16>, to newShape: [Int], axes: [LabelAxis], ties: LabelTieRule
) -> NDArray<Int16> {
  precondition(labels.shape.count == 3 && newShape.count == 3 && !newShape.contains { $0 < 1 })
  if labels.shape == newShape { return labels }
  let size = newShape.reduce(1, *)
  let elements = [Int16](unsafeUninitializedCapacity: size) { destination, count in
    count = size
    labels.elements.withUnsafeBufferPointer { source in
      guard let input = source.baseAddress, let base = destination.baseAddress else { return }
      let resizer = LabelResizer(axes: axes, strides: labels.strides, ties: ties, input: input)
      // SAFETY: every slice of the result is written by one iteration.
      nonisolated(unsafe) let output = base
      parallelFor(newShape[0]) { z in
        for y in 0..<newShape[1] {
          resizer.resizeRow(z: z, y: y, into: output + (z * newShape[1] + y) * newShape[2])
        }
      }
    }
  }
  return NDArray(shape: newShape, elements: elements)
}

/// For one output position: the two neighbours, their weights, and the nearest.
private struct LabelSample {
  var lower: Int
  var upper: Int
  var lowerWeight: Double
  var upperWeight: Double
  var nearest: Int
}

private struct LabelAxis: Sendable {
  let samples: [LabelSample]

  init(inputCount: Int, outputCount: Int) {
    let nearest = nearestIndices(inputCount: inputCount, outputCount: outputCount)
    samples = (0..<outputCount).map { i in
      let position = clampedPosition(i, inputCount: inputCount, outputCount: outputCount)
      let lower = Int(position)
      let fraction = position - Double(lower)
      return LabelSample(
        lower: lower, upper: min(lower + 1, inputCount - 1), lowerWeight: 1 - fraction, upperWeight: fraction,
        nearest: nearest[i])
    }
  }

  /// An axis along which whole slices are picked.
  init(picking indices: [Int]) {
    samples = indices.map {
      LabelSample(lower: $0, upper: $0, lowerWeight: 1, upperWeight: 0, nearest: $0)
    }
  }
}

private struct LabelResizer: @unchecked Sendable {
  let axes: [LabelAxis]
  let strides: [Int]
  let ties: LabelTieRule
  // SAFETY: only read, and the labels outlive the resizer.
  let input: UnsafePointer<Int16>

  func resizeRow(z: Int, y: Int, into output: UnsafeMutablePointer<Int16>) {
    let z = axes[0].samples[z]
    let y = axes[1].samples[y]
    let lines = (
      input + z.lower * strides[0] + y.lower * strides[1],
      input + z.lower * strides[0] + y.upper * strides[1],
      input + z.upper * strides[0] + y.lower * strides[1], input + z.upper * strides[0] + y.upper * strides[1]
    )
    let nearestLine = input + z.nearest * strides[0] + y.nearest * strides[1]
    let weights = SIMD4<Double>(
      z.lowerWeight * y.lowerWeight, z.lowerWeight * y.upperWeight, z.upperWeight * y.lowerWeight,
      z.upperWeight * y.upperWeight)
    let nearest = ties == .nearestThenSmallest ? nearestLine : nil
    axes[2].samples.withUnsafeBufferPointer { row in
      // Most rows, and most stretches of the others, lie inside one label.
      if fill(0..<row.count, of: row, from: lines, into: output) { return }
      for start in stride(from: 0, to: row.count, by: Self.stretch) {
        let range = start..<min(start + Self.stretch, row.count)
        if fill(range, of: row, from: lines, into: output) { continue }
        for x in range { output[x] = label(at: row[x], lines, weights, nearestLine: nearest) }
      }
    }
  }

  /// Output voxels that are looked at together.
  private static let stretch = 32

  private typealias Lines = (
    UnsafePointer<Int16>, UnsafePointer<Int16>, UnsafePointer<Int16>, UnsafePointer<Int16>
  )

  /// Fills a stretch of a row if all voxels around it have one label; says whether it did.
  private func fill(
    _ range: Range<Int>, of row: UnsafeBufferPointer<LabelSample>, from lines: Lines,
    into output: UnsafeMutablePointer<Int16>
  ) -> Bool {
    let first = row[range.lowerBound].lower
    let count = row[range.upperBound - 1].upper - first + 1
    let label = lines.0[first]
    guard nnk_is_constant(lines.0 + first, count, label) != 0,
      nnk_is_constant(lines.1 + first, count, label) != 0,
      nnk_is_constant(lines.2 + first, count, label) != 0,
      nnk_is_constant(lines.3 + first, count, label) != 0
    else { return false }
    (output + range.lowerBound).update(repeating: label, count: range.count)
    return true
  }

  private func label(
    at sample: LabelSample, _ lines: Lines, _ weights: SIMD4<Double>, nearestLine: UnsafePointer<Int16>?
  ) -> Int16 {
    let neighbours = SIMD8<Int16>(
      lines.0[sample.lower], lines.0[sample.upper], lines.1[sample.lower], lines.1[sample.upper],
      lines.2[sample.lower], lines.2[sample.upper], lines.3[sample.lower], lines.3[sample.upper])
    let first = neighbours[0]
    if neighbours == SIMD8(repeating: first) { return first }
    let low = weights * sample.lowerWeight
    let high = weights * sample.upperWeight
    let scores = SIMD8<Double>(low[0], high[0], low[1], high[1], low[2], high[2], low[3], high[3])
    return winner(neighbours, weights: scores, nearest: nearestLine.map { $0[sample.nearest] })
  }
}

/// The label with the largest sum of weights; without a nearest label, sums have half precision.
private func winner(_ neighbours: SIMD8<Int16>, weights: SIMD8<Double>, nearest: Int16?) -> Int16 {
  var labels = SIMD8<Int16>()
  var scores = SIMD8<Double>()
  var labelCount = 0
  for i in 0..<8 {
    var k = 0
    while k < labelCount, labels[k] != neighbours[i] { k += 1 }
    if k == labelCount {
      labels[k] = neighbours[i]
      labelCount += 1
    }
    scores[k] += weights[i]
  }
  if nearest == nil {
    for k in 0..<labelCount { scores[k] = Double(Float16(scores[k] * 1000)) }
  }
  var best = scores[0]
  for k in 1..<max(1, labelCount) { best = max(best, scores[k]) }
  var smallest = Int16.max
  for k in 0..<labelCount where scores[k] == best {
    if let nearest, labels[k] == nearest { return nearest }
    smallest = min(smallest, labels[k])
  }
  return smallest
}
