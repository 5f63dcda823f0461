// Where `-tr NAME` finds the file that defines a trainer.

import Foundation
import Pipelines
import Reporting

/// The folders that trainers are looked for in, in order.
struct TrainerSearch {
  var folders: [URL]
  private let isFolderGiven: Bool

  /// `--trainers DIR`, LUNETTE_TRAINERS, ./Recipes/trainers, share/lunette/trainers beside the program's bin, and the
  /// sources that the program was built from.
  init(
    folder: String?, environment: [String: String] = ProcessInfo.processInfo.environment,
    program: URL? = Bundle.main.executableURL
  ) {
    isFolderGiven = folder != nil
    folders = folder.map { [URL(filePath: $0)] } ?? []
    folders += (environment["LUNETTE_TRAINERS"] ?? "").split(separator: ":").map { URL(filePath: String($0)) }
    folders.append(URL(filePath: "Recipes/trainers"))
    if let program {
      let prefix = program.resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent()
      folders.append(prefix.appending(path: "share/lunette/trainers"))
      // A program that was built and not installed lies in .build/TRIPLE/release below its sources.
      let sources = (0..<2).reduce(prefix) { folder, _ in folder.deletingLastPathComponent() }
      for folder in [prefix.deletingLastPathComponent(), sources] {
        folders.append(folder.appending(path: "Recipes/trainers"))
      }
    }
  }

  /// The trainer of that name: NAME.lua, one that is built in, or one of a file that lists it behind `-- Trainers:`.
  func find(_ name: String) throws(Diagnostic) -> TrainerReference {
    for folder in folders {
      let file = folder.appending(path: name + ".lua")
      if FileManager.default.fileExists(atPath: file.path) { return TrainerReference(name: name, file: file) }
    }
    if TrainerDefinition.builtIn(name) != nil { return TrainerReference(name: name) }
    for file in files() where Self.listed(in: file).contains(name) {
      return TrainerReference(name: name, file: file)
    }
    if let missing = folders.first, isFolderGiven, !FileManager.default.fileExists(atPath: missing.path) {
      throw Diagnostic(
        "the folder of --trainers is not there", at: missing.path, expected: "a folder with \(name).lua",
        found: "nothing", remedy: "correct the path")
    }
    let known = names()
    throw Diagnostic(
      "there is no trainer \(name)", at: folders.map(\.path).joined(separator: ", "),
      expected: "a file \(name).lua",
      found: "\(known.count) others, which `lunette trainers` lists",
      remedy: (nearestName(to: name, in: known.filter { $0 != TrainerDefinition.demoName })
        .map { "did you mean -tr \($0)? If not, " } ?? "")
        + "give the folder of \(name).lua with --trainers DIR or LUNETTE_TRAINERS")
  }

  /// All trainers that can be named.
  func names() -> [String] {
    var names: Set = [TrainerReference().name, TrainerDefinition.demoName]
    for file in files() {
      let listed = Self.listed(in: file)
      names.formUnion(listed.isEmpty ? [file.deletingPathExtension().lastPathComponent] : listed)
    }
    return names.sorted()
  }

  /// Every Lua file of the folders, in order.
  private func files() -> [URL] {
    folders.flatMap { folder in
      ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
        .filter { $0.hasSuffix(".lua") }.map { folder.appending(path: $0) }
    }
  }

  /// The names behind `-- Trainers:` in a file's comments: a file may hold several trainers.
  private static func listed(in file: URL) -> [String] {
    let text = (try? String(contentsOf: file, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").filter { $0.hasPrefix("-- Trainers:") }
      .flatMap { $0.dropFirst("-- Trainers:".count).split(whereSeparator: { " ,".contains($0) }) }
      .map(String.init)
  }
}
