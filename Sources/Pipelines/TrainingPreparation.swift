// What is known about a training before it starts: data, folds, folder, identity, memory.

import Archives
import Backends
import Datasets
import Foundation
import Planning
import Preprocessing
import Reporting
import Tensors
import Training

/// Everything that a training is made from.
struct TrainingPreparation {
  var request: TrainingRequest
  var plans: Plans
  var configuration: PlannedConfiguration
  var description: DatasetDescription
  var fingerprint: JSON
  var split: CrossValidationSplit
  var store: PreprocessedStore
  var previousStage: PreviousStageStore?
  var identity: RunIdentity
  var folder: URL
  var backend: any Backend
  var precision: Precision
  var settings: TrainerSettings

  func run(_ log: TrainingLog, _ journal: RunJournal) -> TrainedRun {
    TrainedRun(
      request: request, plans: plans, folder: folder, split: split, log: log, previousStage: previousStage,
      isBenchmark: settings.isBenchmark, journal: journal)
  }
}

extension Pipeline {
  /// Says what the training will take, and stops if that is more than there is.
  func checkMemory(_ preparation: TrainingPreparation, _ settings: TrainerSettings) throws {
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

  func prepare(
    _ request: TrainingRequest, _ definition: TrainerDefinition
  ) throws -> TrainingPreparation {
    let datasetFolder = try roots.preprocessedFolder(of: request.dataset)
    var plans = try readPlans(named: request.plans, of: request.dataset)
    var configuration = try plans.configuration(named: request.configuration)
    let description = try DatasetDescription(contentsOf: datasetFolder.appending(path: "dataset.json"))
    let fingerprint = try JSON(contentsOf: datasetFolder.appending(path: DatasetFingerprint.fileName))
    let previous = configuration.previousStage == nil ? 0 : description.labels.foregroundLabels.count
    let wanted = NetworkRequest(
      configuration: configuration, inputChannelCount: description.channelNames.count + previous,
      outputChannelCount: description.labels.outputChannelCount)
    if let architecture = try definition.hooks.architecture?(wanted) {
      plans = try plans.replacingArchitecture(of: configuration.name, by: architecture)
      configuration = try plans.configuration(named: request.configuration)
    }
    let axisCount = configuration.patchSize.count
    if let axes = definition.settings.mirrorAxes, !axes.isEmpty,
      definition.settings.mirrorAxes(dimensionCount: axisCount).isEmpty
    {
      throw Diagnostic(
        "mirror_axes names no axis of \(configuration.name)", expected: "axes from 0 to \(axisCount - 1)",
        found: "\(axes)", remedy: "correct them, or give an empty list to mirror nothing")
    }
    let store = PreprocessedStore(datasetFolder: datasetFolder, configuration: configuration)
    let identifiers = store.identifiers()
    guard !identifiers.isEmpty else {
      throw Diagnostic(
        "\(request.configuration) is not preprocessed", at: store.folder.path, expected: "preprocessed cases",
        found: "none", remedy: "lunette preprocess -d \(request.dataset) -c \(request.configuration)")
    }
    func standardSplits() throws -> CrossValidationSplits {
      try CrossValidationSplits.readOrCreate(in: datasetFolder, identifiers: identifiers)
    }
    let splits =
      request.fold == .all
      ? CrossValidationSplits(splits: [])
      : try definition.hooks.split?(identifiers, standardSplits) ?? standardSplits()
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
    func identity(_ precision: Precision, of stage: PlannedConfiguration? = nil) -> RunIdentity {
      RunIdentity(
        plans: plans, configuration: stage ?? configuration, fingerprint: fingerprint,
        split: ["train": JSON(split.training), "val": JSON(split.validation)], definition: definition,
        seed: request.seed, precision: precision)
    }
    var named = request
    named.trainer.name = definition.settings.name + identity(.float32).folderSuffix
    if named.trainer.name != definition.settings.name {
      progress.note(
        "with seed \(request.seed) the trainer's name is \(named.trainer.name), for -tr in later commands too"
      )
    }
    let folder = try modelFolder(dataset: request.dataset, named: named.modelFolderName)
      .appending(path: request.fold.folderName)
    let previousStage = try configuration.previousStage.map { name in
      var first = request
      first.configuration = name
      first.trainer.name =
        definition.settings.name + identity(.float32, of: try plans.configuration(named: name)).folderSuffix
      let store = PreviousStageStore(
        modelFolder: try modelFolder(dataset: request.dataset, named: first.modelFolderName),
        nextConfiguration: configuration.name)
      try requirePredictions(in: store, of: first, trainer: definition.settings.name, split: split, splits)
      return store
    }
    let isAnew = request.start == .overwrite || request.start == .new
    let known = isAnew ? nil : RunIdentity.precision(in: folder)
    // A run that goes on has its weights: where they came from stays part of what it is.
    definition.overrides[RunIdentity.pretrainedKey] =
      try request.pretrainedWeights.map {
        try ContentHash(Data(contentsOf: $0, options: .mappedIfSafe)).description
      }
      ?? (isAnew ? nil : RunIdentity.pretrainedWeights(in: folder))
    let precision =
      request.precision ?? known ?? backend.trainingPrecision
    guard backend.supportedPrecisions.contains(precision) else {
      throw Diagnostic(
        "this machine cannot compute in \(precision.rawValue)", at: folder.path,
        expected: backend.supportedPrecisions.map(\.rawValue).joined(separator: " or "),
        found: backend.name,
        remedy: "train with --precision float32 under another trainer name, or on a machine that can")
    }
    return TrainingPreparation(
      request: named, plans: plans, configuration: configuration, description: description,
      fingerprint: fingerprint,
      split: split, store: store, previousStage: previousStage, identity: identity(precision), folder: folder,
      backend: backend, precision: precision, settings: definition.settings)
  }

  /// Stops unless the first stage of a cascade has predicted every case of a fold of the second.
  private func requirePredictions(
    in store: PreviousStageStore, of first: TrainingRequest, trainer: String, split: CrossValidationSplit,
    _ splits: CrossValidationSplits
  ) throws(Diagnostic) {
    let needed = Set(split.training + split.validation)
    let missing = needed.subtracting(store.identifiers())
    guard !missing.isEmpty else { return }
    let folds = splits.splits.indices.filter { !missing.isDisjoint(with: splits.splits[$0].validation) }
    let options = [
      trainer == TrainerReference().name ? "" : " -tr \(trainer)",
      first.plans == TrainingRequest.defaultPlans ? "" : " -p \(first.plans)",
      first.seed == RunIdentity.defaultSeed ? "" : " --seed \(first.seed)",
    ].joined()
    let command =
      "lunette train \(first.dataset) \(first.configuration) "
      + (folds.isEmpty ? "0 1 2 3 4" : folds.map(String.init).joined(separator: " ")) + options
    throw Diagnostic(
      "the first stage of the cascade has not predicted \(missing.count) of \(needed.count) cases",
      at: store.folder.path,
      expected: "the predictions that every fold of \(first.configuration) leaves there",
      found:
        "none of \(missing.sorted().prefix(3).joined(separator: ", "))\(missing.count > 3 ? ", ..." : "")",
      remedy: "\(command) (with --val where it is trained already)")
  }
}
