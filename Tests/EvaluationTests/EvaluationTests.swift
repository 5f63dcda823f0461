// Counts, means and summary.json, against hand-made cases and nnU-Net's own summaries.

import Archives
import Datasets
import Evaluation
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite struct ConfusionCountsTests {
  private let reference = NDArray<Int16>(shape: [1, 1, 8], elements: [0, 0, 1, 1, 2, 2, 3, 3])
  private let prediction = NDArray<Int16>(shape: [1, 1, 8], elements: [0, 1, 1, 2, 2, 2, 2, 0])

  @Test("Labels and regions are counted, the ignore label left out")
  func counts() {
    let counts = ConfusionCounts.count(
      of: [.label(1), .region([1, 2])], reference: reference, prediction: prediction, ignoreLabel: 3)
    #expect(
      counts[0] == ConfusionCounts(truePositives: 1, falsePositives: 1, falseNegatives: 1, trueNegatives: 3))
    #expect(
      counts[1] == ConfusionCounts(truePositives: 4, falsePositives: 1, falseNegatives: 0, trueNegatives: 1))
    #expect(counts[0].dice == 0.5)
    #expect(counts[1].intersectionOverUnion == 0.8)
  }

  @Test("Without an ignore label every voxel counts")
  func total() {
    let counts = ConfusionCounts.count(of: [.label(3)], reference: reference, prediction: prediction)[0]
    #expect(counts == ConfusionCounts(falseNegatives: 2, trueNegatives: 6))
    #expect(counts.dice == 0)
  }

  @Test("A target absent from both is not a number")
  func absent() {
    let counts = ConfusionCounts.count(of: [.label(9)], reference: reference, prediction: prediction)[0]
    #expect(counts.dice.isNaN && counts.intersectionOverUnion.isNaN)
  }

  @Test("Far apart labels are counted too")
  func sparse() {
    let a = NDArray<Int16>(shape: [3], elements: [-1, 30000, 30000])
    let b = NDArray<Int16>(shape: [3], elements: [30000, 30000, 0])
    let counts = ConfusionCounts.count(of: [.label(30000)], reference: a, prediction: b)[0]
    #expect(counts == ConfusionCounts(truePositives: 1, falsePositives: 1, falseNegatives: 1))
  }
}

@Suite struct EvaluationSummaryTests {
  private func summary() -> EvaluationSummary {
    let some = TargetMetrics(ConfusionCounts(truePositives: 1, falsePositives: 1, trueNegatives: 2))
    let none = TargetMetrics(ConfusionCounts(trueNegatives: 4))
    return EvaluationSummary(
      targets: [.label(2), .region([3])],
      cases: [
        CaseEvaluation(referenceFile: "/r/a.nii.gz", predictionFile: "/p/a.nii.gz", metrics: [some, none]),
        CaseEvaluation(referenceFile: "/r/b.nii.gz", predictionFile: "/p/b.nii.gz", metrics: [none, none]),
      ])
  }

  @Test(
    "Cases without the target leave the mean Dice alone; a target never seen makes the foreground mean NaN")
  func means() {
    let summary = summary()
    #expect(summary.means[0].dice == 2.0 / 3)
    #expect(summary.means[0].truePositives == 0.5)
    #expect(summary.means[1].dice.isNaN)
    #expect(summary.foregroundMean.dice.isNaN)
    #expect(summary.foregroundMean.trueNegatives == 3.5)
    #expect(summary.cases[0].identifier(fileEnding: ".nii.gz") == "a")
  }

