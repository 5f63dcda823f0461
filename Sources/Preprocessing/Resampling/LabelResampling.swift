// Resizing label maps: the label whose linearly resized indicator is largest wins, with nnU-Net's rule for ties.
// Every voxel looks only at its eight neighbours, so cost and memory do not depend on the number of labels.

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
  _ labels: NDArray<Int16>, to newShape: [Int], separateAxis: Int?, ties: LabelTieRule = .nearestThenSmallest
) -> NDArray<Int16> {
  precondition(labels.shape.count == 3 && newShape.count == 3 && !newShape.contains { $0 < 1 })
  if labels.shape == newShape { return labels }
  let axes = (0..<3).map { axis in
    axis == separateAxis
      ? LabelAxis(pickingFrom: labels.shape[axis], outputCount: newShape[axis])
      : LabelAxis(inputCount: labels.shape[axis], outputCount: newShape[axis])
  }
  var result = NDArray<Int16>(shape: newShape, repeating: 0)
  labels.elements.withUnsafeBufferPointer { source in
    result.elements.withUnsafeMutableBufferPointer { destination in
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
  return result
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
  init(pickingFrom inputCount: Int, outputCount: Int) {
    samples = nearestIndices(inputCount: inputCount, outputCount: outputCount).map {
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
    axes[2].samples.withUnsafeBufferPointer { row in
      for x in 0..<row.count {
        let sample = row[x]
        let neighbours = SIMD8<Int16>(
          lines.0[sample.lower], lines.0[sample.upper], lines.1[sample.lower], lines.1[sample.upper],
          lines.2[sample.lower], lines.2[sample.upper], lines.3[sample.lower], lines.3[sample.upper])
        let first = neighbours[0]
        if neighbours == SIMD8(repeating: first) {
          output[x] = first
        } else {
          let low = weights * sample.lowerWeight
          let high = weights * sample.upperWeight
          let scores = SIMD8<Double>(low[0], high[0], low[1], high[1], low[2], high[2], low[3], high[3])
          let nearest = ties == .nearestThenSmallest ? nearestLine[sample.nearest] : nil
          output[x] = winner(neighbours, weights: scores, nearest: nearest)
        }
      }
    }
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
