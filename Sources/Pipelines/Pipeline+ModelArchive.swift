// Trained models as one zip archive, as nnU-Net exports them.

import Archives
package import Datasets
package import Foundation
import Reporting
import Training

/// What to put into a model archive.
package struct ModelArchiveRequest: Sendable {
  /// The checkpoints of this program's trainings.
  package enum Form: String, Sendable, CaseIterable {
    /// Converted to nnU-Net's form, which both programs read.
    case pth
    /// As they are, which only this program reads.
    case safetensors
    case both
  }

  package var dataset: String
  package var output: URL
  /// Configurations; `nil` for nnU-Net's four as far as they are trained.
  package var configurations: [String]?
  package var trainerName = "nnUNetTrainer"
  package var plans = "nnUNetPlans"
  package var folds: [Fold] = (0..<5).map { .number($0) }
  package var checkpoints: [CheckpointName] = [.final]
  package var form = Form.pth
  /// Whether configurations and folds that are missing stop the work.
  package var isStrict = true
  package var includesPredictions = false

  package init(dataset: String, output: URL) {
    self.dataset = dataset
    self.output = output
  }
}

extension Pipeline {
  /// nnU-Net's configurations in the order in which it exports them.
  private static let standardConfigurations = ["3d_lowres", "3d_fullres", "2d", "3d_cascade_fullres"]

  /// Writes trained models, their scores and ensembles into one archive, at once or not at all.
  package func exportModels(_ request: ModelArchiveRequest) throws {
    let folder = try roots.resultsFolder(of: request.dataset)
    let models = try modelNames(request, in: folder)
    try ZipWriter.write(to: request.output) { writer in
      let members = ModelArchiveWriter(
        writer: writer, request: request, datasetFolder: folder, progress: progress,
        cancellation: cancellation)
      for model in models { try members.addModel(model) }
      try members.addEnsembles(of: models)
      try members.addNotes()
    }
    progress.note("\(models.count) models: \(request.output.path)")
  }

  /// The models in a dataset's results.
  func modelNames(in folder: URL) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
      .filter { (try? ModelReference(folderName: $0)) != nil }.sorted()
  }

  private func modelNames(_ request: ModelArchiveRequest, in folder: URL) throws -> [String] {
    func name(_ configuration: String) -> String {
      ModelReference(
        trainer: request.trainerName, plans: request.plans, configuration: configuration
      ).folderName
    }
    func isTrained(_ configuration: String) -> Bool {
      FileManager.default.fileExists(atPath: folder.appending(path: name(configuration)).path)
    }
    let wanted = request.configurations ?? Self.standardConfigurations
    let trained = wanted.filter(isTrained)
    let missing = request.configurations == nil ? [] : wanted.filter { !isTrained($0) }
    if !trained.isEmpty, missing.isEmpty || !request.isStrict {
      for configuration in missing { progress.note("\(name(configuration)) is not trained and left out") }
      return trained.map(name)
    }
    let others = modelNames(in: folder)
    let sought = name(missing.first ?? wanted.first ?? "")
    throw Diagnostic(
      "there is no model \(sought)", at: folder.path, expected: "a trained configuration",
      found: others.isEmpty ? "no models of this dataset" : others.joined(separator: ", "),
      remedy: "check -d, -c, -tr and -p, or give --not_strict to leave out what is missing")
  }
}

/// Adds the members of an archive.
private struct ModelArchiveWriter {
  let writer: ZipWriter
  let request: ModelArchiveRequest
  let datasetFolder: URL
  let progress: any ProgressSink
  let cancellation: CancellationFlag

  private func exists(_ path: String) -> Bool {
    FileManager.default.fileExists(atPath: datasetFolder.appending(path: path).path)
  }

  /// Adds a file by its path in the dataset's results, from another place if given.
  private func add(_ path: String, from file: URL? = nil) throws {
    try cancellation.check()
    let mapped = try MappedFile(file ?? datasetFolder.appending(path: path), as: "a file of the model")
    try mapped.withBytes { try writer.add("\(request.dataset)/\(path)", [$0]) }
  }

  private func addIfThere(_ paths: [String]) throws { for path in paths where exists(path) { try add(path) } }

