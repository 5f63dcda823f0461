// A phantom small enough to train on in a second, preprocessed.

import Datasets
import Foundation
import Pipelines
import TestSupport
import Training

/// A pipeline over a root of its own, with a tiny phantom planned and preprocessed.
struct SmallDataset {
  let root: URL
  let pipeline: Pipeline

  init(
    caseCount: Int = 5, planning: PlanningRequest = PlanningRequest(),
    configurations: [String] = ["3d_fullres"]
  ) throws {
    root = try Goldens.temporaryFolder("small")
    pipeline = Pipeline(roots: DatasetRoots(root: root))
    var options = PhantomOptions()
    options.trainingCaseCount = caseCount
    options.heldOutCaseCount = 0
    options.extentMillimeters = 16
    try makePhantomDataset(at: pipeline.roots.rawFolder(of: phantomDatasetName), options: options)
    let dataset = try pipeline.openDataset(phantomDatasetName)
    let plans = try pipeline.planExperiment(
      for: dataset, pipeline.extractFingerprint(of: dataset), planning)
    try pipeline.preprocess(dataset, by: plans, configurations: configurations)
  }

  func remove() { try? FileManager.default.removeItem(at: root) }

  var results: URL { root.appending(path: "results") }

  func request(
    seed: UInt64 = 0, start: TrainingRequest.Start = .new, fold: Fold = .number(0)
  ) -> TrainingRequest {
    TrainingRequest(
      dataset: phantomDatasetName, configuration: "3d_fullres", fold: fold, start: start, seed: seed)
  }

  /// Two epochs of one iteration.
  func definition(hooks: TrainerHooks = TrainerHooks()) -> TrainerDefinition {
    var settings = TrainerSettings()
    settings.epochs = 2
    settings.iterations = 1
    settings.validationIterations = 1
    return TrainerDefinition(settings: settings, hooks: hooks)
  }

  /// The content of every file below a folder, by path.
  func contents(of folder: URL) throws -> [String: Data] {
    var contents: [String: Data] = [:]
    for path in FileManager.default.subpaths(atPath: folder.path) ?? [] {
      let url = folder.appending(path: path)
      if try url.resourceValues(forKeys: [.isRegularFileKey]).isRegularFile == true {
        contents[path] = try Data(contentsOf: url)
      }
    }
    return contents
  }
}
