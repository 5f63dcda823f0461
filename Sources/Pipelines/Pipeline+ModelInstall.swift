// Model archives as nnU-Net exports them, installed into the results: checked first, then all or nothing.

import Archives
import Datasets
import Evaluation
package import Foundation
import Planning
import Reporting
import Training

/// What a model archive holds, by where it goes.
private struct ModelArchiveContents {
  /// `Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres`.
  var models: [String] = []
  /// `Dataset004_Hippocampus/ensembles/ensemble___...`.
  var ensembles: [String] = []
  /// Notes beside them, such as `Dataset004_Hippocampus/inference_information.json`.
  var notes: [String] = []

  /// Sorts the members of an archive.
  /// - Throws: ``Diagnostic`` for a member that has no place in the results.
  init(of archive: ZipReader) throws(Diagnostic) {
    for entry in archive.entries where !entry.isFolder {
      let parts = entry.name.split(separator: "/").map(String.init)
      guard parts[0].hasPrefix("Dataset"), parts.count > 1 else { throw Self.refuse(entry, archive) }
      if parts.count == 2 {
        guard Self.noteNames.contains(parts[1]) else { throw Self.refuse(entry, archive) }
        notes.append(entry.name)
      } else if parts[1] == "ensembles" {
        guard parts.count > 3 else { throw Self.refuse(entry, archive) }
        Self.insert(parts.prefix(3).joined(separator: "/"), into: &ensembles)
      } else {
        guard parts[1].components(separatedBy: "__").count == 3 else { throw Self.refuse(entry, archive) }
        Self.insert(parts.prefix(2).joined(separator: "/"), into: &models)
      }
    }
    guard models.isEmpty else { return }
    throw Diagnostic(
      "the archive holds no model", at: archive.file.path,
      expected: "DatasetXXX_NAME/TRAINER__PLANS__CONFIGURATION/fold_0/checkpoint_final.pth and the like",
      found: "\(archive.entries.count) other members", remedy: "give a zip that export_model_to_zip made")
  }

  static let noteNames = [
    "inference_information.json", "inference_information.txt", "inference_instructions.txt",
  ]

  private static func insert(_ path: String, into paths: inout [String]) {
    if !paths.contains(path) { paths.append(path) }
  }

  private static func refuse(_ entry: ZipEntry, _ archive: ZipReader) -> Diagnostic {
    Diagnostic(
      "the archive holds something that is no part of a model", at: archive.file.path,
      expected: "members DatasetXXX_NAME/TRAINER__PLANS__CONFIGURATION/...", found: entry.name,
      remedy: "give a zip that export_model_to_zip made; nothing was installed")
  }
}

extension Pipeline {
  /// Installs the models of an archive into the results; if anything is wrong, nothing changes there.
  ///
  /// - Returns: The models' folders.
  @discardableResult
  package func installModels(from file: URL) throws -> [URL] {
    let results = try roots.results()
    let archive = try ZipReader(file)
    try archive.checkMembers()
    let contents = try ModelArchiveContents(of: archive)
    try refuseExisting(contents, in: results)
    return try removingEmptyFolders(results) {
      try createFolder(results)
      removeAbandonedTemporaries(in: results)
      let unique = "\(ProcessInfo.processInfo.processIdentifier).\(UInt32.random(in: 0 ... .max))"
      let staging = results.appending(path: ".install.\(unique).tmp")
      defer { try? FileManager.default.removeItem(at: staging) }
      try archive.extract(to: staging)
      try checkPickles(in: staging)
      for model in contents.models { try checkModel(staging.appending(path: model)) }
      try move(contents, from: staging, to: results)
      for model in contents.models {
        let folds = foldFolders(of: results.appending(path: model)).map { $0.dropFirst(5) }
        progress.note("installed \(model), folds \(folds.joined(separator: " "))")
      }
      return contents.models.map { results.appending(path: $0) }
    }
  }

  private func refuseExisting(_ contents: ModelArchiveContents, in results: URL) throws(Diagnostic) {
    for path in contents.models + contents.ensembles {
      let url = results.appending(path: path)
      guard FileManager.default.fileExists(atPath: url.path) else { continue }
      throw Diagnostic(
        "there is such a model already", at: url.path, expected: "a place that is free",
        found: "an existing folder",
        remedy: "move it away, or install with another --root; nothing was installed")
    }
  }

  /// Stops unless a model's folder can be read, without running anything that lies in it.
  private func checkModel(_ folder: URL) throws {
    var count = 0
    for fold in foldFolders(of: folder) {
      let url = folder.appending(path: fold)
      for name in try FileManager.default.contentsOfDirectory(atPath: url.path).sorted() {
        try cancellation.check()
        let file = url.appending(path: name)
        if file.pathExtension == "pth" {
          _ = try PyTorchCheckpoint.read(file)
        } else if file.pathExtension == Checkpoint.fileExtension {
          _ = try Checkpoint(contentsOf: file)
        } else {
          continue
        }
        count += 1
      }
    }
    guard count > 0 else {
      throw Diagnostic(
        "a model of the archive has no weights", at: folder.lastPathComponent,
        expected: "fold_0/checkpoint_final.pth or the like", found: "no checkpoint",
        remedy: "export it again; nothing was installed")
    }
    _ = try Plans(contentsOf: folder.appending(path: "plans.json"))
    _ = try DatasetDescription(contentsOf: folder.appending(path: "dataset.json"))
  }

  /// nnU-Net runs what a pickle says; one that says more than data has no place in its folders.
  private func checkPickles(in folder: URL) throws {
    for path in FileManager.default.subpaths(atPath: folder.path) ?? [] where path.hasSuffix(".pkl") {
      let file = folder.appending(path: path)
      _ = try PickleReader.read(
        readRegularFile(file, as: "the pickle"), source: path, names: [PostprocessingStep.pickleName])
    }
  }

  /// Puts everything in place by renaming; what was moved goes back if one cannot be.
  private func move(_ contents: ModelArchiveContents, from staging: URL, to results: URL) throws {
    var moved: [String] = []
    do {
      for path in contents.models + contents.ensembles + contents.notes {
        let target = results.appending(path: path)
        if contents.notes.contains(path), FileManager.default.fileExists(atPath: target.path) {
          progress.note("kept \(target.path); the archive has one too")
          continue
        }
        try createFolder(target.deletingLastPathComponent())
        try FileManager.default.moveItem(at: staging.appending(path: path), to: target)
        moved.append(path)
      }
    } catch {
      for path in moved.reversed() {
        try? FileManager.default.moveItem(
          at: results.appending(path: path), to: staging.appending(path: path))
      }
      throw Diagnostic(
        "the models cannot be put in place", at: results.path, expected: "a folder that can be written",
        found: (error as? Diagnostic)?.failure ?? error.localizedDescription,
        remedy: "check the folder's permissions and mount; nothing was installed")
    }
  }
}
