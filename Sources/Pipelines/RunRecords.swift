// What a training leaves to read: the text log, the figures of every epoch, the curve, what it was made of, and what a
// benchmark measured. The forms are nnU-Net's where it has one.

import Archives
import Augmentation
import Backends
import Datasets
import Figures
package import Foundation
import Networks
import Planning
import Preprocessing
import Reporting
import Tensors
import Training

/// The text log of one launch, in nnU-Net's form: a time stamp and one statement a line.
package struct RunJournal: Sendable {
  package let url: URL

  /// The log that a launch at this moment writes; made with its first line.
  init(folder: URL, date: Date = Date()) {
    let stamp = date.formatted(.verbatim(Self.nameStamp, timeZone: .current, calendar: .current))
    url = folder.appending(path: "training_log_\(stamp).txt")
  }

  /// Adds lines that carry the present time.
  package func write(_ lines: String...) {
    let now = Date()
    let micros = Int((now.timeIntervalSince1970.truncatingRemainder(dividingBy: 1) * 1e6).rounded(.down))
    let stamp =
      now.formatted(.verbatim(Self.lineStamp, timeZone: .current, calendar: .current))
      + String(format: ".%06d", micros)
    append(lines.map { "\(stamp): \($0) \n" }.joined())
  }

  private func append(_ text: String) {
    let data = Data(text.utf8)
    if let handle = try? FileHandle(forWritingTo: url) {
      _ = try? handle.seekToEnd()
      try? handle.write(contentsOf: data)
      try? handle.close()
    } else {
      try? data.write(to: url)
    }
  }

  /// Writes what an epoch came to.
  func write(_ s: EpochSummary) {
    let classes = s.dicePerClass.map { Self.rounded($0, 4) }.joined(separator: ", ")
    append("\n")
    write(
      "Epoch \(s.epoch)", "Current learning rate: \(Self.rounded(s.learningRate, 5))",
      "train_loss \(Self.rounded(s.trainingLoss, 4))", "val_loss \(Self.rounded(s.validationLoss, 4))",
      "Pseudo dice [\(classes)]", "Epoch time: \(Self.rounded(s.duration, 2)) s")
    if s.isBest { write("New best EMA pseudo Dice: \(Self.rounded(s.movingAverageDice, 4))") }
  }

  /// A number as Python prints it, rounded.
  private static func rounded(_ value: Double, _ digits: Int) -> String {
    let scale = pow(10, Double(digits))
    return JSON.number((value * scale).rounded(.toNearestOrEven) / scale).text(indent: nil)
      .replacingOccurrences(of: "NaN", with: "nan")
  }

  /// nnU-Net's stamp: year, month and day unpadded, hours, minutes and seconds with two digits.
  private static let nameStamp: Date.FormatString =
    "\(year: .defaultDigits)_\(month: .defaultDigits)_\(day: .defaultDigits)_\(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased))_\(minute: .twoDigits)_\(second: .twoDigits)"
  private static let lineStamp: Date.FormatString =
    "\(year: .defaultDigits)-\(month: .twoDigits)-\(day: .twoDigits) \(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased)):\(minute: .twoDigits):\(second: .twoDigits)"
}

/// Keeps the records of one launch up to date, epoch after epoch.
final class RunRecords {
  private let folder: RunFolder
  private let journal: RunJournal
  private let progress: any ProgressSink
  private var log: TrainingLog
  /// The lines of `metrics.jsonl`, one per epoch.
  private var metrics: [String]

  static let metricsName = "metrics.jsonl"

  /// Takes up the records of a run that goes on from `log`; lines of epochs that are run again are dropped.
  init(folder: RunFolder, journal: RunJournal, log: TrainingLog, progress: any ProgressSink) {
    self.folder = folder
    self.journal = journal
    self.log = log
    self.progress = progress
    let url = folder.url.appending(path: Self.metricsName)
    var present: [Int: String] = [:]
    for line in (try? String(contentsOf: url, encoding: .utf8))?.split(separator: "\n") ?? [] {
      let text = String(line)
      if let epoch = (try? JSON(parsing: text, source: url.path))?["epoch"]?.integer { present[epoch] = text }
    }
    metrics = log.epochs.map { present[$0.epoch] ?? Self.line($0) }
  }

  /// Adds an epoch to the log, the figures and the curve.
  func add(_ summary: EpochSummary) throws(Diagnostic) {
    log = log.adding(summary)
    journal.write(summary)
    metrics.append(Self.line(summary))
    try writeAtomically(
      Data(metrics.map { $0 + "\n" }.joined().utf8), to: folder.url.appending(path: Self.metricsName))
    do {
      try drawTrainingCurve(
        log.curve, title: folder.modelFolder.lastPathComponent,
        to: folder.url.appending(path: "progress.png"))
    } catch { progress.note("the training curve could not be drawn: \(error)") }
  }

