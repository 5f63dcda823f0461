// Metrics per case, their means, and nnU-Net's summary.json. How masks are counted is in ConfusionCounts.swift.

package import Archives
package import Datasets
package import Foundation
package import Reporting

/// The numbers nnU-Net reports for one target, of one case or averaged.
package struct TargetMetrics: Sendable, Equatable {
  package var dice: Double
  package var intersectionOverUnion: Double
  package var truePositives: Double
  package var falsePositives: Double
  package var falseNegatives: Double
  package var trueNegatives: Double
  package var predictedCount: Double
  package var referenceCount: Double

  /// Every metric under its key in `summary.json`.
  fileprivate static var fields: [(key: String, path: WritableKeyPath<TargetMetrics, Double>)] {
    [
      ("Dice", \.dice), ("IoU", \.intersectionOverUnion), ("TP", \.truePositives), ("FP", \.falsePositives),
      ("FN", \.falseNegatives), ("TN", \.trueNegatives), ("n_pred", \.predictedCount),
      ("n_ref", \.referenceCount),
    ]
  }

  private init() {
    (dice, intersectionOverUnion, truePositives, falsePositives) = (.nan, .nan, .nan, .nan)
    (falseNegatives, trueNegatives, predictedCount, referenceCount) = (.nan, .nan, .nan, .nan)
  }

  package init(_ counts: ConfusionCounts) {
    dice = counts.dice
    intersectionOverUnion = counts.intersectionOverUnion
    truePositives = Double(counts.truePositives)
    falsePositives = Double(counts.falsePositives)
    falseNegatives = Double(counts.falseNegatives)
    trueNegatives = Double(counts.trueNegatives)
    predictedCount = Double(counts.predictedCount)
    referenceCount = Double(counts.referenceCount)
  }

  /// The mean of every metric, over the values that are numbers or over all.
  fileprivate init(meanOf metrics: [TargetMetrics], skippingNaN: Bool) {
    self.init()
    for field in Self.fields {
      let values = metrics.map { $0[keyPath: field.path] }
      self[keyPath: field.path] = mean(values, skippingNaN: skippingNaN)
    }
  }

  /// The metrics as JSON; counts of a single case are integers.
  fileprivate func json(integralCounts: Bool) -> JSON {
    .object(
      JSONObject(
        Self.fields.map { field in
          let value = self[keyPath: field.path]
          let isRatio = field.key == "Dice" || field.key == "IoU"
          let integer = integralCounts && !isRatio ? Int(exactly: value) : nil
          return (field.key, integer.map(JSON.integer) ?? .number(value))
        }))
  }

  fileprivate init?(json: JSON?) {
    self.init()
    for field in Self.fields {
      guard let value = json?[field.key]?.double else { return nil }
      self[keyPath: field.path] = value
    }
  }
}

/// One case of an evaluation.
package struct CaseEvaluation: Sendable, Equatable {
  package var referenceFile: String
  package var predictionFile: String
  /// In the order of the summary's targets.
  package var metrics: [TargetMetrics]

  package init(referenceFile: String, predictionFile: String, metrics: [TargetMetrics]) {
    self.referenceFile = referenceFile
    self.predictionFile = predictionFile
    self.metrics = metrics
  }

  /// The case's name: the prediction's file name without the ending.
  package func identifier(fileEnding: String) -> String {
    let name = URL(filePath: predictionFile).lastPathComponent
    return name.hasSuffix(fileEnding) ? String(name.dropLast(fileEnding.count)) : name
  }
}

/// The evaluation of a folder of predictions.
package struct EvaluationSummary: Sendable, Equatable {
  package let targets: [LabelValue]
  package let cases: [CaseEvaluation]
  /// Per target the mean over cases; a ratio that is no number in a case does not count.
  package let means: [TargetMetrics]
  /// The plain mean over the targets other than label 0; not a number if any of them is not.
  package let foregroundMean: TargetMetrics

  package init(targets: [LabelValue], cases: [CaseEvaluation]) {
    self.targets = targets
    self.cases = cases
    means = targets.indices.map { index in
      TargetMetrics(meanOf: cases.map { $0.metrics[index] }, skippingNaN: true)
    }
    foregroundMean = TargetMetrics(
      meanOf: zip(targets, means).filter { $0.0 != .label(0) }.map(\.1), skippingNaN: false)
  }

  /// The mean metrics of one target.
  package func mean(of target: LabelValue) -> TargetMetrics? {
    targets.firstIndex(of: target).map { means[$0] }
  }
}

