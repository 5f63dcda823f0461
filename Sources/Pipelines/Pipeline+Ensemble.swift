// Ensembles of folders: the mean probabilities of predictions that several models kept.

import Archives
import Datasets
package import Foundation
import Inference
import Reporting

/// Folders of predictions to combine.
package struct EnsembleRequest: Sendable {
  package var inputs: [URL]
  package var output: URL
  /// One per folder, from 0; the plain mean if `nil`.
  package var weights: [Double]?
  package var savesProbabilities = false

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
    let description = try PredictionsFolder(request.inputs[0]).description()
    let names = try commonCases(of: request.inputs)
    try requireWritableFolder(request.output)
    progress.begin("combine", total: names.count)
    defer { progress.end() }
    for (index, name) in names.enumerated() {
      try cancellation.check()
      let files = request.inputs.map { $0.appending(path: name + ".npz") }
      let ensemble = ProbabilityEnsemble(files, weights: request.weights, labels: description.labels)
      let labels =
        try request.savesProbabilities
        ? ensemble.writing(to: request.output.appending(path: name + ".npz")) : ensemble.labelMap()
      if request.savesProbabilities {
        try copyProperties(of: name, from: request.inputs[0], to: request.output)
      }
      try writeEnsemble(labels, beside: files[0], description, to: request.output, name: name)
      progress.update(completed: index + 1, detail: name)
    }
    try description.json.write(to: request.output.appending(path: "dataset.json"))
    let plans = request.inputs[0].appending(path: "plans.json")
    // nnU-Net leaves the plans out, and then asks for them when postprocessing is applied.
    if let data = try? Data(contentsOf: plans) {
      try writeAtomically(data, to: request.output.appending(path: "plans.json"))
    }
    return names.count
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
    let file = "\(name).pkl"
    guard let data = try? Data(contentsOf: folder.appending(path: file)) else { return }
    try writeAtomically(data, to: output.appending(path: file))
  }
}
