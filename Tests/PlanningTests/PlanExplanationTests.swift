// What plans say of themselves: the true rule with the true inputs, also for plans read from a file.

import Archives
import Datasets
import Foundation
import Planning
import Reporting
import TestSupport
import Testing

@Suite("PlanExplanation")
struct PlanExplanationTests {
  private static let golden = "golden/preprocessed/Dataset801_PhantomCT"
  /// The sums behind the expectations run in another order than the planner's.
  private static let tolerance = 1e-12

  /// Everything that is needed to plan a golden case again.
  private struct Case {
    var dataset: DatasetDescription
    var fingerprint: DatasetFingerprint

    init(_ path: String) throws {
      let json = try JSON(contentsOf: Goldens.path(path))
      dataset = try DatasetDescription(json: json["dataset"] ?? .null, source: path)
      fingerprint = try DatasetFingerprint(json: json["fingerprint"] ?? .null, source: path)
    }

    init(description: String, fingerprint path: String) throws {
      dataset = try DatasetDescription(contentsOf: Goldens.path(description))
      fingerprint = try DatasetFingerprint(contentsOf: Goldens.path(path))
    }

    func plan(_ options: PlannerOptions = PlannerOptions()) throws -> Plans {
      try ExperimentPlanner(options: options).plan(
        dataset: dataset, datasetName: "Dataset001_A", fingerprint: fingerprint)
    }
  }

  private func input(_ name: String, of explanation: PlanExplanation?) -> JSON? {
    explanation?.inputs.first { $0.name == name }?.value
  }

