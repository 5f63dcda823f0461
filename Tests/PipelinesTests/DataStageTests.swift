// The stages from raw data to preprocessed cases, on the phantom.

import Datasets
import Foundation
import Pipelines
import Planning
import Preprocessing
import Reporting
import TestSupport
import Testing

@Suite struct DataStageTests {
  /// Runs `body` on a pipeline over a fresh root that holds a small phantom.
  private func withPhantom(_ body: (Pipeline, URL) throws -> Void) throws {
    let root = try Goldens.temporaryFolder("pipeline")
    defer { try? FileManager.default.removeItem(at: root) }
    var options = PhantomOptions()
    options.trainingCaseCount = 5
    options.heldOutCaseCount = 0
    let pipeline = Pipeline(roots: DatasetRoots(root: root))
    try makePhantomDataset(at: pipeline.roots.rawFolder(of: phantomDatasetName), options: options)
    try body(pipeline, root)
  }

  @Test("Raw scans become plans and preprocessed cases, and a second run keeps them")
  func wholeWay() throws {
    try withPhantom { pipeline, _ in
      let dataset = try pipeline.openDataset("999")
      try pipeline.verify(dataset)
      let fingerprint = try pipeline.extractFingerprint(of: dataset)
      #expect(try pipeline.readFingerprint(of: dataset) == fingerprint)
      let plans = try pipeline.planExperiment(for: dataset, fingerprint)
      #expect(try pipeline.readPlans(named: "nnUNetPlans", of: dataset.name).json == plans.json)
      try pipeline.preprocess(dataset, by: plans, configurations: ["3d_fullres", "3d_lowres"])
      let store = PreprocessedStore(
        datasetFolder: try pipeline.roots.preprocessedFolder(of: dataset.name),
        configuration: try plans.configuration(named: "3d_fullres"))
      let cases = try dataset.cases().map(\.identifier)
      #expect(store.identifiers() == cases)
      let before = try modificationDate(store.url(of: cases[0]))
      try pipeline.preprocess(dataset, by: plans, configurations: ["3d_fullres"])
      #expect(try modificationDate(store.url(of: cases[0])) == before)
    }
  }

  @Test("A configuration that nobody knows is an error, a usual one that the plans lack is skipped")
  func unknownConfiguration() throws {
    try withPhantom { pipeline, _ in
      let dataset = try pipeline.openDataset("999")
      let plans = try pipeline.planExperiment(for: dataset, pipeline.extractFingerprint(of: dataset))
      let error = #expect(throws: Diagnostic.self) {
        try pipeline.preprocess(dataset, by: plans, configurations: ["3d_fulres"])
      }
      #expect(error?.remedy == "did you mean 3d_fullres?")
    }
  }

  @Test("A case beyond the memory cap is refused before any work, and nothing is left behind")
  func memoryCap() throws {
    try withPhantom { pipeline, _ in
      let dataset = try pipeline.openDataset("999")
      let plans = try pipeline.planExperiment(for: dataset, pipeline.extractFingerprint(of: dataset))
      let folder = try pipeline.roots.preprocessedFolder(of: dataset.name)
      let before = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      let error = #expect(throws: Diagnostic.self) {
        try pipeline.preprocess(dataset, by: plans, configurations: ["3d_fullres"], memoryCap: 1_000_000)
      }
      #expect(error?.failure == "preprocessing 3d_fullres takes more memory than there is")
      #expect(error?.remedy?.contains("--memory-cap") == true)
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == before)
      try pipeline.preprocess(dataset, by: plans, configurations: ["3d_fullres"], memoryCap: 4_000_000_000)
    }
  }

  @Test("A broken first case leaves no folder of preprocessed cases")
  func brokenCase() throws {
    try withPhantom { pipeline, _ in
      let dataset = try pipeline.openDataset("999")
      let plans = try pipeline.planExperiment(for: dataset, pipeline.extractFingerprint(of: dataset))
      let folder = try pipeline.roots.preprocessedFolder(of: dataset.name)
      let before = try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      for entry in try dataset.cases() { try Data(count: 9).write(to: entry.label) }
      #expect(throws: (any Error).self) {
        try pipeline.preprocess(dataset, by: plans, configurations: ["3d_fullres"])
      }
      #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted() == before)
    }
  }

  @Test("A missing label file stops verification and is named")
  func missingLabel() throws {
    try withPhantom { pipeline, _ in
      let dataset = try pipeline.openDataset("999")
      let label = try #require(try dataset.cases().first?.label)
      try FileManager.default.removeItem(at: label)
      let error = #expect(throws: Diagnostic.self) { try pipeline.verify(dataset) }
      #expect(error?.description.contains(label.lastPathComponent) == true)
    }
  }

  @Test("Predicting with a model that is not there names what is missing")
  func missingModel() throws {
    try withPhantom { pipeline, root in
      let images = try pipeline.roots.rawFolder(of: phantomDatasetName).appending(path: "imagesTr")
      let request = PredictionRequest(dataset: phantomDatasetName, configuration: "3d_fullres")
      let error = #expect(throws: Diagnostic.self) {
        try pipeline.predict(folder: images, to: root.appending(path: "out"), request)
      }
      #expect(error?.failure.contains("nnUNetTrainer__nnUNetPlans__3d_fullres") == true)
      #expect(!FileManager.default.fileExists(atPath: root.appending(path: "out").path))
    }
  }

  @Test("A request to stop ends the work with nothing half written")
  func cancellation() throws {
    try withPhantom { pipeline, _ in
      pipeline.cancellation.cancel()
      let dataset = try pipeline.openDataset("999")
      #expect(throws: Cancelled.self) { try pipeline.extractFingerprint(of: dataset) }
      let folder = try pipeline.roots.preprocessedFolder(of: dataset.name)
      #expect(
        !FileManager.default.fileExists(atPath: folder.appending(path: "dataset_fingerprint.json").path))
    }
  }

  private func modificationDate(_ url: URL) throws -> Date? {
    try FileManager.default.attributesOfItem(atPath: url.path)[.modificationDate] as? Date
  }
}
