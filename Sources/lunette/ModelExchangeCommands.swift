// export_checkpoint, export_model_to_zip, install_pretrained_model_from_zip, download_pretrained_model_by_url.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// Makes a model for nnU-Net.
struct ExportCheckpointCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export_checkpoint",
    abstract: "Make a model folder that nnU-Net loads of a trained configuration.",
    discussion: """
      The new folder holds plans.json, dataset.json and, for each fold, checkpoint_final.pth with the weights, the \
      optimizer's state and the log. nnU-Net predicts with it (nnUNetv2_predict_from_modelfolder -m), trains on \
      from it, and takes it for -pretrained_weights.
      """)

  @Option(
    name: .customShort("i"),
    help: ArgumentHelp(
      "Folder TRAINER__PLANS__CONFIGURATION in the results, or one checkpoint_*.safetensors.",
      valueName: "model"))
  var input: String

  @Option(
    name: .customShort("o"), help: ArgumentHelp("Folder to make; it must not exist yet.", valueName: "dir"))
  var output: String

  @Option(
    name: .customShort("f"), parsing: .upToNextOption,
    help: ArgumentHelp("Folds, or `all`; without it every fold that is there.", valueName: "fold"))
  var folds: [String] = []

  @Option(
    name: .dashed("chk"), parsing: .upToNextOption,
    help: ArgumentHelp("Checkpoints: final, best, latest.", valueName: "checkpoint"))
  var checkpoints = ["final"]

  @Option(
    name: .dashed("tr"),
    help: ArgumentHelp(
      "Trainer class for nnU-Net; without it the model's own if nnU-Net has it, else nnUNetTrainer.",
      valueName: "trainer"))
  var trainer: String?

  func run() throws {
    try Pipeline.onTerminal().exportCheckpoints(
      CheckpointExportRequest(
        source: URL(filePath: input), output: URL(filePath: output),
        folds: folds.map { try Fold(parsing: $0) },
        checkpoints: checkpoints.map { try CheckpointName(parsing: $0) }, trainerName: trainer))
  }
}

/// Packs trained models.
struct ExportModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "export_model_to_zip",
    abstract: "Pack trained models into a zip that nnU-Net and this program install.",
    discussion: """
      The archive holds nnU-Net's files: checkpoints, plans.json, dataset.json, dataset_fingerprint.json, scores, \
      postprocessing and the ensembles of these models. Checkpoints of this program are converted to .pth, which \
      both programs predict with; --checkpoints safetensors or both keeps them as they are too, for trainings that \
      shall go on and for networks that nnU-Net does not have.
      """)

  @Option(name: .customShort("d"), help: ArgumentHelp("Dataset.", valueName: "dataset"))
  var dataset: String

  @Option(name: .customShort("o"), help: ArgumentHelp("The archive to write.", valueName: "file"))
  var output: String

  @Option(
    name: .customShort("c"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "Configurations; without it those of 3d_lowres, 3d_fullres, 2d and 3d_cascade_fullres that are trained.",
      valueName: "configuration"))
  var configurations: [String] = []

  @Option(name: .dashed("tr"), help: ArgumentHelp("Trainer.", valueName: "trainer"))
  var trainer = "nnUNetTrainer"

  @Option(name: .customShort("p"), help: ArgumentHelp("Plans.", valueName: "plans"))
  var plans = "nnUNetPlans"

  @Option(
    name: .customShort("f"), parsing: .upToNextOption,
    help: ArgumentHelp("Folds, or `all`.", valueName: "fold"))
  var folds = ["0", "1", "2", "3", "4"]

  @Option(
    name: .dashed("chk"), parsing: .upToNextOption,
    help: ArgumentHelp("Checkpoints: checkpoint_final.pth, checkpoint_best, best.", valueName: "checkpoint"))
  var checkpoints = ["checkpoint_final.pth"]

  @Flag(name: .switched("not_strict"), help: "Leave out configurations and folds that are missing.")
  var isNotStrict = false

  @Flag(name: .switched("exp_cv_preds"), help: "Pack the predictions of the held-out cases too.")
  var includesPredictions = false

  @Option(
    name: .customLong("checkpoints"),
    help: ArgumentHelp("Form of this program's checkpoints: pth, safetensors or both.", valueName: "form"))
  var form = "pth"

  @OptionGroup var folders: FolderOptions

  func run() throws {
    guard let form = ModelArchiveRequest.Form(rawValue: form) else {
      throw Diagnostic(
        "`\(form)` is no form of checkpoints", expected: "pth, safetensors or both", found: form,
        remedy: "leave --checkpoints away for pth")
    }
    let pipeline = folders.pipeline()
    var request = ModelArchiveRequest(
      dataset: try pipeline.roots.resolveName(dataset), output: URL(filePath: output))
    if !configurations.isEmpty { request.configurations = configurations }
    request.trainerName = trainer
    request.plans = plans
    request.folds = try folds.map { try Fold(parsing: $0) }
    request.checkpoints = try checkpoints.map { try CheckpointName(parsing: $0) }
    request.form = form
    request.isStrict = !isNotStrict
    request.includesPredictions = includesPredictions
    try pipeline.exportModels(request)
  }
}

/// Installs packed models.
struct InstallModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "install_pretrained_model_from_zip",
    abstract: "Install the models of a zip that nnU-Net or this program exported.",
    discussion: """
      Everything is checked before the first file appears in the results, and no code of the archive is run: names \
      that leave the folder, links, bombs and checkpoints that are more than data are refused. Models that are there \
      already are left alone; move them away first.
      """)

  @Argument(help: ArgumentHelp("The archive.", valueName: "zip"))
  var archive: String

  @OptionGroup var folders: FolderOptions

  func run() throws { try folders.pipeline().installModels(from: URL(filePath: archive)) }
}

/// Says how to download a model.
struct DownloadModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "download_pretrained_model_by_url",
    abstract: "Not done here: this program opens no connections. Says what to do instead.")

  @Argument(help: ArgumentHelp("Address of the archive.", valueName: "url"))
  var address: String

  func run() throws {
    let quoted = address.replacingOccurrences(of: "'", with: "%27")
    throw Diagnostic(
      "this program opens no network connections", expected: "an archive on this machine", found: address,
      remedy: "curl -fL -o model.zip '\(quoted)' && lunette install_pretrained_model_from_zip model.zip")
  }
}
