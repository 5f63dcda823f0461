// Trainers by name: the settings and functions that `-tr NAME` stands for.

import Archives
package import Foundation
import Reporting
package import Training

/// A trainer by name, and the file that defines it if it is not built in.
package struct TrainerReference: Sendable, Equatable {
  package var name: String
  package var file: URL?

  package init(name: String = "nnUNetTrainer", file: URL? = nil) {
    self.name = name
    self.file = file
  }
}

/// What a trainer's name stands for.
package struct TrainerDefinition {
  package var settings: TrainerSettings
  package var hooks: TrainerHooks
  /// A hash of each function that changes the result, by the key that set it.
  package var overrides: [String: String]

  package init(
    settings: TrainerSettings = TrainerSettings(), hooks: TrainerHooks = TrainerHooks(),
    overrides: [String: String] = [:]
  ) {
    self.settings = settings
    self.hooks = hooks
    self.overrides = overrides
  }

  /// The trainer of the demo: a few minutes on two cores.
  package static let demoName = "nnUNetTrainer_demo"

  /// The trainers that need no file.
  package static func builtIn(_ name: String) -> TrainerDefinition? {
    var settings = TrainerSettings()
    settings.name = name
    switch name {
    case TrainerReference().name: break
    case demoName:
      settings.epochs = 8
      settings.iterations = 25
      settings.validationIterations = 4
    default: return nil
    }
    return TrainerDefinition(settings: settings)
  }

  /// Resolves a reference to a built-in trainer; files are the hosts' business.
  package static func builtIn(_ reference: TrainerReference) throws -> TrainerDefinition {
    if reference.file == nil, let definition = builtIn(reference.name) { return definition }
    throw Diagnostic(
      "there is no trainer \(reference.name)", at: reference.file?.path,
      expected: "\(TrainerReference().name) or \(demoName)", found: reference.name,
      remedy: "define it in \(reference.name).lua and give its folder with --trainers DIR")
  }
}