  @Test("The file has nnU-Net's keys, bare NaN and integers for the counts of a case")
  func text() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "summary.json")
    try summary().write(to: url)
    let text = try String(contentsOf: url, encoding: .utf8)
    #expect(text.contains("\"(3,)\": {\n            \"Dice\": NaN"))
    #expect(text.contains("\"FP\": 1,"))
    #expect(text.contains("\"n_ref\": 0.5"))
    let read = try EvaluationSummary(contentsOf: url)
    #expect(read.targets == [.label(2), .region([3])])
    #expect(read.json.text() == summary().json.text())
  }

  @Test("Strict JSON has null for what is no number and for a missed target's distance, and is read back")
  func strict() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let url = folder.appending(path: "summary.json")
    var golden = try #require(summary().json.object)
    var entries = try #require(golden["metric_per_case"]?.array)
    for index in entries.indices {
      for target in ["2", "(3,)"] {
        var metrics = try #require(entries[index]["metrics"]?[target]?.object)
        metrics["NSD"] = .number(index == 0 ? 0 : .nan)
        metrics["HD95"] = .number(index == 0 ? .infinity : .nan)
        entries[index] = entries[index].setting(["metrics", target], .object(metrics))
      }
    }
    golden["metric_per_case"] = .array(entries)
    let summary = try EvaluationSummary(json: .object(golden), source: "test")
    try summary.write(to: url, usesNull: true)
    let text = try String(contentsOf: url, encoding: .utf8)
    #expect(!text.contains("NaN") && !text.contains("Infinity"))
    #expect(text.contains("\"HD95\": null"))
    let read = try EvaluationSummary(contentsOf: url)
    #expect(read.cases[0].metrics[0][.hausdorff95] == .infinity)
    #expect(read.cases[1].metrics[0][.hausdorff95]?.isNaN == true)
    #expect(read.cases[0].metrics[0].dice == summary.cases[0].metrics[0].dice)
  }

  @Test("Tables have a row per case and target, and a row per target with the lowest case")
  func tables() {
    var summary = summary()
    summary.names = [.label(2): "left, lower"]
    #expect(
      summary.caseTable.csv.split(separator: "\n").prefix(3) == [
        "case,target,name,Dice,IoU,TP,FP,FN,TN,n_pred,n_ref",
        "a,2,\"left, lower\",0.6666666666666666,0.5,1,1,0,2,2,1", "a,\"(3,)\",,,,0,0,0,4,0,0",
      ])
    let lines = summary.meanTable.lines
    #expect(lines.count == 4)
    #expect(lines[1].split(separator: " ").suffix(6) == ["1", "0.6667", "0.6667", "0.5000", "0.6667", "a"])
    #expect(lines[2].split(separator: " ").prefix(3) == ["(3,)", "0", "-"])
    #expect(lines[3].hasPrefix("  foreground mean"))
  }

  @Test("A case's name is its file's without the ending, compressed or not")
  func names() {
    for (file, name) in [("/p/a.b.nii.gz", "a.b"), ("/p/cell_1.png", "cell_1"), ("x.nrrd", "x")] {
      #expect(CaseEvaluation(referenceFile: file, predictionFile: file, metrics: []).name == name)
    }
  }

  @Test("A summary without means is refused with its path")
  func incomplete() {
    let error = #expect(throws: Diagnostic.self) {
      try EvaluationSummary(json: ["mean": [:]], source: "/x.json")
    }
    #expect(error?.location == "/x.json")
  }

  @Test(
    "Keys of targets are read back", arguments: [LabelValue.label(12), .region([3]), .region([1, 2, 3])])
  func keys(target: LabelValue) {
    #expect(LabelValue(summaryKey: target.summaryKey) == target)
    #expect(LabelValue(summaryKey: "whole") == nil)
  }
}

