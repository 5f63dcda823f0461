// Rounding, medians and percentiles in the exact form that NumPy and Python give them.

/// Rounds to the nearest integer, halves to the even one, as Python's `round` does.
package func roundHalfToEven(_ value: Double) -> Int { Int(value.rounded(.toNearestOrEven)) }

/// The median: the middle value, or the mean of the two middle ones.
package func median(_ values: [Double]) -> Double {
  precondition(!values.isEmpty, "the median of nothing")
  let sorted = values.sorted()
  let middle = sorted.count / 2
  return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/// The percentile by linear interpolation between closest ranks; its last bit may differ from ``median(_:)``.
package func percentile(_ percent: Double, of values: [Double]) -> Double {
  precondition(!values.isEmpty, "a percentile of nothing")
  let sorted = values.sorted()
  let rank = PercentileRank(percent: percent, count: sorted.count)
  let (a, b) = (sorted[rank.lower], sorted[rank.upper])
  return rank.interpolate(a, b, difference: b - a)
}

/// Between which two ranks a percentile lies, and how far from the lower one.
package struct PercentileRank: Sendable, Equatable {
  package let lower: Int
  package let upper: Int
  package let fraction: Double

  package init(percent: Double, count: Int) {
    let position = Double(count - 1) * (percent / 100)
    lower = min(max(Int(position.rounded(.down)), 0), count - 1)
    upper = min(lower + 1, count - 1)
    fraction = position - Double(lower)
  }

  /// The value between `a` and `b`; `difference` is b - a in the precision of the data.
  package func interpolate(_ a: Double, _ b: Double, difference: Double) -> Double {
    fraction < 0.5 ? a + difference * fraction : b - difference * (1 - fraction)
  }
}

/// The column of one axis in a list of per-case vectors.
func column(_ axis: Int, of rows: [[Double]]) -> [Double] { rows.map { $0[axis] } }

/// The product in order, as NumPy multiplies short vectors.
func product(_ values: [Double]) -> Double { values.reduce(1, *) }

/// The position of the largest value, the first among equals.
func firstMaximum(_ values: [Double]) -> Int {
  var best = 0
  for i in values.indices where values[i] > values[best] { best = i }
  return best
}

/// The position of the largest value, the last among equals.
func lastMaximum(_ values: [Double]) -> Int {
  var best = 0
  for i in values.indices where values[i] >= values[best] { best = i }
  return best
}
