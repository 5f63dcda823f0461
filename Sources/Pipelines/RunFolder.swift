// The folder of one fold: which checkpoint to go on from, what lies beside the checkpoints.

import Archives
import Figures
import Foundation
import Reporting
import Training

/// Files of one fold in the results.
struct RunFolder {
  let url: URL
  var modelFolder: URL { url.deletingLastPathComponent() }

  /// The checkpoint that has come furthest, if there is any.
  func furthestCheckpoint() throws -> URL? {
    var best: (url: URL, progress: (Int, Int))?
    for candidate in checkpoints() {
      let state: Checkpoint.State
      do { state = try Checkpoint.state(of: candidate) } catch { throw offering(others: candidate, error) }
      let progress = (state.epoch, state.losses.count)
      if best.map({ progress > $0.progress }) ?? true { best = (candidate, progress) }
    }
    return best?.url
  }

  /// Reads a checkpoint of this folder.
  ///
  /// - Throws: if it is damaged, with the checkpoints that could be used in its place.
  func readCheckpoint(_ file: URL) throws(Diagnostic) -> Checkpoint {
    do { return try Checkpoint(contentsOf: file) } catch { throw offering(others: file, error) }
  }

  private func checkpoints() -> [URL] {
    Trainer.CheckpointKind.allCases
      .map { url.appending(path: "checkpoint_\($0.rawValue).\(Checkpoint.fileExtension)") }
      .filter { FileManager.default.fileExists(atPath: $0.path) }
  }

  /// An error about a file with the way on: the other checkpoints that are whole.
  private func offering(others damaged: URL, _ error: Diagnostic) -> Diagnostic {
    let others = checkpoints().filter { $0 != damaged }.compactMap { file -> String? in
      guard let state = try? Checkpoint(contentsOf: file).state else { return nil }
      return "\(file.lastPathComponent), with \(state.epoch) of \(state.settings.epochs) epochs"
    }
    var error = error
    error.remedy =
      others.isEmpty
      ? "no other checkpoint of this fold is whole: copy the file again from where it comes, or train anew with --overwrite"
      : "move the file away (mv \(damaged.lastPathComponent) damaged) and go on with --c from "
        + others.joined(separator: ", or ")
    return error
  }

  /// Whether the last checkpoint of a training lies here.
  var isFinished: Bool {
    let name = "checkpoint_\(Trainer.CheckpointKind.final.rawValue).\(Checkpoint.fileExtension)"
    return FileManager.default.fileExists(atPath: url.appending(path: name).path)
  }

  /// What a stopped training says about where it can go on, from a call that goes on by itself or a command that needs
  /// `--c`.
  func stopNotice(goesOn: Bool) -> String {
    guard let file = try? furthestCheckpoint(), let state = try? Checkpoint.state(of: file) else {
      return "stopped; no checkpoint could be written, so a new training would start from the beginning"
    }
    return
      "stopped with \(state.epoch) of \(state.settings.epochs) epochs done and \(state.losses.count) iterations "
      + "of the next; the state is in \(file.path), "
      + (goesOn ? "the same call goes on from there" : "go on with --c")
  }

  /// Removes what a training left that failed before it had learnt anything, so that the next one finds the folder free.
  func forgetEmptyRun() {
    guard let file = try? furthestCheckpoint() else {
      try? FileManager.default.removeItem(at: url.appending(path: RunIdentity.fileName))
      return
    }
    guard let state = try? Checkpoint.state(of: file), state.epoch == 0, state.losses.isEmpty else { return }
    for name in [file.lastPathComponent, RunIdentity.fileName] {
      try? FileManager.default.removeItem(at: url.appending(path: name))
    }
  }

  var hasRun: Bool {
    ((try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? [])
      .contains { $0.hasPrefix("checkpoint_") || $0 == RunIdentity.fileName }
  }

  /// Moves the folder to the first free name `fold_0.old-1`, `fold_0.old-2`, ...
  func moveAside() throws(Diagnostic) -> URL {
    let name = url.lastPathComponent
    for number in 1... {
      let target = modelFolder.appending(path: "\(name).old-\(number)")
      if FileManager.default.fileExists(atPath: target.path) { continue }
      do { try FileManager.default.moveItem(at: url, to: target) } catch {
        throw Diagnostic(
          "the old run cannot be moved aside", at: url.path, expected: "\(target.path) in its place",
          found: error.localizedDescription,
          remedy: "check the folder's mount and permissions; nothing was changed")
      }
      return target
    }
    return url
  }

  /// Other folds of the model that hold runs; those moved aside do not count.
  private func otherRuns() -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: modelFolder.path)) ?? []).sorted().filter {
      $0.hasPrefix("fold_") && !$0.contains(".old-") && $0 != url.lastPathComponent
        && RunFolder(url: modelFolder.appending(path: $0)).hasRun
    }
  }

  /// What nnU-Net keeps beside the folds; files that are there already with the same content stay as they are.
  ///
  /// - Throws: when a file with other content belongs to other folds.
  func writeModelFiles(plans: JSON, dataset: JSON, fingerprint: JSON) throws(Diagnostic) {
    for (name, json, isSorted) in [
      ("plans.json", plans, false), ("dataset.json", dataset, false),
      ("dataset_fingerprint.json", fingerprint, true),
    ] {
      let file = modelFolder.appending(path: name)
      if FileManager.default.fileExists(atPath: file.path) {
        if let present = try? JSON(contentsOf: file), present == json { continue }
        let others = otherRuns()
        guard others.isEmpty else {
          throw Diagnostic(
            "other folds of this model were trained with another \(name)", at: file.path,
            expected: "the \(name) of the preprocessed dataset",
            found: "another one, which \(others.joined(separator: ", ")) needs",
            remedy: "train under another trainer name or other plans (-p), or move the model's folder away")
        }
      }
      try json.write(to: file, sortedKeys: isSorted)
    }
  }
}

extension TrainingLog {
  /// The figures as the training curve draws them.
  var curve: TrainingCurve {
    TrainingCurve(
      trainingLosses: epochs.map(\.trainingLoss), validationLosses: epochs.map(\.validationLoss),
      pseudoDice: epochs.map(\.meanDice), smoothedPseudoDice: epochs.map(\.movingAverageDice),
      epochSeconds: epochs.map(\.duration), learningRates: epochs.map(\.learningRate))
  }
}
