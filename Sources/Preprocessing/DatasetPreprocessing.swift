// Preprocessing a whole dataset for one configuration: parallel over cases, within memory, restartable.

import Archives
package import Datasets
import Foundation
package import Planning
package import Reporting
import Synchronization
import Tensors
import VolumeFormats
import Volumes

/// What a run did.
package struct PreprocessingReport: Sendable, Equatable {
  /// Cases that were preprocessed.
  package var writtenCount = 0
  /// Cases that were there already, made with the same settings from the same files.
  package var keptCount = 0

  package init() {}
}

/// Preprocesses every training case of a dataset and copies its labels beside the result.
///
/// Writes only to `{data_identifier}.lunette` and `gt_segmentations`. A run that was stopped goes on where it was:
/// a case that was made with the same settings and is newer than its files is kept. The memory is predicted and told
/// before the first case; the largest cases go first, as many at a time as fit.
/// - Parameters:
///   - dataset: the raw dataset.
///   - plans: its plans.
///   - configuration: the name of the configuration, such as `3d_fullres`.
///   - roots: where preprocessed data lie.
///   - memoryCap: bytes that the process may take; what the machine has available if `nil`.
///   - progress: told of every case.
///   - cancellation: asked before every case.
/// - Throws: the first case's error, with the case named; other cases that run are finished, no more are begun.
@discardableResult
package func preprocessDataset(
  dataset: RawDataset, plans: Plans, configuration: String, roots: DatasetRoots, memoryCap: Int? = nil,
  progress: any ProgressSink = SilentProgress(), cancellation: CancellationFlag = CancellationFlag()
) throws -> PreprocessingReport {
  let planned = try plans.configuration(named: configuration)
  let folder = try roots.preprocessedFolder(of: dataset.name)
  let run = DatasetRun(
    preprocessor: try Preprocessor(plans: plans, configuration: planned, labels: dataset.description.labels),
    store: PreprocessedStore(datasetFolder: folder, configuration: planned),
    labelFolder: folder.appending(path: "gt_segmentations"), fileEnding: dataset.description.fileEnding,
    settings: preprocessingSettings(plans: plans, configuration: planned, labels: dataset.description.labels))
  let cases = try dataset.cases()
  let fingerprint = try? DatasetFingerprint(contentsOf: folder.appending(path: DatasetFingerprint.fileName))
  returnFreedArrays()
  let memory = try MemoryPrediction(
    cases: cases, plans: plans, configuration: planned, cropShapes: fingerprint?.shapesAfterCrop,
    cap: memoryCap)
  try memory.requireFits(cases, configuration: configuration)
  progress.note("\(configuration): up to \(sizeText(memory.peak)) of memory")
  return try removingEmptyFolders(run.labelFolder) {
    try removingEmptyFolders(run.store.folder) {
      try requireWritableFolder(run.store.folder)
      removeAbandonedTemporaries(in: run.labelFolder)
      try run.removeCases(otherThan: Set(cases.map(\.identifier)), progress: progress)
      progress.begin("preprocess \(configuration)", total: cases.count)
      defer { progress.end() }
      return try run.preprocess(
        cases, schedule: memory.schedule, progress: progress, cancellation: cancellation)
    }
  }
}

/// The decisions that a preprocessed case depends on, as text that can be compared.
package func preprocessingSettings(
  plans: Plans, configuration: PlannedConfiguration, labels: LabelScheme
) -> String {
  func text(_ spec: ResamplingSpec) -> JSON {
    ["function": .string(spec.functionName), "arguments": .object(spec.arguments)]
  }
  let usesIntensities = configuration.normalizationSchemes.contains("CTNormalization")
  let settings: JSON = [
    "format": .string(PreprocessedCase.format),
    "preprocessor": .string(configuration.preprocessorName),
    "spacing": JSON(configuration.spacing),
    "transpose_forward": JSON(plans.transposeForward),
    "normalization_schemes": JSON(configuration.normalizationSchemes),
    "use_mask_for_norm": JSON(configuration.usesMaskForNormalization),
    "intensities": usesIntensities ? .array(plans.foregroundIntensities.map(\.json)) : .null,
    "image_resampling": text(configuration.imageResampling),
    "segmentation_resampling": text(configuration.segmentationResampling),
    "labels": .array(foregroundTargets(of: labels).map { ["key": $0.key.json, "labels": JSON($0.labels)] }),
  ]
  return settings.text(indent: nil, sortedKeys: true)
}

