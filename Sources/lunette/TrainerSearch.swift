// Where `-tr NAME` finds the file that defines a trainer.

import Foundation
import Pipelines
import Reporting

/// The folders that trainers are looked for in, in order.
struct TrainerSearch {
  var folders: [URL]

  /// `--trainers DIR`, LUNETTE_TRAINERS, ./Recipes/trainers, and share/lunette/trainers beside the program's bin.
  init(
    folder: String?, environment: [String: String] = ProcessInfo.processInfo.environment,
    program: URL? = Bundle.main.executableURL
  ) {
    folders = folder.map { [URL(filePath: $0)] } ?? []
    folders += (environment["LUNETTE_TRAINERS"] ?? "").split(separator: ":").map { URL(filePath: String($0)) }
    folders.append(URL(filePath: "Recipes/trainers"))
    if let program {
      let prefix = program.resolvingSymlinksInPath().deletingLastPathComponent().deletingLastPathComponent()
      folders.append(prefix.appending(path: "share/lunette/trainers"))
    }
  }

  /// The trainer of that name; the built-in ones need no file.
  func find(_ name: String) throws(Diagnostic) -> TrainerReference {
    for folder in folders {
      let file = folder.appending(path: name + ".lua")
      if FileManager.default.fileExists(atPath: file.path) { return TrainerReference(name: name, file: file) }
    }
    if TrainerDefinition.builtIn(name) != nil { return TrainerReference(name: name) }
    let known = names()
    throw Diagnostic(
      "there is no trainer \(name)", at: folders.map(\.path).joined(separator: ", "),
      expected: "a file \(name).lua",
      found: known.joined(separator: ", "),
      remedy: nearestName(to: name, in: known).map { "did you mean -tr \($0)?" }
        ?? "give its folder with --trainers DIR")
  }

  /// All trainers that can be named.
  private func names() -> [String] {
    var names: Set = [TrainerReference().name, TrainerDefinition.demoName]
    for folder in folders {
      for file in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
      where file.hasSuffix(".lua") {
        names.insert(String(file.dropLast(4)))
      }
    }
    return names.sorted()
  }
}
