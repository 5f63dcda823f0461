// The report as people read it.

import Foundation
import Pipelines
import Testing

@Suite struct JobReportTests {
  private let report = JobReport(
    dataset: "Dataset999_Phantom", model: "T__P__3d_fullres", fold: "0", caseCount: 3, epochCount: 4,
    rows: [
      .init(name: "shell", dice: 0.91249, thresholdDice: 0.4),
      .init(name: "core", dice: 1, thresholdDice: nil),
    ],
    foregroundMeanDice: 0.956245, folder: URL(filePath: "/tmp/report"))

  @Test("The table puts each label beside its threshold, and ends with the mean")
  func text() {
    let lines = report.text.split(separator: "\n").map(String.init)
    #expect(lines[1].hasPrefix("shell") && lines[1].contains("0.912") && lines[1].hasSuffix("0.400"))
    #expect(lines[2].hasPrefix("core") && lines[2].contains("1.000") && lines[2].hasSuffix("-"))
    #expect(lines.last == "mean foreground Dice 0.956")
  }

  @Test("The page shows its figures")
  func markdown() {
    let page = report.markdown(figures: [("Training", "training-curve.png")])
    #expect(page.contains("| shell | 0.912 | 0.400 |"))
    #expect(page.contains("![Training](training-curve.png)"))
  }
}
