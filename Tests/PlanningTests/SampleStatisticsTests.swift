// Statistics of samples against sorting and a plain pairwise sum.

import Planning
import Tensors
import Testing

@Suite("SampleStatistics")
struct SampleStatisticsTests {
  private func values(_ count: Int) -> [Float] {
    var random = RandomSource(key: [count])
    return (0..<count).map { _ in Float(random.normal() * 300) }
  }

  /// NumPy's pairwise sum, written as the recursion it is.
  private func pairwise(_ values: ArraySlice<Float>) -> Float {
    let start = values.startIndex
    if values.count < 8 { return values.reduce(0, +) }
    if values.count > 128 {
      let half = values.count / 2 - values.count / 2 % 8
      return pairwise(values[start..<(start + half)]) + pairwise(values[(start + half)...])
    }
    var lanes = Array(values.prefix(8))
    let blockEnd = start + values.count / 8 * 8
    for i in (start + 8)..<max(blockEnd, start + 8) { lanes[(i - start) % 8] += values[i] }
    var sum =
      ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    for value in values[blockEnd...] { sum += value }
    return sum
  }

  @Test("Selection finds what sorting finds", arguments: [1, 2, 1000, 70_001])
  func selection(count: Int) throws {
    let values = values(count)
    let sorted = values.sorted()
    let ranks = [0, count / 200, count / 2, count - 1]
    let found = try values.withUnsafeBufferPointer { try SampleStatistics($0).elements(atRanks: ranks) }
    #expect(found == ranks.map { sorted[$0] })
  }

  @Test(
    "Mean and deviation are pairwise sums in single precision",
    arguments: [1, 7, 8, 9, 128, 129, 5003, 9_000_001])
  func moments(count: Int) throws {
    let values = values(count)
    let result = try values.withUnsafeBufferPointer { try SampleStatistics($0).intensities() }
    let mean = Float(Double(pairwise(values[...])) / Double(count))
    #expect(result.mean == Double(mean))
    let squares = values.map { ($0 - mean) * ($0 - mean) }
    #expect(
      result.standardDeviation == Double(Float(Double(pairwise(squares[...])) / Double(count)).squareRoot()))
    #expect(result.minimum == values.min().map(Double.init))
    #expect(result.maximum == values.max().map(Double.init))
  }

  @Test("Double precision is used when asked for")
  func doublePrecision() throws {
    let values: [Float] = [1, 2, 4]
    let result = try values.withUnsafeBufferPointer {
      try SampleStatistics($0, inDoublePrecision: true).intensities()
    }
    #expect(result.mean == 7.0 / 3)
    #expect(result.median == 2)
    let fraction: Double = 2 * 0.995 - 1
    let expected: Double = 4 - 2 * (1 - fraction)
    #expect(result.percentile995 == expected)
  }
}
