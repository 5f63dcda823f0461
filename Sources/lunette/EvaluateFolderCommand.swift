// evaluate_folder: predictions against references, into a summary.json.

import ArgumentParser
import Foundation
import Pipelines
import Reporting

/// Scores a folder of predictions.
struct EvaluateFolderCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate_folder", abstract: "Score a folder of predictions against reference label maps.")

  @Argument(help: ArgumentHelp("Folder of reference label maps.", valueName: "references"))
  var references: String

  @Argument(help: ArgumentHelp("Folder of predictions.", valueName: "predictions"))
  var predictions: String

  @Option(name: .dashed("djfile"), help: ArgumentHelp("dataset.json, for the labels.", valueName: "file"))
  var datasetJSON: String

  @Option(
    name: .dashed("pfile"), help: ArgumentHelp("plans.json, for the reader of the files.", valueName: "file"))
  var plans: String

  @Option(
    name: .customShort("o"),
    help: ArgumentHelp("Where to write; summary.json beside the predictions if not given.", valueName: "file")
  )
  var output: String?

  @Option(
    name: .dashed("np"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var processCount: Int?

  @Flag(name: .switched("chill"), help: "Do not mind references without a prediction.")
  var allowsMissing = false

  @OptionGroup var folders: FolderOptions

  func run() throws {
    Unsupported.remarkProcesses(processCount != nil, "-np")
    let summary = try folders.pipeline().evaluate(
      EvaluationRequest(
        references: URL(filePath: references), predictions: URL(filePath: predictions),
        datasetJSON: URL(filePath: datasetJSON), plans: URL(filePath: plans),
        output: output.map { URL(filePath: $0) }, allowsMissing: allowsMissing))
    Console.print("mean foreground Dice: \(summary.foregroundMeanText)")
  }
}
