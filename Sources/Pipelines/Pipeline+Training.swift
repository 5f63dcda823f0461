// Training one fold: which data, which folder, which checkpoint to start from; then the trainer runs.

import Archives
import Backends
package import Datasets
package import Figures
package import Foundation
import Networks
package import Planning
import Preprocessing
import Reporting
import Tensors
package import Training

/// A fold that is trained.
package struct TrainedRun: Sendable {
  package var request: TrainingRequest
  package var plans: Plans
  /// The folder of the fold: checkpoints, training curve, validation.
  package var folder: URL
  package var split: CrossValidationSplit
  package var log: TrainingLog

  /// What every epoch so far came to.
  package var curve: TrainingCurve { log.curve }
}

extension Pipeline {
  /// The folder of a model in the results: it holds one folder a fold.
  package func modelFolder(dataset: String, named name: String) throws -> URL {
    try roots.resultsFolder(of: dataset).appending(path: name)
  }

  /// Trains one fold as `request.start` says, and returns the finished run.
  package func train(_ request: TrainingRequest) throws -> TrainedRun {
    try train(request, with: trainerLoader(request.trainer))
  }

  /// Trains one fold with a trainer at hand.
  package func train(_ request: TrainingRequest, with definition: TrainerDefinition) throws -> TrainedRun {
    let pretrained = try request.pretrainedWeights.map { ($0, try readWeights($0)) }
    let preparation = try prepare(request, definition)
    let folder = RunFolder(url: preparation.folder)
    try RunIdentity.refuseForeignCheckpoints(in: folder.modelFolder)
    if request.start == .overwrite, folder.hasRun {
      progress.note("the old run is now \(try folder.moveAside().path)")
    }
    try preparation.identity.check(folder: folder.url)
    let start = try checkpoint(in: folder, for: request)
    let startState = try start.map(Checkpoint.state)
    if let startState, startState.epoch >= definition.settings.epochs, folder.isFinished {
      return preparation.run(startState.log)
    }
    if request.start == .finished {
      throw Diagnostic(
        "the training is not finished", at: folder.url.path, expected: "a finished training",
        found: start == nil ? "no checkpoint" : "a checkpoint of an unfinished training",
        remedy: "train first, or go on with --c")
    }
    try checkMemory(preparation, definition.settings)
    try requireWritableFolder(folder.url)
    try folder.writeModelFiles(
      plans: .object(preparation.plans.json), dataset: preparation.description.json,
      fingerprint: preparation.fingerprint)
    try preparation.identity.write(to: folder.url)

    let trainer = try makeTrainer(
      request, definition, preparation, log: startState?.log ?? TrainingLog())
    if let start {
      try trainer.restore(Checkpoint(contentsOf: start), source: start.path)
      progress.note(
        "going on from \(start.lastPathComponent), epoch \(min(trainer.log.epochs.count + 1, definition.settings.epochs))"
      )
    }
    if start == nil, let (file, weights) = pretrained {
      try trainer.network.loadPretrained(weights, source: file.path)
      progress.note("starting from the weights of \(file.path), output heads excepted")
    }
    do { try trainer.run() } catch {
      if request.writesCheckpoints, !(error is TrainingDiverged) { progress.note(folder.stopNotice()) }
      throw error
    }
    return preparation.run(trainer.log)
  }

  /// Everything about a training that is known before it starts.
  private struct Preparation {
    var request: TrainingRequest
    var plans: Plans
    var configuration: PlannedConfiguration
    var description: DatasetDescription
    var fingerprint: JSON
    var split: CrossValidationSplit
    var store: PreprocessedStore
    var identity: RunIdentity
    var folder: URL
    var backend: any Backend
    var precision: Precision

    func run(_ log: TrainingLog) -> TrainedRun {
      TrainedRun(request: request, plans: plans, folder: folder, split: split, log: log)
    }
  }