  @Test(
    "An anisotropic CT: the 10th percentile along the coarse axis is named with what it came from",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func percentileRule() throws {
    let subject = try Case(
      description: "\(Self.golden)/dataset.json", fingerprint: "\(Self.golden)/dataset_fingerprint.json")
    let plans = try subject.plan()
    let why = try #require(plans.why("3d_fullres.spacing"))
    #expect(why.rule == "target_spacing")
    #expect(!why.isOverridden)
    #expect(why.reason.contains("10th percentile along axis 0"))
    let coarse = subject.fingerprint.spacings.map { $0[0] }.sorted()
    // The 10th percentile of six values lies half-way between the first two.
    let tenth = try #require(input("percentile_10_of_axis_0", of: why)?.double)
    #expect(abs(tenth - (coarse[0] + coarse[1]) / 2) < Self.tolerance)
    #expect(why.value.doubles?[0] == tenth)
    let medians = try #require(input("median_spacing", of: why)?.doubles)
    #expect(abs(medians[0] - (coarse[2] + coarse[3]) / 2) < Self.tolerance)
    #expect(input("median_shape_after_crop", of: why)?.doubles == [21, 88.5, 83.5])
    #expect(plans.why("2d.spacing")?.reason.contains("without the first axis") == true)
  }

  @Test(
    "A large isotropic dataset: the shortened patch, the least batch and the low resolution are explained",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func shrunkPatch() throws {
    let plans = try Case("golden/plans/case_0010.json").plan()
    let patch = try #require(plans.why("3d_fullres.patch_size"))
    #expect(patch.value == [224, 80, 128])
    #expect(patch.rule == "patch_size")
    #expect(patch.reason.contains("was shortened"))
    let estimate = try #require(input("estimate", of: patch)?.double)
    let reference = try #require(input("memory_reference", of: patch)?.double)
    #expect(estimate <= reference && reference == 560_000_000)
    let tooLarge = try #require(input("too_large", of: patch)?.strings?.last?.split(separator: " ").last)
    #expect(try #require(Double(tooLarge)) > reference)
    #expect(input("memory_gb", of: patch) == 8.0)
    let batch = try #require(plans.why("3d_fullres.batch_size"))
    #expect(batch.value == 2)
    #expect(batch.reason.hasPrefix("the memory allows 2"))
    #expect(input("estimate", of: batch)?.double == estimate)
    #expect(plans.why("3d_lowres.spacing")?.rule == "lowres_spacing")
    #expect(plans.why("wants_lowres")?.value == true)
    let coverage = try #require(input("coverage", of: plans.why("wants_lowres"))?.double)
    #expect(abs(coverage - Double(224 * 80 * 128) / (1113.5 * 441 * 603.5)) < Self.tolerance)
    #expect(plans.why("3d_cascade_fullres.patch_size") == patch)
  }

  @Test(
    "Hippocampus: 5 percent of the dataset limit the batch, and edges below 8 the stages",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func cappedBatch() throws {
    let plans = try Case(
      description: "data/Dataset004_Hippocampus/dataset.json",
      fingerprint: "golden/hippocampus/dataset_fingerprint.json"
    ).plan()
    let batch = try #require(plans.why("3d_fullres.batch_size"))
    #expect(batch.value == 9)
    #expect(batch.reason.contains("5 percent of the dataset's voxels are only 9.14062"))
    #expect(input("dataset_voxels", of: batch) == .number(36 * 50 * 35 * 260))
    let spacing = try #require(plans.why("3d_fullres.spacing"))
    #expect(spacing.reason.contains("median spacing"))
    let stages = try #require(plans.why("3d_fullres.stages"))
    #expect(stages.rule == "topology")
    #expect(stages.value["strides"]?.array?.count == 4)
    #expect(stages.reason.contains("down to 5×7×5"))
    #expect(plans.why("3d_fullres.architecture.arch_kwargs.n_stages") == stages)
    #expect(plans.why("3d_fullres.architecture.arch_kwargs.features_per_stage")?.value == [32, 64, 128, 256])
    #expect(plans.why("3d_fullres.use_mask_for_norm")?.rule == "normalization")
    #expect(plans.why("4d.patch_size") == nil)
    #expect(plans.why("3d_fullres.patchsize") == nil)
    #expect(stages.text.split(separator: "\n").allSatisfy { $0.count <= 113 })
  }

  @Test(
    "Plans read from a file are explained from the fingerprint beside it, and edited values are told apart")
  func reconstruction() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let dataset = UniformDataset.liver
    let options = PlannerOptions(gpuMemoryTarget: 11, overwriteTargetSpacing: [2, 1, 1], plansName: "mine")
    let plans = try dataset.plan(options: options)
    try plans.save(in: folder)
    let url = folder.appending(path: "mine.json")
    #expect { try Plans(contentsOf: url).explained() } throws: {
      "\($0)".contains("dataset_fingerprint.json")
    }
    try dataset.fingerprint().write(to: folder.appending(path: DatasetFingerprint.fileName))
    try dataset.description().json.write(to: folder.appending(path: "dataset.json"))
    let read = try Plans(contentsOf: url).explained()
    for entry in plans.explanations { #expect(read.why(entry.path)?.value == entry.value, "\(entry.path)") }
    let patch = try #require(read.why("3d_fullres.patch_size"))
    #expect(!patch.isOverridden)
    #expect(input("memory_gb", of: patch) == 11.0)
    #expect(patch.reason.contains("not in the file"))
    #expect(read.why("target_spacing")?.reason.contains("-overwrite_target_spacing") == true)
    let edited = try plans.deriving(name: "edited", changes: ["3d_fullres": ["batch_size": 7]])
    try edited.write(to: url)
    let batch = try #require(try Plans(contentsOf: url).explained().why("3d_fullres.batch_size"))
    #expect(batch.isOverridden && batch.value == 7)
    #expect(batch.text.contains("edited"))
  }

  @Test("A rule that keeps the default is no override; one that does not names its place and the default")
  func overrides() throws {
    var rules = PlanningRules()
    rules.batchSize = { context, standard in try standard() + (context.configuration == "2d" ? 0 : 1) }
    rules.sources["batch_size"] = "mine.lua:3"
    let plans = try UniformDataset.hippocampus.plan(rules: rules)
    #expect(plans.why("2d.batch_size")?.isOverridden == false)
    let why = try #require(plans.why("3d_fullres.batch_size"))
    #expect(why.isOverridden && why.reason.contains("mine.lua:3"))
    #expect(input("default", of: why) == 9)
  }
}
