// evaluate_simple as a user runs it: files, tables, refusals.

import Archives
import Foundation
import TestSupport
import Testing

@Suite(
  "evaluate_simple",
  .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
struct EvaluationProgramTests {
  private static let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appending(path: "lunette")
  private static let models =
    "golden/models/results/Dataset802_PhantomBrain/nnUNetTrainer_1epoch__nnUNetPlans_tiny__"

  private func run(_ arguments: [String]) throws -> (status: Int32, text: String) {
    let process = Process()
    process.executableURL = Self.program
    process.arguments = arguments
    process.environment = ["PATH": "/usr/bin:/bin", "HOME": NSTemporaryDirectory()]
    let pipe = Pipe()
    (process.standardOutput, process.standardError) = (pipe, pipe)
    try process.run()
    let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    return (process.terminationStatus, String(decoding: data, as: UTF8.self))
  }

  private func predictions(_ configuration: String) -> String {
    Goldens.path("\(Self.models)\(configuration)/crossval_results_folds_0_1_2_3_4").path
  }

  @Test("evaluate_simple writes summary and cases, and prints a row per label")
  func simple() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let (summary, table) = (folder.appending(path: "s.json"), folder.appending(path: "c.csv"))
    let arguments = [
      "evaluate_simple", Goldens.path("golden/raw/Dataset802_PhantomBrain/labelsTr").path, predictions("2d"),
      "-l", "1", "2", "3", "-o", summary.path, "--csv", table.path, "--strict_json",
    ]
    let result = try run(arguments + ["-tolerance", "2"])
    #expect(result.status == 0, "\(result.text)")
    #expect(result.text.contains("NSD 2 mm"))
    let json = try JSON(contentsOf: summary)
    #expect(json["mean"]?.object?.keys == ["1", "2", "3"])
    #expect(json["metric_per_case"]?.array?.count == 6)
    let rows = try String(contentsOf: table, encoding: .utf8).split(separator: "\n")
    #expect(rows.count == 19 && rows[0].hasSuffix(",NSD,HD95"))
    #expect(try run(arguments + ["-tolerance", "-2"]).status == 2)
  }
}
