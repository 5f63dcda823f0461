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
      try replacingFolder(at: output) { new in
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
  }
}

extension PostprocessingSearch {
  /// The content of nnU-Net's `postprocessing.json`.
  var json: JSON {
    [
      "input_folder": baseline.meansJSON, "postprocessed": final.meansJSON,
      "postprocessing_fns": .array(steps.map { _ in .string(PostprocessingStep.functionName) }),
      "postprocessing_kwargs": .array(steps.map(\.json)),
    ]
  }
}

extension EvaluationSummary {
  /// The means alone, as `postprocessing.json` repeats them.
  fileprivate var meansJSON: JSON {
    ["foreground_mean": json["foreground_mean"] ?? .null, "mean": json["mean"] ?? .null]
  }

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

// MARK: - Steps in files

extension PostprocessingStep {
  /// The arguments as `postprocessing.json` lists them: a label, or a list of labels.
  fileprivate var json: JSON {
    let labels = targets.flatMap(\.labels)
    let value: JSON =
      !isList && targets.count == 1 && labels.count == 1 && targets[0] == .label(labels[0])
      ? .integer(labels[0]) : JSON(labels)
    return .object(JSONObject([(Self.argumentName, value)]))
  }

  private static let name = PickleName(module: functionModule, name: functionName)

  /// The arguments as `postprocessing.pkl` holds them: a list of labels, a label, or a region's tuple.
  fileprivate var pickledArguments: PickleValue {
    func value(_ target: LabelValue) -> PickleValue {
      switch target {
      case .label(let label): .integer(label)
      case .region(let labels): .tuple(labels.map(PickleValue.integer))
      }
    }
    let values = targets.map(value)
    return .dictionary(
      PickleDictionary([(.string(Self.argumentName), isList ? .list(values) : values[0])]))
  }

  private init?(pickled arguments: PickleValue) {
    func target(_ value: PickleValue) -> LabelValue? {
      if let label = value.integer { return .label(label) }
      let labels = value.elements?.compactMap(\.integer) ?? []
      return labels.isEmpty || labels.count != value.elements?.count ? nil : .region(labels)
    }
    guard let value = arguments[Self.argumentName] else { return nil }
    if case .list(let values) = value {
      let targets = values.compactMap(target)
      guard !targets.isEmpty, targets.count == values.count else { return nil }
      self.init(union: targets)
    } else if let single = target(value) {
      self.init(single)
    } else {
      return nil
    }
  }

  /// The steps of a `postprocessing.json` or a `postprocessing.pkl` of either program.
  package static func read(_ file: URL) throws -> [PostprocessingStep] {
    file.pathExtension == "pkl" ? try readPickle(file) : try readJSON(file)
  }

  private static func unusable(_ file: URL, _ found: String) -> Diagnostic {
    Diagnostic(
      "the postprocessing is not usable", at: file.path,
      expected: "functions and arguments, one of each per step", found: found,
      remedy: "give a postprocessing.json or postprocessing.pkl that determine_postprocessing wrote")
  }

  private static func readPickle(_ file: URL) throws -> [PostprocessingStep] {
    let bytes = try readRegularFile(file, as: "the postprocessing")
    let value = try PickleReader.read(bytes, source: file.path, names: [name])
    guard let parts = value.elements, parts.count == 2, let functions = parts[0].elements,
      let arguments = parts[1].elements, functions.count == arguments.count
    else { throw unusable(file, "other content") }
    return try zip(functions, arguments).map { function, arguments in
      guard function.name == name, let step = PostprocessingStep(pickled: arguments) else {
        throw unusable(file, "another function, or arguments that are no labels")
      }
      return step
    }
  }

  private static func readJSON(_ file: URL) throws -> [PostprocessingStep] {
    let json = try JSON(contentsOf: file)
    guard let names = json["postprocessing_fns"]?.array, let arguments = json["postprocessing_kwargs"]?.array,
      names.count == arguments.count
    else { throw unusable(file, "other content") }
    return try zip(names, arguments).map { name, arguments in
      guard name.string == functionName else { throw unusable(file, name.text(indent: nil)) }
      let value = arguments[argumentName]
      if let label = value?.integer { return PostprocessingStep(.label(label)) }
      guard let labels = value?.integers, !labels.isEmpty else {
        throw unusable(file, arguments.text(indent: nil))
      }
      return PostprocessingStep(union: labels.map(LabelValue.label))
    }
  }
}

extension [PostprocessingStep] {
  /// The pair of lists that nnU-Net pickles: functions by name, and their arguments.
  fileprivate var pickle: PickleValue {
    let name = PickleName(
      module: PostprocessingStep.functionModule, name: PostprocessingStep.functionName)
    return .tuple([.list(map { _ in .name(name) }), .list(map(\.pickledArguments))])
  }
}
