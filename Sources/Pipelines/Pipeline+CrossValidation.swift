// The held-out cases of all folds together: collected and scored, for one model and for an ensemble of several.

import Archives
package import Datasets
package import Evaluation
package import Foundation
import Inference
import Planning
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// The predictions of a cross-validation in one folder, with their scores.
package struct CrossValidation: Sendable {
  package var folder: URL
  package var summary: EvaluationSummary
}

extension Pipeline {
  /// Collects what every fold predicted of its held-out cases and scores all of it together.
  ///
  /// - Parameters:
  ///   - output: the model's `crossval_results_folds_...` if `nil`; another folder has to be empty.
  ///   - keepsExisting: whether what is there is completed rather than made again.
  /// - Throws: a ``Diagnostic`` with the folds that are missing and the commands that train them.
  /// - Source: nnU-Net's `accumulate_crossval_results`.
  package func accumulateCrossValidation(
    of model: ModelReference, dataset: String, folds: [Fold], to output: URL? = nil,
    keepsExisting: Bool = false
  ) throws -> CrossValidation {
    let modelFolder = try modelFolder(dataset: dataset, named: model.folderName)
    let (_, description) = try readModel(at: modelFolder)
    let files = try validationFiles(of: model, dataset: dataset, folds, ending: description.fileEnding)
    let folder = output ?? modelFolder.appending(path: "crossval_results_folds_\(folds.joinedName)")
    if output != nil { try requireEmpty(folder) }
    let summaryFile = folder.appending(path: "summary.json")
    if keepsExisting, let summary = try? EvaluationSummary(contentsOf: summaryFile),
      files.keys.allSatisfy({ FileManager.default.fileExists(atPath: folder.appending(path: $0).path) })
    {
      return CrossValidation(folder: folder, summary: summary)
    }
    let references = try referenceFolder(of: dataset)
    return try makeFolderAtomically(folder, replacing: true) { new in
      for (name, source) in files {
        try copyAtomically(source, to: new.appending(path: name), as: "the prediction")
      }
      try copyDescription(from: modelFolder, to: new)
      let summary = try score(new, as: folder, against: references, description)
      return CrossValidation(folder: folder, summary: summary)
    }
  }

  /// Averages the probabilities that several models kept of their held-out cases, decides and scores.
  ///
  /// - Throws: a ``Diagnostic`` where probabilities are missing, with the commands that make them.
  /// - Source: nnU-Net's `ensemble_crossvalidations`.
  package func ensembleCrossValidations(
    of members: [ModelReference], dataset: String, folds: [Fold], keepsExisting: Bool = false
  ) throws -> CrossValidation {
    let folders = try members.map { try modelFolder(dataset: dataset, named: $0.folderName) }
    let (_, description) = try readModel(at: folders[0])
    let maps = try members.map { try validationFiles(of: $0, dataset: dataset, folds, ending: ".npz") }
    let names = Set(maps.flatMap(\.keys)).sorted(by: precedesByCodePoint)
    for (member, map) in zip(members, maps) {
      if let name = names.first(where: { map[$0] == nil }) {
        throw Diagnostic(
          "\(member.folderName) has not predicted all cases that the others have",
          expected: "\(name) in one of its folds", found: "none",
          remedy: "use folds of the same split, and validate all of them with --val --npz")
      }
    }
    let folder = try roots.resultsFolder(of: dataset).appending(path: "ensembles").appending(
      path: ensembleName(members, folds: folds))
    let ending = description.fileEnding
    if keepsExisting,
      let summary = try? EvaluationSummary(contentsOf: folder.appending(path: "summary.json")),
      names.allSatisfy({ name in
        FileManager.default.fileExists(atPath: folder.appending(path: name.dropLast(4) + ending).path)
      })
    {
      return CrossValidation(folder: folder, summary: summary)
    }
    let references = try referenceFolder(of: dataset, prefersRaw: false)
    return try makeFolderAtomically(folder, replacing: true) { new in
      progress.begin("combine", total: names.count)
      defer { progress.end() }
      for (index, name) in names.enumerated() {
        try cancellation.check()
        let files = maps.compactMap { $0[name] }
        let labels = try ProbabilityEnsemble(files, labels: description.labels).labelMap()
        try writeEnsemble(labels, beside: files[0], description, to: new, name: String(name.dropLast(4)))
        progress.update(completed: index + 1, detail: String(name.dropLast(4)))
      }
      try copyDescription(from: folders[0], to: new)
      let summary = try score(new, as: folder, against: references, description)
      return CrossValidation(folder: folder, summary: summary)
    }
  }

  /// Writes a label map in the geometry of the first model's own.
  func writeEnsemble(
    _ labels: NDArray<Int16>, beside first: URL, _ description: DatasetDescription, to folder: URL,
    name: String
  ) throws {
    let template = first.deletingPathExtension().appendingPathExtension(
      String(description.fileEnding.dropFirst()))
    let geometry = try readLabels(template).geometry
    try writeLabels(
      Volume(voxels: labels, geometry: geometry), to: folder.appending(path: name + description.fileEnding),
      maximumLabel: description.labels.allLabels.max() ?? 0)
  }

