// An evaluation as tables: every case for a spreadsheet, the means for a terminal.

import Datasets
import Foundation
package import Reporting

extension EvaluationSummary {
  /// One row per case and target with every metric that was measured.
  ///
  /// A value that is no number is an empty cell, an infinite distance `inf`.
  package var caseTable: TextTable {
    let metrics = measuredMetrics
    return TextTable(
      header: ["case", "target", "name"] + metrics.map(\.rawValue),
      rows: cases.flatMap { entry in
        zip(targets, entry.metrics).map { target, values in
          [entry.name, target.summaryKey, names[target] ?? ""]
            + metrics.map { metric in
              let value = values[metric] ?? .nan
              if metric.isCount, let count = Int(exactly: value) { return "\(count)" }
              return value.isNaN ? "" : "\(value)"
            }
        }
      })
  }

  /// One row per target with means, and the case that scored lowest; the foreground mean last.
  package var meanTable: TextTable {
    let extras: [(metric: EvaluationMetric, title: String, digits: Int)] = [
      (.intersectionOverUnion, "IoU", 4),
      (.surfaceDice, "NSD \(surfaceTolerance.map { "\(brief($0)) mm" } ?? "")", 4),
      (.hausdorff95, "HD95 mm", 2),
      (.referenceVolume, "ref ml", 2), (.predictedVolume, "pred ml", 2),
    ].filter { measuredMetrics.contains($0.0) }
    let rows = targets.indices.map { index in
      let scores = cases.compactMap { entry in
        entry.metrics[index].dice.isNaN ? nil : (dice: entry.metrics[index].dice, name: entry.name)
      }
      let lowest = scores.min { $0.dice < $1.dice }
      return [
        label(of: targets[index]), "\(scores.count)", fixed(means[index].dice, 4),
        fixed(median(scores.map(\.dice)), 4),
      ]
        + extras.map { extra in
          let mean = means[index][extra.metric] ?? .nan
          guard mean == .infinity else { return fixed(mean, extra.digits) }
          // One missed target makes the mean infinite; the median tells of the others.
          let values = cases.compactMap { $0.metrics[index][extra.metric] }.filter { !$0.isNaN }
          let middle = median(values)
          return middle == .infinity ? "inf" : "inf (median \(fixed(middle, extra.digits)))"
        } + [lowest.map { fixed($0.dice, 4) } ?? "-", lowest?.name ?? "-"]
    }
    let total =
      ["foreground mean", "\(cases.count)", fixed(foregroundMean.dice, 4), ""]
      + extras.map { fixed(foregroundMean[$0.metric] ?? .nan, $0.digits) } + ["", ""]
    return TextTable(
      header: ["target", "cases", "Dice", "median"] + extras.map(\.title) + ["lowest", "in"],
      rows: rows + [total], numericColumns: Set(1...(extras.count + 4)))
  }

  /// A target as tables show it: its key, and its name if that is known.
  func label(of target: LabelValue) -> String {
    names[target].map { "\(target.summaryKey) \($0)" } ?? target.summaryKey
  }

  /// The metrics that every case and target has.
  package var measuredMetrics: [EvaluationMetric] {
    EvaluationMetric.allCases.filter { metric in
      EvaluationMetric.standard.contains(metric)
        || (!cases.isEmpty && cases.allSatisfy { entry in entry.metrics.allSatisfy { $0[metric] != nil } })
    }
  }
}

extension CaseEvaluation {
  /// The case's name: the prediction's file name without its ending.
  package var name: String {
    let url = URL(filePath: predictionFile).deletingPathExtension()
    let isCompressed = predictionFile.hasSuffix(".gz")
    return (isCompressed ? url.deletingPathExtension() : url).lastPathComponent
  }
}

/// The value in the middle; `.nan` of nothing.
func median(_ values: [Double]) -> Double {
  let sorted = values.sorted()
  guard let upper = sorted.isEmpty ? nil : sorted[sorted.count / 2] else { return .nan }
  let lower = sorted[(sorted.count - 1) / 2]
  return lower == upper ? upper : (lower + upper) / 2
}

/// A number with so many digits after the point.
func fixed(_ value: Double, _ digits: Int) -> String {
  if value.isNaN { return "-" }
  return value.isFinite ? String(format: "%.\(digits)f", value) : value < 0 ? "-inf" : "inf"
}

/// A number as short as it can be written.
func brief(_ value: Double) -> String { String(format: "%g", value) }