@Suite(.enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence))) struct FolderEvaluationTests {
  /// Every folder of predictions with nnU-Net's summary beside them: `DATASET/MODEL/FOLDER`.
  private static let scoredFolders: [String] = {
    let results = Goldens.path("golden/models/results")
    let files = FileManager.default.enumerator(at: results, includingPropertiesForKeys: nil)
    return (files?.compactMap { $0 as? URL } ?? []).compactMap { url in
      let folder = url.deletingLastPathComponent()
      let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
      let isScored = names.contains { $0.hasSuffix(".nii.gz") || $0.hasSuffix(".png") }
      guard url.lastPathComponent == "summary.json", isScored else { return nil }
      return folder.pathComponents.suffix(from: results.pathComponents.count).joined(separator: "/")
    }.sorted()
  }()

  @Test("All folds of all models, and their accumulated results, are among the goldens")
  func coverage() {
    #expect(Self.scoredFolders.count { $0.contains("/fold_") } == 25)
    #expect(Self.scoredFolders.count { $0.contains("/crossval_results") } == 4)
  }

  @Test("Summaries agree with nnU-Net's text for text, but for the paths", arguments: scoredFolders)
  func agrees(folder: String) throws {
    let predictions = Goldens.path("golden/models/results/\(folder)")
    let raw = Goldens.path("golden/raw/\(folder.prefix { $0 != "/" })")
    let description = try DatasetDescription(contentsOf: raw.appending(path: "dataset.json"))
    let summary = try evaluateFolder(
      reference: raw.appending(path: "labelsTr"), prediction: predictions, scheme: description.labels,
      fileEnding: description.fileEnding)
    let golden = try JSON(contentsOf: predictions.appending(path: "summary.json"))
    #expect(withoutPaths(summary.json).text(sortedKeys: true) == withoutPaths(golden).text(sortedKeys: true))
    guard folder.contains("/fold_") else { return }
    #expect(throws: Diagnostic.self) {
      try evaluateFolder(
        reference: raw.appending(path: "labelsTr"), prediction: predictions, scheme: description.labels,
        fileEnding: description.fileEnding, chill: false)
    }
  }

  @Test("The simple evaluation finds the ending itself and agrees with nnU-Net's text for text")
  func simple() throws {
    let references = Goldens.path("golden/raw/Dataset804_PhantomOblique/labelsTr")
    let model = "Dataset804_PhantomOblique/nnUNetTrainer_1epoch__nnUNetPlans_tiny__3d_fullres"
    let ending = try lastExtension(ofFirstFileIn: references)
    #expect(ending == ".gz")
    let summary = try evaluateFolder(
      reference: references, prediction: Goldens.path("golden/models/results/\(model)/fold_0/validation"),
      settings: EvaluationSettings(targets: [.label(1), .label(2)], ignoreLabel: 3, fileEnding: ending))
    let fixture = Goldens.repository.appending(
      path: "Tests/EvaluationTests/Fixtures/evaluate-simple-804.json")
    let golden = try JSON(contentsOf: fixture)
    #expect(withoutPaths(summary.json).text(sortedKeys: true) == withoutPaths(golden).text(sortedKeys: true))
  }

  @Test("Surfaces and volumes come with the file's spacing, and only when asked for")
  func extras() throws {
    let references = Goldens.path("golden/raw/Dataset804_PhantomOblique/labelsTr")
    var settings = EvaluationSettings(targets: [.label(1)], ignoreLabel: 3, fileEnding: ".nii.gz")
    settings.measures = EvaluationMeasures(surfaceTolerance: 1.5, includesVolumes: true)
    let model = "Dataset804_PhantomOblique/nnUNetTrainer_1epoch__nnUNetPlans_tiny__3d_fullres"
    let predictions = Goldens.path("golden/models/results/\(model)/fold_0/validation")
    let summary = try evaluateFolder(reference: references, prediction: predictions, settings: settings)
    let first = try #require(summary.cases.first)
    let volume = try readLabels(references.appending(path: "ob_003.nii.gz"))
    let milliliters = volume.geometry.spacing.reduce(1, *) / 1000
    #expect(first.metrics[0][.referenceVolume] == first.metrics[0].referenceCount * milliliters)
    let surface = try #require(first.metrics[0][.surfaceDice])
    #expect(surface > 0.5 && surface < 1)
    #expect(summary.json["surface_tolerance_mm"]?.double == 1.5)
    settings.measures = EvaluationMeasures()
    let plain = try evaluateFolder(reference: references, prediction: predictions, settings: settings)
    #expect(plain.json["mean"]?["1"]?.object?.keys.count == 8)
    #expect(plain.json["surface_tolerance_mm"] == nil)
  }

  private func withoutPaths(_ json: JSON) -> JSON {
    guard var object = json.object, let cases = json["metric_per_case"]?.array else { return json }
    object["metric_per_case"] = .array(
      cases.map { entry in
        var entry = entry.object ?? [:]
        for key in ["prediction_file", "reference_file"] {
          entry[key] = entry[key]?.string.map { .string(URL(filePath: $0).lastPathComponent) }
        }
        return .object(entry)
      })
    return .object(object)
  }
}

extension JSON {
  /// The same with the value at a path of keys replaced.
  fileprivate func setting(_ path: [String], _ value: JSON) -> JSON {
    guard let key = path.first, var object else { return value }
    object[key] = (object[key] ?? .null).setting(Array(path.dropFirst()), value)
    return .object(object)
  }
}
