// verify_dataset: everything wrong or odd about datasets, and a corrected copy.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// Checks datasets, and mends copies of them.
struct VerifyDatasetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify_dataset",
    abstract: "Check every file of datasets and list all that is wrong or odd.",
    discussion: """
      Ends with an error if anything would stop the work; --verify_dataset_integrity of the other commands does the \
      same check. Checked are: files and channels that are missing, sizes and geometry of channels and labels \
      (rounding, shift, flip, spacing, rotation), axes that are not at right angles, NaN and infinite voxels, labels \
      that are not declared, empty labels, cases that are there twice, dataset.json.

      --fix DIR writes a corrected copy of each dataset to DIR/NAME and says what it changed: geometry that differs \
      by rounding is copied from the first image, NaN becomes 0, infinite values become the nearest finite value of \
      the image, and dataset.json is corrected: comments, quoted numbers, file_ending, numTraining, channel_names, \
      background, and regions_class_order where the regions are nested. Shifts, flips, other spacings and \
      labels are left for you to decide. The original is never touched.
      """)

  @Option(
    name: .customShort("d"), parsing: .upToNextOption, help: ArgumentHelp("Datasets.", valueName: "dataset"))
  var datasets: [String]

  @Option(help: ArgumentHelp("Write a corrected copy of each dataset below this folder.", valueName: "dir"))
  var fix: String?

  @OptionGroup var verbosity: VerbosityOptions
  @OptionGroup var folders: FolderOptions

  func run() throws {
    let pipeline = folders.pipeline(showsProgress: !verbosity.hidesProgress)
    for name in datasets {
      if let fix {
        try pipeline.repair(name, into: URL(filePath: fix))
      } else {
        try pipeline.verify(name)
      }
    }
  }
}
