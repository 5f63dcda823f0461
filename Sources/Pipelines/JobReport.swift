// What a job ends with: scores beside what brightness alone reaches, as text and as Markdown.

package import Foundation

/// The result of the whole job.
package struct JobReport: Sendable, Equatable {
  /// The scores of one label or region.
  package struct Row: Sendable, Equatable {
    package var name: String
    package var dice: Double
    /// Dice of the best single threshold on the image, if it was computed.
    package var thresholdDice: Double?

    package init(name: String, dice: Double, thresholdDice: Double?) {
      self.name = name
      self.dice = dice
      self.thresholdDice = thresholdDice
    }
  }

  package var dataset: String
  package var model: String
  package var fold: String
  package var caseCount: Int
  package var epochCount: Int
  package var rows: [Row]
  package var foregroundMeanDice: Double
  /// The folder with the report and its figures.
  package var folder: URL

  package init(
    dataset: String, model: String, fold: String, caseCount: Int, epochCount: Int, rows: [Row],
    foregroundMeanDice: Double, folder: URL
  ) {
    self.dataset = dataset
    self.model = model
    self.fold = fold
    self.caseCount = caseCount
    self.epochCount = epochCount
    self.rows = rows
    self.foregroundMeanDice = foregroundMeanDice
    self.folder = folder
  }

  /// The table for a terminal.
  package var text: String {
    let width = max(10, rows.map(\.name.count).max() ?? 0) + 2
    func line(_ name: String, _ dice: String, _ threshold: String) -> String {
      [name, dice].map { $0.padding(toLength: width, withPad: " ", startingAt: 0) }.joined() + threshold
    }
    var lines = [line("label", "Dice", "Dice of the best threshold")]
    lines += rows.map { line($0.name, Self.figure($0.dice), $0.thresholdDice.map(Self.figure) ?? "-") }
    lines.append("report: \(folder.appending(path: "report.md").path)")
    lines.append("mean foreground Dice \(Self.figure(foregroundMeanDice))")
    return lines.joined(separator: "\n")
  }

  /// The page that `report.md` holds; figures lie beside it.
  package func markdown(figures: [(title: String, file: String)]) -> String {
    var lines = [
      "# \(dataset): \(model), fold \(fold)", "",
      "\(epochCount) epochs; scores over \(caseCount) held-out cases. Mean foreground Dice "
        + "\(Self.figure(foregroundMeanDice)).", "", "| label | Dice | Dice of the best single threshold |",
      "|---|---|---|",
    ]
    lines += rows.map {
      "| \($0.name) | \(Self.figure($0.dice)) | \($0.thresholdDice.map(Self.figure) ?? "-") |"
    }
    lines += [
      "",
      "The best threshold is chosen with the references at hand; it shows how far brightness alone would get.",
      "",
    ]
    for figure in figures { lines += ["## \(figure.title)", "", "![\(figure.title)](\(figure.file))", ""] }
    return lines.joined(separator: "\n")
  }

  /// A score with three digits behind the point.
  static func figure(_ value: Double) -> String {
    guard value.isFinite else { return "\(value)" }
    let thousandths = Int((abs(value) * 1000).rounded())
    let fraction = String(thousandths % 1000)
    return "\(value < 0 ? "-" : "")\(thousandths / 1000)." + String(repeating: "0", count: 3 - fraction.count)
      + fraction
  }
}
