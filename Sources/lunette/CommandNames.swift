// Which commands there are, and under which names they can be called.

import ArgumentParser
import Datasets
import Foundation
package import Reporting

/// The names of the commands.
package enum CommandNames {
  /// What stands before the name of each of nnU-Net's programs.
  static let prefix = "nnUNetv2_"

  /// All commands that can be typed, in the order of the help.
  static var all: [String] {
    RootCommand.configuration.subcommands.compactMap { $0.configuration.commandName }
  }

  /// nnU-Net's own commands, without their prefix.
  ///
  /// - Source: the entry points of nnU-Net 2.8.1.
  static let ofNNUNet: Set = [
    "plan_and_preprocess", "extract_fingerprint", "plan_experiment", "preprocess", "train", "predict",
    "predict_from_modelfolder", "find_best_configuration", "accumulate_crossval_results",
    "determine_postprocessing", "apply_postprocessing", "ensemble", "evaluate_folder", "evaluate_simple",
    "plot_overlay_pngs", "convert_MSD_dataset", "convert_old_nnUNet_dataset", "move_plans_between_datasets",
    "export_model_to_zip", "install_pretrained_model_from_zip", "download_pretrained_model_by_url",
  ]

  /// The words to parse: the program's own name gives the command when it is one of nnU-Net's.
  ///
  /// - Throws: ``Diagnostic`` for a command that does not exist, naming the nearest.
  package static func expand(_ arguments: [String]) throws(Diagnostic) -> [String] {
    var words = Array(arguments.dropFirst())
    let program = URL(filePath: arguments.first ?? "lunette").lastPathComponent
    if program.hasPrefix(prefix) { words.insert(String(program.dropFirst(prefix.count)), at: 0) }
    // The parser would take a negative fold for an option and say that the fold is missing.
    if words.count > 3, words[0].hasSuffix("train"), words[3].hasPrefix("-"), Int(words[3]) != nil {
      _ = try Fold(parsing: words[3])
    }
    // Without the arguments that a training needs.
    if words.first?.hasSuffix("train") == true, words.contains("--list-trainers") {
      let place = words.firstIndex(of: "--trainers").map { words[$0...].prefix(2) } ?? []
      return ["trainers"] + place
    }
    guard let name = words.first, !name.hasPrefix("-"), name != "help" else { return words }
    if name.hasPrefix(prefix), all.contains(String(name.dropFirst(prefix.count))) {
      words[0] = String(name.dropFirst(prefix.count))
      return words
    }
    if all.contains(name) { return words }
    throw unknown(name)
  }

  private static func unknown(_ name: String) -> Diagnostic {
    if name.hasSuffix(".lua") {
      return Diagnostic("`\(name)` is no command", remedy: "to run a script: lunette run \(name)")
    }
    let near = nearestName(to: name, in: all)
    return Diagnostic(
      "`\(name)` is no command",
      remedy: near.map { "did you mean `lunette \($0)`?" } ?? "`lunette --help` lists the commands")
  }
}
