// demo: the whole job on a dataset that the program makes itself.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// Runs the main job on the phantom dataset.
struct DemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "demo", abstract: "Make a phantom dataset and run the whole job on it, in minutes.",
    discussion: """
      Verifies, measures, plans, preprocesses, trains one fold, predicts and scores the held-out cases, and writes \
      a report folder with the training curve and an overlay. A finished demo is not trained again: a second call \
      goes on where the first stopped.
      """)

  @Option(name: .customShort("o"), help: ArgumentHelp("Folder for everything.", valueName: "dir"))
  var output = "lunette-demo"

  @Option(help: ArgumentHelp("Seed of everything random.", valueName: "number"))
  var seed: UInt64 = 0

  func run() throws {
    let folder = URL(filePath: output)
    Console.remark("no usable GPU; using the CPU")
    let report = try Pipeline.onTerminal(DatasetRoots(root: folder)).runDemo(in: folder, seed: seed)
    Console.print(report.text)
  }
}
