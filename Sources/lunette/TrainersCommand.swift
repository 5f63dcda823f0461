// trainers: what `-tr` can name, and how each differs from nnU-Net's default.

import Archives
import ArgumentParser
import Foundation
import Pipelines
import Reporting
import Scripting
import Training

/// Lists the trainers.
struct TrainersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "trainers",
    abstract: "List the trainers that -tr can name, with what sets each apart from nnUNetTrainer.")

  @Option(help: ArgumentHelp("Folder to search first for trainers (NAME.lua).", valueName: "dir"))
  var trainers: String?

  func run() throws {
    let search = TrainerSearch(folder: trainers)
    let names = search.names()
    let width = (names.map(\.count).max() ?? 0) + 2
    for name in names {
      let text: String
      do { text = try difference(of: search.find(name)) } catch {
        text = "(unusable: \("\(error)".firstLine))"
      }
      Console.print(name.padding(toLength: width, withPad: " ", startingAt: 0) + text)
    }
  }

  /// The settings that are not nnU-Net's, and the functions and objects that replace a step.
  private func difference(of reference: TrainerReference) throws -> String {
    guard let file = reference.file else { return try text(TrainerDefinition.builtIn(reference).settings) }
    let loaded = try LoadedTrainer(named: reference.name, from: file)
    return text(loaded.settings, replaced: try loaded.definition().overrides.keys.sorted())
  }

  private func text(_ settings: TrainerSettings, replaced: [String] = []) -> String {
    let defaults = TrainerSettings().json
    let changed = (settings.json.object?.pairs ?? []).filter {
      $0.key != "name" && defaults[$0.key] != $0.value
    }
    let parts = changed.map { "\($0.key)=\($0.value.text(indent: nil))" } + replaced.map { "its own \($0)" }
    return parts.isEmpty ? "nnU-Net's default" : parts.joined(separator: ", ")
  }
}

extension String {
  fileprivate var firstLine: String { String(prefix { $0 != "\n" }) }
}
