// Postprocessing: which steps help a folder of predictions, and applying them to others.

import Archives
package import Datasets
package import Evaluation
package import Foundation
import Reporting
import VolumeFormats

/// Where the labels of a folder of predictions are described.
package struct PredictionsFolder: Sendable {
  package var url: URL
  /// `dataset.json`; the one in the folder if `nil`.
  package var datasetJSON: URL?

  package init(_ url: URL, datasetJSON: URL? = nil) {
    self.url = url
    self.datasetJSON = datasetJSON
  }

  /// The description of the dataset that was predicted.
  func description() throws -> DatasetDescription {
    let file = datasetJSON ?? url.appending(path: "dataset.json")
    guard FileManager.default.fileExists(atPath: file.path) else {
      throw Diagnostic(
        "there is no description of what was predicted", at: file.path,
        expected: "dataset.json, as prediction and ensembling leave it", found: "no such file",
        remedy: "give it with -dataset_json")
    }
    return try DatasetDescription(contentsOf: file)
  }

  /// The labels of the dataset that was predicted.
  package func labels() throws -> LabelScheme { try description().labels }

  /// The names of the label maps, sorted.
  func files(ending: String) throws -> [String] {
    let names: [String]
    do { names = try FileManager.default.contentsOfDirectory(atPath: url.path) } catch {
      throw Diagnostic(
        "cannot list a folder", at: url.path, expected: "a folder of label maps",
        found: error.localizedDescription, remedy: "check the path")
    }
    let files = names.filter { $0.hasSuffix(ending) && !$0.hasPrefix(".") }.sorted(by: precedesByCodePoint)
    guard !files.isEmpty else {
      throw Diagnostic(
        "there are no predictions", at: url.path, expected: "label maps that end in \(ending)", found: "none",
        remedy: "check the folder and the file ending in dataset.json")
    }
    return files
  }
}

extension Pipeline {
  /// Searches the postprocessing that helps a folder of predictions and writes it there: `postprocessing.json`,
  /// `postprocessing.pkl` and, unless they are not wanted, the label maps in `postprocessed/`.
  ///
  /// - Source: nnU-Net's `determine_postprocessing`.
  @discardableResult
  package func determinePostprocessing(
    of predictions: PredictionsFolder, references: URL, keepsFiles: Bool = true,
    accepts: PostprocessingRule = { $1 }
  ) throws -> PostprocessingSearch {
    let description = try predictions.description()
    let (folder, labels) = (predictions.url, description.labels)
    let files = try predictions.files(ending: description.fileEnding)
    try warnAboutMissing(files, references: references, ending: description.fileEnding)
    let summaryFile = folder.appending(path: "summary.json")
    let known = try? EvaluationSummary(contentsOf: summaryFile)
    let search = try searchPostprocessing(
      of: files, in: folder, references: references, scheme: labels, baseline: known
    ) { trial, verdict in
      try cancellation.check()
      return try accepts(trial, verdict)
    }
    if known == nil { try search.baseline.write(to: summaryFile) }
    let output = folder.appending(path: "postprocessed")
    if keepsFiles {
      try makeFolderAtomically(output, replacing: true) { new in
        try writePostprocessed(
          search.steps, of: files, in: folder, output: new, maximumLabel: labels.allLabels.max() ?? 0)
        try search.final.renamed(to: output).write(to: new.appending(path: "summary.json"))
      }
    }
    try search.json.write(to: folder.appending(path: "postprocessing.json"), sortedKeys: true)
    try writeAtomically(
      Data(PickleWriter.pickle(search.steps.pickle)), to: folder.appending(path: "postprocessing.pkl"))
    return search
  }

  private func warnAboutMissing(_ files: [String], references: URL, ending: String) throws {
    let all = try PredictionsFolder(references).files(ending: ending)
    let missing = all.filter { !Set(files).contains($0) }
    guard let first = missing.first else { return }
    progress.note(
      "\(missing.count) of the \(all.count) references have no prediction, such as \(first); postprocessing is best decided on all of them"
    )
  }

  /// Applies the steps of a file to a folder of predictions.
  ///
  /// - Source: nnU-Net's `apply_postprocessing`.
  package func applyPostprocessing(
    _ steps: [PostprocessingStep], to predictions: PredictionsFolder, output: URL
  ) throws {
    let description = try predictions.description()
    let files = try predictions.files(ending: description.fileEnding)
    try requireWritableFolder(output)
    progress.begin("postprocess", total: files.count)
    defer { progress.end() }
    for (index, name) in files.enumerated() {
      try cancellation.check()
      try writePostprocessed(
        steps, of: [name], in: predictions.url, output: output,
        maximumLabel: description.labels.allLabels.max() ?? 0)
      progress.update(completed: index + 1, detail: name)
    }
    try description.json.write(to: output.appending(path: "dataset.json"))
    let plans = predictions.url.appending(path: "plans.json")
    if FileManager.default.fileExists(atPath: plans.path),
      predictions.url.standardizedFileURL != output.standardizedFileURL
    {
      try copyAtomically(plans, to: output.appending(path: "plans.json"), as: "the plans")
    }
  }
}

extension EvaluationSummary {
  /// The same scores of files of the same names in another folder.
  func renamed(to folder: URL) -> EvaluationSummary {
    EvaluationSummary(
      targets: targets,
      cases: cases.map { entry in
        var entry = entry
        let name = URL(filePath: entry.predictionFile).lastPathComponent
        entry.predictionFile = folder.appending(path: name).path
        return entry
      })
  }
}
