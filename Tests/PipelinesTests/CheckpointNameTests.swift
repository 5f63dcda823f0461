// Names of checkpoints and models as users type them.

import Datasets
import Foundation
import Pipelines
import Reporting
import Testing

@Suite struct CheckpointNameTests {
  @Test(
    "Every spelling of a checkpoint is understood",
    arguments: [
      ("best", CheckpointName.best), ("checkpoint_best", .best), ("checkpoint_best.pth", .best),
      ("checkpoint_final.pth", .final), ("final.safetensors", .final), ("latest", .latest),
    ])
  func spellings(text: String, name: CheckpointName) throws {
    #expect(try CheckpointName(parsing: text) == name)
  }

  @Test("A mistyped checkpoint names the nearest")
  func typo() {
    let error = #expect(throws: Diagnostic.self) { try CheckpointName(parsing: "checkpoint_bets.pth") }
    #expect(error?.remedy?.contains("best") == true)
  }

  @Test("Models are named as nnU-Net names their folders")
  func folders() {
    let training = TrainingRequest(dataset: "Dataset004_Hippocampus", configuration: "2d", fold: .all)
    #expect(training.modelFolderName == "nnUNetTrainer__nnUNetPlans__2d")
    let prediction = PredictionRequest(dataset: "Dataset004_Hippocampus", configuration: "2d")
    #expect(
      prediction.model == .results(dataset: "Dataset004_Hippocampus", ModelReference(configuration: "2d")))
    #expect(ModelReference(configuration: "2d").folderName == training.modelFolderName)
    #expect(prediction.folds == [.number(0), .number(1), .number(2), .number(3), .number(4)])
  }
}
