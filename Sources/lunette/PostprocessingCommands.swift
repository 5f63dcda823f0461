// determine_postprocessing, apply_postprocessing and ensemble: what happens to predictions after they are made.

import ArgumentParser
import Evaluation
import Foundation
import Pipelines
import Reporting

/// Finds the postprocessing that helps.
struct DeterminePostprocessingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "determine_postprocessing",
    abstract: "Find out whether keeping only the largest components raises the scores of predictions.")

  @OptionGroup var options: PredictionsOptions

  @Option(name: .dashed("ref"), help: ArgumentHelp("Folder of reference label maps.", valueName: "dir"))
  var references: String

  @Flag(name: .switched("remove_postprocessed"), help: "Do not keep the postprocessed label maps.")
  var removesFiles = false

  func run() throws {
    let predictions = options.folder()
    let search = try Pipeline.onTerminal().determinePostprocessing(
      of: predictions, references: URL(filePath: references), keepsFiles: !removesFiles)
    let labels = try predictions.labels()
    for trial in search.trials { Console.print(trial.text(labels)) }
    Console.print(
      "mean foreground Dice: \(search.baseline.foregroundMeanText) -> \(search.final.foregroundMeanText), \(search.steps.count) steps"
    )
    Console.print("for apply_postprocessing: \(predictions.url.appending(path: "postprocessing.pkl").path)")
  }
}

/// Applies postprocessing to predictions.
struct ApplyPostprocessingCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "apply_postprocessing", abstract: "Apply found postprocessing to a folder of predictions.")

  @OptionGroup var options: PredictionsOptions

  @Option(name: .customShort("o"), help: ArgumentHelp("Folder for the results.", valueName: "dir"))
  var output: String

  @Option(
    name: .dashed("pp_pkl_file"),
    help: ArgumentHelp("postprocessing.pkl, of either program, or postprocessing.json.", valueName: "file"))
  var steps: String

  func run() throws {
    let predictions = options.folder()
    let steps = try PostprocessingStep.read(URL(filePath: steps))
    for step in steps { Console.print(step.text()) }
    if steps.isEmpty { Console.print("there is no step; the label maps are copied as they are") }
    try Pipeline.onTerminal().applyPostprocessing(steps, to: predictions, output: URL(filePath: output))
  }
}

/// Combines predictions of several models.
struct EnsembleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "ensemble", abstract: "Average the probabilities of several models' predictions.")

  @Option(
    name: .customShort("i"), parsing: .upToNextOption,
    help: ArgumentHelp("Folders of predictions that were made with --save_probabilities.", valueName: "dir"))
  var inputs: [String]

  @Option(name: .customShort("o"), help: ArgumentHelp("Folder for the results.", valueName: "dir"))
  var output: String

  @Option(
    name: .dashed("np"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var processCount: Int?

  @Flag(name: .switched("save_npz"), help: "Keep the averaged probabilities too.")
  var savesProbabilities = false

  @Option(
    name: .customLong("weights"), parsing: .upToNextOption,
    help: ArgumentHelp("One weight per folder, from 0; equal if not given.", valueName: "number"))
  var weights: [Double] = []

  func validate() throws {
    guard !inputs.isEmpty else { throw ValidationError("-i takes at least one folder") }
    guard weights.isEmpty || weights.count == inputs.count else {
      throw ValidationError("--weights takes one number for each of the \(inputs.count) folders")
    }
    guard weights.allSatisfy({ $0 >= 0 && $0.isFinite }),
      weights.isEmpty || weights.contains(where: { $0 > 0 })
    else { throw ValidationError("weights lie from 0 up, and one of them above 0") }
  }

  func run() throws {
    Unsupported.remarkProcesses(processCount != nil, "-np")
    var request = EnsembleRequest(
      inputs: inputs.map { URL(filePath: $0) }, output: URL(filePath: output))
    request.weights = weights.isEmpty ? nil : weights
    request.savesProbabilities = savesProbabilities
    let count = try Pipeline.onTerminal().ensemble(request)
    Console.print("\(count) cases combined: \(request.output.path)")
  }
}
