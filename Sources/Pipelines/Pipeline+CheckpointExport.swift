// Trained models for nnU-Net: a folder of its form, with checkpoints that it loads.

import Archives
package import Datasets
package import Foundation
import Reporting
import Training

/// What to make for nnU-Net.
package struct CheckpointExportRequest: Sendable {
  /// A model's folder, or one checkpoint of this program.
  package var source: URL
  /// The model's folder to make.
  package var output: URL
  /// Folds to take; empty for all that are there.
  package var folds: [Fold]
  package var checkpoints: [CheckpointName]
  /// The trainer class that nnU-Net shall take, if not the one chosen by the checkpoint's trainer.
  package var trainerName: String?

  package init(
    source: URL, output: URL, folds: [Fold] = [], checkpoints: [CheckpointName] = [.final],
    trainerName: String? = nil
  ) {
    self.source = source
    self.output = output
    self.folds = folds
    self.checkpoints = checkpoints
    self.trainerName = trainerName
  }
}

extension Pipeline {
  /// Writes a model of this program as nnU-Net keeps one: plans.json, dataset.json and a checkpoint for each fold.
  package func exportCheckpoints(_ request: CheckpointExportRequest) throws {
    let files = try checkpointFiles(request)
    try makeFolderAtomically(request.output) { folder in
      var first: (file: URL, state: Checkpoint.State)?
      for file in files {
        try cancellation.check()
        let checkpoint = try Checkpoint(contentsOf: file)
        let state = checkpoint.state
        if let first, first.state.plans != state.plans || first.state.dataset != state.dataset {
          throw Diagnostic(
            "the folds do not belong to one model", at: file.path,
            expected: "the plans and dataset.json of \(first.file.path)", found: "others",
            remedy: "export them one by one, with -f or by the checkpoint's file")
        }
        if first == nil {
          first = (file, state)
          try state.plans.write(to: folder.appending(path: "plans.json"))
          try state.dataset.write(to: folder.appending(path: "dataset.json"))
          try copyFingerprint(of: file, to: folder)
        }
        let exported = try ExportedCheckpoint(
          checkpoint, trainerName: request.trainerName, source: file.path)
        let name = file.deletingPathExtension().lastPathComponent
        try exported.write(to: folder.appending(path: "fold_\(state.fold)/\(name).pth"))
        note(exported, of: state, file)
      }
    }
    progress.note("a model for nnU-Net: \(request.output.path)")
  }

  private func note(_ exported: ExportedCheckpoint, of state: Checkpoint.State, _ file: URL) {
    var remarks: [String] = []
    if exported.trainerName != state.settings.name {
      remarks.append("trainer \(state.settings.name) becomes \(exported.trainerName)")
    }
    if !exported.hasOptimizerState { remarks.append("without the optimizer's state") }
    if remarks.isEmpty { return }
    progress.note("\(file.path): \(remarks.joined(separator: ", "))")
  }

  private func copyFingerprint(of checkpoint: URL, to folder: URL) throws {
    let name = "dataset_fingerprint.json"
    let file = checkpoint.deletingLastPathComponent().deletingLastPathComponent().appending(path: name)
    guard FileManager.default.fileExists(atPath: file.path) else { return }
    try copyAtomically(file, to: folder.appending(path: name), as: "the fingerprint")
  }

  /// The checkpoints that a request names.
  private func checkpointFiles(_ request: CheckpointExportRequest) throws -> [URL] {
    if request.source.pathExtension == Checkpoint.fileExtension { return [request.source] }
    let present = foldFolders(of: request.source)
    let folds = request.folds.isEmpty ? present : request.folds.map(\.folderName)
    guard !folds.isEmpty else {
      throw Diagnostic(
        "there is no model to export", at: request.source.path,
        expected: "a model's folder with fold_0, fold_all or the like, or a checkpoint of this program",
        found: FileManager.default.fileExists(atPath: request.source.path) ? "no folds" : "nothing there",
        remedy: "give the folder TRAINER__PLANS__CONFIGURATION in the results")
    }
    return try folds.flatMap { fold in
      try request.checkpoints.map { name in
        let file = request.source.appending(path: "\(fold)/\(name.stem).\(Checkpoint.fileExtension)")
        guard FileManager.default.fileExists(atPath: file.path) else {
          let theirs = file.deletingPathExtension().appendingPathExtension("pth")
          let isTheirs = FileManager.default.fileExists(atPath: theirs.path)
          throw Diagnostic(
            "there is no checkpoint to export", at: file.path, expected: file.lastPathComponent,
            found: isTheirs ? "\(theirs.lastPathComponent), which is nnU-Net's already" : "no such file",
            remedy: isTheirs
              ? "use the folder as it is"
              : "choose folds with -f (here: \(present.joined(separator: ", "))) "
                + "and checkpoints with -chk")
        }
        return file
      }
    }
  }

  /// The folds of a model that are there, without those moved aside.
  func foldFolders(of model: URL) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: model.path)) ?? []).filter {
      $0.hasPrefix("fold_") && (try? Fold(parsing: String($0.dropFirst(5)))) != nil
    }.sorted()
  }
}
