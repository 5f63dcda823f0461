// evaluate_simple and compare_results as a user runs them: files, tables, refusals.

import Archives
import Foundation
import TestSupport
import Testing

@Suite(
  "evaluate_simple and compare_results",
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

  @Test("compare_results prints the paired differences and writes them as JSON and tables")
  func compare() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let (output, table) = (folder.appending(path: "c.json"), folder.appending(path: "t.csv"))
    let arguments = [
      "compare_results", predictions("2d"), predictions("3d_fullres"), "-o", output.path, "--csv", table.path,
    ]
    let result = try run(arguments)
    #expect(result.status == 0, "\(result.text)")
    #expect(result.text.contains("B - A") && result.text.contains("foreground mean"))
    let first = try JSON(contentsOf: output)
    #expect(first["targets"]?["(1, 2, 3)"]?["p_value"]?.double == 0.03125)
    #expect(try String(contentsOf: table, encoding: .utf8).split(separator: "\n").count == 5)
    #expect(try run(arguments).status == 0)
    #expect(try JSON(contentsOf: output) == first)
    let lacking = try run(["compare_results", predictions("2d"), predictions("3d_fullres"), "-metric", "NSD"])
    #expect(lacking.status == 1 && lacking.text.contains("--surface"))
  }
}
