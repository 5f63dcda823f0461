// Evaluating a folder of predicted label maps against their references.

package import Datasets
package import Foundation
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// What an evaluation looks at.
package struct EvaluationSettings: Sendable {
  /// Labels or regions.
  package var targets: [LabelValue]
  /// Voxels whose reference has this label do not count.
  package var ignoreLabel: Int?
  /// The end of the names of the files to compare.
  package var fileEnding: String
  /// Whether references without a prediction are fine.
  package var allowsMissing = true
  package var measures = EvaluationMeasures()

  package init(targets: [LabelValue], ignoreLabel: Int? = nil, fileEnding: String) {
    self.targets = targets
    self.ignoreLabel = ignoreLabel
    self.fileEnding = fileEnding
  }
}

/// What is measured of one predicted file.
///
/// - Parameter steps: postprocessing of what was predicted, before it is measured.
package func evaluateCase(
  reference: URL, prediction: URL, after steps: [PostprocessingStep] = [], targets: [LabelValue],
  ignoreLabel: Int?, measures: EvaluationMeasures = EvaluationMeasures()
) throws -> CaseEvaluation {
  let truth = try readLabels(reference)
  var guess = try readLabels(prediction)
  guard truth.shape == guess.shape else {
    throw Diagnostic(
      "a prediction does not fit its reference", at: prediction.path,
      expected: "\(truth.shape) voxels (Z, Y, X) as in \(reference.path)", found: "\(guess.shape)",
      remedy: "predict the case again from the image that belongs to this reference")
  }
  guess.voxels = steps.applied(to: guess.voxels)
  var metrics = ConfusionCounts.count(
    of: targets, reference: truth.voxels, prediction: guess.voxels, ignoreLabel: ignoreLabel
  ).map(TargetMetrics.init)
  if measures.includesVolumes {
    // A picture has no thickness.
    let voxel = truth.geometry.axisCount == 2 ? .nan : truth.geometry.spacing.reduce(1, *) / 1000
    for index in metrics.indices {
      metrics[index][.predictedVolume] = metrics[index].predictedCount * voxel
      metrics[index][.referenceVolume] = metrics[index].referenceCount * voxel
    }
  }
  if let tolerance = measures.surfaceTolerance {
    let distances = SurfaceDistances.measure(
      targets, reference: truth.voxels, prediction: guess.voxels, spacing: truth.geometry.spacing,
      ignoreLabel: ignoreLabel)
    for (index, distances) in distances.enumerated() {
      metrics[index][.surfaceDice] = distances.surfaceDice(toleranceMillimeters: tolerance)
      metrics[index][.hausdorff95] = distances.hausdorff(percentile: 95)
    }
  }
  return CaseEvaluation(referenceFile: reference.path, predictionFile: prediction.path, metrics: metrics)
}

/// Evaluates every prediction in a folder; the reference of a prediction has the same file name.
///
/// Cases without a target in either file do not enter that target's mean Dice.
/// - Throws: a ``Diagnostic`` for missing or unreadable files.
package func evaluateFolder(
  reference: URL, prediction: URL, settings: EvaluationSettings
) throws -> EvaluationSummary {
  let predicted = try fileNames(in: prediction, ending: settings.fileEnding)
  if predicted.isEmpty {
    throw Diagnostic(
      "nothing to evaluate", at: prediction.path, expected: "predictions that end in \(settings.fileEnding)",
      found: "none", remedy: "check the folder and the file ending")
  }
  if !settings.allowsMissing {
    let missing = try fileNames(in: reference, ending: settings.fileEnding).filter {
      !Set(predicted).contains($0)
    }
    if let first = missing.first {
      throw Diagnostic(
        "\(missing.count) of the reference files have no prediction", at: prediction.path,
        expected: "a prediction for every file in \(reference.path)", found: "no \(first)",
        remedy: "predict the missing cases, or evaluate with --chill to leave them out")
    }
  }
  let references = Set(try fileNames(in: reference, ending: settings.fileEnding))
  if let name = predicted.first(where: { !references.contains($0) }) {
    throw Diagnostic(
      "\(predicted.count { !references.contains($0) }) of the predictions have no reference",
      at: prediction.appending(path: name).path, expected: "\(name) in \(reference.path)",
      found: "no such file",
      remedy: "check whether the folders are swapped, or belong to other cases")
  }
  let cases = try parallelMap(predicted.count) { index in
    let name = predicted[index]
    return try evaluateCase(
      reference: reference.appending(path: name), prediction: prediction.appending(path: name),
      targets: settings.targets, ignoreLabel: settings.ignoreLabel, measures: settings.measures)
  }
  return EvaluationSummary(
    targets: settings.targets, cases: cases, surfaceTolerance: settings.measures.surfaceTolerance)
}

/// Evaluates every prediction in a folder for some labels or regions by nnU-Net's metrics alone.
package func evaluateFolder(
  reference: URL, prediction: URL, labels: [LabelValue], ignore: Int?, fileEnding: String, chill: Bool = true
) throws -> EvaluationSummary {
  var settings = EvaluationSettings(targets: labels, ignoreLabel: ignore, fileEnding: fileEnding)
  settings.allowsMissing = chill
  return try evaluateFolder(reference: reference, prediction: prediction, settings: settings)
}

/// Evaluates a folder for what a dataset declares: its regions or its foreground labels.
package func evaluateFolder(
  reference: URL, prediction: URL, scheme: LabelScheme, fileEnding: String, chill: Bool = true,
  measures: EvaluationMeasures = EvaluationMeasures()
) throws -> EvaluationSummary {
  var settings = EvaluationSettings(
    targets: scheme.foregroundTargets, ignoreLabel: scheme.ignoreLabel, fileEnding: fileEnding)
  settings.allowsMissing = chill
  settings.measures = measures
  var summary = try evaluateFolder(reference: reference, prediction: prediction, settings: settings)
  for entry in scheme.entries { summary.names[entry.value] = entry.name }
  return summary
}

/// The ending that nnU-Net's simple evaluation goes by: the last extension of the folder's first file, with its dot.
///
/// So it is `.gz` for `.nii.gz`.
package func lastExtension(ofFirstFileIn folder: URL) throws -> String {
  guard let first = try fileNames(in: folder, ending: "").first else {
    throw Diagnostic(
      "nothing to evaluate", at: folder.path, expected: "a folder of label maps", found: "no files",
      remedy: "check the path")
  }
  let ending = URL(filePath: first).pathExtension
  return ending.isEmpty ? "" : ".\(ending)"
}

/// The names of the files with an ending, sorted by code points.
private func fileNames(in folder: URL, ending: String) throws -> [String] {
  do {
    return try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { (ending.isEmpty || $0.hasSuffix(ending)) && !$0.hasPrefix(".") }.sorted(
        by: precedesByCodePoint)
  } catch {
    throw Diagnostic(
      "cannot list a folder", at: folder.path, expected: "a folder of label maps",
      found: error.localizedDescription, remedy: "check the path")
  }
}
