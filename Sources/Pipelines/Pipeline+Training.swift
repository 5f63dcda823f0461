// Training one fold: which checkpoint to start from, what is kept beside it; then the trainer runs. What is known before
// is in TrainingPreparation.swift.

import Archives
import Backends
package import Datasets
package import Figures
package import Foundation
import Networks
package import Planning
package import Preprocessing
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
  /// What a cascade's first stage predicted of the cases; `nil` for other configurations.
  package var previousStage: PreviousStageStore?
  /// Whether the training was only a measurement, which leaves no model.
  package var isBenchmark = false
  /// The text log of this launch.
  var journal: RunJournal

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
    guard !definition.settings.isBenchmark || request.fold == .number(0) else {
      throw Diagnostic(
        "a benchmark is measured on fold 0, so that results can be compared", expected: "fold 0",
        found: "fold \(request.fold)", remedy: "train fold 0, or with another trainer (-tr)")
    }
    let preparation = try prepare(request, definition)
    let folder = RunFolder(url: preparation.folder)
    try RunIdentity.refuseForeignCheckpoints(in: folder.modelFolder)
    if request.start == .overwrite, folder.hasRun {
      progress.note("the old run is now \(try folder.moveAside().path)")
    }
    try preparation.identity.check(folder: folder.url)
    let start = try checkpoint(in: folder, for: request)
    let startState = try start.map(Checkpoint.state)
    let journal = RunJournal(folder: folder.url)
    if let startState, startState.epoch >= definition.settings.epochs, folder.isFinished {
      return preparation.run(startState.log, journal)
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
    let records = RunRecords(
      folder: folder, journal: journal, log: startState?.log ?? TrainingLog(), progress: progress)
    let trainer = try makeTrainer(request, definition, preparation, records)
    if let start {
      try trainer.restore(folder.readCheckpoint(start), source: start.path)
      progress.note(
        "going on from \(start.lastPathComponent), epoch \(min(trainer.log.epochs.count + 1, definition.settings.epochs))"
      )
    }
    if start == nil, let (file, weights) = pretrained {
      try trainer.network.loadPretrained(weights, source: file.path)
      progress.note("starting from the weights of \(file.path), output heads excepted")
    }
    try preparation.identity.write(to: folder.url)
    try records.writeDebugInformation(of: trainer, preparation)
    do { try trainer.run() } catch {
      if !(error is Cancelled), start == nil { folder.forgetEmptyRun() }
      if trainer.task.writesCheckpoints, !(error is TrainingDiverged), folder.hasRun {
        progress.note(folder.stopNotice(goesOn: request.start == .whateverIsThere))
      }
      if definition.settings.isBenchmark, !(error is Cancelled) {
        try records.writeBenchmark(trainer.log, preparation, failure: "\(error)")
      }
      throw error
    }
    journal.write("Training done.")
    if definition.settings.isBenchmark { try records.writeBenchmark(trainer.log, preparation) }
    return preparation.run(trainer.log, journal)
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
        remedy:
          "go on with --c, validate it with --val (--val --val_best for the best checkpoint), or start anew with "
          + "--overwrite, which moves the old folder aside")
    case .latest:
      if furthest == nil { progress.note("there is no checkpoint to go on from; starting a new training") }
      return furthest
    case .overwrite: return nil
    case .finished, .whateverIsThere: return furthest
    }
  }

  private func makeTrainer(
    _ request: TrainingRequest, _ definition: TrainerDefinition, _ preparation: TrainingPreparation,
    _ records: RunRecords
  ) throws -> Trainer {
    let backend = preparation.backend
    progress.note(
      "training \(preparation.request.modelFolderName), fold \(request.fold): \(preparation.split.training.count) cases, "
        + "\(preparation.split.validation.count) held out, seed \(request.seed), precision \(preparation.precision.rawValue), \(backend.name)"
    )
    func source(_ identifiers: [String]) -> PreprocessedPatchSource {
      PreprocessedPatchSource(
        preparation.store, identifiers: identifiers, previousStage: preparation.previousStage)
    }
    var task = TrainingTask(
      plans: preparation.plans, configuration: preparation.configuration,
      labels: preparation.description.labels,
      dataset: preparation.description.json, channelCount: preparation.description.channelNames.count,
      fold: request.fold, training: source(preparation.split.training),
      validation: source(preparation.split.validation),
      folder: preparation.folder, seed: Int(truncatingIfNeeded: request.seed))
    task.precision = preparation.precision
    task.writesCheckpoints = request.writesCheckpoints && !definition.settings.isBenchmark
    if let interval = request.saveInterval { task.saveInterval = interval }
    var hooks = definition.hooks
    let observer = hooks.epochEnd
    hooks.epochEnd = { summary in
      try records.add(summary)
      try observer?(summary)
    }
    return try Trainer(
      task, settings: definition.settings, hooks: hooks, backend: backend, progress: progress,
      cancellation: cancellation)
  }
}
