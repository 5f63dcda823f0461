// Scores of predictions against references.

import Archives
import Datasets
package import Evaluation
import Foundation
import Planning
import Reporting

extension Pipeline {
  /// Scores a folder of predictions and writes nnU-Net's summary.json.
  @discardableResult
  package func evaluate(_ request: EvaluationRequest) throws -> EvaluationSummary {
    let summary = try measure(request)
    let output = request.output ?? request.predictions.appending(path: "summary.json")
    try summary.write(to: output, usesNull: request.usesNull)
    progress.note("scores: \(output.path)")
    if let url = request.caseTable {
      try writeAtomically(Data(summary.caseTable.csv.utf8), to: url)
      progress.note("cases: \(url.path)")
    }
    return summary
  }

  private func measure(_ request: EvaluationRequest) throws -> EvaluationSummary {
    switch request.targets {
    case .dataset(let file, let plans):
      let description = try DatasetDescription(contentsOf: file)
      if let plans { _ = try Plans(contentsOf: plans) }
      return try evaluateFolder(
        reference: request.references, prediction: request.predictions, scheme: description.labels,
        fileEnding: description.fileEnding, chill: request.allowsMissing, measures: request.measures)
    case .labels(let labels, let ignored):
      var distinct: [Int] = []
      for label in labels where !distinct.contains(label) { distinct.append(label) }
      var settings = EvaluationSettings(
        targets: distinct.map(LabelValue.label), ignoreLabel: ignored,
        fileEnding: try lastExtension(ofFirstFileIn: request.references))
      settings.allowsMissing = request.allowsMissing
      settings.measures = request.measures
      return try evaluateFolder(
        reference: request.references, prediction: request.predictions, settings: settings)
    }
  }
}

extension EvaluationSummary {
  /// The mean foreground Dice as people quote it.
  package var foregroundMeanText: String { "\((foregroundMean.dice * 10_000).rounded() / 10_000)" }
}
