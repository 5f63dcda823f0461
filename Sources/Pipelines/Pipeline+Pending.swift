// Stages that are not part of this build yet; each leaves this file as it arrives.

package import Datasets
package import Foundation
import Reporting

/// A fingerprint.
package struct PendingFingerprint: Sendable {}
/// Plans.
package struct PendingPlans: Sendable {}

/// Scores.
package struct PendingSummary: Sendable {
  package var foregroundMeanText: String { "" }
}

/// What the job ends with.
package struct JobReport: Sendable {
  package var text: String
}

/// A trained fold.
package struct TrainedRun: Sendable {}

extension Pipeline {
  private func pending(_ stage: String) -> Diagnostic { Diagnostic("\(stage) is not part of this build yet") }

  package func verify(_ dataset: RawDataset) throws { throw pending("verification") }
  package func extractFingerprint(of dataset: RawDataset, again: Bool = false) throws -> PendingFingerprint {
    throw pending("the fingerprint")
  }
  package func readFingerprint(of dataset: RawDataset) throws -> PendingFingerprint {
    throw pending("the fingerprint")
  }
  package func planExperiment(
    for dataset: RawDataset, _ fingerprint: PendingFingerprint, _ request: PlanningRequest
  ) throws -> PendingPlans { throw pending("planning") }
  package func planExperiment(
    fingerprint: URL, datasetJSON: URL, _ request: PlanningRequest, to output: URL
  ) throws { throw pending("planning") }
  package func readPlans(named name: String, of dataset: String) throws -> PendingPlans {
    throw pending("planning")
  }
  package func preprocess(_ dataset: RawDataset, by plans: PendingPlans, configurations: [String]) throws {
    throw pending("preprocessing")
  }
  package func train(_ request: TrainingRequest) throws -> TrainedRun { throw pending("training") }
  package func validate(_ run: TrainedRun, _ request: ValidationRequest) throws -> PendingSummary {
    throw pending("validation")
  }
  package func predict(folder input: URL, to output: URL, _ request: PredictionRequest) throws {
    throw pending("prediction")
  }
  package func evaluate(_ request: EvaluationRequest) throws -> PendingSummary { throw pending("evaluation") }
  package func writeReport(
    on run: TrainedRun, _ summary: PendingSummary, dataset: RawDataset, to folder: URL
  ) throws -> JobReport { throw pending("the report") }
  package func runDemo(in folder: URL, seed: UInt64) throws -> JobReport { throw pending("the demo") }
}