  /// Says what the training will take, and stops if that is more than there is.
  private func checkMemory(_ preparation: Preparation, _ settings: TrainerSettings) throws {
    var workload = TrainingWorkload(
      preparation.configuration, labels: preparation.description.labels,
      channelCount: preparation.description.channelNames.count, precision: preparation.precision)
    workload.usesDeepSupervision = settings.usesDeepSupervision
    let cases = Set(preparation.split.training + preparation.split.validation)
    workload.caseCount = cases.count
    workload.mappedByteCount = cases.reduce(0) { sum, identifier in
      let path = preparation.store.url(of: identifier).path
      return sum + ((try? FileManager.default.attributesOfItem(atPath: path)[.size] as? Int) ?? 0)
    }
    try workload.require(
      fitsInto: preparation.request.memoryCap ?? .ofMachine(),
      canUseBFloat16: preparation.backend.supportedPrecisions.contains(.bfloat16))
    progress.note("memory: \(try TrainingMemory(workload).summary)")
  }

  private func prepare(_ request: TrainingRequest, _ definition: TrainerDefinition) throws -> Preparation {
    let datasetFolder = try roots.preprocessedFolder(of: request.dataset)
    let plans = try readPlans(named: request.plans, of: request.dataset)
    let configuration = try plans.configuration(named: request.configuration)
    let description = try DatasetDescription(contentsOf: datasetFolder.appending(path: "dataset.json"))
    let fingerprint = try JSON(contentsOf: datasetFolder.appending(path: DatasetFingerprint.fileName))
    let store = PreprocessedStore(datasetFolder: datasetFolder, configuration: configuration)
    let identifiers = store.identifiers()
    guard !identifiers.isEmpty else {
      throw Diagnostic(
        "\(request.configuration) is not preprocessed", at: store.folder.path, expected: "preprocessed cases",
        found: "none", remedy: "lunette preprocess -d \(request.dataset) -c \(request.configuration)")
    }
    let splits =
      request.fold == .all
      ? CrossValidationSplits(splits: [])
      : try CrossValidationSplits.readOrCreate(in: datasetFolder, identifiers: identifiers)
    let (split, notice): (CrossValidationSplit, String?)
    do { (split, notice) = try splits.split(for: request.fold, identifiers: identifiers) } catch {
      throw error.located(at: datasetFolder.appending(path: CrossValidationSplits.fileName).path)
    }
    if let notice { progress.note(notice) }
    guard !split.training.isEmpty, !split.validation.isEmpty else {
      throw Diagnostic(
        "fold \(request.fold) has nothing to \(split.training.isEmpty ? "train on" : "validate on")",
        at: datasetFolder.appending(path: CrossValidationSplits.fileName).path,
        expected: "at least one case to train on and one to validate on",
        found: "\(split.training.count) and \(split.validation.count) of \(identifiers.count) cases",
        remedy: "write your own \(CrossValidationSplits.fileName), or train with fold `all`")
    }
    var definition = definition
    let backend = try CPUBackend()
    func identity(_ precision: Precision) -> RunIdentity {
      RunIdentity(
        plans: plans, configuration: configuration, fingerprint: fingerprint,
        split: ["train": JSON(split.training), "val": JSON(split.validation)], definition: definition,
        seed: request.seed, precision: precision)
    }
    var named = request
    named.trainer.name = definition.settings.name + identity(.float32).folderSuffix
    let folder = try modelFolder(dataset: request.dataset, named: named.modelFolderName)
      .appending(path: request.fold.folderName)
    let isAnew = request.start == .overwrite || request.start == .new
    let known = isAnew ? nil : RunIdentity.precision(in: folder)
    // A run that goes on has its weights: where they came from stays part of what it is.
    definition.overrides[RunIdentity.pretrainedKey] =
      try request.pretrainedWeights.map {
        try ContentHash(Data(contentsOf: $0, options: .mappedIfSafe)).description
      }
      ?? (isAnew ? nil : RunIdentity.pretrainedWeights(in: folder))
    let precision =
      request.precision ?? known
      ?? (backend.supportedPrecisions.contains(.bfloat16) ? .bfloat16 : .float32)
    guard backend.supportedPrecisions.contains(precision) else {
      throw Diagnostic(
        "this machine cannot compute in \(precision.rawValue)", at: folder.path,
        expected: backend.supportedPrecisions.map(\.rawValue).joined(separator: " or "),
        found: backend.name,
        remedy: "train with --precision float32 under another trainer name, or on a machine that can")
    }
    return Preparation(
      request: named, plans: plans, configuration: configuration, description: description,
      fingerprint: fingerprint,
      split: split, store: store, identity: identity(precision), folder: folder, backend: backend,
      precision: precision)
  }

