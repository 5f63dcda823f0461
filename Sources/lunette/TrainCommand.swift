// train: folds of one configuration, each with validation behind it.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// Trains one fold, or several one after the other.
struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train folds of a configuration, then predict and score their held-out cases.",
    discussion: """
      Epochs, learning rate, loss and the like belong to the trainer: -tr nnUNetTrainer_100epochs, or a file of your \
      own; `lunette trainers` lists all there are. Batch, patch and network belong to the plans: lunette \
      plan_experiment --set.
      """)

  @Argument(help: ArgumentHelp("Dataset, by number or name.", valueName: "dataset"))
  var dataset: String

  @Argument(help: ArgumentHelp("Configuration: 2d, 3d_fullres, ...", valueName: "configuration"))
  var configurationName: String

  @Argument(
    help: ArgumentHelp(
      "Fold: a number from 0, or `all`; several are trained one after the other.", valueName: "fold"))
  var folds: [String]

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

  @Option(
    name: .customLong("save-interval"),
    help: ArgumentHelp("The longest time between two writes of checkpoint_latest.", valueName: "seconds"))
  var saveInterval = 300.0

  @Flag(name: .customLong("list-trainers"), help: "List the trainers that -tr can name, and end.")
  var listsTrainers = false

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
      "How activations are stored while training: fp32, bf16, or auto for bf16 where the CPU multiplies it faster. "
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
    if !(saveInterval >= 0) { throw ValidationError("--save-interval takes a number of seconds from 0") }
    if gpuCount < 1 { throw ValidationError("-num_gpus takes a number from 1") }
  }

  func run() throws {
    let folds = try folds.map { try Fold(parsing: $0) }
    try DeviceChoice.resolve(device)
    Unsupported.remark(
      gpuCount > 1, "-num_gpus \(gpuCount)",
      "there is no GPU here; training on the CPU with the planned batch size")
    let pipeline = folders.pipeline()
    for fold in folds { try train(fold, with: pipeline) }
  }

  private func train(_ fold: Fold, with pipeline: Pipeline) throws {
    var request = TrainingRequest(
      dataset: try pipeline.roots.resolveName(dataset), configuration: configurationName, fold: fold,
      trainer: try TrainerSearch(folder: trainers).find(trainer), plans: plans, start: start, seed: seed,
      writesCheckpoints: !disablesCheckpoints)
    request.pretrainedWeights = pretrainedWeights.map { URL(filePath: $0) }
    if precision != "auto" {
      request.precision = try PrecisionChoice.parse(precision, alternatives: ["auto"])
    }
    request.memoryCap = memoryCap.map(MemoryCap.init(gigabytes:))
    request.saveInterval = .seconds(saveInterval)
    let run = try pipeline.train(request)
    if run.isBenchmark { return }
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

extension TrainCommand {
  /// Words that are settings of a trainer, and words that are decisions of the plans.
  private static let trainerWords: Set = [
    "epochs", "numepochs", "iterations", "lr", "learningrate", "initiallr", "weightdecay", "momentum",
    "optimizer",
    "loss", "oversample",
  ]
  private static let planWords: Set = ["batchsize", "patchsize", "batch", "patch", "spacing", "features"]

  /// What to say about an option of `train` that belongs elsewhere.
  static func hint(for words: [String]) -> String? {
    guard words.first == configuration.commandName else { return nil }
    for word in words.dropFirst() where word.hasPrefix("-") {
      let name = word.prefix { $0 != "=" }.lowercased().filter(\.isLetter)
      if trainerWords.contains(name) {
        return "\(word) is a setting of the trainer: -tr nnUNetTrainer_100epochs, or a file with "
          + "return lunette.trainer{ name=\"NAME\", epochs=100 }; `lunette trainers` lists all there are"
      }
      if planWords.contains(name) {
        return "\(word) is decided by the plans: lunette plan_experiment -d DATASET --set "
          + "3d_fullres.batch_size=4 -overwrite_plans_name NAME, then preprocess and train with -p NAME"
      }
    }
    return nil
  }
}
