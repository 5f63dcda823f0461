// The planner against vectors and golden plans of the reference, and what rules can change.

import Archives
import Datasets
import Foundation
import Planning
import Reporting
import TestSupport
import Testing

@Suite("ExperimentPlanner")
struct ExperimentPlannerTests {
  @Test(
    "Patch and batch sizes are those of the reference",
    arguments: [
      (UniformDataset.hippocampus, "default", "3d_fullres", [40, 56, 40], 9),
      (.hippocampus, "default", "2d", [56, 40], 366),
      (.hippocampus, "ResEncM", "3d_fullres", [40, 56, 40], 58),
      (.hippocampus, "ResEncXL", "2d", [56, 40], 6711),
      (.liver, "default", "3d_fullres", [128, 128, 128], 2),
      (.liver, "default", "3d_lowres", [128, 128, 128], 2),
      (.liver, "ResEncXL", "3d_fullres", [192, 256, 256], 2),
      (.prostate, "default", "3d_fullres", [20, 320, 256], 2),
      (.prostate, "default", "2d", [320, 320], 32),
      (.slices, "default", "2d", [512, 512], 12),
      (.slices, "ResEncL", "2d", [512, 512], 35),
      (.brain, "ResEncXL", "3d_fullres", [160, 192, 160], 5),
      (.brain, "default", "2d", [192, 160], 105),
    ] as [(UniformDataset, String, String, [Int], Int)])
  func vectors(
    dataset: UniformDataset, planner: String, name: String, patch: [Int], batch: Int
  ) throws {
    let configuration = try dataset.plan(planner).configuration(named: name)
    #expect(configuration.patchSize == patch)
    #expect(configuration.batchSize == batch)
  }

  @Test("A low resolution and its cascade exist where patches see little")
  func lowres() throws {
    let plans = try UniformDataset.liver.plan()
    #expect(plans.configurationNames == ["2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres"])
    let lowres = try plans.configuration(named: "3d_lowres")
    #expect(lowres.medianImageSize == [178, 211, 211])
    #expect(lowres.spacing.map { ($0 * 1e6).rounded() / 1e6 } == [2.427262, 1.863167, 1.863167])
    #expect(lowres.nextStage == "3d_cascade_fullres")
    #expect(!lowres.batchDice)
    let cascade = try plans.configuration(named: "3d_cascade_fullres")
    #expect(cascade.previousStage == "3d_lowres")
    #expect(cascade.batchDice)
    #expect(cascade.dataIdentifier == "nnUNetPlans_3d_fullres")
    #expect(try UniformDataset.hippocampus.plan().configurationNames == ["2d", "3d_fullres"])
    #expect(try UniformDataset.slices.plan().configurationNames == ["2d"])
  }

