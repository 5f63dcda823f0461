// Planning and evaluation as stages over folders.

import Archives
import Datasets
import Foundation
import Pipelines
import Reporting
import TestSupport
import Testing

@Suite struct PlanningStageTests {
  private let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)

  @Test(
    "Planning without images writes nnU-Net's plans byte for byte",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func plansAreIdentical() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = folder.appending(path: "plans.json")
    let golden = Goldens.path("golden/hippocampus/nnUNetPlans.json")
    try Pipeline(roots: DatasetRoots()).planExperiment(
      fingerprint: Goldens.path("golden/hippocampus/dataset_fingerprint.json"),
      datasetJSON: Goldens.path("data/Dataset004_Hippocampus/dataset.json"), PlanningRequest(), to: output)
    #expect(try Data(contentsOf: output) == Data(contentsOf: golden))
  }

  @Test("Plans that do not exist are an error that names those that do")
  func missingPlans() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let dataset = folder.appending(path: "Dataset001_A")
    try FileManager.default.createDirectory(at: dataset, withIntermediateDirectories: true)
    try Data("{}".utf8).write(to: dataset.appending(path: "nnUNetPlans.json"))
    let pipeline = Pipeline(roots: DatasetRoots(preprocessed: folder))
    let error = #expect(throws: Diagnostic.self) {
      try pipeline.readPlans(named: "nnUNetPlan", of: "Dataset001_A")
    }
    #expect(error?.remedy == "did you mean -p nnUNetPlans?")
  }

  @Test("A dataset without a fingerprint says how to get one")
  func missingFingerprint() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    let raw = folder.appending(path: "raw")
    try makePhantom(in: raw.appending(path: "Dataset001_A"))
    let pipeline = Pipeline(roots: DatasetRoots(root: folder))
    let dataset = try pipeline.openDataset("1")
    let error = #expect(throws: Diagnostic.self) { try pipeline.readFingerprint(of: dataset) }
    #expect(error?.remedy == "lunette extract_fingerprint -d Dataset001_A")
  }

  private func makePhantom(in folder: URL) throws {
    let json: JSON = [
      "channel_names": ["0": "MR"], "labels": ["background": 0, "a": 1], "numTraining": 1,
      "file_ending": ".nii.gz",
    ]
    try json.write(to: folder.appending(path: "dataset.json"))
  }
}
