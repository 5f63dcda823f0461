// The report of a job: table, training curve, one held-out case with its contours.

import Archives
package import Datasets
package import Evaluation
import Figures
package import Foundation
import Reporting
import Tensors
import VolumeFormats
import Volumes

extension Pipeline {
  /// Writes `report.md` with its figures and returns what it says.
  package func writeReport(
    on run: TrainedRun, _ summary: EvaluationSummary, dataset: RawDataset, to folder: URL
  ) throws -> JobReport {
    let labels = dataset.description.labels
    let heldOut = try dataset.cases().filter { run.split.validation.contains($0.identifier) }
    let thresholds = try bestThresholds(heldOut, labels)
    let rows = zip(summary.targets, summary.means).map { target, metrics in
      JobReport.Row(
        name: labels.entries.first { $0.value == target }?.name ?? target.summaryKey, dice: metrics.dice,
        thresholdDice: target.labels.count == 1 ? target.labels.first.flatMap { thresholds[$0] } : nil)
    }
    let report = JobReport(
      dataset: dataset.name, model: run.request.modelFolderName, fold: run.request.fold.description,
      caseCount: summary.cases.count, epochCount: run.curve.trainingLosses.count, rows: rows,
      foregroundMeanDice: summary.foregroundMean.dice, folder: folder)
    try createFolder(folder)
    let figures = try drawFigures(of: run, heldOut, summary, names: rows.map(\.name), to: folder)
    try writeAtomically(Data(report.markdown(figures: figures).utf8), to: folder.appending(path: "report.md"))
    return report
  }

  /// The Dice that the best threshold on the first channel reaches, for each label.
  ///
  /// Large sets are left out: the search looks at every value.
  private func bestThresholds(_ cases: [RawCase], _ labels: LabelScheme) throws -> [Int: Double] {
    var images: [NDArray<Float>] = []
    var references: [NDArray<Int16>] = []
    var voxelCount = 0
    for rawCase in cases {
      try cancellation.check()
      guard let file = rawCase.images.first else { continue }
      images.append(try readImage(file).voxels)
      references.append(try readLabels(rawCase.label).voxels)
      voxelCount += images.last?.count ?? 0
      if voxelCount > Self.thresholdVoxelLimit { return [:] }
    }
    let targets = labels.foregroundLabels
    let results = try parallelMap(targets.count) { [images, references] index in
      bestThresholdDice(images: images, labels: references, label: targets[index]).dice
    }
    return Dictionary(uniqueKeysWithValues: zip(targets, results))
  }

  /// A few seconds of searching on two cores.
  private static let thresholdVoxelLimit = 4_000_000

  /// Draws the training curve, and the held-out case whose scores are in the middle.
  private func drawFigures(
    of run: TrainedRun, _ heldOut: [RawCase], _ summary: EvaluationSummary, names: [String], to folder: URL
  ) throws -> [(title: String, file: String)] {
    let curve = (title: "Training", file: "training-curve.png")
    try drawTrainingCurve(
      run.curve, title: run.request.modelFolderName, to: folder.appending(path: curve.file))
    let ranked = summary.cases.sorted { $0.meanDice < $1.meanDice }
    guard !ranked.isEmpty else { return [curve] }
    let shown = ranked[ranked.count / 2]
    let prediction = URL(filePath: shown.predictionFile)
    let rawCase = heldOut.first { prediction.lastPathComponent.hasPrefix($0.identifier + ".") }
    guard let rawCase, let image = rawCase.images.first else { return [curve] }
    let entries = zip(summary.targets, zip(names, shown.metrics)).map { target, entry in
      OverlayEntry(labels: target.labels, text: "\(entry.0): Dice \(JobReport.figure(entry.1.dice))")
    }
    let overlay = (title: "\(rawCase.identifier), the case in the middle of the ranking", file: "overlay.png")
    try drawOverlay(
      readImage(image),
      labels: OverlayLabels(
        reference: readLabels(rawCase.label).voxels, prediction: readLabels(prediction).voxels,
        entries: entries),
      title: overlay.title, to: folder.appending(path: overlay.file))
    return [curve, overlay]
  }
}

extension CaseEvaluation {
  /// The mean Dice over the targets that have one.
  fileprivate var meanDice: Double {
    let scores = metrics.map(\.dice).filter(\.isFinite)
    return scores.isEmpty ? 0 : scores.reduce(0, +) / Double(scores.count)
  }
}
