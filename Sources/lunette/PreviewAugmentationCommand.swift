// preview_augmentation: pictures of what the augmentation of a training does to a case.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Planning
import Reporting

/// Draws sheets of augmented patches.
struct PreviewAugmentationCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preview_augmentation",
    abstract: "Show what augmentation does to a preprocessed case, as a sheet of pictures.",
    discussion: """
      Writes one PNG per image channel: the patch around a foreground voxel as it lies in the case, and draws of the \
      trainer's augmentation with what was drawn below each. The draws are kept beside them as JSON.
      """)

  @Argument(help: ArgumentHelp("Dataset, by number or name.", valueName: "dataset"))
  var dataset: String

  @Argument(help: ArgumentHelp("Configuration, such as 3d_fullres.", valueName: "configuration"))
  var configurationName: String

  @Option(name: .customShort("p"), help: ArgumentHelp("Plans.", valueName: "plans"))
  var plans = "nnUNetPlans"

  @Option(
    name: .dashed("tr"), help: ArgumentHelp("Trainer whose augmentation is shown.", valueName: "trainer"))
  var trainer = TrainerReference().name

  @Option(
    help: ArgumentHelp("Folder with NAME.lua, searched before the other places.", valueName: "dir"))
  var trainers: String?

  @Option(name: .customLong("case"), help: ArgumentHelp("Case; the first one if left out.", valueName: "id"))
  var caseIdentifier: String?

  @Option(help: ArgumentHelp("Draws to show.", valueName: "count"))
  var count = 9

  @Option(help: ArgumentHelp("Seed of the patch and of the draws.", valueName: "number"))
  var seed = 0

  @Option(name: .customShort("o"), help: ArgumentHelp("Folder for the pictures.", valueName: "folder"))
  var output = "."

  @OptionGroup var folders: FolderOptions

  func validate() throws {
    guard (1...100).contains(count) else { throw ValidationError("--count takes 1 to 100 draws") }
  }

  func run() throws {
    let pipeline = folders.pipeline()
    let name = try pipeline.roots.resolveName(dataset)
    let plans = try pipeline.readPlans(named: plans, of: name)
    let configuration = try plans.configuration(named: configurationName)
    let reference = try TrainerSearch(folder: trainers).find(trainer)
    let preview = AugmentationPreview(
      source: try pipeline.augmentationPatches(
        of: plans, configuration: configurationName, case: caseIdentifier),
      pipeline: try pipeline.augmentation(of: configuration, trainer: reference), count: count, seed: seed)
    for file in try preview.write(to: URL(filePath: output)) { print(file.path) }
  }
}
