// Two evaluations of the same cases against each other: per target, is the second better? How it is shown is in
// ComparisonTables.swift.

package import Datasets
import Foundation
package import Reporting

/// How two evaluations are compared.
package struct ComparisonSettings: Sendable {
  package var metric = EvaluationMetric.dice
  /// The share of repetitions that an interval is to hold the mean in.
  package var confidence = 0.95
  package var resampleCount = 10_000
  package var seed = 0

  package init() {}
}

/// The paired values of one target.
package struct TargetComparison: Sendable {
  /// One case with both values.
  package struct Pair: Sendable, Equatable {
    package var name: String
    package var first: Double
    package var second: Double

    /// Second minus first; 0 where both are infinite.
    package var difference: Double { first == second ? 0 : second - first }
  }

  /// The target; nil for the mean over all targets of a case but the background.
  package let target: LabelValue?
  /// Cases where both have a number, by name.
  package let pairs: [Pair]
  /// How many common cases lack a number in either.
  package let omittedCount: Int
  package let meanDifference: Double
  package let medianDifference: Double
  package let interval: BootstrapInterval?
  package let test: WilcoxonTest
  private let favoursLess: Bool

  init(target: LabelValue?, pairs: [Pair], omittedCount: Int, settings: ComparisonSettings) {
    self.target = target
    self.pairs = pairs
    self.omittedCount = omittedCount
    let differences = pairs.map(\.difference)
    meanDifference = mean(differences, skippingNaN: false)
    medianDifference = median(differences)
    interval = BootstrapInterval(
      meanOf: differences, confidence: settings.confidence, resampleCount: settings.resampleCount,
      key: [0xB007, settings.seed] + (target?.labels ?? [-1]))
    test = WilcoxonTest(differences)
    favoursLess = settings.metric.favoursLess
  }

  package var firstMean: Double { mean(pairs.map(\.first), skippingNaN: false) }
  package var secondMean: Double { mean(pairs.map(\.second), skippingNaN: false) }

  /// Cases where the second is better, the largest change first.
  package var improved: [Pair] { ordered { favoursLess ? -$0.difference : $0.difference } }
  /// Cases where the second is worse, the largest change first.
  package var worsened: [Pair] { ordered { favoursLess ? $0.difference : -$0.difference } }

  private func ordered(_ gain: (Pair) -> Double) -> [Pair] {
    pairs.filter { gain($0) > 0 }.sorted { (gain($0), $1.name) > (gain($1), $0.name) }
  }
}

