// epoch: a whole epoch of a training with its data, its augmentation and its validation batches.

import Archives
import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting
import Tensors
import Training

/// Seconds of one epoch, and where they went.
struct EpochBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "epoch",
    abstract: "Time an epoch of a training: data, augmentation, steps, validation batches.",
    discussion: "The dataset's plans must be there. Results go to a temporary folder that is removed again.")

  @Option(help: ArgumentHelp("Folder with raw and preprocessed below it.", valueName: "dir"))
  var root: String

  @Option(help: ArgumentHelp("Dataset, by number or name.", valueName: "dataset"))
  var dataset: String

  @Option(
    name: .customLong("configuration"), help: ArgumentHelp("Configuration of the plans.", valueName: "name"))
  var configurationName = "3d_fullres"

  @Option(help: ArgumentHelp("Plans.", valueName: "plans"))
  var plans = "nnUNetPlans"

  @Option(help: ArgumentHelp("Training steps.", valueName: "count"))
  var iterations = 50

  @Option(help: ArgumentHelp("Validation batches.", valueName: "count"))
  var validationIterations = 10

  @Option(help: ArgumentHelp("How activations are stored: fp32 or bf16.", valueName: "type"))
  var precision = "fp32"

  @Flag(help: "Accepted; the result is JSON always.")
  var json = false

  func validate() throws {
    guard Precision(name: precision) != nil else {
      throw ValidationError("--precision takes fp32 or bf16, not `\(precision)`")
    }
    guard iterations > 0, validationIterations > 0 else {
      throw ValidationError("--iterations and --validation-iterations take positive numbers")
    }
  }

  func run() throws {
    let results = FileManager.default.temporaryDirectory.appending(path: "lunette-bench-\(UUID().uuidString)")
    defer { try? FileManager.default.removeItem(at: results) }
    let root = URL(filePath: root)
    let roots = DatasetRoots(
      raw: root.appending(path: "raw"), preprocessed: root.appending(path: "preprocessed"), results: results)
    var settings = TrainerSettings()
    settings.epochs = 1
    settings.iterations = iterations
    settings.validationIterations = validationIterations
    settings.isBenchmark = true
    var summaries: [EpochSummary] = []
    var hooks = TrainerHooks()
    hooks.epochEnd = { summaries.append($0) }
    var pipeline = Pipeline(roots: roots)
    let definition = TrainerDefinition(settings: settings, hooks: hooks)
    nonisolated(unsafe) let trainer = definition
    pipeline.trainerLoader = { _ in trainer }
    var request = TrainingRequest(
      dataset: try roots.resolveName(dataset), configuration: configurationName, fold: .number(0),
      plans: plans)
    request.precision = Precision(name: precision)
    _ = try pipeline.train(request)
    guard let summary = summaries.last, let performance = summary.performance else {
      throw Diagnostic(
        "the epoch was not measured", expected: "one epoch with its times",
        found: "\(summaries.count) epochs",
        remedy: "run it again, and report it if that does not help")
    }
    printLine([
      ("dataset", .string(dataset)), ("configuration", .string(configurationName)),
      ("precision", .string(precision)), ("iterations", .integer(iterations)),
      ("epoch_s", .number(summary.duration)),
      ("step_s", .number(performance.stepSeconds / Double(max(performance.stepCount, 1)))),
      ("waiting_share", .number(summary.waitingShare)),
      ("validation_s", .number(performance.validationSeconds)),
      ("peak_rss_mib", .integer(peakResidentMemory())),
    ])
  }
}
