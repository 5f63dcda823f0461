// The numbers of one target, of one case or averaged.

import Archives

/// The numbers reported for one target, of one case or averaged.
package struct TargetMetrics: Sendable, Equatable {
  private var values: [EvaluationMetric: Double] = [:]

  /// A metric's value; nil if it was not measured.
  package internal(set) subscript(metric: EvaluationMetric) -> Double? {
    get { values[metric] }
    set { values[metric] = newValue }
  }

  package var dice: Double { self[.dice] ?? .nan }
  package var intersectionOverUnion: Double { self[.intersectionOverUnion] ?? .nan }
  package var truePositives: Double { self[.truePositives] ?? .nan }
  package var falsePositives: Double { self[.falsePositives] ?? .nan }
  package var falseNegatives: Double { self[.falseNegatives] ?? .nan }
  package var trueNegatives: Double { self[.trueNegatives] ?? .nan }
  package var predictedCount: Double { self[.predictedCount] ?? .nan }
  package var referenceCount: Double { self[.referenceCount] ?? .nan }

  package init(_ counts: ConfusionCounts) {
    values = [
      .dice: counts.dice, .intersectionOverUnion: counts.intersectionOverUnion,
      .truePositives: Double(counts.truePositives), .falsePositives: Double(counts.falsePositives),
      .falseNegatives: Double(counts.falseNegatives), .trueNegatives: Double(counts.trueNegatives),
      .predictedCount: Double(counts.predictedCount), .referenceCount: Double(counts.referenceCount),
    ]
  }

  /// The mean of every metric that all have, over the values that are numbers or over all.
  ///
  /// An infinite distance makes its mean infinite: a mean without the cases that failed would flatter.
  init(meanOf metrics: [TargetMetrics], skippingNaN: Bool) {
    for metric in EvaluationMetric.allCases {
      let present = metrics.compactMap { $0[metric] }
      guard present.count == metrics.count, !present.isEmpty || EvaluationMetric.standard.contains(metric)
      else { continue }
      values[metric] = mean(present, skippingNaN: skippingNaN)
    }
  }

  /// The metrics as JSON; counts of a single case are integers.
  func json(integralCounts: Bool) -> JSON {
    .object(
      JSONObject(
        EvaluationMetric.allCases.compactMap { metric in
          guard let value = self[metric] else { return nil }
          let integer = integralCounts && metric.isCount ? Int(exactly: value) : nil
          return (metric.rawValue, integer.map(JSON.integer) ?? .number(value))
        }))
  }

  /// Takes what a summary holds; null is what strict JSON has for no number.
  init?(json: JSON?) {
    for metric in EvaluationMetric.allCases {
      if let value = json?[metric.rawValue] {
        guard let number = value.isNull ? .nan : value.double else { return nil }
        values[metric] = number
      } else if EvaluationMetric.standard.contains(metric) {
        return nil
      }
    }
    // The one null that is not NaN: the target is there and missed.
    if json?[EvaluationMetric.hausdorff95.rawValue]?.isNull == true, self[.surfaceDice] == 0 {
      values[.hausdorff95] = .infinity
    }
  }
}

/// The mean as NumPy takes it in double precision; `.nan` of nothing.
func mean(_ values: [Double], skippingNaN: Bool) -> Double {
  let count = skippingNaN ? values.count { !$0.isNaN } : values.count
  let sum = pairwiseSum((skippingNaN ? values.map { $0.isNaN ? 0 : $0 } : values)[...])
  return count == 0 ? .nan : sum / Double(count)
}

/// NumPy's order of additions: a loop below 8 values, eight interleaved sums up to 128, then halves.
func pairwiseSum(_ values: ArraySlice<Double>) -> Double {
  if values.count < 8 { return values.reduce(0, +) }
  if values.count <= 128 {
    let start = values.startIndex
    let blockEnd = start + values.count / 8 * 8
    var sums = SIMD8<Double>(values[start..<start + 8])
    for i in stride(from: start + 8, to: blockEnd, by: 8) { sums += SIMD8(values[i..<i + 8]) }
    let joined = ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]))
    return values[blockEnd...].reduce(joined, +)
  }
  let half = values.startIndex + values.count / 2 / 8 * 8
  return pairwiseSum(values[..<half]) + pairwiseSum(values[half...])
}
