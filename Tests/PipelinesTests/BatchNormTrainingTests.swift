// Running statistics and dropout through the whole job: training, a stop and a resume, validation, prediction.

import Archives
import Backends
import Datasets
import Evaluation
import Foundation
import Networks
import Pipelines
import Planning
import Reporting
import Tensors
import TestSupport
import Testing
import Training

@Suite("Batch norm and dropout", .serialized)
struct BatchNormTrainingTests {
  /// What nnU-Net's batch norm trainer makes of the plan's network, with dropout.
  private var hooks: TrainerHooks {
    var hooks = TrainerHooks()
    hooks.architecture = { request in
      var architecture = request.configuration.architecture.object ?? [:]
      var arguments = architecture["arch_kwargs"]?.object ?? [:]
      arguments["norm_op"] = "torch.nn.modules.batchnorm.BatchNorm3d"
      arguments["dropout_op"] = "torch.nn.modules.dropout.Dropout3d"
      arguments["dropout_op_kwargs"] = ["p": 0.2, "inplace": true]
      architecture["arch_kwargs"] = .object(arguments)
      return .object(architecture)
    }
    return hooks
  }

  @Test("A training with both resumes bit for bit, validates and predicts with its running statistics")
  func wholeJob() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let straight = try small.pipeline.train(small.request(), with: small.definition(hooks: hooks))
    #expect(try small.pipeline.validate(straight).cases.count == 1)

    let flag = CancellationFlag()
    var stopping = hooks
    stopping.epochEnd = { _ in flag.cancel() }
    var stopped = small.pipeline
    stopped.cancellation = flag
    #expect(throws: Cancelled.self) {
      try stopped.train(small.request(start: .overwrite), with: small.definition(hooks: stopping))
    }
    let resumed = try small.pipeline.train(
      small.request(start: .latest), with: small.definition(hooks: hooks))
    let old = straight.folder.deletingLastPathComponent().appending(path: "fold_0.old-1")
    let (a, b) = try (
      Checkpoint(contentsOf: old.appending(path: "checkpoint_final.safetensors")),
      Checkpoint(contentsOf: resumed.folder.appending(path: "checkpoint_final.safetensors"))
    )
    let statistics = a.weights.keys.filter { $0.hasSuffix(".running_var") }
    #expect(!statistics.isEmpty)
    for name in statistics { #expect(a.weights[name]?.elements.contains { $0 != 1 } == true, "\(name)") }
    #expect(a.weights == b.weights)
    #expect(a.optimizer == b.optimizer)

    let input = try small.pipeline.roots.rawFolder(of: phantomDatasetName).appending(path: "imagesTr")
    let request = PredictionRequest(
      dataset: phantomDatasetName, configuration: "3d_fullres", folds: [.number(0)])
    var results: [[String: Data]] = []
    for name in ["first", "second"] {
      let output = small.root.appending(path: name)
      try small.pipeline.predict(folder: input, to: output, request)
      results.append(try small.contents(of: output).filter { $0.key.hasSuffix(".nii.gz") })
    }
    #expect(results[0].count == 5)
    #expect(results[0] == results[1])
  }
}
