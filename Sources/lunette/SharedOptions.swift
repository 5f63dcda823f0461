// Options that several commands share, and how flags that cannot be honoured are answered.

import ArgumentParser
import Datasets
import Foundation
import Pipelines
import Reporting
import Scripting
import Tensors

extension NameSpecification {
  /// A name of several letters behind one dash, as nnU-Net writes them: `-tr`.
  static func dashed(_ name: String) -> NameSpecification { .customLong(name, withSingleDash: true) }

  /// A name behind two dashes, underscores and all: `--verify_dataset_integrity`.
  static func switched(_ name: String) -> NameSpecification { .customLong(name) }
}

/// Where the data lies.
struct FolderOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Folder with raw, preprocessed and results below it, in place of the variables nnUNet_*.",
      valueName: "dir"))
  var root: String?

  /// The pipeline over these folders, reporting to the terminal and stopping at Ctrl-C.
  func pipeline(showsProgress: Bool = true) -> Pipeline {
    .onTerminal(DatasetRoots(root: root.map { URL(filePath: $0) }), showsProgress: showsProgress)
  }
}

extension Pipeline {
  /// A pipeline that reports to the terminal and stops at Ctrl-C.
  static func onTerminal(
    _ roots: DatasetRoots = DatasetRoots(root: nil), showsProgress: Bool = true
  ) -> Pipeline {
    var pipeline = Pipeline(
      roots: roots, progress: TerminalProgress(showsBars: showsProgress), cancellation: Interrupt.install())
    pipeline.trainerLoader = { reference in
      guard let file = reference.file else { return try TrainerDefinition.builtIn(reference) }
      return try LoadedTrainer(named: reference.name, from: file).definition()
    }
    return pipeline
  }
}

/// Predictions that lie in a folder, and nnU-Net's options for reading them.
struct PredictionsOptions: ParsableArguments {
  @Option(name: .customShort("i"), help: ArgumentHelp("Folder of predictions.", valueName: "dir"))
  var input: String

  @Option(
    name: .dashed("np"),
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var processCount: Int?

  @Option(
    name: .dashed("plans_json"),
    help: ArgumentHelp("Accepted; files are read by their format.", valueName: "file"))
  var plans: String?

  @Option(
    name: .dashed("dataset_json"),
    help: ArgumentHelp("dataset.json; the one beside the predictions if not given.", valueName: "file"))
  var datasetJSON: String?

  /// The folder; says what the process count means here.
  func folder() -> PredictionsFolder {
    Unsupported.remarkProcesses(processCount != nil, "-np")
    return PredictionsFolder(URL(filePath: input), datasetJSON: datasetJSON.map { URL(filePath: $0) })
  }
}

/// How much is said while working.
struct VerbosityOptions: ParsableArguments {
  @Flag(name: .switched("verbose"), help: "Accepted; everything worth knowing is printed anyway.")
  var verbose = false

  @Flag(name: .switched("no_pbar"), help: "No progress bars.")
  var hidesProgress = false
}

/// How an option that means nothing here, or not yet, is answered: never by silence.
enum Unsupported {
  /// Refuses a value that would change the result.
  static func require(_ value: String, toBe only: String, for flag: String) throws(Diagnostic) {
    guard value != only else { return }
    throw Diagnostic(
      "\(flag) \(value) is not supported yet", expected: only, found: value, remedy: "leave \(flag) away")
  }

  /// Refuses a switch or option that would change the result.
  static func refuse(_ isGiven: Bool, _ flag: String, because reason: String) throws(Diagnostic) {
    guard isGiven else { return }
    throw Diagnostic("\(flag) is not supported yet: \(reason)", remedy: "leave \(flag) away")
  }

  /// Says that an option without influence on the result is not used.
  static func remark(_ isGiven: Bool, _ flag: String, _ reason: String) {
    if isGiven { Console.remark("\(flag): \(reason)") }
  }

  /// Says what the process counts of nnU-Net mean here.
  static func remarkProcesses(_ isGiven: Bool, _ flag: String) {
    let threads = ProcessInfo.processInfo.activeProcessorCount
    remark(isGiven, flag, "not used; the work is done by \(threads) threads of one process")
  }
}

/// The device that a command computes on.
enum DeviceChoice {
  /// Accepts what can be computed on here, and says what the default became.
  static func resolve(_ device: String?) throws(Diagnostic) {
    switch device {
    case nil:
      Console.remark("no usable GPU; using the CPU")
    case "cpu":
      break
    case "cuda", "mps":
      throw Diagnostic(
        "there is no usable device `\(device ?? "")`", expected: "cpu",
        found: "this build computes on the CPU only",
        remedy: "leave -device away, or give -device cpu")
    case .some(let name):
      throw Diagnostic(
        "`\(name)` is no device", expected: "cpu, cuda or mps", found: name,
        remedy: nearestName(to: name, in: ["cpu", "cuda", "mps"]).map { "did you mean -device \($0)?" }
          ?? "leave -device away")
    }
  }
}

/// The value of `--precision`.
enum PrecisionChoice {
  static func parse(_ text: String, alternatives: [String] = []) throws(Diagnostic) -> Precision {
    if let precision = Precision(name: text) { return precision }
    let names = alternatives + ["fp32", "bf16"]
    throw Diagnostic(
      "`\(text)` is no precision", expected: names.joined(separator: ", "), found: text,
      remedy: nearestName(to: text, in: names).map { "did you mean --precision \($0)?" }
        ?? "leave --precision away")
  }
}