// MARK: - summary.json

extension EvaluationSummary {
  /// The content of nnU-Net's `summary.json`.
  package var json: JSON {
    func byTarget(_ metrics: [TargetMetrics], integralCounts: Bool) -> JSON {
      .object(
        JSONObject(zip(targets, metrics).map { ($0.summaryKey, $1.json(integralCounts: integralCounts)) }))
    }
    return [
      "foreground_mean": foregroundMean.json(integralCounts: false),
      "mean": byTarget(means, integralCounts: false),
      "metric_per_case": .array(
        cases.map { entry in
          [
            "metrics": byTarget(entry.metrics, integralCounts: true),
            "prediction_file": .string(entry.predictionFile), "reference_file": .string(entry.referenceFile),
          ]
        }),
    ]
  }

  /// Writes `summary.json` as nnU-Net does: sorted keys, four spaces, NaN bare.
  package func write(to url: URL) throws(Diagnostic) { try json.write(to: url, sortedKeys: true) }

  /// Reads a `summary.json` of ours or nnU-Net's.
  package init(contentsOf url: URL) throws(Diagnostic) {
    try self.init(json: JSON(contentsOf: url), source: url.path)
  }

  /// Takes the content of a `summary.json`; means and foreground mean are those of the file.
  package init(json: JSON, source: String) throws(Diagnostic) {
    func fail(_ found: String) -> Diagnostic {
      Diagnostic(
        "the summary is not usable", at: source,
        expected: "metric_per_case, mean and foreground_mean, each with Dice, IoU and counts", found: found,
        remedy: "evaluate the folder again")
    }
    guard let meanObject = json["mean"]?.object, let entries = json["metric_per_case"]?.array else {
      throw fail("no mean or no metric_per_case")
    }
    guard let foregroundMean = TargetMetrics(json: json["foreground_mean"]) else {
      throw fail("an incomplete foreground_mean")
    }
    let keyed = meanObject.keys.compactMap { key in LabelValue(summaryKey: key).map { (key: key, target: $0) }
    }
    guard keyed.count == meanObject.count else { throw fail("the keys \(meanObject.keys) in mean") }
    // Text order puts 10 before 2; label order is what tables want.
    let ordered = keyed.sorted { $0.target.labels.lexicographicallyPrecedes($1.target.labels) }
    let means = ordered.compactMap { TargetMetrics(json: meanObject[$0.key]) }
    guard means.count == ordered.count else { throw fail("incomplete metrics in mean") }
    var cases: [CaseEvaluation] = []
    for (index, entry) in entries.enumerated() {
      let metrics = ordered.compactMap { TargetMetrics(json: entry["metrics"]?[$0.key]) }
      guard metrics.count == ordered.count, let reference = entry["reference_file"]?.string,
        let prediction = entry["prediction_file"]?.string
      else { throw fail("an incomplete entry \(index) of metric_per_case") }
      cases.append(CaseEvaluation(referenceFile: reference, predictionFile: prediction, metrics: metrics))
    }
    self.targets = ordered.map(\.target)
    self.cases = cases
    self.means = means
    self.foregroundMean = foregroundMean
  }
}

extension LabelValue {
  /// The target a key of `summary.json` names: `1`, `(1, 2, 3)` or `(3,)`.
  package init?(summaryKey key: String) {
    if let label = Int(key) {
      self = .label(label)
      return
    }
    guard key.hasPrefix("("), key.hasSuffix(")") else { return nil }
    let parts = key.dropFirst().dropLast().split(separator: ",").map {
      $0.trimmingCharacters(in: .whitespaces)
    }
    let labels = parts.compactMap { Int($0) }
    guard !labels.isEmpty, labels.count == parts.count else { return nil }
    self = .region(labels)
  }
}

/// The mean as NumPy takes it in double precision; `.nan` of nothing.
private func mean(_ values: [Double], skippingNaN: Bool) -> Double {
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
