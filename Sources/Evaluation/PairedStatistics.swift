// What paired differences say: Wilcoxon's signed-rank test and a bootstrap interval of the mean.

import Foundation
import Tensors

/// Wilcoxon's signed-rank test, two-sided: how likely chance alone makes differences so one-sided.
///
/// Zeros are left out. The p-value is exact for up to 50 pairs without ties and zeros, and for up to 13 with them;
/// otherwise it is that of the normal distribution with the variance corrected for ties, without a correction for
/// continuity. These are the choices of `scipy.stats.wilcoxon`.
package struct WilcoxonTest: Sendable, Equatable {
  /// The sum of the ranks of the positive differences.
  package let positiveRankSum: Double
  /// 1 if all differences are zero; not a number if there are none.
  package let pValue: Double
  package let isExact: Bool

  package init(_ differences: [Double]) {
    let nonzero = differences.filter { $0 != 0 }
    let (ranks, tieCounts) = Self.midranks(nonzero.map(abs))
    positiveRankSum = zip(nonzero, ranks).reduce(0) { $0 + ($1.0 > 0 ? $1.1 : 0) }
    let isPlain = nonzero.count == differences.count && tieCounts.allSatisfy { $0 == 1 }
    isExact = differences.count <= 13 || (isPlain && differences.count <= 50)
    if differences.isEmpty {
      pValue = .nan
    } else if nonzero.isEmpty {
      pValue = 1
    } else if isExact {
      pValue = Self.exactProbability(positiveRankSum, ranks)
    } else {
      let count = Double(nonzero.count)
      let mean = count * (count + 1) / 4
      let ties = tieCounts.reduce(0.0) { $0 + Double($1) * Double($1) * Double($1) - Double($1) }
      let deviation = ((count * (count + 1) * (2 * count + 1) - ties / 2) / 24).squareRoot()
      pValue = erfc(abs(positiveRankSum - mean) / deviation / 2.0.squareRoot())
    }
  }

  /// The rank of every value, the mean rank among equals; and how many equals there are of each.
  private static func midranks(_ values: [Double]) -> (ranks: [Double], tieCounts: [Int]) {
    let order = values.indices.sorted { values[$0] < values[$1] }
    var ranks = [Double](repeating: 0, count: values.count)
    var tieCounts: [Int] = []
    var start = 0
    while start < order.count {
      var end = start + 1
      while end < order.count, values[order[end]] == values[order[start]] { end += 1 }
      for index in order[start..<end] { ranks[index] = Double(start + 1 + end) / 2 }
      tieCounts.append(end - start)
      start = end
    }
    return (ranks, tieCounts)
  }

  /// Twice the smaller tail over all choices of signs, which are equally likely.
  private static func exactProbability(_ sum: Double, _ ranks: [Double]) -> Double {
    // Mean ranks are halves at worst, so twice a rank is whole.
    let steps = ranks.map { Int(2 * $0) }
    var probabilities = [Double](repeating: 0, count: steps.reduce(0, +) + 1)
    probabilities[0] = 1
    var highest = 0
    for step in steps {
      highest += step
      for total in stride(from: highest, through: 0, by: -1) {
        probabilities[total] = (probabilities[total] + (total >= step ? probabilities[total - step] : 0)) / 2
      }
    }
    let observed = Int(2 * sum)
    let lower = probabilities[...observed].reduce(0, +)
    let upper = probabilities[observed...].reduce(0, +)
    return min(1, 2 * min(lower, upper))
  }
}

/// An interval that holds the mean of what the values were drawn from, by drawing from the values themselves.
package struct BootstrapInterval: Sendable, Equatable {
  package let lower: Double
  package let upper: Double

  /// Takes percentiles of the means of resamples; nil for fewer than two values.
  ///
  /// The same key gives the same interval.
  package init?(meanOf values: [Double], confidence: Double, resampleCount: Int, key: [Int]) {
    guard values.count > 1, resampleCount > 0 else { return nil }
    var random = RandomSource(key: key)
    var means: [Double] = []
    means.reserveCapacity(resampleCount)
    for _ in 0..<resampleCount {
      var sum = 0.0
      for _ in 0..<values.count { sum += values[random.integer(below: values.count)] }
      means.append(sum / Double(values.count))
    }
    // Opposite infinities have no mean.
    if means.contains(where: \.isNaN) { return nil }
    means.sort()
    lower = Self.quantile(means, (1 - confidence) / 2)
    upper = Self.quantile(means, (1 + confidence) / 2)
  }

  /// Between the two values around the place, as NumPy's percentiles.
  private static func quantile(_ sorted: [Double], _ fraction: Double) -> Double {
    let place = fraction * Double(sorted.count - 1)
    let (low, high) = (sorted[Int(place)], sorted[min(Int(place) + 1, sorted.count - 1)])
    return low == high ? low : low + (high - low) * (place - place.rounded(.down))
  }
}
