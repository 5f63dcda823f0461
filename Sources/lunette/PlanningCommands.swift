// extract_fingerprint, plan_experiment, preprocess, and the three in one.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting

/// Measures datasets.
struct ExtractFingerprintCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "extract_fingerprint", abstract: "Measure the spacings, shapes and intensities of datasets.")

  @Option(
    name: .customShort("d"), parsing: .upToNextOption, help: ArgumentHelp("Datasets.", valueName: "dataset"))
  var datasets: [String]

  @Option(name: .dashed("fpe"), help: ArgumentHelp("Fingerprint extractor.", valueName: "extractor"))
  var extractor = "DatasetFingerprintExtractor"

  @Option(
    name: .dashed("np"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var processCount: Int?

  @Flag(name: .switched("verify_dataset_integrity"), help: "Check every file of the dataset first.")
  var verifies = false

  @Flag(name: .switched("clean"), help: "Measure again even if there is a fingerprint.")
  var measuresAgain = false

  @OptionGroup var verbosity: VerbosityOptions
  @OptionGroup var folders: FolderOptions

  func run() throws {
    try Unsupported.require(extractor, toBe: "DatasetFingerprintExtractor", for: "-fpe")
    Unsupported.remarkProcesses(processCount != nil, "-np")
    let pipeline = folders.pipeline(showsProgress: !verbosity.hidesProgress)
    for name in datasets {
      if verifies { try pipeline.verify(name) }
      let dataset = try pipeline.openDataset(name)
      _ = try pipeline.extractFingerprint(of: dataset, again: measuresAgain)
    }
  }
}

/// Plans experiments, from datasets or from the two JSON files alone.
struct PlanExperimentCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan_experiment", abstract: "Plan the networks and the preprocessing of datasets.",
    discussion: """
      With -d, plans datasets whose fingerprint is there (see extract_fingerprint). With --fingerprint and \
      --dataset_json, plans without any image and writes to -o; then -d only names the dataset in the plans.
      """)

  @Option(
    name: .customShort("d"), parsing: .upToNextOption, help: ArgumentHelp("Datasets.", valueName: "dataset"))
  var datasets: [String] = []

  @OptionGroup var planner: PlannerOptions

  @Option(help: ArgumentHelp("A dataset_fingerprint.json to plan from.", valueName: "file"))
  var fingerprint: String?

  @Option(
    name: .switched("dataset_json"),
    help: ArgumentHelp("The dataset.json that goes with it.", valueName: "file"))
  var datasetJSON: String?

  @Option(name: .customShort("o"), help: ArgumentHelp("Where to write the plans.", valueName: "file"))
  var output: String?

  @OptionGroup var folders: FolderOptions

  func validate() throws {
    let isWithoutImages = fingerprint != nil || datasetJSON != nil || output != nil
    if isWithoutImages, fingerprint == nil || datasetJSON == nil || output == nil {
      throw ValidationError("planning without images takes all of --fingerprint, --dataset_json and -o")
    }
    if isWithoutImages, datasets.count > 1 {
      throw ValidationError("planning without images takes one -d NAME")
    }
    if !isWithoutImages, datasets.isEmpty { throw ValidationError("-d DATASET is missing") }
  }

  func run() throws {
    let request = try planner.request()
    let pipeline = folders.pipeline()
    if let fingerprint, let datasetJSON, let output {
      try pipeline.planExperiment(
        fingerprint: URL(filePath: fingerprint), datasetJSON: URL(filePath: datasetJSON),
        datasetName: datasets.first, request, to: URL(filePath: output))
      return
    }
    for name in datasets {
      let dataset = try pipeline.openDataset(name)
      _ = try pipeline.planExperiment(for: dataset, pipeline.readFingerprint(of: dataset), request)
    }
  }
}

/// Preprocesses datasets by their plans.
struct PreprocessCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "preprocess", abstract: "Crop, normalise and resample the cases of datasets.")

  @Option(
    name: .customShort("d"), parsing: .upToNextOption, help: ArgumentHelp("Datasets.", valueName: "dataset"))
  var datasets: [String]

  @Option(name: .dashed("plans_name"), help: ArgumentHelp("Plans to preprocess by.", valueName: "name"))
  var plansName = "nnUNetPlans"

  @OptionGroup var configurations: ConfigurationOptions
  @OptionGroup var verbosity: VerbosityOptions
  @OptionGroup var folders: FolderOptions

  func run() throws {
    Unsupported.remarkProcesses(!configurations.processCounts.isEmpty, "-np")
    let memoryCap = try configurations.memoryCapBytes()
    let pipeline = folders.pipeline(showsProgress: !verbosity.hidesProgress)
    for name in datasets {
      let dataset = try pipeline.openDataset(name)
      let plans = try pipeline.readPlans(named: plansName, of: dataset.name)
      try pipeline.preprocess(
        dataset, by: plans, configurations: configurations.configurations,
        memoryCap: memoryCap)
    }
  }
}

/// Fingerprint, plans and preprocessing in one go.
struct PlanAndPreprocessCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "plan_and_preprocess", abstract: "Measure, plan and preprocess datasets.")

  @Option(
    name: .customShort("d"), parsing: .upToNextOption, help: ArgumentHelp("Datasets.", valueName: "dataset"))
  var datasets: [String]

  @Option(name: .dashed("fpe"), help: ArgumentHelp("Fingerprint extractor.", valueName: "extractor"))
  var extractor = "DatasetFingerprintExtractor"

  @Option(
    name: .dashed("npfp"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var fingerprintProcessCount: Int?

  @Flag(name: .switched("verify_dataset_integrity"), help: "Check every file of the dataset first.")
  var verifies = false

  @Flag(name: .switched("no_pp"), help: "Stop after planning.")
  var stopsAfterPlanning = false

  @Flag(name: .switched("clean"), help: "Measure again even if there is a fingerprint.")
  var measuresAgain = false

  @OptionGroup var planner: PlannerOptions
  @OptionGroup var configurations: ConfigurationOptions
  @OptionGroup var verbosity: VerbosityOptions
  @OptionGroup var folders: FolderOptions

  func run() throws {
    try Unsupported.require(extractor, toBe: "DatasetFingerprintExtractor", for: "-fpe")
    Unsupported.remarkProcesses(fingerprintProcessCount != nil, "-npfp")
    Unsupported.remarkProcesses(!configurations.processCounts.isEmpty, "-np")
    // Better now than after the hours that a fingerprint may take.
    if !stopsAfterPlanning {
      try Unsupported.require(planner.preprocessor, toBe: "DefaultPreprocessor", for: "-preprocessor_name")
    }
    let request = try planner.request()
    let memoryCap = try configurations.memoryCapBytes()
    let pipeline = folders.pipeline(showsProgress: !verbosity.hidesProgress)
    if verifies { try datasets.forEach(pipeline.verify) }
    let opened = try datasets.map(pipeline.openDataset)
    let fingerprints = try opened.map { try pipeline.extractFingerprint(of: $0, again: measuresAgain) }
    let plans = try zip(opened, fingerprints).map { try pipeline.planExperiment(for: $0, $1, request) }
    if stopsAfterPlanning { return }
    for (dataset, plans) in zip(opened, plans) {
      try pipeline.preprocess(
        dataset, by: plans, configurations: configurations.configurations,
        memoryCap: memoryCap)
    }
  }
}