  /// Every figure of an epoch on one line.
  private static func line(_ s: EpochSummary) -> String {
    var object: JSONObject = [
      "epoch": .integer(s.epoch), "train_loss": .number(s.trainingLoss),
      "val_loss": .number(s.validationLoss),
      "mean_fg_dice": .number(s.meanDice), "ema_fg_dice": .number(s.movingAverageDice),
      "dice_per_class_or_region": JSON(s.dicePerClass), "lr": .number(s.learningRate),
      "start": .number(s.start), "end": .number(s.end), "seconds": .number(s.duration),
    ]
    if let performance = s.performance {
      object["new_best"] = .bool(s.isBest)
      object["step_seconds"] = .number(performance.stepSeconds / Double(max(performance.stepCount, 1)))
      object["waiting_share"] = .number(s.waitingShare)
      object["validation_seconds"] = .number(performance.validationSeconds)
      object["peak_memory_bytes"] = .integer(performance.peakMemoryByteCount)
    }
    return JSON.object(object).text(indent: nil)
  }

  /// Writes `debug.json`: everything that decides the training, as data where nnU-Net keeps texts.
  func writeDebugInformation(
    of trainer: Trainer, _ preparation: TrainingPreparation
  ) throws(Diagnostic) {
    let task = trainer.task
    let augmentation = (try? trainer.trainingPipeline())?.list() ?? .null
    let labels = task.labels
    let debug: JSON = [
      "program": .string("lunette \(ProgramVersion.number)"), "hostname": .string(machineName()),
      "device": .string(preparation.backend.name), "precision": .string(task.precision.rawValue),
      "threads": .integer(ProcessInfo.processInfo.activeProcessorCount),
      "dataset_name": .string(preparation.request.dataset), "plans_name": .string(task.plans.plansName),
      "configuration_name": .string(task.configuration.name),
      "configuration": .object(task.configuration.json), "fold": foldName(task.fold),
      "seed": .integer(task.seed), "output_folder": .string(task.folder.path),
      "preprocessed_dataset_folder": .string(preparation.store.folder.path),
      "is_cascaded": .bool(task.previousStageLabels != nil),
      "folder_with_segs_from_previous_stage": (preparation.previousStage?.folder.path).map(JSON.string)
        ?? .null,
      "trainer": trainer.settings.json, "batch_size": .integer(task.configuration.batchSize),
      "num_input_channels": .integer(task.channelCount + (task.previousStageLabels?.count ?? 0)),
      "num_output_channels": .integer(labels.outputChannelCount),
      "has_regions": .bool(labels.hasRegions), "ignore_label": labels.ignoreLabel.map(JSON.integer) ?? .null,
      "loss": trainer.lossDescription,
      "network_parameter_count": .integer(trainer.network.parameterCount),
      "augmentation": augmentation, "validation_augmentation": trainer.validationPipeline().list(),
      "inference_allowed_mirroring_axes": JSON(trainer.mirrorAxes),
      "training_cases": JSON(preparation.split.training),
      "validation_cases": JSON(preparation.split.validation),
      "current_epoch": .integer(trainer.log.epochs.count),
    ]
    try debug.write(to: folder.url.appending(path: "debug.json"))
  }

  /// Adds what this machine has come to in `benchmark_result.json`: the fastest epoch, or why there is none.
  func writeBenchmark(
    _ log: TrainingLog, _ preparation: TrainingPreparation, failure: String? = nil
  ) throws(Diagnostic) {
    let url = folder.url.appending(path: "benchmark_result.json")
    var results = (try? JSON(contentsOf: url))?.object ?? [:]
    let device = preparation.backend.name
    let key = [
      machineName(), "lunette\(ProgramVersion.number)", device.replacingOccurrences(of: " ", with: ""),
      preparation.precision.rawValue,
    ].joined(separator: "__")
    let fastest = log.epochs.map(\.duration).min()
    results[key] = [
      "program": .string("lunette \(ProgramVersion.number)"), "hostname": .string(machineName()),
      "device": .string(device), "precision": .string(preparation.precision.rawValue),
      "threads": .integer(ProcessInfo.processInfo.activeProcessorCount), "num_gpus": 0,
      "fastest_epoch": failure.map(JSON.string) ?? fastest.map(JSON.number) ?? .null,
    ]
    try JSON.object(results).write(to: url)
    if failure == nil, let fastest {
      progress.note("fastest epoch: \(fastest) s, kept in \(url.path)")
    }
  }
}

private func foldName(_ fold: Fold) -> JSON {
  if case .number(let number) = fold { .integer(number) } else { "all" }
}

/// What the machine calls itself.
private func machineName() -> String { ProcessInfo.processInfo.hostName }
