// accumulate_crossval_results and find_best_configuration: from trained folds to the champion.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// The folds of a cross-validation on the command line.
struct CrossValidationFolds: ParsableArguments {
  @Option(
    name: .customShort("f"), parsing: .upToNextOption,
    help: ArgumentHelp("Folds that belong together.", valueName: "fold"))
  var folds = ["0", "1", "2", "3", "4"]

  func parsed() throws(Diagnostic) -> [Fold] {
    var result: [Fold] = []
    for text in folds { result.append(try Fold(parsing: text)) }
    return result
  }
}

/// Collects and scores the held-out cases of all folds.
struct AccumulateCrossValidationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "accumulate_crossval_results",
    abstract: "Collect what every fold predicted of its held-out cases, and score all of it together.")

  @Argument(help: ArgumentHelp("Dataset, by number or name.", valueName: "dataset"))
  var dataset: String

  @Option(name: .customShort("c"), help: ArgumentHelp("Configuration.", valueName: "configuration"))
  var configurationName: String

  @Option(
    name: .customShort("o"),
    help: ArgumentHelp(
      "Where to write, an empty folder or none; crossval_results_folds_... in the model's folder if not given.",
      valueName: "dir"))
  var output: String?

  @OptionGroup var folds: CrossValidationFolds

  @Option(name: .customShort("p"), help: ArgumentHelp("Plans.", valueName: "plans"))
  var plans = "nnUNetPlans"

  @Option(name: .dashed("tr"), help: ArgumentHelp("Trainer.", valueName: "trainer"))
  var trainer = "nnUNetTrainer"

  @OptionGroup var folders: FolderOptions

  func run() throws {
    let pipeline = folders.pipeline()
    let result = try pipeline.accumulateCrossValidation(
      of: ModelReference(trainer: trainer, plans: plans, configuration: configurationName),
      dataset: try pipeline.roots.resolveName(dataset), folds: try folds.parsed(),
      to: output.map { URL(filePath: $0) })
    Console.print("mean foreground Dice: \(result.summary.foregroundMeanText)")
    Console.print("predictions and summary.json: \(result.folder.path)")
  }
}

/// Finds the best model or ensemble.
struct FindBestConfigurationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "find_best_configuration",
    abstract: "Rank trained models and pairs of them, and find the winner's postprocessing.")

  @Argument(help: ArgumentHelp("Dataset, by number or name.", valueName: "dataset"))
  var dataset: String

  @Option(
    name: .customShort("p"), parsing: .upToNextOption,
    help: ArgumentHelp("Plans whose models compete.", valueName: "plans"))
  var plans = ["nnUNetPlans"]

  @Option(
    name: .customShort("c"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "Configurations that compete; those that the plans do not have are left out.",
      valueName: "configuration"))
  var configurations = ["2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"]

  @Option(
    name: .dashed("tr"), parsing: .upToNextOption,
    help: ArgumentHelp("Trainers whose models compete.", valueName: "trainer"))
  var trainers = ["nnUNetTrainer"]

  @Option(
    name: .dashed("np"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var processCount: Int?

  @OptionGroup var folds: CrossValidationFolds

  @Flag(
    name: .switched("disable_ensembling"),
    help: "Only single models; without it every pair competes too, which needs train --npz.")
  var disablesEnsembles = false

  @Flag(
    name: .switched("no_overwrite"), help: "Take cross-validations that are complete as they are.")
  var keepsExisting = false

  @OptionGroup var folders: FolderOptions

  func run() throws {
    Unsupported.remarkProcesses(processCount != nil, "-np")
    let pipeline = folders.pipeline()
    var request = SelectionRequest(
      dataset: try pipeline.roots.resolveName(dataset),
      models: trainers.flatMap { trainer in
        configurations.flatMap { configuration in
          plans.map { ModelReference(trainer: trainer, plans: $0, configuration: configuration) }
        }
      }, folds: try folds.parsed())
    request.allowsEnsembles = !disablesEnsembles
    request.keepsExisting = keepsExisting
    let selection = try pipeline.findBestConfiguration(request)
    Console.print(selection.explanation)
    Console.print("")
    Console.print(selection.instructions)
  }
}
