// Comparisons of evaluations: the statistics against SciPy's, the pairing against hand-made summaries.

import Archives
import Datasets
import Evaluation
import Foundation
import Reporting
import TestSupport
import Testing

@Suite struct PairedStatisticsTests {
  /// Sums of some thousand probabilities in another order.
  private static let tolerance = 1e-12

  @Test("The signed-rank test has SciPy's p-values, with ties, zeros, few and many pairs")
  func wilcoxon() throws {
    let url = Goldens.repository.appending(path: "Tests/EvaluationTests/Fixtures/wilcoxon.json")
    let entries = try JSON(contentsOf: url).array ?? []
    #expect(entries.count == 16)
    for entry in entries {
      let test = WilcoxonTest(try #require(entry["differences"]?.doubles))
      let expected = try #require(entry["p"]?.double)
      #expect(
        abs(test.pValue - expected) < Self.tolerance, "\(entry["name"]?.string ?? "?"): \(test.pValue)")
      #expect(test.positiveRankSum == entry["rank_sum"]?.double)
    }
  }

  @Test("No differences give no p-value, only zeros give 1")
  func degenerate() {
    #expect(WilcoxonTest([]).pValue.isNaN)
    #expect(WilcoxonTest([0, 0]).pValue == 1)
    #expect(WilcoxonTest([Double](repeating: 0, count: 60)).pValue == 1)
    #expect(WilcoxonTest([.infinity, 1, 2, 3, 4]).pValue == 0.0625)
  }

  @Test("The interval holds the mean, narrows with confidence, and repeats with its key")
  func bootstrap() throws {
    let values = (0..<40).map { Double($0 % 7) - 2.5 }
    let mean = values.reduce(0, +) / 40
    func interval(_ confidence: Double, _ key: Int) throws -> BootstrapInterval {
      try #require(
        BootstrapInterval(meanOf: values, confidence: confidence, resampleCount: 2000, key: [key]))
    }
    let wide = try interval(0.95, 1)
    #expect(wide.lower < mean && mean < wide.upper)
    // The normal interval of this mean is 1.96 standard errors, 0.62, to either side.
    #expect(abs(wide.upper - mean - 0.62) < 0.1 && abs(mean - wide.lower - 0.62) < 0.1)
    let narrow = try interval(0.5, 1)
    #expect(wide.lower < narrow.lower && narrow.upper < wide.upper)
    #expect(try interval(0.95, 1) == wide)
    #expect(try interval(0.95, 2) != wide)
    #expect(BootstrapInterval(meanOf: [1], confidence: 0.95, resampleCount: 10, key: [1]) == nil)
  }
}

@Suite struct EvaluationComparisonTests {
  /// A summary of one or two targets from true positives, with one false positive and one false negative each.
  private func summary(_ cases: [(String, [Int])], missing: Int = 1) -> EvaluationSummary {
    EvaluationSummary(
      targets: (1...max(1, cases.first?.1.count ?? 1)).map { .label($0) },
      cases: cases.map { name, hits in
        CaseEvaluation(
          referenceFile: "/r/\(name).nii.gz", predictionFile: "/p/\(name).nii.gz",
          metrics: hits.map { hit in
            TargetMetrics(
              hit < 0
                ? ConfusionCounts(trueNegatives: 20)
                : ConfusionCounts(
                  truePositives: hit, falsePositives: missing, falseNegatives: 9 - hit, trueNegatives: 10))
          })
      })
  }