  @Test("The mask is used for z-scores when cropping removes much")
  func mask() throws {
    #expect(
      try UniformDataset.brain.plan().configuration(named: "2d").usesMaskForNormalization == [
        true, true, true, true,
      ])
    #expect(
      try UniformDataset.prostate.plan().configuration(named: "2d").usesMaskForNormalization == [
        false, false,
      ])
  }

  @Test("Rules replace heuristics, may call the default, and are explained")
  func rules() throws {
    var rules = PlanningRules()
    rules.targetSpacing = { _, standard in try standard().map { $0 * 2 } }
    rules.patchSize = { context, standard in
      context.configuration == "3d_fullres" ? [17, 20, 16] : try standard()
    }
    rules.batchSize = { context, standard in
      #expect(context.estimate != nil)
      return try standard() + 1
    }
    let plain = try UniformDataset.hippocampus.plan(
      options: PlannerOptions(overwriteTargetSpacing: [2, 2, 2]))
    let plans = try UniformDataset.hippocampus.plan(rules: rules)
    let configuration = try plans.configuration(named: "3d_fullres")
    #expect(configuration.spacing == [2, 2, 2])
    // 17 is enlarged to the next multiple of the four that two poolings of its axis ask for.
    #expect(configuration.patchSize == [20, 20, 16])
    #expect(try plans.configuration(named: "2d").patchSize == plain.configuration(named: "2d").patchSize)
    #expect(try plans.configuration(named: "2d").batchSize == plain.configuration(named: "2d").batchSize + 1)
    let why = try #require(plans.why("3d_fullres.patch_size"))
    #expect(why.isOverridden)
    #expect(why.text.contains("your rule"))
    #expect(plain.why("3d_fullres.patch_size")?.isOverridden == false)
    #expect(plain.why("3d_fullres.transpose_forward")?.rule == "transpose")
    #expect(plain.explanationTable(of: "3d_fullres").contains("batch_size"))
  }

  @Test("A low resolution can be forced and forbidden")
  func lowresRule() throws {
    var forced = PlanningRules()
    forced.wantsLowres = { _, _ in true }
    let names = try UniformDataset.hippocampus.plan(rules: forced).configurationNames
    #expect(names.contains("3d_lowres") && names.contains("3d_cascade_fullres"))
    var forbidden = PlanningRules()
    forbidden.wantsLowres = { _, standard in try standard() && false }
    #expect(try UniformDataset.liver.plan(rules: forbidden).configurationNames == ["2d", "3d_fullres"])
  }

  @Test("A rule's nonsense is refused with its name")
  func refusedRules() throws {
    var rules = PlanningRules()
    rules.targetSpacing = { _, _ in [1, 0, 1] }
    #expect { try UniformDataset.hippocampus.plan(rules: rules) } throws: {
      "\($0)".contains("rule target_spacing")
    }
    rules = PlanningRules()
    rules.topology = { _, standard in
      var topology = try standard()
      topology.strides.removeLast()
      return topology
    }
    #expect { try UniformDataset.hippocampus.plan(rules: rules) } throws: {
      "\($0)".contains("rule topology")
    }
    rules = PlanningRules()
    rules.features = { _, _ in [8] }
    #expect { try UniformDataset.hippocampus.plan(rules: rules) } throws: {
      "\($0)".contains("rule features")
    }
  }

  @Test("Options are checked, and planners of one memory size notice another")
  func options() throws {
    #expect(throws: Diagnostic.self) {
      try UniformDataset.hippocampus.plan(options: PlannerOptions(overwriteTargetSpacing: [1, 1]))
    }
    #expect(throws: Diagnostic.self) {
      try UniformDataset.hippocampus.plan(options: PlannerOptions(gpuMemoryTarget: -1))
    }
    #expect { try UniformDataset.liver.plan(options: PlannerOptions(gpuMemoryTarget: 1e-9)) } throws: {
      "\($0)".contains("-gpu_memory_target")
    }
    #expect {
      try UniformDataset.prostate.plan(options: PlannerOptions(overwriteTargetSpacing: [200, 1, 1]))
    } throws: { "\($0)".contains("leaves nothing") }
    #expect { try PlannerConstants.named("nnUNetPlannerResEncK") } throws: {
      "\($0)".contains("did you mean")
    }
    let large = try ExperimentPlanner(
      constants: .named("ResEncL"), options: PlannerOptions(gpuMemoryTarget: 11))
    #expect(large.notices.count == 1)
    #expect(ExperimentPlanner(options: PlannerOptions(gpuMemoryTarget: 11)).notices.isEmpty)
  }

  @Test(
    "Plans of random datasets are the reference's",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)),
    arguments: [("plans", 80), ("plans_rare", 50)])
  func goldens(folder: String, count: Int) throws {
    let files = try FileManager.default.contentsOfDirectory(atPath: Goldens.path("golden/\(folder)").path)
    #expect(files.count == count)
    for file in files.sorted() {
      let golden = try JSON(contentsOf: Goldens.path("golden/\(folder)/\(file)"))
      let expected = try #require(golden["plans"])
      let plans = try replan(golden, name: expected["dataset_name"]?.string ?? "", source: file)
      // Texts compare key order and every digit as well.
      #expect(JSON.object(plans.json).text() == expected.text(), "\(folder)/\(file)")
    }
  }

  private func replan(_ golden: JSON, name: String, source: String) throws -> Plans {
    let planner = try ExperimentPlanner(
      constants: .named(golden["planner"]?.string ?? ""),
      options: PlannerOptions(
        gpuMemoryTarget: golden["gpu_memory_gb"]?.double,
        overwriteTargetSpacing: golden["overwrite_target_spacing"]?.doubles))
    return try planner.plan(
      dataset: DatasetDescription(json: golden["dataset"] ?? .null, source: source), datasetName: name,
      fingerprint: DatasetFingerprint(json: golden["fingerprint"] ?? .null, source: source))
  }

  @Test(
    "Plans files of real and phantom datasets are the reference's, byte for byte",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)),
    arguments: [
      ("Dataset004_Hippocampus", "default", "nnUNetPlans", nil),
      ("Dataset801_PhantomCT", "default", "nnUNetPlans", nil),
      ("Dataset802_PhantomBrain", "default", "nnUNetPlans", nil),
      ("Dataset802_PhantomBrain", "default", "nnUNetPlans_small", 0.06),
      ("Dataset802_PhantomBrain", "ResEncM", "nnUNetResEnc_small", 0.4),
      ("Dataset803_PhantomCells", "default", "nnUNetPlans", nil),
      ("Dataset804_PhantomOblique", "default", "nnUNetPlans", nil),
    ] as [(String, String, String, Double?)])
  func files(name: String, planner: String, plansName: String, memory: Double?) throws {
    let isReal = name == "Dataset004_Hippocampus"
    let folder = Goldens.path(isReal ? "golden/hippocampus" : "golden/preprocessed/\(name)")
    let description =
      isReal ? Goldens.path("data/\(name)/dataset.json") : folder.appending(path: "dataset.json")
    let plans = try ExperimentPlanner(
      constants: .named(planner), options: PlannerOptions(gpuMemoryTarget: memory, plansName: plansName)
    ).plan(
      dataset: DatasetDescription(contentsOf: description), datasetName: name,
      fingerprint: DatasetFingerprint(contentsOf: folder.appending(path: DatasetFingerprint.fileName)))
    let output = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: output) }
    try plans.save(in: output)
    let written = try String(contentsOf: output.appending(path: "\(plansName).json"), encoding: .utf8)
    let expected = try String(contentsOf: folder.appending(path: "\(plansName).json"), encoding: .utf8)
    #expect(written == expected)
  }
}
