// plan_experiment as a user runs it: without images, with the options that change plans, and what it refuses.

import Archives
import Foundation
import Planning
import TestSupport
import Testing

@Suite("plan_experiment", .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
struct PlanningProgramTests {
  private static let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appending(path: "lunette")

  /// Plans Hippocampus from the two files; gives the plans, if they were written, and what was printed.
  private func plan(_ options: [String]) throws -> (status: Int32, text: String, plans: Plans?) {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let output = folder.appending(path: "plans.json")
    let process = Process()
    process.executableURL = Self.program
    process.arguments =
      [
        "plan_experiment", "--fingerprint",
        Goldens.path("golden/hippocampus/dataset_fingerprint.json").path, "--dataset_json",
        Goldens.path("data/Dataset004_Hippocampus/dataset.json").path, "-o", output.path,
      ] + options
    process.environment = ["PATH": "/usr/bin:/bin", "HOME": NSTemporaryDirectory()]
    let pipe = Pipe()
    (process.standardOutput, process.standardError) = (pipe, pipe)
    try process.run()
    let data = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    let plans = FileManager.default.fileExists(atPath: output.path) ? try Plans(contentsOf: output) : nil
    return (process.terminationStatus, String(decoding: data, as: UTF8.self), plans)
  }

  @Test("The table has a line per configuration and at most 100 columns")
  func table() throws {
    let result = try plan([])
    #expect(result.status == 0)
    let lines = result.text.split(separator: "\n").dropFirst()
    #expect(lines.count == 3)
    #expect(lines.allSatisfy { $0.count <= 100 })
    let words = lines.last?.split(separator: " ").map(String.init) ?? []
    #expect(words.prefix(6) == ["3d_fullres", "1×1×1", "40×56×40", "9", "4", "32-256"])
  }

  @Test("Options reach the plans under the name that was given")
  func options() throws {
    let result = try plan([
      "-pl", "nnUNetPlannerResEncL", "-gpu_memory_target", "11", "-overwrite_target_spacing", "2", "1", "1",
      "-overwrite_plans_name", "mine", "-preprocessor_name", "Other",
    ])
    #expect(result.status == 0)
    #expect(result.text.contains("meant for 24 GB"))
    let plans = try #require(result.plans)
    #expect(plans.plansName == "mine")
    #expect(plans.plannerName == "nnUNetPlannerResEncL")
    let configuration = try plans.configuration(named: "3d_fullres")
    #expect(configuration.spacing == [2, 1, 1])
    #expect(configuration.preprocessorName == "Other")
    // Residual planners share the data of the default ones, whatever their plans are called.
    #expect(configuration.dataIdentifier == "nnUNetPlans_3d_fullres")
  }

  @Test("Values are replaced by --set and explained by --why")
  func replaced() throws {
    let result = try plan([
      "--set", "3d_fullres.patch_size=[30,48,32]", "--set", "2d.batch_size=7", "-overwrite_plans_name",
      "mine",
      "--why", "3d_fullres.patch_size",
    ])
    #expect(result.status == 0, "\(result.text)")
    #expect(try result.plans?.configuration(named: "3d_fullres").patchSize == [32, 48, 32])
    #expect(try result.plans?.configuration(named: "2d").batchSize == 7)
    #expect(result.text.contains("--set asked for 30×48×32"))
  }

  @Test(
    "What cannot be meant is refused with what to do",
    arguments: [
      (["--set", "2d.batch_size=7"], "-overwrite_plans_name"),
      (["--set", "batch_size", "-overwrite_plans_name", "mine"], "CONFIGURATION.KEY=VALUE"),
      (["--set", "2d.batchsize=7", "-overwrite_plans_name", "mine"], "did you mean 'batch_size'?"),
      (["--why", "3d_fullres.patchsize"], "did you mean --why 3d_fullres.patch_size?"),
      (["-overwrite_target_spacing", "1", "1"], "three positive numbers"),
      (["-gpu_memory_target", "0"], "positive number of GB"),
      (["-pl", "ExperimentPlaner"], "did you mean ExperimentPlanner?"),
    ])
  func refusals(options: [String], remedy: String) throws {
    let result = try plan(options)
    #expect(result.status == 1)
    #expect(result.text.contains(remedy), "\(result.text)")
  }
}
