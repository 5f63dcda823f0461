// train: one fold of one configuration, with validation behind it.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// Trains one fold.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train one fold of a configuration, then predict and score its held-out cases.")

  @Argument(help: ArgumentHelp("Dataset, by number or name.", valueName: "dataset"))
  var dataset: String

  @Argument(help: ArgumentHelp("Configuration: 2d, 3d_fullres, ...", valueName: "configuration"))
  var configurationName: String

  @Argument(help: ArgumentHelp("Fold: a number from 0, or `all`.", valueName: "fold"))
  var fold: String

  @Option(name: .dashed("tr"), help: ArgumentHelp("Trainer.", valueName: "trainer"))
  var trainer = "nnUNetTrainer"

  @Option(name: .customShort("p"), help: ArgumentHelp("Plans.", valueName: "plans"))
  var plans = "nnUNetPlans"

  @Option(
    name: .dashed("pretrained_weights"),
    help: ArgumentHelp(
      "Checkpoint, of either program, whose weights a new training starts from; output heads stay random.",
      valueName: "file"))
  var pretrainedWeights: String?

  @Option(name: .dashed("num_gpus"), help: ArgumentHelp("Number of GPUs.", valueName: "count"))
  var gpuCount = 1

  @Flag(name: .switched("npz"), help: "Save the probabilities of the validation cases too.")
  var savesProbabilities = false

  @Flag(name: .switched("c"), help: "Continue the training from its last checkpoint.")
  var continues = false

  @Flag(name: .switched("val"), help: "Only validate; the training must be finished.")
  var onlyValidates = false

  @Flag(name: .switched("val_best"), help: "Validate with the best checkpoint in place of the final one.")
  var validatesBest = false

  @Flag(name: .switched("disable_checkpointing"), help: "Write no checkpoints.")
  var disablesCheckpoints = false

  @Flag(name: .switched("overwrite"), help: "Move an existing run of this name aside and start anew.")
  var overwrites = false

  @Option(
    name: .dashed("device"),
    help: ArgumentHelp("Device: cpu. Without it a usable GPU, else the CPU.", valueName: "device"))
  var device: String?

  @Option(help: ArgumentHelp("Seed of everything random.", valueName: "number"))
  var seed: UInt64 = 0

  @Option(
    help: ArgumentHelp(
      "How activations are stored while training: fp32, bf16, or auto for bf16 where the CPU computes in it. "
        + "Validation is fp32.", valueName: "type"))
  var precision = "auto"

  @Option(
    name: .customLong("memory-cap"),
    help: ArgumentHelp(
      "The most memory in GB that the training may be predicted to need; what the machine has available if not given.",
      valueName: "GB"))
  var memoryCap: Double?

  @Option(help: ArgumentHelp("Folder to search first for trainers (NAME.lua).", valueName: "dir"))
  var trainers: String?

  @OptionGroup var folders: FolderOptions

  func validate() throws {
    if continues, onlyValidates { throw ValidationError("--c and --val exclude each other") }
    if continues, pretrainedWeights != nil {
      throw ValidationError("--c and -pretrained_weights exclude each other")
    }
    if continues, overwrites { throw ValidationError("--c and --overwrite exclude each other") }
    if onlyValidates, overwrites { throw ValidationError("--val and --overwrite exclude each other") }
    if validatesBest, disablesCheckpoints {
      throw ValidationError("--val_best needs a checkpoint, which --disable_checkpointing leaves unwritten")
    }
    if let memoryCap, !(memoryCap > 0) { throw ValidationError("--memory-cap takes a positive number of GB") }
    if gpuCount < 1 { throw ValidationError("-num_gpus takes a number from 1") }
  }

  func run() throws {
    let fold = try Fold(parsing: fold)
    try DeviceChoice.resolve(device)
    Unsupported.remark(
      gpuCount > 1, "-num_gpus \(gpuCount)",
      "there is no GPU here; training on the CPU with the planned batch size")
    let pipeline = folders.pipeline()
    var request = TrainingRequest(
      dataset: try pipeline.roots.resolveName(dataset), configuration: configurationName, fold: fold,
      trainer: try TrainerSearch(folder: trainers).find(trainer), plans: plans, start: start, seed: seed,
      writesCheckpoints: !disablesCheckpoints)
    request.pretrainedWeights = pretrainedWeights.map { URL(filePath: $0) }
    if precision != "auto" {
      request.precision = try PrecisionChoice.parse(precision, alternatives: ["auto"])
    }
    request.memoryCap = memoryCap.map(MemoryCap.init(gigabytes:))
    let run = try pipeline.train(request)
    let validation = ValidationRequest(
      checkpoint: validatesBest ? .best : .final, savesProbabilities: savesProbabilities)
    let summary = try pipeline.validate(run, validation)
    Console.print("mean validation Dice: \(summary.foregroundMeanText)")
  }

  private var start: TrainingRequest.Start {
    if onlyValidates { return .finished }
    if continues { return .latest }
    return overwrites ? .overwrite : .new
  }
}
