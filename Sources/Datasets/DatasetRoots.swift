// Where raw data, preprocessed data and results live, and which dataset a number or name means.

package import Foundation
package import Reporting

/// The three folders that everything lives in; each may be unknown until a path is needed.
package struct DatasetRoots: Sendable, Equatable {
  /// One of the three folders.
  package enum Kind: String, CaseIterable, Sendable {
    case raw, preprocessed, results

    /// The environment variable nnU-Net users set.
    package var variable: String { "nnUNet_\(rawValue)" }
  }

  private var folders: [Kind: URL] = [:]

  package init(raw: URL? = nil, preprocessed: URL? = nil, results: URL? = nil) {
    folders[.raw] = raw
    folders[.preprocessed] = preprocessed
    folders[.results] = results
  }

  /// Takes `raw`, `preprocessed` and `results` below `root` if given, else the environment's `nnUNet_*` variables.
  package init(root: URL?, environment: [String: String] = ProcessInfo.processInfo.environment) {
    for kind in Kind.allCases {
      if let root {
        folders[kind] = root.appending(path: kind.rawValue)
      } else if let path = environment[kind.variable], !path.isEmpty {
        folders[kind] = URL(filePath: path)
      }
    }
  }

  /// The folder if it is known.
  package subscript(_ kind: Kind) -> URL? { folders[kind] }

  /// The folder, or an error that says how to set it.
  package func folder(_ kind: Kind) throws(Diagnostic) -> URL {
    if let folder = folders[kind] { return folder }
    throw Diagnostic(
      "the folder for \(Self.purpose(kind)) is not set",
      expected: "--root DIR or the variable \(kind.variable)",
      found: "neither",
      remedy: "pass --root DIR (with raw, preprocessed and results below it) or export \(kind.variable)=DIR")
  }

  package func raw() throws(Diagnostic) -> URL { try folder(.raw) }
  package func preprocessed() throws(Diagnostic) -> URL { try folder(.preprocessed) }
  package func results() throws(Diagnostic) -> URL { try folder(.results) }

  /// The raw folder of a dataset given by its full name.
  package func rawFolder(of name: String) throws(Diagnostic) -> URL { try raw().appending(path: name) }
  package func preprocessedFolder(of name: String) throws(Diagnostic) -> URL {
    try preprocessed().appending(path: name)
  }
  package func resultsFolder(of name: String) throws(Diagnostic) -> URL {
    try results().appending(path: name)
  }

  /// The full name, such as `Dataset004_Hippocampus`, for a name or a number.
  ///
  /// A text that starts with `Dataset` is taken as it is; a number is looked up in all known folders.
  package func resolveName(_ idOrName: String) throws(Diagnostic) -> String {
    if idOrName.hasPrefix("Dataset") { return idOrName }
    guard let id = Int(idOrName), id >= 0 else {
      throw Diagnostic(
        "\"\(idOrName)\" is no dataset",
        expected: "a number such as 4 or a name such as Dataset004_Hippocampus",
        found: "\"\(idOrName)\"", remedy: suggestion(for: idOrName))
    }
    let digits = String(id)
    let prefix = "Dataset" + String(repeating: "0", count: max(0, 3 - digits.count)) + digits + "_"
    let found = datasetNames().filter { $0.hasPrefix(prefix) }
    if let name = found.first, found.count == 1 { return name }
    let searched = Kind.allCases.compactMap { folders[$0]?.path }.joined(separator: ", ")
    throw Diagnostic(
      found.isEmpty ? "there is no dataset \(id)" : "dataset \(id) has several names",
      at: searched.isEmpty ? nil : searched, expected: "one folder \(prefix)NAME",
      found: found.isEmpty
        ? (searched.isEmpty ? "no folder is set" : known()) : found.joined(separator: ", "),
      remedy: found.isEmpty
        ? "check the number, and that --root or the nnUNet_* variables point at the right folders"
        : "rename or remove all but one; a number may stand for one name only")
  }

  /// The names of all datasets in the known folders, sorted.
  package func datasetNames() -> [String] {
    var names: Set<String> = []
    for folder in folders.values {
      for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
      where name.hasPrefix("Dataset") {
        names.insert(name)
      }
    }
    return names.sorted(by: precedesByCodePoint)
  }

  private func known() -> String {
    let names = datasetNames()
    return names.isEmpty ? "no datasets at all" : names.prefix(12).joined(separator: ", ")
  }

  private func suggestion(for text: String) -> String {
    let names = datasetNames()
    let tails = names.map { name in (name, name.drop { $0 != "_" }.dropFirst()) }
    if let hit = tails.first(where: { $0.1.lowercased() == text.lowercased() }) {
      return "did you mean \(hit.0)?"
    }
    if let near = nearestName(to: text, in: tails.map { String($0.1) }),
      let hit = tails.first(where: { $0.1 == near })
    {
      return "did you mean \(hit.0)?"
    }
    return names.isEmpty ? "give the dataset's number or full name" : "datasets here: \(known())"
  }

  private static func purpose(_ kind: Kind) -> String {
    switch kind {
    case .raw: "raw datasets"
    case .preprocessed: "preprocessed datasets"
    case .results: "results"
    }
  }
}

/// Whether `a` comes before `b` by Unicode code points, the order Python sorts texts in.
package func precedesByCodePoint(_ a: String, _ b: String) -> Bool {
  a.utf8.lexicographicallyPrecedes(b.utf8)
}
