// predict and predict_from_modelfolder: images to label maps, with a trained configuration.

package import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// What both commands take.
package struct PredictionOptions: ParsableArguments {
  @Option(
    name: .customShort("i"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "Folder of images named CASE_0000.ending; or images, or a .json with a list of channel files per case.",
      valueName: "path"))
  var inputs: [String]

  @Option(name: .customShort("o"), help: ArgumentHelp("Folder for the predictions.", valueName: "dir"))
  var output: String

  @Option(
    name: .customShort("f"), parsing: .upToNextOption,
    help: ArgumentHelp("Folds whose models are averaged, or `all`.", valueName: "fold"))
  package var folds = ["0", "1", "2", "3", "4"]

  @Option(
    name: .dashed("step_size"),
    help: ArgumentHelp("Step of the sliding window in patch sizes, over 0 up to 1.", valueName: "fraction"))
  package var stepSize = 0.5

  @Flag(
    name: .switched("disable_tta"), help: "No averaging over mirrored images: faster, a little less exact.")
  var disablesMirroring = false

  @Flag(name: .switched("verbose"), help: "Accepted; everything worth knowing is printed anyway.")
  var verbose = false

  @Flag(name: .switched("save_probabilities"), help: "Save the probabilities too (CASE.npz).")
  var savesProbabilities = false

  @Flag(
    name: [.customLong("continue_prediction"), .customLong("c")],
    help: "Leave predictions that are there as they are.")
  var continues = false

  @Option(
    name: .dashed("chk"),
    help: ArgumentHelp(
      "Checkpoint: checkpoint_best.pth, checkpoint_best or best; final, latest.", valueName: "checkpoint"))
  package var checkpoint = "checkpoint_final.pth"

  @Option(
    name: .dashed("npp"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var preprocessingProcessCount: Int?

  @Option(
    name: .dashed("nps"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var exportProcessCount: Int?

  @Option(
    name: .dashed("prev_stage_predictions"),
    help: ArgumentHelp(
      "What a cascade's first stage predicted of the same images; needed with 3d_cascade_fullres.",
      valueName: "dir"))
  var previousStage: String?

  @Option(
    name: .dashed("device"),
    help: ArgumentHelp("Device: cpu. Without it a usable GPU, else the CPU.", valueName: "device"))
  var device: String?

  @Option(
    help: ArgumentHelp(
      "How activations are stored: fp32, as nnU-Net computes on a CPU, or bf16, faster and less exact.",
      valueName: "type"))
  var precision = "fp32"

  @Flag(
    name: .switched("float32_sums"),
    help:
      "Sum overlapping tiles in single precision, not in half precision as nnU-Net does: a little more exact."
  )
  var sumsInSinglePrecision = false

  @Option(
    name: .switched("region_order"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "The label painted for each region, later ones over earlier ones, in place of the model's regions_class_order.",
      valueName: "label"))
  var regionOrder: [Int] = []

  @Flag(name: .switched("disable_progress_bar"), help: "No progress bars.")
  var hidesProgress = false

  @Flag(name: .switched("not_on_device"), help: "Accepted; on the CPU there is no other place.")
  var keepsOffDevice = false

  package init() {}

  package func validate() throws {
    guard !inputs.isEmpty else { throw ValidationError("-i takes a folder, or images") }
    guard stepSize > 0, stepSize <= 1 else { throw ValidationError("-step_size lies over 0 and up to 1") }
  }

  /// Says what the process counts mean here, and checks the device.
  func remark() throws {
    try DeviceChoice.resolve(device)
    Unsupported.remarkProcesses(preprocessingProcessCount != nil, "-npp")
    Unsupported.remarkProcesses(exportProcessCount != nil, "-nps")
  }

  func parsedFolds() throws -> [Fold] { try folds.map { try Fold(parsing: $0) } }

  /// Runs a request for a model with these options.
  func run(_ request: PredictionRequest, with pipeline: Pipeline) throws {
    var request = request
    request.stepFraction = stepSize
    request.usesMirroring = !disablesMirroring
    request.savesProbabilities = savesProbabilities
    request.precision = try PrecisionChoice.parse(precision)
    request.sumsInSinglePrecision = sumsInSinglePrecision
    request.regionOrder = regionOrder.isEmpty ? nil : regionOrder
    request.keepsExisting = continues
    request.previousStage = previousStage.map { URL(filePath: $0) }
    try pipeline.predict(
      PredictionInput(inputs.map { URL(filePath: $0) }), to: URL(filePath: output), request)
  }
}

/// Predicts with a model of the results folder.
package struct PredictCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "predict", abstract: "Predict images with a trained configuration.")

  @Option(
    name: .customShort("d"), help: ArgumentHelp("Dataset the model was trained on.", valueName: "dataset"))
  var dataset: String

  @Option(name: .customShort("c"), help: ArgumentHelp("Configuration.", valueName: "configuration"))
  var configurationName: String

  @Option(name: .customShort("p"), help: ArgumentHelp("Plans.", valueName: "plans"))
  var plans = "nnUNetPlans"

  @Option(name: .dashed("tr"), help: ArgumentHelp("Trainer.", valueName: "trainer"))
  var trainer = "nnUNetTrainer"

  @Option(
    name: .dashed("num_parts"), help: ArgumentHelp("Share the cases among so many calls.", valueName: "count")
  )
  var partCount = 1

  @Option(
    name: .dashed("part_id"), help: ArgumentHelp("Which share this call takes, from 0.", valueName: "number"))
  var part = 0

  @OptionGroup package var options: PredictionOptions

  @OptionGroup var folders: FolderOptions

  package init() {}

  package func validate() throws {
    guard partCount >= 1, (0..<partCount).contains(part) else {
      throw ValidationError("-part_id lies from 0 to one less than -num_parts (\(partCount))")
    }
  }

  package func run() throws {
    let folds = try options.parsedFolds()
    try options.remark()
    let pipeline = folders.pipeline(showsProgress: !options.hidesProgress)
    var request = PredictionRequest(
      dataset: try pipeline.roots.resolveName(dataset), configuration: configurationName,
      trainerName: trainer, plans: plans, folds: folds,
      checkpoint: try CheckpointName(parsing: options.checkpoint))
    request.part = (part, partCount)
    try options.run(request, with: pipeline)
  }
}

/// Predicts with a model in a folder of its own.
package struct PredictFromModelFolderCommand: ParsableCommand {
  package static let configuration = CommandConfiguration(
    commandName: "predict_from_modelfolder", abstract: "Predict images with the model in a folder.")

  @Option(
    name: .customShort("m"),
    help: ArgumentHelp(
      "The model's folder, with plans.json, dataset.json and fold_0 or the like.", valueName: "dir"))
  var model: String

  @OptionGroup package var options: PredictionOptions

  package init() {}

  package func run() throws {
    let folds = try options.parsedFolds()
    try options.remark()
    let request = PredictionRequest(
      model: .folder(URL(filePath: model)), folds: folds,
      checkpoint: try CheckpointName(parsing: options.checkpoint))
    try options.run(request, with: .onTerminal(showsProgress: !options.hidesProgress))
  }
}