/// Two evaluations of the same cases against each other.
package struct EvaluationComparison: Sendable {
  package let settings: ComparisonSettings
  /// Each target both have, then the mean over them if there are several.
  package let targets: [TargetComparison]
  /// The tolerance of the surface Dice in millimetres, where that is compared.
  package let surfaceTolerance: Double?
  package let names: [LabelValue: String]
  package let commonCaseCount: Int
  /// Cases that only one of them has.
  package let casesOnlyInFirst: [String]
  package let casesOnlyInSecond: [String]

  /// Pairs the cases by name.
  ///
  /// - Throws: ``Diagnostic`` if the two have no case or target in common, lack the metric, or rest on different
  ///   references or tolerances.
  package init(
    _ first: EvaluationSummary, _ second: EvaluationSummary, settings: ComparisonSettings = .init()
  ) throws(Diagnostic) {
    try Self.check(first, second, settings.metric)
    let (firstCases, secondCases) = (try Self.byName(first), try Self.byName(second))
    let common = firstCases.keys.sorted().compactMap { name in
      firstCases[name].flatMap { a in secondCases[name].map { b in (name: name, first: a, second: b) } }
    }
    let shared = first.targets.indices.compactMap { index in
      second.targets.firstIndex(of: first.targets[index]).map { (index, $0) }
    }
    guard !common.isEmpty, !shared.isEmpty else {
      throw Diagnostic(
        "the two evaluations have nothing in common", expected: "a case and a target that both have",
        found: common.isEmpty
          ? "cases such as \(first.cases.first?.name ?? "none") and \(second.cases.first?.name ?? "none")"
          : "targets \(first.targets.map(\.summaryKey)) and \(second.targets.map(\.summaryKey))",
        remedy: "evaluate both folders against the same references")
    }
    var columns: [(target: LabelValue?, values: [Values?])] = []
    for places in shared {
      let target = first.targets[places.0]
      var values: [Values?] = []
      for entry in common {
        values.append(try Self.values(of: target, entry.first, entry.second, places, settings.metric))
      }
      columns.append((target, values))
    }
    columns += Self.foreground(columns, common.count)
    targets = columns.map { target, column in
      let pairs = zip(common, column).compactMap { entry, values in
        values.map { TargetComparison.Pair(name: entry.name, first: $0.first, second: $0.second) }
      }
      return TargetComparison(
        target: target, pairs: pairs, omittedCount: common.count - pairs.count, settings: settings)
    }
    self.settings = settings
    surfaceTolerance = settings.metric == .surfaceDice ? first.surfaceTolerance : nil
    names = second.names.merging(first.names) { $1 }
    commonCaseCount = common.count
    casesOnlyInFirst = firstCases.keys.filter { secondCases[$0] == nil }.sorted()
    casesOnlyInSecond = secondCases.keys.filter { firstCases[$0] == nil }.sorted()
  }

  private typealias Values = (first: Double, second: Double)

  /// The mean over the targets of each case that have numbers in both, if there are several.
  private static func foreground(
    _ columns: [(target: LabelValue?, values: [Values?])], _ count: Int
  ) -> [(target: LabelValue?, values: [Values?])] {
    let columns = columns.filter { $0.target != .label(0) }
    guard columns.count > 1 else { return [] }
    let means = (0..<count).map { index -> Values? in
      let present = columns.compactMap { $0.values[index] }
      guard !present.isEmpty else { return nil }
      return (mean(present.map(\.first), skippingNaN: false), mean(present.map(\.second), skippingNaN: false))
    }
    return [(nil, means)]
  }

  private static func check(
    _ first: EvaluationSummary, _ second: EvaluationSummary, _ metric: EvaluationMetric
  ) throws(Diagnostic) {
    for summary in [first, second] where !summary.measuredMetrics.contains(metric) {
      throw Diagnostic(
        "an evaluation lacks the metric \(metric.rawValue)",
        at: summary.cases.first.map { URL(filePath: $0.predictionFile).deletingLastPathComponent().path },
        expected: "\(metric.rawValue) for every case and target",
        found: summary.measuredMetrics.map(\.rawValue).joined(separator: ", "),
        remedy: "evaluate the folder again with --surface or --volumes")
    }
    if metric == .surfaceDice, first.surfaceTolerance != second.surfaceTolerance {
      let found = [first, second].map { $0.surfaceTolerance.map { "\($0) mm" } ?? "none given" }
      throw Diagnostic(
        "the surface Dice of the two evaluations has different tolerances", expected: "the same tolerance",
        found: found.joined(separator: " and "), remedy: "evaluate one of the folders again with -tolerance")
    }
  }

  private static func byName(_ summary: EvaluationSummary) throws(Diagnostic) -> [String: CaseEvaluation] {
    var cases: [String: CaseEvaluation] = [:]
    for entry in summary.cases {
      if let other = cases.updateValue(entry, forKey: entry.name) {
        throw Diagnostic(
          "an evaluation has a case twice", at: entry.predictionFile, expected: "one file per case",
          found: other.predictionFile, remedy: "evaluate folders with one prediction per case")
      }
    }
    return cases
  }

  /// Both values of a target in a case, or nil if either is no number.
  private static func values(
    of target: LabelValue, _ first: CaseEvaluation, _ second: CaseEvaluation, _ places: (Int, Int),
    _ metric: EvaluationMetric
  ) throws(Diagnostic) -> Values? {
    let metrics = (first.metrics[places.0], second.metrics[places.1])
    guard metrics.0.referenceCount == metrics.1.referenceCount else {
      let counts = [metrics.0, metrics.1].map { String(format: "%.0f", $0.referenceCount) }
      throw Diagnostic(
        "the two evaluations rest on different references", at: first.referenceFile,
        expected: "\(counts[0]) voxels of \(target.summaryKey) in \(first.name) in both",
        found: "\(counts[1]) in \(second.referenceFile)",
        remedy: "evaluate both folders against the same references")
    }
    guard let a = metrics.0[metric], let b = metrics.1[metric], !a.isNaN, !b.isNaN else { return nil }
    return (a, b)
  }
}
