// Scores of predictions against references.

import Datasets
package import Evaluation
import Foundation
import Planning
import Reporting

extension Pipeline {
  /// Scores a folder of predictions and writes nnU-Net's summary.json.
  @discardableResult
  package func evaluate(_ request: EvaluationRequest) throws -> EvaluationSummary {
    let description = try DatasetDescription(contentsOf: request.datasetJSON)
    _ = try Plans(contentsOf: request.plans)
    let output = request.output ?? request.predictions.appending(path: "summary.json")
    let summary = try evaluateFolder(
      reference: request.references, prediction: request.predictions, scheme: description.labels,
      fileEnding: description.fileEnding, chill: request.allowsMissing)
    try summary.write(to: output)
    progress.note("scores: \(output.path)")
    return summary
  }
}

extension EvaluationSummary {
  /// The mean foreground Dice as people quote it.
  package var foregroundMeanText: String { "\((foregroundMean.dice * 10_000).rounded() / 10_000)" }
}
