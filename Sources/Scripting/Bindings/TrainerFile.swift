// Trainers defined in files, for `-tr NAME`.

import Archives
package import Foundation
import LuaHost
package import Pipelines
import Reporting
package import Training

/// A trainer from a file, with the Lua state that its functions live in.
package final class LoadedTrainer {
  package let trainer: TrainerObject
  private let session: Session

  /// Runs the file, which returns a trainer of the wanted name or a list of trainers with it.
  /// - Throws: ``Diagnostic`` when it does not, or ``LuaError`` from the file.
  package init(named name: String, from file: URL) throws {
    session = try Session()
    guard let data = FileManager.default.contents(atPath: file.path) else {
      throw Diagnostic("cannot read the trainer's file", at: file.path)
    }
    let results = try session.state.run(String(decoding: data, as: UTF8.self), named: "@\(file.path)")
    let listed = results.first?.table?.array.compactMap { $0.object as? TrainerObject } ?? []
    guard
      let trainer = results.first?.object as? TrainerObject
        ?? listed.first(where: { $0.settings.name == name }) ?? listed.first
    else {
      throw Diagnostic(
        "the file defines no trainer", at: file.path,
        expected: "return lunette.trainer{ ... } at its end, or a list of trainers",
        found: results.first.map { "a \($0.typeName)" } ?? "nothing returned")
    }
    guard trainer.settings.name == name else {
      throw Diagnostic(
        "the file defines another trainer", at: file.path, expected: "name=\"\(name)\"",
        found: "name=\"\(trainer.settings.name)\"", remedy: "name the file after the trainer")
    }
    self.trainer = trainer
    try session.state.setGlobal("trainer", .object(trainer))
  }

  /// The trainer as the pipeline takes it; its functions keep the state they live in.
  package func definition() throws -> TrainerDefinition { try trainer.definition(in: session.state) }

  package var settings: TrainerSettings { trainer.settings }
  /// The trainer's functions; call them on the thread that loaded the trainer.
  package var hooks: TrainerHooks { trainer.hooks(in: session.state) }
  /// Lets Ctrl-C reach the functions too.
  package func interrupt() { session.state.interrupter.interrupt() }
}
