// compare_results: two evaluations of the same cases against each other.

import Archives
import ArgumentParser
import Evaluation
import Foundation
import Reporting

/// Compares two evaluations.
struct CompareResultsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "compare_results",
    abstract: "Tell whether one folder of predictions scores better than another, case by case.",
    discussion: """
      A and B are folders with a summary.json, as evaluate_folder writes it, or such files; differences are B minus \
      A over the cases that both have. The interval of the mean difference comes from resampling the cases; p is that \
      of Wilcoxon's signed-rank test, two-sided and not corrected for the number of targets.
      """)

  @Argument(help: ArgumentHelp("Folder or summary.json.", valueName: "A"))
  var first: String

  @Argument(help: ArgumentHelp("Folder or summary.json to compare with it.", valueName: "B"))
  var second: String

  @Option(
    name: .dashed("metric"),
    help: ArgumentHelp(
      "Which number: Dice, IoU, NSD, HD95 or another key of summary.json.", valueName: "name"))
  var metric = EvaluationMetric.dice.rawValue

  @Option(name: .customShort("o"), help: ArgumentHelp("Write everything as JSON here.", valueName: "file"))
  var output: String?

  @Option(help: ArgumentHelp("Write a table with a row per target here.", valueName: "file"))
  var csv: String?

  @Option(help: ArgumentHelp("Write a table with a row per case and target here.", valueName: "file"))
  var cases: String?

  @Option(help: ArgumentHelp("How many cases to name that changed most.", valueName: "count"))
  var show = 3

  @Option(help: ArgumentHelp("Resamples for the interval.", valueName: "count"))
  var resamples = 10_000

  @Option(help: ArgumentHelp("Seed of the resampling.", valueName: "number"))
  var seed = 0

  func validate() throws {
    if resamples < 1 || show < 0 { throw ValidationError("counts must be positive") }
  }

  func run() throws {
    var settings = ComparisonSettings()
    settings.metric = try EvaluationMetric(named: metric)
    settings.resampleCount = resamples
    settings.seed = seed
    let comparison = try EvaluationComparison(summary(at: first), summary(at: second), settings: settings)
    if let output { try comparison.json.withNullForNonFinite.write(to: URL(filePath: output)) }
    if let csv {
      try writeAtomically(Data(comparison.targetTable.csv.utf8), to: URL(filePath: csv))
    }
    if let cases {
      try writeAtomically(Data(comparison.caseTable.csv.utf8), to: URL(filePath: cases))
    }
    for line in comparison.report(first, second, naming: show) { Console.print(line) }
  }

  private func summary(at path: String) throws -> EvaluationSummary {
    try EvaluationSummary(at: URL(filePath: path))
  }
}
