// Resizing one axis of a dense block in double precision, eight lines at a time and in parallel.
// What is weighted how is decided in AxisInterpolation.swift.

import Foundation
import Tensors

/// Eight neighbouring lines side by side.
private typealias Lanes = SIMD8<Double>

/// Resizes the middle axis of an `[outer, n, inner]` block.
func resizeAxis(
  _ source: UnsafeBufferPointer<Double>, outerCount: Int, innerCount: Int, by axis: AxisInterpolation,
  into destination: UnsafeMutableBufferPointer<Double>
) {
  precondition(source.count == outerCount * axis.inputCount * innerCount)
  precondition(destination.count == outerCount * axis.outputCount * innerCount)
  guard let sourceBase = source.baseAddress, let destinationBase = destination.baseAddress else { return }
  // SAFETY: every group of lines reads and writes positions of its own lines only; both blocks outlive the loop.
  nonisolated(unsafe) let input = sourceBase
  nonisolated(unsafe) let output = destinationBase
  let lineCount = outerCount * innerCount
  let groupCount = (lineCount + 7) / 8
  let groupsPerTask = max(1, min(256, groupCount / 16))
  let taskCount = (groupCount + groupsPerTask - 1) / groupsPerTask
  parallelFor(taskCount) { task in
    let paddedCount = axis.inputCount + axis.paddingBefore + axis.paddingAfter
    withUnsafeTemporaryAllocation(of: Lanes.self, capacity: paddedCount) { samples in
      guard let samples = samples.baseAddress else { return }
      for group in task * groupsPerTask..<min(groupCount, (task + 1) * groupsPerTask) {
        resizeLines(
          LineGroup(first: group * 8, lineCount: lineCount, innerCount: innerCount), from: input, to: output,
          by: axis, using: samples)
      }
    }
  }
}

/// Up to eight consecutive lines of an `[outer, n, inner]` block.
private struct LineGroup {
  let first: Int
  let count: Int
  let innerCount: Int
  /// Whether the lines lie side by side in memory.
  let isContiguous: Bool

  init(first: Int, lineCount: Int, innerCount: Int) {
    self.first = first
    self.count = min(8, lineCount - first)
    self.innerCount = innerCount
    self.isContiguous = count == 8 && first % innerCount + 8 <= innerCount
  }

  /// Where each line starts in a block whose middle axis has `extent` samples; missing lines repeat the last one.
  func starts(extent: Int) -> SIMD8<Int> {
    var starts = SIMD8<Int>()
    for lane in 0..<8 {
      let line = first + min(lane, count - 1)
      starts[lane] = line / innerCount * extent * innerCount + line % innerCount
    }
    return starts
  }
}

private func resizeLines(
  _ lines: LineGroup, from input: UnsafePointer<Double>, to output: UnsafeMutablePointer<Double>,
  by axis: AxisInterpolation, using samples: UnsafeMutablePointer<Lanes>
) {
  load(lines, from: input, count: axis.inputCount, into: samples + axis.paddingBefore)
  let paddedCount = axis.inputCount + axis.paddingBefore + axis.paddingAfter
  for i in 0..<axis.paddingBefore { samples[i] = samples[axis.paddingBefore] }
  let last = axis.paddingBefore + axis.inputCount - 1
  for i in last + 1..<max(last + 1, paddedCount) { samples[i] = samples[last] }
  if axis.needsPrefilter { prefilter(samples, count: paddedCount) }

  let starts = lines.starts(extent: axis.outputCount)
  let step = lines.innerCount
  axis.weights.withUnsafeBufferPointer { weights in
    axis.firstTaps.withUnsafeBufferPointer { firstTaps in
      for i in 0..<axis.outputCount {
        let tap = samples + firstTaps[i]
        let weight = i &* axis.tapCount
        var sum = tap[0] * weights[weight]
        for k in 1..<max(1, axis.tapCount) { sum += tap[k] * weights[weight &+ k] }
        if lines.isContiguous {
          UnsafeMutableRawPointer(output + (starts[0] &+ i &* step)).storeBytes(of: sum, as: Lanes.self)
        } else {
          for lane in 0..<lines.count { output[starts[lane] &+ i &* step] = sum[lane] }
        }
      }
    }
  }
}

private func load(
  _ lines: LineGroup, from input: UnsafePointer<Double>, count: Int, into samples: UnsafeMutablePointer<Lanes>
) {
  let starts = lines.starts(extent: count)
  let step = lines.innerCount
  if lines.isContiguous {
    for i in 0..<count {
      samples[i] = UnsafeRawPointer(input + (starts[0] &+ i &* step)).loadUnaligned(as: Lanes.self)
    }
  } else {
    for i in 0..<count {
      var sample = Lanes()
      for lane in 0..<8 { sample[lane] = input[starts[lane] &+ i &* step] }
      samples[i] = sample
    }
  }
}

/// Turns samples into cubic B-spline coefficients, with the half-sample symmetric continuation at both ends.
///
/// - Source: the recursive filter of Unser, Aldroubi and Eden (1993), pole sqrt(3) - 2.
private func prefilter(_ samples: UnsafeMutablePointer<Lanes>, count: Int) {
  let pole = 3.0.squareRoot() - 2
  for i in 0..<count { samples[i] *= 6 }
  let wholePower = pow(pole, Double(count))
  var start = Lanes()
  var power = 1.0
  // Powers below 1e-40 vanish in any sum of doubles.
  for i in 0..<min(count, 70) {
    start += (samples[i] + samples[count - 1 - i] * wholePower) * power
    power *= pole
  }
  samples[0] += start * (pole / (1 - wholePower * wholePower))
  for i in 1..<max(1, count) { samples[i] += samples[i - 1] * pole }
  samples[count - 1] *= pole / (pole - 1)
  for i in stride(from: count - 2, through: 0, by: -1) { samples[i] = (samples[i + 1] - samples[i]) * pole }
}

/// Spline coefficients of one line, for checks against published values.
package func cubicSplineCoefficients(of line: [Double]) -> [Double] {
  guard !line.isEmpty else { return [] }
  var samples = line.map { Lanes(repeating: $0) }
  samples.withUnsafeMutableBufferPointer { buffer in
    if let base = buffer.baseAddress { prefilter(base, count: buffer.count) }
  }
  return samples.map { $0[0] }
}
