// Interpolation along one axis as taps: for every output sample, a first input sample and its weights.
// Sampling positions and edge handling follow scikit-image's resize with mode "edge".

import CKernels
import Foundation

/// How values between samples are made.
package enum InterpolationOrder: Int, Sendable {
  case nearest = 0
  case linear = 1
  /// Cubic B-spline through the samples.
  case cubic = 3
}

/// The linear map that resizes one axis.
struct AxisInterpolation: Sendable {
  let inputCount: Int
  let outputCount: Int
  /// Copies of the edge sample that are put before and after the samples.
  let padding: Int
  /// Whether samples become B-spline coefficients (after padding) before they are weighted.
  let needsPrefilter: Bool
  let tapCount: Int
  /// For every output sample the first padded sample that counts.
  let firstTaps: [Int32]
  /// For every output sample `tapCount` weights.
  let weights: [Float]

  init(inputCount: Int, outputCount: Int, order: InterpolationOrder) {
    self.inputCount = inputCount
    self.outputCount = outputCount
    var firstTaps: [Int32] = []
    var weights: [Float] = []
    switch order {
    case .nearest:
      (padding, needsPrefilter, tapCount) = (0, false, 1)
      firstTaps = nearestIndices(inputCount: inputCount, outputCount: outputCount).map { Int32($0) }
      weights = Array(repeating: 1, count: outputCount)
    case .linear:
      (padding, needsPrefilter, tapCount) = (1, false, 2)
      for i in 0..<outputCount {
        let position = clampedPosition(i, inputCount: inputCount, outputCount: outputCount)
        let fraction = position - position.rounded(.down)
        firstTaps.append(Int32(position) + 1)
        weights += [Float(1 - fraction), Float(fraction)]
      }
    case .cubic:
      // The spline runs over the padded samples, and positions outside the image stay where they are.
      (padding, needsPrefilter, tapCount) = (12, true, 4)
      let ratio = Double(inputCount) / Double(outputCount)
      for i in 0..<outputCount {
        let position = (Double(i) + 0.5) * ratio - 0.5 + 12
        firstTaps.append(Int32(position) - 1)
        weights += cubicWeights(position - position.rounded(.down)).map { Float($0) }
      }
    }
    self.firstTaps = firstTaps
    self.weights = weights
  }

  /// Lends the tables to a kernel, with the scratch memory that it needs.
  func withKernel(_ body: (UnsafePointer<nnk_resize_axis>, UnsafeMutablePointer<Float>) -> Void) {
    firstTaps.withUnsafeBufferPointer { firstTaps in
      weights.withUnsafeBufferPointer { weights in
        var axis = nnk_resize_axis(
          input_count: inputCount, output_count: outputCount, padding: padding, tap_count: tapCount,
          needs_prefilter: needsPrefilter ? 1 : 0, first_taps: firstTaps.baseAddress,
          weights: weights.baseAddress)
        withUnsafeTemporaryAllocation(of: Float.self, capacity: nnk_resize_scratch(&axis)) { scratch in
          guard let scratch = scratch.baseAddress else { return }
          body(&axis, scratch)
        }
      }
    }
  }
}

/// The position of output sample `index` in input samples, kept inside the image.
///
/// The ratio of sizes is rounded to a double before it multiplies: label ties depend on it.
func clampedPosition(_ index: Int, inputCount: Int, outputCount: Int) -> Double {
  let ratio = Double(inputCount) / Double(outputCount)
  let position = (Double(index) + 0.5) * ratio - 0.5
  return min(max(position, 0), Double(inputCount - 1))
}

/// The input sample nearest to every output sample; halves go up.
func nearestIndices(inputCount: Int, outputCount: Int) -> [Int] {
  (0..<outputCount).map { i in
    let position = clampedPosition(i, inputCount: inputCount, outputCount: outputCount)
    return min(Int((position + 0.5).rounded(.down)), inputCount - 1)
  }
}

/// The four cubic B-spline weights at a fraction between the second and the third tap.
private func cubicWeights(_ fraction: Double) -> [Double] {
  func inner(_ t: Double) -> Double { 2.0 / 3 - t * t + t * t * t / 2 }
  func outer(_ t: Double) -> Double { (2 - t) * (2 - t) * (2 - t) / 6 }
  return [outer(1 + fraction), inner(fraction), inner(1 - fraction), outer(2 - fraction)]
}
