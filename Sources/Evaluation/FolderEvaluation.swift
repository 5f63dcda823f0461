// Evaluating a folder of predicted label maps against their references.

package import Datasets
package import Foundation
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// Counts and ratios of one predicted file.
package func evaluateCase(
  reference: URL, prediction: URL, targets: [LabelValue], ignoreLabel: Int?
) throws -> CaseEvaluation {
  let truth = try readLabels(reference)
  let guess = try readLabels(prediction)
  guard truth.shape == guess.shape else {
    throw Diagnostic(
      "a prediction does not fit its reference", at: prediction.path,
      expected: "\(truth.shape) voxels (Z, Y, X) as in \(reference.path)", found: "\(guess.shape)",
      remedy: "predict the case again from the image that belongs to this reference")
  }
  let counts = ConfusionCounts.count(
    of: targets, reference: truth.voxels, prediction: guess.voxels, ignoreLabel: ignoreLabel)
  return CaseEvaluation(
    referenceFile: reference.path, predictionFile: prediction.path, metrics: counts.map(TargetMetrics.init))
}

/// Evaluates every prediction in a folder; the reference of a prediction has the same file name.
///
/// Cases without a target in either file do not enter that target's mean Dice.
/// - Parameters:
///   - labels: the targets to evaluate: labels or regions.
///   - ignore: voxels whose reference has this label do not count.
///   - chill: whether references without a prediction are fine.
/// - Throws: a ``Diagnostic`` for missing or unreadable files.
package func evaluateFolder(
  reference: URL, prediction: URL, labels: [LabelValue], ignore: Int?, fileEnding: String, chill: Bool = true
) throws -> EvaluationSummary {
  let predicted = try fileNames(in: prediction, ending: fileEnding)
  if predicted.isEmpty {
    throw Diagnostic(
      "nothing to evaluate", at: prediction.path, expected: "predictions that end in \(fileEnding)",
      found: "none", remedy: "check the folder and the file ending")
  }
  if !chill {
    let missing = try fileNames(in: reference, ending: fileEnding).filter { !Set(predicted).contains($0) }
    if let first = missing.first {
      throw Diagnostic(
        "\(missing.count) of the reference files have no prediction", at: prediction.path,
        expected: "a prediction for every file in \(reference.path)", found: "no \(first)",
        remedy: "predict the missing cases, or evaluate with --chill to leave them out")
    }
  }
  let cases = try parallelMap(predicted.count) { index in
    let name = predicted[index]
    return try evaluateCase(
      reference: reference.appending(path: name), prediction: prediction.appending(path: name),
      targets: labels,
      ignoreLabel: ignore)
  }
  return EvaluationSummary(targets: labels, cases: cases)
}

/// Evaluates a folder for what a dataset declares: its regions or its foreground labels.
package func evaluateFolder(
  reference: URL, prediction: URL, scheme: LabelScheme, fileEnding: String, chill: Bool = true
) throws -> EvaluationSummary {
  try evaluateFolder(
    reference: reference, prediction: prediction, labels: scheme.foregroundTargets,
    ignore: scheme.ignoreLabel,
    fileEnding: fileEnding, chill: chill)
}

/// The names of the files with an ending, sorted by code points.
private func fileNames(in folder: URL, ending: String) throws -> [String] {
  do {
    return try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter { $0.hasSuffix(ending) && !$0.hasPrefix(".") }.sorted(by: precedesByCodePoint)
  } catch {
    throw Diagnostic(
      "cannot list a folder", at: folder.path, expected: "a folder of label maps",
      found: error.localizedDescription, remedy: "check the path")
  }
}
