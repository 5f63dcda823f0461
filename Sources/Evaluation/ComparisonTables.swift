// A comparison of evaluations as tables and as JSON.

package import Archives
import Datasets
import Foundation
package import Reporting

extension EvaluationComparison {
  /// One row per target, rounded for reading.
  package var table: TextTable {
    let digits = settings.metric.isCount ? 1 : settings.metric.isLength ? 2 : 4
    return TextTable(
      header: [
        "target", "cases", "A", "B", "B - A", "\(brief(100 * settings.confidence))% interval", "median", "p",
        "better", "worse",
      ],
      rows: targets.map { entry in
        let interval = entry.interval.map { "\(signed($0.lower, digits)) to \(signed($0.upper, digits))" }
        return [
          label(of: entry), "\(entry.pairs.count)", fixed(entry.firstMean, digits),
          fixed(entry.secondMean, digits), signed(entry.meanDifference, digits), interval ?? "-",
          signed(entry.medianDifference, digits),
          entry.test.pValue.isNaN ? "-" : String(format: "%.3g", entry.test.pValue),
          "\(entry.improved.count)", "\(entry.worsened.count)",
        ]
      }, numericColumns: Set(1...9))
  }

  /// What a terminal shows: what is compared, the table, and the cases that changed most.
  package func report(_ first: String, _ second: String, naming count: Int) -> [String] {
    let tolerance = surfaceTolerance.map { " at \(brief($0)) mm" } ?? ""
    let others = [(casesOnlyInFirst, "A"), (casesOnlyInSecond, "B")].filter { !$0.0.isEmpty }
      .map { "; \($0.0.count) only in \($0.1)" }.joined()
    return [
      "A: \(first)", "B: \(second)",
      "\(settings.metric.rawValue)\(tolerance), cases in both: \(commonCaseCount)\(others)",
    ] + table.lines + extremes(count)
  }

  /// Which cases changed most: a line per target where any did.
  ///
  /// - Parameter count: how many to name for better and for worse.
  package func extremes(_ count: Int) -> [String] {
    targets.compactMap { entry in
      let parts = [("better", entry.improved), ("worse", entry.worsened)].compactMap { word, pairs in
        pairs.isEmpty
          ? nil
          : "\(word) "
            + pairs.prefix(count).map { "\($0.name) \(signed($0.difference, 4))" }.joined(separator: ", ")
      }
      return parts.isEmpty ? nil : "  \(label(of: entry)): " + parts.joined(separator: "; ")
    }
  }

  /// One row per target with all digits.
  package var targetTable: TextTable {
    TextTable(
      header: [
        "target", "name", "metric", "cases", "omitted", "mean_a", "mean_b", "mean_difference",
        "median_difference", "interval_lower", "interval_upper", "p_value", "better", "worse",
      ],
      rows: targets.map { entry in
        [
          key(of: entry), name(of: entry), settings.metric.rawValue, "\(entry.pairs.count)",
          "\(entry.omittedCount)",
        ]
          + [
            entry.firstMean, entry.secondMean, entry.meanDifference, entry.medianDifference,
            entry.interval?.lower ?? .nan, entry.interval?.upper ?? .nan, entry.test.pValue,
          ].map(exact) + ["\(entry.improved.count)", "\(entry.worsened.count)"]
      })
  }

  /// One row per case and target with all digits.
  package var caseTable: TextTable {
    TextTable(
      header: ["case", "target", "name", "metric", "a", "b", "difference"],
      rows: targets.flatMap { entry in
        entry.pairs.map { pair in
          [pair.name, key(of: entry), name(of: entry), settings.metric.rawValue]
            + [pair.first, pair.second, pair.difference].map(exact)
        }
      })
  }

  /// Everything, differences being those of B minus A.
  package var json: JSON {
    var json: JSONObject = [
      "metric": .string(settings.metric.rawValue), "confidence": .number(settings.confidence),
      "resamples": .integer(settings.resampleCount), "seed": .integer(settings.seed),
      "cases": .integer(commonCaseCount), "only_in_a": JSON(casesOnlyInFirst),
      "only_in_b": JSON(casesOnlyInSecond),
    ]
    json["surface_tolerance_mm"] = surfaceTolerance.map(JSON.number)
    json["targets"] = .object(JSONObject(targets.map { (key(of: $0), Self.json(of: $0)) }))
    return .object(json)
  }

  private static func json(of entry: TargetComparison) -> JSON {
    [
      "cases": .integer(entry.pairs.count), "omitted": .integer(entry.omittedCount),
      "mean_a": .number(entry.firstMean), "mean_b": .number(entry.secondMean),
      "mean_difference": .number(entry.meanDifference), "median_difference": .number(entry.medianDifference),
      "interval": entry.interval.map { JSON([$0.lower, $0.upper]) } ?? .null,
      "p_value": .number(entry.test.pValue), "p_is_exact": .bool(entry.test.isExact),
      "better": JSON(entry.improved.map(\.name)), "worse": JSON(entry.worsened.map(\.name)),
      "differences": .object(JSONObject(entry.pairs.map { ($0.name, .number($0.difference)) })),
    ]
  }

  private func key(of entry: TargetComparison) -> String { entry.target?.summaryKey ?? "foreground_mean" }

  private func name(of entry: TargetComparison) -> String { entry.target.flatMap { names[$0] } ?? "" }

  private func label(of entry: TargetComparison) -> String {
    guard let target = entry.target else { return "foreground mean" }
    return names[target].map { "\(target.summaryKey) \($0)" } ?? target.summaryKey
  }
}

/// All digits; empty for what is no number.
func exact(_ value: Double) -> String { value.isNaN ? "" : "\(value)" }

private func signed(_ value: Double, _ digits: Int) -> String {
  (value > 0 ? "+" : "") + fixed(value, digits)
}
