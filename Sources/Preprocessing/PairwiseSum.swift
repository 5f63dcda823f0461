// NumPy's float32 summation, so that z-scores agree to the last bits with the reference.

import Foundation

/// The sum of a run of floats in the order NumPy adds them.
///
/// Below 8 values a plain loop, up to 128 eight interleaved sums, above that two halves.
func pairwiseSum(_ values: UnsafePointer<Float>, count: Int) -> Float {
  if count < 8 {
    // NumPy starts from negative zero, which only matters for the sign of an empty sum of zeros.
    var sum: Float = -0.0
    for i in 0..<count { sum += values[i] }
    return sum
  }
  if count <= 128 {
    var sums = UnsafeRawPointer(values).loadUnaligned(as: SIMD8<Float>.self)
    let blockEnd = count & ~7
    for i in stride(from: 8, to: blockEnd, by: 8) {
      sums += UnsafeRawPointer(values + i).loadUnaligned(as: SIMD8<Float>.self)
    }
    var sum = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    for i in blockEnd..<count { sum += values[i] }
    return sum
  }
  let half = (count / 2) & ~7
  return pairwiseSum(values, count: half) + pairwiseSum(values + half, count: count - half)
}

/// Mean and population standard deviation as NumPy computes them on float32.
///
/// `runLength` is the length of the runs that lie together in memory in the reference; their sums are added in order.
func meanAndDeviation(_ values: [Float], runLength: Int? = nil) -> (mean: Float, deviation: Float) {
  guard !values.isEmpty else { return (.nan, .nan) }
  let count = Float(values.count)
  let run = runLength ?? values.count
  let sum = values.withUnsafeBufferPointer { buffer in
    var sum: Float = 0
    guard let base = buffer.baseAddress else { return sum }
    for start in stride(from: 0, to: buffer.count, by: run) {
      sum += pairwiseSum(base + start, count: min(run, buffer.count - start))
    }
    return sum
  }
  let mean = sum / count
  let squares = values.map { value in
    let difference = value - mean
    return difference * difference
  }
  let squareSum = squares.withUnsafeBufferPointer { buffer in
    buffer.baseAddress.map { pairwiseSum($0, count: buffer.count) } ?? 0
  }
  return (mean, (squareSum / count).squareRoot())
}