  @Test("Cases are paired by name; those without a number are left out and counted")
  func pairs() throws {
    let first = summary([("a", [3, 4]), ("b", [5, -1]), ("c", [6, 6]), ("only", [1, 1])])
    let second = summary([("c", [6, 7]), ("b", [7, -1]), ("a", [2, 4]), ("new", [1, 1])])
    let comparison = try EvaluationComparison(first, second)
    #expect(comparison.commonCaseCount == 3)
    #expect(comparison.casesOnlyInFirst == ["only"] && comparison.casesOnlyInSecond == ["new"])
    #expect(comparison.targets.map(\.target) == [.label(1), .label(2), nil])
    let entry = comparison.targets[0]
    #expect(entry.pairs.map(\.name) == ["a", "b", "c"])
    #expect(entry.improved.map(\.name) == ["b"] && entry.worsened.map(\.name) == ["a"])
    #expect(entry.medianDifference == 0)
    let expected = entry.pairs.map(\.difference).reduce(0, +) / 3
    #expect(abs(entry.meanDifference - expected) < 1e-15)
    #expect(abs(entry.secondMean - entry.firstMean - expected) < 1e-15)
    #expect(comparison.targets[1].pairs.map(\.name) == ["a", "c"])
    #expect(comparison.targets[1].omittedCount == 1)
    // Of case b, the mean is that of its one target.
    #expect(comparison.targets[2].pairs[1].first == entry.pairs[1].first)
    #expect(comparison.table.lines.count == 4)
    #expect(
      comparison.extremes(1)[0].contains("better b +") && comparison.extremes(1)[0].contains("worse a -"))
    #expect(comparison.json["targets"]?["foreground_mean"]?["cases"]?.integer == 3)
    #expect(comparison.caseTable.rows.count == 8 && comparison.targetTable.rows.count == 3)
  }

  @Test("Of false positives fewer are better")
  func direction() throws {
    var settings = ComparisonSettings()
    settings.metric = .falsePositives
    let comparison = try EvaluationComparison(
      summary([("a", [3])], missing: 4), summary([("a", [3])], missing: 1), settings: settings)
    #expect(comparison.targets[0].meanDifference == -3)
    #expect(comparison.targets[0].improved.map(\.name) == ["a"])
  }

  @Test("What cannot be compared is refused: other cases, other references, a metric that was not measured")
  func refusals() throws {
    let first = summary([("a", [3])])
    let other = #expect(throws: Diagnostic.self) { try EvaluationComparison(first, summary([("b", [3])])) }
    #expect(other?.failure.contains("nothing in common") == true)
    let reference = EvaluationSummary(
      targets: [.label(1)],
      cases: [
        CaseEvaluation(
          referenceFile: "/q/a.nii.gz", predictionFile: "/p/a.nii.gz",
          metrics: [TargetMetrics(ConfusionCounts(truePositives: 3))])
      ])
    let references = #expect(throws: Diagnostic.self) { try EvaluationComparison(first, reference) }
    #expect(references?.failure.contains("different references") == true)
    var settings = ComparisonSettings()
    settings.metric = .hausdorff95
    let metric = #expect(throws: Diagnostic.self) {
      try EvaluationComparison(first, first, settings: settings)
    }
    #expect(metric?.failure.contains("HD95") == true)
    #expect(throws: Diagnostic.self) { try EvaluationMetric(named: "dice") }
    let twice = summary([("a", [3]), ("a", [4])])
    #expect(throws: Diagnostic.self) { try EvaluationComparison(first, twice) }
  }
}

@Suite(.enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence))) struct GoldenComparisonTests {
  @Test("nnU-Net's summaries of two models are compared from their folders")
  func folders() throws {
    func summary(_ configuration: String) throws -> EvaluationSummary {
      let model = "Dataset802_PhantomBrain/nnUNetTrainer_1epoch__nnUNetPlans_tiny__\(configuration)"
      return try EvaluationSummary(
        at: Goldens.path("golden/models/results/\(model)/crossval_results_folds_0_1_2_3_4"))
    }
    let (first, second) = (try summary("2d"), try summary("3d_fullres"))
    let comparison = try EvaluationComparison(first, second)
    #expect(comparison.commonCaseCount == 6)
    #expect(comparison.targets.count == first.targets.count + 1)
    let entry = comparison.targets[0]
    let means = try #require(first.mean(of: first.targets[0]))
    #expect(abs(entry.firstMean - means.dice) < 1e-12)
    #expect(entry.test.isExact)
    #expect(throws: Diagnostic.self) { try EvaluationSummary(at: Goldens.path("golden/raw")) }
  }
}
