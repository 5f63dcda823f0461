// What a training leaves alone, refuses, and finishes after a stop.

import Datasets
import Foundation
import Pipelines
import Reporting
import Tensors
import Testing
import Training

@Suite(.serialized) struct RunSafetyTests {
  private struct Refusal: Error {}

  @Test("Another seed trains beside the first and leaves every old byte as it was")
  func seeds() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    _ = try small.pipeline.train(small.request(seed: 1), with: small.definition())
    let before = try small.contents(of: small.results)
    _ = try small.pipeline.train(small.request(seed: 2), with: small.definition())
    let after = try small.contents(of: small.results)
    for (path, data) in before { #expect(after[path] == data, "\(path)") }
    #expect(after.keys.count { $0.hasSuffix("checkpoint_final.safetensors") } == 2)
    let first = try small.pipeline.train(small.request(seed: 1, start: .finished), with: small.definition())
    let other = try small.pipeline.train(
      small.request(seed: 1, fold: .number(1)), with: small.definition())
    #expect(other.folder.deletingLastPathComponent() == first.folder.deletingLastPathComponent())
    #expect(other.folder != first.folder)
  }

  @Test("Pretrained weights start a training, heads excepted, and stay part of what the run is")
  func pretrainedWeights() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let first = try small.pipeline.train(small.request(), with: small.definition())
    let file = first.folder.appending(path: "checkpoint_final.safetensors")
    var definition = small.definition()
    definition.settings.name = "finetuned"
    definition.settings.initialLearningRate = 0
    var request = small.request(seed: 5)
    request.pretrainedWeights = file
    let second = try small.pipeline.train(request, with: definition)
    let (old, new) = (
      try Checkpoint(contentsOf: file),
      try Checkpoint(contentsOf: second.folder.appending(path: "checkpoint_final.safetensors"))
    )
    for (name, values) in new.weights {
      let isHead = name.contains(".seg_layers.")
      // The bias of a head that never learns is zero in both.
      if !isHead || name.hasSuffix("weight") { #expect((values == old.weights[name]) == !isHead, "\(name)") }
    }
    // Going on needs no file; starting again without it is another run.
    request.pretrainedWeights = nil
    request.start = .latest
    #expect(throws: Never.self) { try small.pipeline.train(request, with: definition) }
    request.start = .whateverIsThere
    #expect(try small.pipeline.train(request, with: definition).folder == second.folder)
  }

