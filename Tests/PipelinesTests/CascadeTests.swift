// The cascade from end to end: the first stage hands its predictions over, the second trains, validates and predicts.

import Archives
import Datasets
import Evaluation
import Foundation
import Pipelines
import Planning
import Preprocessing
import Reporting
import Tensors
import Testing
import Training

@Suite(.serialized) struct CascadeTests {
  private let changes: PlanningRequest = {
    var request = PlanningRequest()
    request.changes = [
      "3d_lowres": [
        "inherits_from": "3d_fullres", "spacing": [2, 2, 2], "next_stage": "3d_cascade_fullres",
      ],
      "3d_cascade_fullres": ["inherits_from": "3d_fullres", "previous_stage": "3d_lowres"],
    ]
    return request
  }()

  private func request(
    _ configuration: String, _ small: SmallDataset, fold: Int = 0, seed: UInt64 = 0,
    start: TrainingRequest.Start = .new
  ) -> TrainingRequest {
    var request = small.request(seed: seed, start: start, fold: .number(fold))
    request.configuration = configuration
    return request
  }

  @Test(
    "The second stage says which folds of the first it lacks, and trains and predicts once they are there")
  func wholeCascade() throws {
    let small = try SmallDataset(planning: changes, configurations: ["3d_fullres", "3d_lowres"])
    defer { small.remove() }
    let pipeline = small.pipeline
    let error = #expect(throws: Diagnostic.self) {
      try pipeline.train(request("3d_cascade_fullres", small), with: small.definition())
    }
    #expect(error?.failure.contains("5 of 5 cases") == true)
    #expect(error?.remedy?.contains("lunette train \(phantomDatasetName) 3d_lowres 0 1 2 3 4") == true)

    for fold in 0..<5 {
      if fold == 4 {
        let error = #expect(throws: Diagnostic.self) {
          try pipeline.train(request("3d_cascade_fullres", small), with: small.definition())
        }
        #expect(error?.remedy?.contains("3d_lowres 4 (with --val") == true, "\(error?.remedy ?? "")")
      }
      let run = try pipeline.train(request("3d_lowres", small, fold: fold), with: small.definition())
      try pipeline.validate(run)
    }
    let handedOver = small.results.appending(
      path: "\(phantomDatasetName)/nnUNetTrainer__nnUNetPlans__3d_lowres/predicted_next_stage")
    let store = PreviousStageStore(folder: handedOver.appending(path: "3d_cascade_fullres.lunette"))
    #expect(store.identifiers().count == 5)

    let straight = try pipeline.train(request("3d_cascade_fullres", small), with: small.definition())
    let summary = try pipeline.validate(straight)
    #expect(summary.cases.count == 1)
    let input = try #require(
      Checkpoint(contentsOf: straight.folder.appending(path: "checkpoint_final.safetensors")).weights[
        "encoder.stages.0.0.convs.0.conv.weight"])
    #expect(input.shape[1] == 3)  // one image channel, two labels

    // The same through a stop after the first epoch.
    let flag = CancellationFlag()
    var hooks = TrainerHooks()
    hooks.epochEnd = { _ in flag.cancel() }
    var stopped = pipeline
    stopped.cancellation = flag
    var overwriting = request("3d_cascade_fullres", small, start: .overwrite)
    #expect(throws: Cancelled.self) { try stopped.train(overwriting, with: small.definition(hooks: hooks)) }
    overwriting.start = .latest
    let resumed = try pipeline.train(overwriting, with: small.definition())
    let old = straight.folder.deletingLastPathComponent().appending(path: "fold_0.old-1")
    let (a, b) = try (
      Checkpoint(contentsOf: old.appending(path: "checkpoint_final.safetensors")),
      Checkpoint(contentsOf: resumed.folder.appending(path: "checkpoint_final.safetensors"))
    )
    #expect(a.weights == b.weights)
    #expect(a.optimizer == b.optimizer)

    try predictions(small)
  }

  /// Predicting a folder needs what the first stage predicted of it.
  private func predictions(_ small: SmallDataset) throws {
    let images = small.pipeline.roots
    let input = try images.rawFolder(of: phantomDatasetName).appending(path: "imagesTr")
    let output = small.root.appending(path: "predictions")
    var request = PredictionRequest(
      dataset: phantomDatasetName, configuration: "3d_cascade_fullres", folds: [.number(0)])
    let error = #expect(throws: Diagnostic.self) {
      try small.pipeline.predict(folder: input, to: output, request)
    }
    #expect(error?.expected?.contains("-prev_stage_predictions") == true)
    var first = request
    first.model = .results(dataset: phantomDatasetName, ModelReference(configuration: "3d_lowres"))
    let firstOutput = small.root.appending(path: "first")
    try small.pipeline.predict(folder: input, to: firstOutput, first)
    request.previousStage = firstOutput
    try small.pipeline.predict(folder: input, to: output, request)
    let files = try FileManager.default.contentsOfDirectory(atPath: output.path)
    #expect(files.count { $0.hasSuffix(".nii.gz") } == 5)
  }

  @Test("Predictions of the first stage have the shape of the second one's cases")
  func shapes() throws {
    let small = try SmallDataset(planning: changes, configurations: ["3d_fullres", "3d_lowres"])
    defer { small.remove() }
    let run = try small.pipeline.train(request("3d_lowres", small, seed: 3), with: small.definition())
    try small.pipeline.validate(run)
    let identifier = try #require(run.split.validation.first)
    let folder = try small.pipeline.roots.preprocessedFolder(of: phantomDatasetName)
    let next = PreprocessedStore(
      datasetFolder: folder, configuration: try run.plans.configuration(named: "3d_cascade_fullres"))
    let store = PreviousStageStore(
      modelFolder: run.folder.deletingLastPathComponent(), nextConfiguration: "3d_cascade_fullres")
    let shape = try next.open(identifier).shape
    let labels = try store.open(identifier, shape: shape).whole()
    #expect(Set(labels.elements).isSubset(of: [0, 1, 2]))
    // The other seed's second stage finds the predictions of its own first stage, not the default's.
    let error = #expect(throws: Diagnostic.self) {
      try small.pipeline.train(request("3d_cascade_fullres", small, seed: 3), with: small.definition())
    }
    #expect(error?.failure.contains("4 of 5 cases") == true)
    #expect(error?.remedy?.contains("--seed 3") == true)
  }
}
