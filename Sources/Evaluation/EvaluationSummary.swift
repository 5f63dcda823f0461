// The evaluation of a folder, and nnU-Net's summary.json. What is measured of a case is in TargetMetrics.swift.

package import Archives
package import Datasets
package import Foundation
package import Reporting

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
  /// The tolerance of the surface Dice in millimetres, if surfaces were measured.
  package let surfaceTolerance: Double?
  /// What the targets are called, where that is known; `summary.json` does not say it.
  package var names: [LabelValue: String] = [:]

  package init(targets: [LabelValue], cases: [CaseEvaluation], surfaceTolerance: Double? = nil) {
    self.targets = targets
    self.cases = cases
    self.surfaceTolerance = surfaceTolerance
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
    var json: JSONObject = [
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
    json["surface_tolerance_mm"] = surfaceTolerance.map(JSON.number)
    return .object(json)
  }

  /// Writes `summary.json` as nnU-Net does: sorted keys, four spaces, NaN bare.
  ///
  /// - Parameter usesNull: writes null for what is no number or infinite, as strict JSON demands.
  package func write(to url: URL, usesNull: Bool = false) throws(Diagnostic) {
    try (usesNull ? json.withNullForNonFinite : json).write(to: url, sortedKeys: true)
  }

  /// Reads a `summary.json` of ours or nnU-Net's.
  package init(contentsOf url: URL) throws(Diagnostic) {
    try self.init(json: JSON(contentsOf: url), source: url.path)
  }

  /// Reads a `summary.json`, or the one of a folder.
  package init(at url: URL) throws(Diagnostic) {
    let isFolder = (try? url.resourceValues(forKeys: [.isDirectoryKey]))?.isDirectory == true
    guard isFolder else {
      try self.init(contentsOf: url)
      return
    }
    let file = url.appending(path: "summary.json")
    guard FileManager.default.fileExists(atPath: file.path) else {
      throw Diagnostic(
        "the folder has no evaluation", at: url.path, expected: "a summary.json", found: "none",
        remedy: "evaluate it first: lunette evaluate_folder or lunette evaluate_simple")
    }
    try self.init(contentsOf: file)
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
    surfaceTolerance = json["surface_tolerance_mm"]?.double
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