  func addModel(_ model: String) throws {
    var folds: [Fold] = []
    for fold in request.folds {
      if exists("\(model)/\(fold.folderName)") {
        folds.append(fold)
      } else if request.isStrict {
        throw Diagnostic(
          "fold \(fold) of \(model) is not trained", at: datasetFolder.appending(path: model).path,
          expected: request.folds.map(\.folderName).joined(separator: ", "), found: "no \(fold.folderName)",
          remedy: "name the folds that are trained with -f, or give --not_strict")
      } else {
        progress.note("\(model)/\(fold.folderName) is not there and left out")
      }
    }
    for fold in folds { try addFold("\(model)/\(fold.folderName)") }
    let crossValidation =
      "\(model)/crossval_results_folds_\(request.folds.map { "\($0)" }.joined(separator: "_"))"
    try addScores(crossValidation)
    for name in ["plans.json", "dataset.json"] { try add("\(model)/\(name)") }
    try addIfThere(["\(model)/dataset_fingerprint.json"])
  }

  private func addFold(_ fold: String) throws {
    progress.note("adding \(fold)")
    try addIfThere(["\(fold)/debug.json"])
    for checkpoint in request.checkpoints { try addCheckpoint("\(fold)/\(checkpoint.stem)") }
    try addIfThere(["\(fold)/progress.png", "\(fold)/network_architecture.pdf"])
    if request.includesPredictions {
      try addFiles(of: "\(fold)/validation") { !$0.hasSuffix(".npz") && !$0.hasSuffix(".pkl") }
    } else {
      try addIfThere(["\(fold)/validation/summary.json"])
    }
  }

  /// Adds a checkpoint in the forms that were asked for; one of nnU-Net's goes as it is.
  private func addCheckpoint(_ stem: String) throws {
    let (own, theirs) = ("\(stem).\(Checkpoint.fileExtension)", "\(stem).pth")
    guard exists(own) else {
      guard exists(theirs) else {
        throw Diagnostic(
          "a checkpoint is missing", at: datasetFolder.appending(path: own).path,
          expected: "\(URL(filePath: own).lastPathComponent) or \(URL(filePath: theirs).lastPathComponent)",
          found: "neither", remedy: "finish the training, or choose another checkpoint with -chk")
      }
      return try add(theirs)
    }
    if request.form != .pth { try add(own) }
    guard request.form != .safetensors else { return }
    let file = datasetFolder.appending(path: own)
    let exported = try ExportedCheckpoint(Checkpoint(contentsOf: file), source: file.path)
    let temporary = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).pth")
    defer { try? FileManager.default.removeItem(at: temporary) }
    try exported.write(to: temporary)
    try add(theirs, from: temporary)
  }

  private func addFiles(of folder: String, where isWanted: (String) -> Bool) throws {
    let url = datasetFolder.appending(path: folder)
    for name in ((try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []).sorted()
    where isWanted(name) && !name.hasPrefix(".") {
      let values = try url.appending(path: name).resourceValues(forKeys: [.isRegularFileKey])
      if values.isRegularFile == true { try add("\(folder)/\(name)") }
    }
  }

  /// What was found about a model or an ensemble over all folds.
  private func addScores(_ folder: String) throws {
    if request.includesPredictions { return try addFiles(of: folder) { _ in true } }
    try addIfThere(
      ["summary.json", "postprocessing.pkl", "postprocessing.json"].map { "\(folder)/\($0)" })
  }

  /// Adds the ensembles all of whose models are in the archive.
  func addEnsembles(of models: [String]) throws {
    let url = datasetFolder.appending(path: "ensembles")
    for name in ((try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []).sorted() {
      // ensemble___MODEL___MODEL___FOLDS
      let parts = name.components(separatedBy: "___")
      guard parts.count > 3, parts[0] == "ensemble", parts[1..<parts.count - 1].allSatisfy(models.contains)
      else { continue }
      try addScores("ensembles/\(name)")
    }
  }

  func addNotes() throws {
    try addIfThere([
      "inference_information.json", "inference_information.txt", "inference_instructions.txt",
    ])
  }
}