  /// The checkpoint to start from, by the request and by what is there.
  private func checkpoint(in folder: RunFolder, for request: TrainingRequest) throws -> URL? {
    let furthest = try folder.furthestCheckpoint()
    switch request.start {
    case .new:
      guard let furthest else { return nil }
      throw Diagnostic(
        "the folder holds a training already", at: furthest.path, expected: "no checkpoint",
        found: furthest.lastPathComponent,
        remedy: "go on with --c, or start anew with --overwrite, which moves the old folder aside")
    case .latest:
      if furthest == nil { progress.note("there is no checkpoint to go on from; starting a new training") }
      return furthest
    case .overwrite: return nil
    case .finished, .whateverIsThere: return furthest
    }
  }

  private func makeTrainer(
    _ request: TrainingRequest, _ definition: TrainerDefinition, _ preparation: Preparation,
    log: TrainingLog
  ) throws -> Trainer {
    let backend = preparation.backend
    progress.note(
      "training \(preparation.request.modelFolderName), fold \(request.fold): \(preparation.split.training.count) cases, "
        + "\(preparation.split.validation.count) held out, seed \(request.seed), precision \(preparation.precision.rawValue), \(backend.name)"
    )
    var task = TrainingTask(
      plans: preparation.plans, configuration: preparation.configuration,
      labels: preparation.description.labels,
      dataset: preparation.description.json, channelCount: preparation.description.channelNames.count,
      fold: request.fold,
      training: PreprocessedPatchSource(preparation.store, identifiers: preparation.split.training),
      validation: PreprocessedPatchSource(preparation.store, identifiers: preparation.split.validation),
      folder: preparation.folder, seed: Int(truncatingIfNeeded: request.seed))
    task.precision = preparation.precision
    task.writesCheckpoints = request.writesCheckpoints
    let folder = RunFolder(url: preparation.folder)
    let logName =
      "training_log_\(Date().formatted(.verbatim(Self.logStamp, timeZone: .current, calendar: .current))).txt"
    var hooks = definition.hooks
    let observer = hooks.epochEnd
    var log = log
    hooks.epochEnd = { [progress] summary in
      log = log.adding(summary)
      folder.appendToLog("\(summary)", named: logName)
      do {
        try drawTrainingCurve(
          log.curve, title: folder.modelFolder.lastPathComponent,
          to: folder.url.appending(path: "progress.png"))
      } catch { progress.note("the training curve could not be drawn: \(error)") }
      try observer?(summary)
    }
    return try Trainer(
      task, settings: definition.settings, hooks: hooks, backend: backend, progress: progress,
      cancellation: cancellation)
  }

  /// nnU-Net's stamp: year, month and day unpadded, hours, minutes and seconds with two digits.
  private static let logStamp: Date.FormatString =
    "\(year: .defaultDigits)_\(month: .defaultDigits)_\(day: .defaultDigits)_\(hour: .twoDigits(clock: .twentyFourHour, hourCycle: .zeroBased))_\(minute: .twoDigits)_\(second: .twoDigits)"
}