private struct RunState {
  var report = PreprocessingReport()
  var failure: (index: Int, error: any Error)?

  mutating func finish(_ entry: RawCase, wasWritten: Bool, progress: any ProgressSink) {
    if wasWritten { report.writtenCount += 1 } else { report.keptCount += 1 }
    progress.update(completed: report.writtenCount + report.keptCount, detail: entry.identifier)
  }

  mutating func fail(_ error: any Error, index: Int) {
    if failure.map({ index < $0.index }) ?? true { failure = (index, error) }
  }
}

private struct DatasetRun: Sendable {
  let preprocessor: Preprocessor
  let store: PreprocessedStore
  let labelFolder: URL
  let fileEnding: String
  let settings: String

  /// Preprocesses the cases by a schedule.
  func preprocess(
    _ cases: [RawCase], schedule: CaseSchedule, progress: any ProgressSink, cancellation: CancellationFlag
  ) throws -> PreprocessingReport {
    let state = Mutex(RunState())
    schedule.run { index in
      if state.withLock({ $0.failure != nil }) { return }
      let entry = cases[index]
      do {
        try cancellation.check()
        let wasWritten = try preprocess(entry)
        try copyIfNewer(entry.label, to: labelFolder.appending(path: entry.identifier + fileEnding))
        state.withLock { $0.finish(entry, wasWritten: wasWritten, progress: progress) }
      } catch {
        state.withLock { $0.fail(named(error, entry), index: index) }
      }
    }
    let result = state.withLock { $0 }
    if let error = result.failure?.error { throw error }
    return result.report
  }

  /// Preprocesses one case; returns whether there was anything to do.
  func preprocess(_ entry: RawCase) throws -> Bool {
    if store.isUpToDate(entry.identifier, settings: settings, sources: entry.images + [entry.label]) {
      return false
    }
    let arrays = try preprocessor.run(readDeclared(entry))
    try store.write(arrays, identifier: entry.identifier, settings: settings)
    return true
  }

  private func readDeclared(_ entry: RawCase) throws -> LoadedCase {
    let loaded = try readCase(entry, channelCount: preprocessor.normalizations.count)
    if let labels = loaded.labels { try requireDeclared(labels, of: entry, in: preprocessor.labels) }
    return loaded
  }

  func removeCases(otherThan identifiers: Set<String>, progress: any ProgressSink) throws {
    for identifier in store.identifiers() where !identifiers.contains(identifier) {
      try store.remove(identifier)
      progress.note("removed preprocessed case \(identifier), which is no longer in the dataset")
    }
  }
}

private func copyIfNewer(_ source: URL, to target: URL) throws {
  if let copied = modificationDate(of: target), let original = modificationDate(of: source),
    original <= copied
  {
    return
  }
  let content: Data
  do { content = try Data(contentsOf: source) } catch {
    throw Diagnostic(
      "cannot read a label file", at: source.path, expected: "a readable file",
      found: error.localizedDescription, remedy: "check the file's permissions")
  }
  try writeAtomically(content, to: target)
}

/// An error that says which case it is about.
private func named(_ error: any Error, _ entry: RawCase) -> any Error {
  guard var diagnostic = error as? Diagnostic ?? (error as? any DiagnosableError)?.diagnostic else {
    return error
  }
  let place = diagnostic.location ?? entry.label.path
  diagnostic.location = "case \(entry.identifier), \(place)"
  return diagnostic
}
