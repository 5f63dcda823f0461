// Stages that are not part of this build yet; each leaves this file as it arrives.

package import Datasets
package import Evaluation
package import Foundation
package import Planning
import Reporting

/// What the job ends with.
package struct JobReport: Sendable {
  package var text: String
}

extension Pipeline {
  private func pending(_ stage: String) -> Diagnostic { Diagnostic("\(stage) is not part of this build yet") }

  package func verify(_ dataset: RawDataset) throws { throw pending("verification") }
  package func extractFingerprint(of dataset: RawDataset, again: Bool = false) throws -> DatasetFingerprint {
    throw pending("the fingerprint")
  }
  package func readFingerprint(of dataset: RawDataset) throws -> DatasetFingerprint {
    throw pending("the fingerprint")
  }
  package func preprocess(_ dataset: RawDataset, by plans: Plans, configurations: [String]) throws {
    throw pending("preprocessing")
  }
  package func validate(_ run: TrainedRun, _ request: ValidationRequest) throws -> EvaluationSummary {
    throw pending("validation")
  }
  package func predict(folder input: URL, to output: URL, _ request: PredictionRequest) throws {
    throw pending("prediction")
  }
  package func writeReport(
    on run: TrainedRun, _ summary: EvaluationSummary, dataset: RawDataset, to folder: URL
  ) throws -> JobReport { throw pending("the report") }
  package func runDemo(in folder: URL, seed: UInt64) throws -> JobReport { throw pending("the demo") }
}
