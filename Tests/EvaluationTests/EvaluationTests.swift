// Counts, means and summary.json, against hand-made cases and nnU-Net's own summaries.

import Archives
import Datasets
import Evaluation
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing

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
  private static let models = [
    ("Dataset801_PhantomCT", "2d"), ("Dataset801_PhantomCT", "3d_fullres"),
    ("Dataset802_PhantomBrain", "3d_fullres"),
    ("Dataset802_PhantomBrain", "3d_lowres"), ("Dataset804_PhantomOblique", "3d_fullres"),
  ]

  @Test("Summaries agree with nnU-Net's text for text, but for the paths", arguments: models)
  func agrees(dataset: String, configuration: String) throws {
    let model = "golden/models/results/\(dataset)/nnUNetTrainer_1epoch__nnUNetPlans_tiny__\(configuration)"
    let validation = Goldens.path("\(model)/fold_0/validation")
    let raw = Goldens.path("golden/raw/\(dataset)")
    let description = try DatasetDescription(contentsOf: raw.appending(path: "dataset.json"))
    let summary = try evaluateFolder(
      reference: raw.appending(path: "labelsTr"), prediction: validation, scheme: description.labels,
      fileEnding: description.fileEnding)
    let golden = try JSON(contentsOf: validation.appending(path: "summary.json"))
    #expect(withoutPaths(summary.json).text(sortedKeys: true) == withoutPaths(golden).text(sortedKeys: true))
    #expect(throws: Diagnostic.self) {
      try evaluateFolder(
        reference: raw.appending(path: "labelsTr"), prediction: validation, scheme: description.labels,
        fileEnding: description.fileEnding, chill: false)
    }
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