  @Test("The precision is a run's own: going on keeps it, asking for the other is refused")
  func precision() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    var request = small.request()
    request.precision = .float32
    let run = try small.pipeline.train(request, with: small.definition())
    let file = run.folder.appending(path: "checkpoint_final.safetensors")
    #expect(try Checkpoint.state(of: file).precision == "float32")
    request.start = .latest
    request.precision = nil
    #expect(throws: Never.self) { try small.pipeline.train(request, with: small.definition()) }
    request.precision = .bfloat16
    let error = #expect(throws: Diagnostic.self) {
      try small.pipeline.train(request, with: small.definition())
    }
    #expect(error?.description.contains("precision") == true)
  }

  @Test("Checkpoints of nnU-Net are not trained over, with any start")
  func foreignCheckpoints() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let fold = small.results.appending(
      path: "\(phantomDatasetName)/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_3")
    try FileManager.default.createDirectory(at: fold, withIntermediateDirectories: true)
    try Data("weights".utf8).write(to: fold.appending(path: "checkpoint_final.pth"))
    let before = try small.contents(of: small.results)
    for start in [TrainingRequest.Start.new, .latest, .overwrite] {
      let error = #expect(throws: Diagnostic.self) {
        try small.pipeline.train(small.request(start: start), with: small.definition())
      }
      #expect(error?.location?.hasSuffix("fold_3/checkpoint_final.pth") == true)
      #expect(try small.contents(of: small.results) == before)
    }
  }

  @Test("A file in the place of the results is an error that names it, before anything is computed")
  func unwritableResults() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    try Data().write(to: small.results)
    var iterationCount = 0
    var hooks = TrainerHooks()
    hooks.iterationEnd = { _, _, _ in iterationCount += 1 }
    let error = #expect(throws: Diagnostic.self) {
      try small.pipeline.train(small.request(), with: small.definition(hooks: hooks))
    }
    #expect(error?.found == "\(small.results.path) is a file, not a folder")
    #expect(iterationCount == 0)
  }

  @Test("An observer's failure in the last epoch is made good by going on, with the same weights")
  func failureInLastEpoch() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let straight = try small.pipeline.train(small.request(), with: small.definition())
    let final = straight.folder.appending(path: "checkpoint_final.safetensors")
    let weights = try Checkpoint(contentsOf: final).weights

    var hooks = TrainerHooks()
    hooks.epochEnd = { summary in if summary.epoch == 1 { throw Refusal() } }
    #expect(throws: Refusal.self) {
      try small.pipeline.train(small.request(start: .overwrite), with: small.definition(hooks: hooks))
    }
    #expect(!FileManager.default.fileExists(atPath: final.path))
    let error = #expect(throws: Diagnostic.self) {
      try small.pipeline.train(small.request(start: .finished), with: small.definition())
    }
    #expect(error?.failure == "the training is not finished")
    let resumed = try small.pipeline.train(small.request(start: .latest), with: small.definition())
    #expect(try Checkpoint(contentsOf: final).weights == weights)
    #expect(resumed.log.epochs.count == 2)
  }

  @Test("A training that fails before its first step leaves its folder free for another")
  func failureBeforeTheFirstStep() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    var hooks = TrainerHooks()
    hooks.schedule = { _ in throw Refusal() }
    var definition = small.definition(hooks: hooks)
    definition.overrides["schedule"] = "one that fails"
    #expect(throws: Refusal.self) { try small.pipeline.train(small.request(), with: definition) }
    #expect(throws: Never.self) { try small.pipeline.train(small.request(), with: small.definition()) }
  }

  @Test("Axes to mirror that a patch does not have are refused")
  func foreignMirrorAxes() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    var definition = small.definition()
    definition.settings.mirrorAxes = [5]
    let error = #expect(throws: Diagnostic.self) {
      try small.pipeline.train(small.request(), with: definition)
    }
    #expect(error?.found == "[5]")
  }

  @Test("Fewer cases than folds names the splits file and both remedies")
  func fewCases() throws {
    let small = try SmallDataset(caseCount: 3)
    defer { small.remove() }
    let error = #expect(throws: Diagnostic.self) {
      try small.pipeline.train(small.request(), with: small.definition())
    }
    #expect(error?.location?.hasSuffix("\(phantomDatasetName)/splits_final.json") == true)
    #expect(error?.remedy?.contains("splits_final.json") == true)
    #expect(error?.remedy?.contains("`all`") == true)
    #expect(!FileManager.default.fileExists(atPath: small.results.path))
  }

  @Test("Labels that dataset.json does not declare stop the measuring, and nothing is written")
  func undeclaredLabels() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let raw = try small.pipeline.roots.rawFolder(of: phantomDatasetName)
    let file = raw.appending(path: "dataset.json")
    let text = try String(contentsOf: file, encoding: .utf8)
    #expect(text.contains("\"core\": 2"))
    try Data(text.replacing("\"core\": 2", with: "\"core\": 3").utf8).write(to: file)
    let dataset = try small.pipeline.openDataset(phantomDatasetName)
    let preprocessed = try small.pipeline.roots.preprocessedFolder(of: phantomDatasetName)
    let before = try small.contents(of: preprocessed)
    let error = #expect(throws: Diagnostic.self) {
      try small.pipeline.extractFingerprint(of: dataset, again: true)
    }
    #expect(error?.found == "2")
    #expect(error?.expected == "only 0, 1, 3")
    #expect(error?.location?.contains("labelsTr") == true)
    #expect(try small.contents(of: preprocessed) == before)
  }
}
