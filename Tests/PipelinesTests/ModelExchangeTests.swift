// Models that go to nnU-Net and come from it: checkpoints, archives, and what is refused.

import Archives
import Datasets
import Foundation
import Pipelines
import Reporting
import Synchronization
import Tensors
import TestSupport
import Testing
import Training

/// Keeps the lines that stay.
private final class NoteSink: ProgressSink {
  private let lines = Mutex<[String]>([])
  var notes: [String] { lines.withLock { $0 } }

  func begin(_ stage: String, total: Int) {}
  func update(completed: Int, detail: String) {}
  func end() {}
  func note(_ line: String) { lines.withLock { $0.append(line) } }
}

@Suite(.serialized) struct ModelExchangeTests {
  /// A trained fold, and its checkpoint.
  private func trained(_ small: SmallDataset) throws -> (model: URL, checkpoint: Checkpoint) {
    let run = try small.pipeline.train(small.request(), with: small.definition())
    let file = run.folder.appending(path: "checkpoint_final.safetensors")
    return (run.folder.deletingLastPathComponent(), try Checkpoint(contentsOf: file))
  }

  private func predictions(_ pipeline: Pipeline, _ small: SmallDataset, _ name: String) throws -> [String:
    Data]
  {
    let output = small.root.appending(path: name)
    var request = PredictionRequest(
      dataset: phantomDatasetName, configuration: "3d_fullres", folds: [.number(0)])
    request.usesMirroring = false
    let images = try small.pipeline.roots.rawFolder(of: phantomDatasetName).appending(path: "imagesTr")
    try pipeline.predict(folder: images, to: output, request)
    return try small.contents(of: output).filter { $0.key.hasSuffix(".nii.gz") }
  }

