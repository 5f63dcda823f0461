// convert_MSD_dataset, convert_old_nnUNet_dataset, move_plans_between_datasets.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// Converts a task of the Medical Segmentation Decathlon.
struct ConvertDecathlonCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert_MSD_dataset",
    abstract: "Make a raw dataset of a task of the Medical Segmentation Decathlon.",
    discussion: """
      The new dataset lies in the raw folder as DatasetXXX_NAME, with the task's number. Images of several \
      channels are split into one file per channel, voxels as they are stored.
      """)

  @Option(
    name: .customShort("i"),
    help: ArgumentHelp("The extracted task, such as Task05_Prostate.", valueName: "folder"))
  var input: String

  @Option(
    name: .dashed("overwrite_id"),
    help: ArgumentHelp("The new dataset's number, if not the task's.", valueName: "number"))
  var identifier: Int?

  @Option(
    name: .dashed("np"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var processCount: Int?

  @OptionGroup var folders: FolderOptions

  func run() throws {
    Unsupported.remarkProcesses(processCount != nil, "-np")
    let pipeline = folders.pipeline()
    _ = try DatasetConversion(
      roots: pipeline.roots, progress: pipeline.progress, cancellation: pipeline.cancellation
    ).convertDecathlonTask(at: URL(filePath: input), identifier: identifier)
  }
}

/// Converts a dataset of the first nnU-Net.
struct ConvertOldDatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convert_old_nnUNet_dataset",
    abstract: "Make a raw dataset of a dataset (TaskXXX_NAME) of the first nnU-Net.")

  @Argument(help: ArgumentHelp("Folder of the old dataset, with imagesTr and labelsTr.", valueName: "folder"))
  var input: String

  @Argument(help: ArgumentHelp("Name of the new dataset: DatasetXXX_NAME.", valueName: "name"))
  var name: String

  @OptionGroup var folders: FolderOptions

  func run() throws {
    let pipeline = folders.pipeline()
    _ = try DatasetConversion(
      roots: pipeline.roots, progress: pipeline.progress, cancellation: pipeline.cancellation
    ).convertOldDataset(at: URL(filePath: input), to: name)
  }
}

/// Gives a dataset the plans of another.
struct MovePlansCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "move_plans_between_datasets",
    abstract: "Give a dataset the plans of another, for pretraining.",
    discussion: """
      Plans that keep a usual name, such as nnUNetPlans, take the place of the target's own plans of that name; \
      give them another with -tp.
      """)

  @Option(name: .customShort("s"), help: ArgumentHelp("Dataset that has the plans.", valueName: "dataset"))
  var source: String

  @Option(name: .customShort("t"), help: ArgumentHelp("Dataset that gets them.", valueName: "dataset"))
  var target: String

  @Option(name: .dashed("sp"), help: ArgumentHelp("Name of the plans.", valueName: "name"))
  var plans: String

  @Option(
    name: .dashed("tp"), help: ArgumentHelp("Their name in the target, if another.", valueName: "name"))
  var newName: String?

  @OptionGroup var folders: FolderOptions

  func run() throws {
    try folders.pipeline().movePlans(named: plans, from: source, to: target, as: newName)
  }
}
