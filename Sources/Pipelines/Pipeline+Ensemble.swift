// Ensembles of folders: the mean probabilities of predictions that several models kept.

import Archives
import Datasets
package import Foundation
import Inference
import Reporting
package import Tensors

/// Folders of predictions to combine.
package struct EnsembleRequest {
  package var inputs: [URL]
  package var output: URL
  /// One per folder, from 0; the plain mean if `nil`.
  package var weights: [Double]?
  package var savesProbabilities = false
  /// The label painted for each region, in place of the model's own.
  package var regionOrder: [Int]?
  /// Replaces the mean: gets a case's name and the models' probabilities, `[K, Z, Y, X]` each, and gives one such map.
  package var combine: ((String, [NDArray<Float>]) throws -> NDArray<Float>)?

  package init(inputs: [URL], output: URL) {
    self.inputs = inputs
    self.output = output
  }
}

extension Pipeline {
  /// Averages the probabilities of the same cases in several folders and writes what they decide.
  ///
  /// - Returns: how many cases there were.
  /// - Source: nnU-Net's `ensemble`.
  @discardableResult
  package func ensemble(_ request: EnsembleRequest) throws -> Int {
    let description = try PredictionsFolder(request.inputs[0]).description().paintingRegions(
      in: request.regionOrder)
    try requireSameLabels(request)
    let names = try commonCases(of: request.inputs)
    try requireWritableFolder(request.output)
    progress.begin("combine", total: names.count)
    defer { progress.end() }
    for (index, name) in names.enumerated() {
      try cancellation.check()
      let files = request.inputs.map { $0.appending(path: name + ".npz") }
      let kept = request.savesProbabilities ? request.output.appending(path: name + ".npz") : nil
      let labels =
        if let combine = request.combine {
          try combined(combine, files, name, description.labels, keeping: kept)
        } else {
          try mean(of: files, weights: request.weights, description.labels, keeping: kept)
        }
      if request.savesProbabilities {
        try copyProperties(of: name, from: request.inputs[0], to: request.output)
      }
      try writeEnsemble(labels, beside: files[0], description, to: request.output, name: name)
      progress.update(completed: index + 1, detail: name)
    }
    try description.json.write(to: request.output.appending(path: "dataset.json"))
    let plans = request.inputs[0].appending(path: "plans.json")
    // nnU-Net leaves the plans out, and then asks for them when postprocessing is applied.
    if FileManager.default.fileExists(atPath: plans.path) {
      try copyAtomically(plans, to: request.output.appending(path: "plans.json"), as: "the plans")
    }
    return names.count
  }

  /// Stops unless all folders say the same of their labels; a given order of regions overrides theirs.
  private func requireSameLabels(_ request: EnsembleRequest) throws {
    let first = try PredictionsFolder(request.inputs[0]).labels()
    for folder in request.inputs.dropFirst() {
      let file = folder.appending(path: "dataset.json")
      guard FileManager.default.fileExists(atPath: file.path) else { continue }
      let other = try DatasetDescription(contentsOf: file).labels
      guard
        other.entries != first.entries
          || request.regionOrder == nil && other.regionsClassOrder != first.regionsClassOrder
      else { continue }
      func text(_ labels: LabelScheme) -> String {
        let names = labels.entries.map { "\($0.name) \($0.value.summaryKey)" }.joined(separator: ", ")
        return names + (labels.regionsClassOrder.map { ", regions_class_order \($0)" } ?? "")
      }
      throw Diagnostic(
        "the folders do not hold the same labels", at: file.path,
        expected: "\(text(first)), as in \(request.inputs[0].path)", found: text(other),
        remedy: "combine predictions of the same dataset, in the same order of regions")
    }
  }

  private func mean(
    of files: [URL], weights: [Double]?, _ labels: LabelScheme, keeping kept: URL?
  ) throws -> NDArray<Int16> {
    let ensemble = ProbabilityEnsemble(files, weights: weights, labels: labels)
    return try kept.map { try ensemble.writing(to: $0) } ?? ensemble.labelMap()
  }

  /// What the caller's own rule makes of a case; it sees whole maps.
  private func combined(
    _ combine: (String, [NDArray<Float>]) throws -> NDArray<Float>, _ files: [URL], _ name: String,
    _ labels: LabelScheme, keeping kept: URL?
  ) throws -> NDArray<Int16> {
    let maps = try files.map { try NumPyStream($0, array: "probabilities").all() }
    for (map, file) in zip(maps, files) where map.shape != maps[0].shape {
      throw Diagnostic(
        "the models' probabilities do not fit each other", at: file.path,
        expected: "\(maps[0].shape) as in \(files[0].path)", found: "\(map.shape)",
        remedy: "combine predictions of the same images by models of the same labels")
    }
    let map = try combine(name, maps)
    try kept.map { try ProbabilityMap(map).write(to: $0) }
    return labels.labelMap(ofProbabilities: map)
  }

  /// The names of the cases whose probabilities lie in all folders.
  private func commonCases(of folders: [URL]) throws -> [String] {
    let sets = try folders.map { folder in
      do {
        return Set(
          try FileManager.default.contentsOfDirectory(atPath: folder.path)
            .filter { $0.hasSuffix(".npz") && !$0.hasPrefix(".") })
      } catch {
        throw Diagnostic(
          "cannot list a folder", at: folder.path, expected: "a folder of predictions",
          found: error.localizedDescription, remedy: "check the path")
      }
    }
    let all = sets.reduce(Set()) { $0.union($1) }.sorted(by: precedesByCodePoint)
    guard !all.isEmpty else {
      throw Diagnostic(
        "there are no probabilities to combine", at: folders.map(\.path).joined(separator: ", "),
        expected: "files CASE.npz", found: "none", remedy: "predict again with --save_probabilities")
    }
    for (folder, names) in zip(folders, sets) {
      guard let missing = all.first(where: { !names.contains($0) }) else { continue }
      throw Diagnostic(
        "the folders do not hold the same cases", at: folder.path,
        expected: "\(missing), as in another folder", found: "no such file",
        remedy: "predict the same images with every model, each with --save_probabilities")
    }
    return all.map { String($0.dropLast(4)) }
  }

  /// The properties of a case travel with its probabilities.
  private func copyProperties(of name: String, from folder: URL, to output: URL) throws {
    let file = folder.appending(path: "\(name).pkl")
    guard FileManager.default.fileExists(atPath: file.path) else { return }
    try copyAtomically(file, to: output.appending(path: file.lastPathComponent), as: "the case's properties")
  }
}
