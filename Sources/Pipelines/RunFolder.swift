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
    for kind in Trainer.CheckpointKind.allCases {
      let candidate = url.appending(path: "checkpoint_\(kind.rawValue).\(Checkpoint.fileExtension)")
      guard FileManager.default.fileExists(atPath: candidate.path) else { continue }
      let state = try Checkpoint.state(of: candidate)
      let progress = (state.epoch, state.losses.count)
      if best.map({ progress > $0.progress }) ?? true { best = (candidate, progress) }
    }
    return best?.url
  }

  var hasRun: Bool {
    ((try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? [])
      .contains { $0.hasPrefix("checkpoint_") || $0 == RunIdentity.fileName }
  }

  /// Moves the folder to the first free name `fold_0.old-1`, `fold_0.old-2`, ...
  func moveAside() throws -> URL {
    let name = url.lastPathComponent
    for number in 1... {
      let target = modelFolder.appending(path: "\(name).old-\(number)")
      if FileManager.default.fileExists(atPath: target.path) { continue }
      try FileManager.default.moveItem(at: url, to: target)
      return target
    }
    return url
  }

  /// Makes the folder and makes sure that files can be written into it, before anything is computed.
  func prepare() throws(Diagnostic) {
    do {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    } catch {
      throw Diagnostic(
        "the results folder cannot be made", at: url.path, expected: "a folder that can be written",
        found: error.localizedDescription,
        remedy: "check the path, its mount and its permissions, or give another --root")
    }
    let probe = url.appending(path: ".probe")
    try writeAtomically(Data(), to: probe)
    try? FileManager.default.removeItem(at: probe)
  }

  /// What nnU-Net keeps beside the folds; files that are there already with the same content stay as they are.
  func writeModelFiles(plans: JSON, dataset: JSON, fingerprint: JSON) throws(Diagnostic) {
    for (name, json, isSorted) in [
      ("plans.json", plans, false), ("dataset.json", dataset, false),
      ("dataset_fingerprint.json", fingerprint, true),
    ] {
      let file = modelFolder.appending(path: name)
      if let present = try? JSON(contentsOf: file), present == json { continue }
      try json.write(to: file, sortedKeys: isSorted)
    }
  }

  /// Appends a line to the log of this launch.
  func appendToLog(_ line: String, named name: String) {
    let file = url.appending(path: name)
    let stamp = Date().formatted(.iso8601)
    let data = Data("\(stamp): \(line)\n".utf8)
    if let handle = try? FileHandle(forWritingTo: file) {
      _ = try? handle.seekToEnd()
      try? handle.write(contentsOf: data)
      try? handle.close()
    } else {
      try? data.write(to: file)
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