  @Test("An exported checkpoint has all of nnU-Net's keys, and the trained values")
  func export() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let (model, checkpoint) = try trained(small)
    let output = small.root.appending(path: "exported/model")
    try small.pipeline.exportCheckpoints(CheckpointExportRequest(source: model, output: output))
    #expect(try JSON(contentsOf: output.appending(path: "plans.json")) == checkpoint.state.plans)
    #expect(try JSON(contentsOf: output.appending(path: "dataset.json")) == checkpoint.state.dataset)
    let file = try PyTorchCheckpoint.read(output.appending(path: "fold_0/checkpoint_final.pth"))
    let root = file.root
    #expect(
      root.dictionary?.keys == [
        "network_weights", "optimizer_state", "grad_scaler_state", "logging", "_best_ema", "current_epoch",
        "init_args", "trainer_name", "inference_allowed_mirroring_axes",
      ])
    let state = try file.stateDictionary()
    let unique = try file.stateDictionary(aliases: .removed)
    #expect(unique.count == checkpoint.weights.count && state.count > 2 * unique.count)
    for (name, values) in unique { #expect(values == checkpoint.weights[name], "\(name)") }
    // Parameters are numbered in the order of their names; a head whose loss has no weight has no momentum.
    let expected = try #require(checkpoint.optimizer["momentum"])
    let momentum = try #require(root["optimizer_state"]?["state"]?.dictionary?.pairs)
    #expect(momentum.count == expected.count && momentum.count > unique.count - 4)
    for (key, value) in momentum {
      let name = unique[try #require(key.integer)].name
      let tensor = try #require(value["momentum_buffer"]?.tensor)
      #expect(try file.values(of: tensor) == expected[name], "\(name)")
    }
    #expect(
      root["optimizer_state"]?["param_groups"]?.elements?.first?["params"]?.elements?.compactMap(\.integer)
        == Array(unique.indices))
    #expect(root["current_epoch"]?.integer == 2)
    #expect(root["logging"]?.json == checkpoint.state.log.json)
    #expect(root["trainer_name"]?.string == "nnUNetTrainer")
    #expect(root["init_args"]?["fold"]?.integer == 0)
    #expect(root["init_args"]?["plans"]?.json == checkpoint.state.plans)
    #expect(root["inference_allowed_mirroring_axes"]?.elements?.compactMap(\.integer) == [0, 1, 2])
  }

  @Test("A folder that is there is left alone, and a failed export leaves nothing")
  func exportRefusals() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let (model, _) = try trained(small)
    let output = small.root.appending(path: "exported")
    try FileManager.default.createDirectory(at: output, withIntermediateDirectories: true)
    let request = CheckpointExportRequest(source: model, output: output)
    #expect(throws: Diagnostic.self) { try small.pipeline.exportCheckpoints(request) }
    #expect(try small.contents(of: output).isEmpty)
    try FileManager.default.removeItem(at: output)
    let file = model.appending(path: "fold_0/checkpoint_final.safetensors")
    var bytes = try Data(contentsOf: file)
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: file)
    #expect(throws: Diagnostic.self) { try small.pipeline.exportCheckpoints(request) }
    #expect(!FileManager.default.fileExists(atPath: output.path))
    let left = try FileManager.default.contentsOfDirectory(atPath: small.root.path)
    #expect(!left.contains { $0.hasSuffix(".tmp") })
  }

  @Test(
    "An archive installs elsewhere and predicts the same, in each form",
    arguments: ModelArchiveRequest.Form.allCases)
  func archive(form: ModelArchiveRequest.Form) throws {
    let small = try SmallDataset()
    defer { small.remove() }
    _ = try trained(small)
    let zip = small.root.appending(path: "model.zip")
    var request = ModelArchiveRequest(dataset: phantomDatasetName, output: zip)
    #expect(throws: Diagnostic.self) { try small.pipeline.exportModels(request) }
    #expect(!FileManager.default.fileExists(atPath: zip.path))
    request.folds = [.number(0)]
    request.form = form
    try small.pipeline.exportModels(request)

    let other = Pipeline(roots: DatasetRoots(root: small.root.appending(path: "other")))
    let models = try other.installModels(from: zip)
    #expect(models.map(\.lastPathComponent) == ["nnUNetTrainer__nnUNetPlans__3d_fullres"])
    let names = try FileManager.default.contentsOfDirectory(atPath: models[0].appending(path: "fold_0").path)
    #expect(names.contains("checkpoint_final.pth") == (form != .safetensors))
    #expect(names.contains("checkpoint_final.safetensors") == (form != .pth))
    let ours = try predictions(small.pipeline, small, "ours")
    #expect(ours.count == 5)
    #expect(try predictions(other, small, "theirs") == ours)

    let before = try small.contents(of: small.root.appending(path: "other"))
    #expect(throws: Diagnostic.self) { try other.installModels(from: zip) }
    #expect(try small.contents(of: small.root.appending(path: "other")) == before)
  }

  @Test(
    "An archive with something else in it installs nothing",
    arguments: ["code", "postprocessing", "stray", "outside", "no weights", "no plans"])
  func hostileArchive(kind: String) throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let (model, _) = try trained(small)
    let call = "cos\nsystem\nX\u{2}\0\0\0id\u{85}R.".unicodeScalars.map { UInt8($0.value) }
    let pickle: [UInt8] = [0x80, 2] + call
    let evil = small.root.appending(path: "evil.pth")
    try ZipWriter.write(to: evil) { try $0.add("archive/data.pkl", pickle, isCompressed: false) }
    let good = small.root.appending(path: "good.pth")
    try PyTorchCheckpoint.write(.dictionary([(String, PickleValue)]()), PyTorchStorages(), to: good)

    let prefix = "Dataset999_Other/nnUNetTrainer__nnUNetPlans__3d_fullres"
    var members: [String: [UInt8]] = [:]
    for name in ["plans.json", "dataset.json"] {
      members["\(prefix)/\(name)"] = [UInt8](try Data(contentsOf: model.appending(path: name)))
    }
    members["\(prefix)/fold_0/checkpoint_final.pth"] = [UInt8](try Data(contentsOf: good))
    let expected: String
    switch kind {
    case "code":
      members["\(prefix)/fold_0/checkpoint_final.pth"] = [UInt8](try Data(contentsOf: evil))
      expected = "os.system"
    case "postprocessing":
      members["\(prefix)/crossval_results_folds_0/postprocessing.pkl"] = pickle
      expected = "os.system"
    case "stray":
      members["README.txt"] = [1]
      expected = "README.txt"
    case "outside":
      members["Dataset999_Other/../../evil"] = [1]
      expected = "../../evil"
    case "no weights":
      members["\(prefix)/fold_0/checkpoint_final.pth"] = nil
      expected = "no checkpoint"
    default:
      members["\(prefix)/plans.json"] = nil
      expected = "plans.json"
    }
    let zip = small.root.appending(path: "model.zip")
    try ZipWriter.write(to: zip) { writer in
      for (name, content) in members.sorted(by: { $0.key < $1.key }) { try writer.add(name, content) }
    }
    let other = Pipeline(roots: DatasetRoots(root: small.root.appending(path: "other")))
    let error = #expect(throws: Diagnostic.self) { try other.installModels(from: zip) }
    #expect(error?.description.contains(expected) == true, "\(error?.description ?? "")")
    #expect(!FileManager.default.fileExists(atPath: small.root.appending(path: "other").path))
  }

  /// Writes a checkpoint of bare weights in the place of a fold's own.
  private func replace(
    _ model: URL, with weights: [(String, NDArray<Float>)], trainer: String = "nnUNetTrainer"
  ) throws {
    var storages = PyTorchStorages()
    let values = weights.map { ($0.0, storages.add($0.1)) }
    try? FileManager.default.removeItem(at: model.appending(path: "fold_0/checkpoint_final.safetensors"))
    try PyTorchCheckpoint.write(
      .dictionary([("network_weights", .dictionary(values)), ("trainer_name", .string(trainer))]), storages,
      to: model.appending(path: "fold_0/checkpoint_final.pth"))
  }

  @Test("Weights alone predict, and a trainer that nnU-Net does not have is said to be one")
  func bareWeights() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let (model, checkpoint) = try trained(small)
    let expected = try predictions(small.pipeline, small, "own")
    var pipeline = small.pipeline
    let sink = NoteSink()
    pipeline.progress = sink
    let weights = checkpoint.weights.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    try replace(model, with: weights)
    #expect(try predictions(pipeline, small, "bare") == expected)
    #expect(!sink.notes.contains { $0.contains("does not have") })
    try replace(model, with: weights.map { ("module." + $0.0, $0.1) }, trainer: "nnUNetTrainerOfMine")
    #expect(try predictions(pipeline, small, "foreign") == expected)
    #expect(sink.notes.contains { $0.contains("nnUNetTrainerOfMine") && $0.contains("does not have") })
  }

  @Test("Tensors of another network, and names that disagree, are refused")
  func otherWeights() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let (model, checkpoint) = try trained(small)
    let weights = checkpoint.weights.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    let first = try #require(weights.first { $0.0.hasPrefix("encoder.") })
    try replace(model, with: weights + [("encoder.attention.weight", first.1)])
    var error = #expect(throws: Diagnostic.self) { try predictions(small.pipeline, small, "extra") }
    #expect(error?.found?.contains("encoder.attention.weight") == true)
    var changed = first.1
    changed = NDArray(shape: changed.shape, elements: changed.elements.map { $0 + 1 })
    try replace(model, with: weights + [("decoder.\(first.0)", changed)])
    error = #expect(throws: Diagnostic.self) { try predictions(small.pipeline, small, "alias") }
    #expect(error?.expected?.contains("decoder.\(first.0)") == true)
    try replace(model, with: Array(weights.dropFirst()))
    #expect(throws: Diagnostic.self) { try predictions(small.pipeline, small, "missing") }
  }
}