  /// What the folds predicted of their held-out cases, by file name.
  private func validationFiles(
    of model: ModelReference, dataset: String, _ folds: [Fold], ending: String
  ) throws -> [String: URL] {
    let modelFolder = try modelFolder(dataset: dataset, named: model.folderName)
    let isProbabilities = ending == ".npz"
    func folder(_ fold: Fold) -> URL {
      modelFolder.appending(path: fold.folderName).appending(path: "validation")
    }
    let missing = folds.filter {
      !FileManager.default.fileExists(atPath: folder($0).appending(path: "summary.json").path)
    }
    if !missing.isEmpty { throw missingFolds(missing, of: model, dataset: dataset, in: modelFolder) }
    var files: [String: URL] = [:]
    for fold in folds {
      let names = try FileManager.default.contentsOfDirectory(atPath: folder(fold).path)
        .filter { $0.hasSuffix(ending) && !$0.hasPrefix(".") }
      if names.isEmpty {
        throw Diagnostic(
          isProbabilities
            ? "fold \(fold) of \(model.folderName) kept no probabilities"
            : "fold \(fold) of \(model.folderName) predicted nothing",
          at: folder(fold).path, expected: "files that end in \(ending)", found: "none",
          remedy: model.trainingCommand(dataset: dataset, fold: fold) + " --val"
            + (isProbabilities ? " --npz, or leave ensembles out with --disable_ensembling" : ""))
      }
      for name in names {
        if let other = files.updateValue(folder(fold).appending(path: name), forKey: name) {
          throw Diagnostic(
            "two folds of \(model.folderName) have predicted the same case", at: folder(fold).path,
            expected: "each case in one fold", found: "\(name), also in \(other.path)",
            remedy: "train and validate all folds with one splits_final.json")
        }
      }
    }
    return files
  }

  private func missingFolds(
    _ missing: [Fold], of model: ModelReference, dataset: String, in modelFolder: URL
  ) -> Diagnostic {
    let names = missing.map(\.description).joined(separator: ", ")
    let commands = missing.map { fold -> String in
      let command = model.trainingCommand(dataset: dataset, fold: fold)
      let folder = modelFolder.appending(path: fold.folderName)
      let isTrained = (try? FileManager.default.contentsOfDirectory(atPath: folder.path))?
        .contains { $0.hasPrefix("checkpoint_final.") }
      return isTrained == true ? "\(command) --val" : command
    }
    return Diagnostic(
      "fold\(missing.count == 1 ? "" : "s") \(names) of \(model.folderName) \(missing.count == 1 ? "is" : "are") missing",
      at: modelFolder.path, expected: "validated folds, each with validation/summary.json",
      found: "none for fold\(missing.count == 1 ? "" : "s") \(names)",
      remedy: "train them: " + commands.joined(separator: "; ") + "; or name the folds that are there with -f"
    )
  }

  /// The reference label maps of a dataset.
  func referenceFolder(of dataset: String, prefersRaw: Bool = true) throws -> URL {
    let raw = roots[.raw]?.appending(path: dataset).appending(path: "labelsTr")
    let kept = roots[.preprocessed]?.appending(path: dataset).appending(path: "gt_segmentations")
    let candidates = (prefersRaw ? [raw, kept] : [kept, raw]).compactMap(\.self)
    if let folder = candidates.first(where: { FileManager.default.fileExists(atPath: $0.path) }) {
      return folder
    }
    throw Diagnostic(
      "there are no reference label maps of \(dataset)",
      expected: candidates.isEmpty
        ? "--root DIR, nnUNet_raw or nnUNet_preprocessed"
        : candidates.map(\.path).joined(separator: " or "),
      found: "neither", remedy: "check --root or the variables nnUNet_*, or preprocess the dataset")
  }

  private func requireEmpty(_ folder: URL) throws(Diagnostic) {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    guard names.isEmpty else {
      throw Diagnostic(
        "the output folder is not empty", at: folder.path, expected: "an empty folder, or none",
        found: "\(names.count) files", remedy: "choose another folder with -o")
    }
  }

  private func copyDescription(from modelFolder: URL, to folder: URL) throws {
    for name in ["dataset.json", "plans.json"] {
      try copyAtomically(
        modelFolder.appending(path: name), to: folder.appending(path: name), as: "the model's description")
    }
  }

  /// Scores the predictions in a folder that will be called otherwise, and writes its summary.json.
  private func score(
    _ folder: URL, as name: URL, against references: URL, _ description: DatasetDescription
  ) throws -> EvaluationSummary {
    let found = try evaluateFolder(
      reference: references, prediction: folder, scheme: description.labels,
      fileEnding: description.fileEnding)
    let summary = found.renamed(to: name)
    try summary.write(to: folder.appending(path: "summary.json"))
    return summary
  }
}
