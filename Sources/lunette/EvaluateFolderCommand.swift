// evaluate_folder and evaluate_simple: predictions against references, into a summary.json.

import ArgumentParser
import Evaluation
import Foundation
import Pipelines
import Reporting

/// Scores a folder of predictions for what a dataset declares.
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
    name: .dashed("pfile"),
    help: ArgumentHelp("plans.json; may be left out, files are read by their format.", valueName: "file"))
  var plans: String?

  @OptionGroup var evaluation: EvaluationOptions
  @OptionGroup var folders: FolderOptions

  func run() throws {
    try evaluation.run(
      EvaluationRequest(
        references: URL(filePath: references), predictions: URL(filePath: predictions),
        datasetJSON: URL(filePath: datasetJSON), plans: plans.map { URL(filePath: $0) }), in: folders)
  }
}

/// Scores a folder of predictions for given labels.
struct EvaluateSimpleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate_simple",
    abstract: "Score a folder of predictions for given labels, without a dataset.",
    discussion: "Files are those with the last extension of the first reference: all .gz for .nii.gz.")

  @Argument(help: ArgumentHelp("Folder of reference label maps.", valueName: "references"))
  var references: String

  @Argument(help: ArgumentHelp("Folder of predictions.", valueName: "predictions"))
  var predictions: String

  @Option(
    name: .customShort("l"), parsing: .upToNextOption, help: ArgumentHelp("Labels.", valueName: "label"))
  var labels: [Int]

  @Option(
    name: .dashed("il"),
    help: ArgumentHelp("Label of the reference whose voxels do not count.", valueName: "label"))
  var ignoredLabel: Int?

  @OptionGroup var evaluation: EvaluationOptions
  @OptionGroup var folders: FolderOptions

  func run() throws {
    try evaluation.run(
      EvaluationRequest(
        references: URL(filePath: references), predictions: URL(filePath: predictions),
        targets: .labels(labels, ignored: ignoredLabel)), in: folders)
  }
}

/// What is measured and where it is written.
struct EvaluationOptions: ParsableArguments {
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

  @Flag(help: "Measure distances between surfaces too: normalised surface Dice (NSD) and HD95.")
  var surface = false

  @Option(
    name: .dashed("tolerance"),
    help: ArgumentHelp(
      "Tolerance of the surface Dice in mm; 1 if not given. Implies --surface.", valueName: "mm"))
  var tolerance: Double?

  @Flag(help: "Tell volumes in ml too.")
  var volumes = false

  @Flag(name: .switched("strict_json"), help: "Write null for what is no number or infinite, not NaN.")
  var usesNull = false

  @Option(help: ArgumentHelp("Write a table with a row per case and target here.", valueName: "file"))
  var csv: String?

  func validate() throws {
    if let tolerance, !(tolerance >= 0 && tolerance.isFinite) {
      throw ValidationError("-tolerance must be a length in mm, 0 or more")
    }
  }

  /// Scores, and prints the means.
  func run(_ request: EvaluationRequest, in folders: FolderOptions) throws {
    Unsupported.remarkProcesses(processCount != nil, "-np")
    var request = request
    request.output = output.map { URL(filePath: $0) }
    request.allowsMissing = allowsMissing
    if surface || tolerance != nil {
      request.measures.surfaceTolerance = tolerance ?? EvaluationMeasures.defaultSurfaceTolerance
    }
    request.measures.includesVolumes = volumes
    request.usesNull = usesNull
    request.caseTable = csv.map { URL(filePath: $0) }
    let summary = try folders.pipeline().evaluate(request)
    for line in summary.meanTable.lines { Console.print(line) }
    Console.print("mean foreground Dice: \(summary.foregroundMeanText)")
  }
}
