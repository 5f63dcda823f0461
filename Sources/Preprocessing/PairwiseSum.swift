// NumPy's float32 summation, so that z-scores agree to the last bits with the reference.

import CKernels
import Foundation
import Tensors

/// Mean and population standard deviation as NumPy computes them on float32.
///
/// `runLength` is the length of the runs that lie together in memory in the reference; their sums are added in order.
func meanAndDeviation(
  _ values: UnsafeBufferPointer<Float>, runLength: Int? = nil
) -> (mean: Float, deviation: Float) {
  guard let base = values.baseAddress, !values.isEmpty else { return (.nan, .nan) }
  let count = Float(values.count)
  let mean = sumOfRuns(base, count: values.count, runLength: runLength ?? values.count) / count
  let squareSum = pairwiseSum(base, count: values.count) { nnk_pairwise_square_sum($0, $1, mean) }
  return (mean, (squareSum / count).squareRoot())
}

/// The sum of pairwise sums of runs.
private func sumOfRuns(_ values: UnsafePointer<Float>, count: Int, runLength: Int) -> Float {
  let runCount = (count + runLength - 1) / runLength
  if runCount == 1 { return 0 + pairwiseSum(values, count: count, nnk_pairwise_sum) }
  // SAFETY: every run is read by one task, which writes its own sum; both blocks outlive the loop.
  nonisolated(unsafe) let values = values
  let sums = [Float](unsafeUninitializedCapacity: runCount) { sums, initializedCount in
    initializedCount = runCount
    guard let base = sums.baseAddress else { return }
    nonisolated(unsafe) let sums = base
    let runsPerTask = max(1, (1 << 18) / runLength)
    parallelFor((runCount + runsPerTask - 1) / runsPerTask) { task in
      for run in task * runsPerTask..<min(runCount, (task + 1) * runsPerTask) {
        let start = run * runLength
        sums[run] = nnk_pairwise_sum(values + start, min(runLength, count - start))
      }
    }
  }
  return sums.reduce(0, +)
}

/// Up to this many values are summed by one task.
private let taskSize = 1 << 20

/// A pairwise sum whose largest parts are computed in parallel.
private func pairwiseSum(
  _ values: UnsafePointer<Float>, count: Int, _ partSum: @Sendable (UnsafePointer<Float>, Int) -> Float
) -> Float {
  var parts: [Range<Int>] = []
  split(0..<count, into: &parts)
  let ranges = parts
  // SAFETY: every part is read by one task, which writes its own sum; both blocks outlive the loop.
  nonisolated(unsafe) let values = values
  let sums = [Float](unsafeUninitializedCapacity: ranges.count) { sums, initializedCount in
    initializedCount = ranges.count
    guard let base = sums.baseAddress else { return }
    nonisolated(unsafe) let sums = base
    parallelFor(ranges.count) { sums[$0] = partSum(values + ranges[$0].lowerBound, ranges[$0].count) }
  }
  var rest = sums[...]
  return join(count, &rest)
}

/// Where NumPy cuts a run in two.
private func half(_ count: Int) -> Int { (count / 2) & ~7 }

private func split(_ range: Range<Int>, into parts: inout [Range<Int>]) {
  if range.count <= taskSize {
    parts.append(range)
  } else {
    let middle = range.lowerBound + half(range.count)
    split(range.lowerBound..<middle, into: &parts)
    split(middle..<range.upperBound, into: &parts)
  }
}

private func join(_ count: Int, _ sums: inout ArraySlice<Float>) -> Float {
  if count <= taskSize { return sums.removeFirst() }
  let first = join(half(count), &sums)
  return first + join(count - half(count), &sums)
}
