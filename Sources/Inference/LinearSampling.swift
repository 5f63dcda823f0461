// Where linear interpolation of logits reads along each axis, and planes of logits computed from it.
// One output plane needs at most two input planes, so a volume never has to be there as a whole.

import CKernels
package import Tensors

/// Source positions and shares along one axis.
struct AxisSampling {
  let low: [Int32]
  let high: [Int32]
  /// The share of `high`; the rest belongs to `low`.
  let share: [Double]

  var count: Int { low.count }

  /// Linear interpolation at output centres; beyond the first and last source centre both neighbours are the same.
  init(linearFrom source: Int, to target: Int) {
    // The ratio is rounded before it is multiplied, and outer positions keep their two shares, as in the
    // reference's resize: results then agree to the last bit.
    let ratio = Double(source) / Double(target)
    let positions = (0..<target).map { (Double($0) + 0.5) * ratio - 0.5 }
    func clamped(_ index: Int) -> Int32 { Int32(min(max(index, 0), source - 1)) }
    low = positions.map { clamped(Int($0.rounded(.down))) }
    high = positions.map { clamped(Int($0.rounded(.down)) + 1) }
    share = positions.map { $0 - $0.rounded(.down) }
  }

  /// The nearest source position, halves upwards.
  init(nearestFrom source: Int, to target: Int) {
    let ratio = Double(source) / Double(target)
    low = (0..<target).map { index in
      let position = (ratio * (Double(index) + 0.5) - 0.5 + 0.5).rounded(.down)
      return Int32(min(max(Int(position), 0), source - 1))
    }
    high = low
    share = Array(repeating: 0, count: target)
  }

  /// The last source position that output `index` needs.
  func lastSource(of index: Int) -> Int { Int(share[index] == 0 ? low[index] : high[index]) }

  /// Lends the tables for the outputs of a range to a kernel.
  func withKernelAxis(_ range: Range<Int>, _ body: (nnk_linear_axis) -> Void) {
    low.withUnsafeBufferPointer { low in
      high.withUnsafeBufferPointer { high in
        share.withUnsafeBufferPointer { share in
          guard let low = low.baseAddress, let high = high.baseAddress, let share = share.baseAddress else {
            return
          }
          let first = range.lowerBound
          body(
            nnk_linear_axis(
              low: low + first, high: high + first, share: share + first, count: Int32(range.count)))
        }
      }
    }
  }
}

/// Linear resampling of a volume of logits, plane by plane along axis 0.
package struct LinearSampling: Sendable {
  let axes: [AxisSampling]
  private let sourceShape: [Int]
  package let targetShape: [Int]

  /// Sampling between two shapes; along `separateAxis`, if there is one, the nearest plane is taken.
  package init(from sourceShape: [Int], to targetShape: [Int], separateAxis: Int?) {
    self.sourceShape = sourceShape
    self.targetShape = targetShape
    axes = (0..<3).map { axis in
      axis == separateAxis
        ? AxisSampling(nearestFrom: sourceShape[axis], to: targetShape[axis])
        : AxisSampling(linearFrom: sourceShape[axis], to: targetShape[axis])
    }
  }

  /// Computes rows `range` of output plane `index` between two source planes `[K, Y, X]`, a few classes at a time.
  ///
  /// - Shape: what `body` is lent, `[classes.count, range.count, X]`
  func forEachClasses(
    of index: Int, rows range: Range<Int>, lower: [Float16], upper: [Float16], channelCount: Int,
    _ body: (_ values: UnsafeMutableBufferPointer<Float>, _ classes: Range<Int>) -> Void
  ) {
    let sourceSize = sourceShape[1] * sourceShape[2]
    let size = range.count * targetShape[2]
    let group = Int(nnk_resampled_classes)
    let share = axes[0].share[index]
    let width = sourceShape[2]
    var values = [Float](repeating: 0, count: group * size)
    var scratch = [Double](repeating: 0, count: 32 * width)
    values.withUnsafeMutableBufferPointer { values in
      scratch.withUnsafeMutableBufferPointer { scratch in
        HalfArithmetic.withBits(lower) { lower in
          HalfArithmetic.withBits(upper) { upper in
            axes[1].withKernelAxis(range) { rows in
              axes[2].withKernelAxis(0..<axes[2].count) { columns in
                guard let target = values.baseAddress, let scratch = scratch.baseAddress else { return }
                for first in stride(from: 0, to: channelCount, by: group) {
                  let classes = first..<min(first + group, channelCount)
                  nnk_half_resample_classes(
                    lower + first * sourceSize, upper + first * sourceSize, sourceSize, Int32(classes.count),
                    share, width, rows, columns, target, scratch)
                  body(UnsafeMutableBufferPointer(rebasing: values[..<(classes.count * size)]), classes)
                }
              }
            }
          }
        }
      }
    }
  }

  /// Rows `range` of output plane `index` of every class.
  ///
  /// - Shape: result `[K, range.count, X]`
  func plane(
    _ index: Int, rows range: Range<Int>, lower: [Float16], upper: [Float16], channelCount: Int
  ) -> [Float] {
    var result: [Float] = []
    result.reserveCapacity(channelCount * range.count * targetShape[2])
    forEachClasses(of: index, rows: range, lower: lower, upper: upper, channelCount: channelCount) {
      values, _ in result += values
    }
    return result
  }

  /// A whole volume of logits, for those who need it at once.
  ///
  /// - Shape: logits `[K, Z, Y, X]`
  package func resample(_ logits: NDArray<Float16>) -> NDArray<Float16> {
    let channelCount = logits.shape[0]
    let sourceSize = sourceShape[1] * sourceShape[2]
    let size = targetShape[1] * targetShape[2]
    func sourcePlane(_ z: Int32) -> [Float16] {
      (0..<channelCount).flatMap { k -> ArraySlice<Float16> in
        let first = (k * sourceShape[0] + Int(z)) * sourceSize
        return logits.elements[first..<(first + sourceSize)]
      }
    }
    var result = NDArray<Float16>(shape: [channelCount] + targetShape, repeating: 0)
    for z in 0..<targetShape[0] {
      let values = HalfArithmetic.halves(
        plane(
          z, rows: 0..<targetShape[1], lower: sourcePlane(axes[0].low[z]),
          upper: sourcePlane(axes[0].high[z]),
          channelCount: channelCount))
      for k in 0..<channelCount {
        let first = (k * targetShape[0] + z) * size
        result.elements.replaceSubrange(first..<(first + size), with: values[(k * size)..<((k + 1) * size)])
      }
    }
    return result
  }
}
