// Every golden model of nnU-Net, imported from its .pth and run over the golden test cases: labels and probabilities.

import Archives
import Datasets
import Evaluation
import Foundation
import Pipelines
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite(.serialized, .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
struct GoldenModelTests {
  private static let names = [
    "801": "Dataset801_PhantomCT", "802": "Dataset802_PhantomBrain", "803": "Dataset803_PhantomCells",
    "804": "Dataset804_PhantomOblique",
  ]

  static let sets = [
    "801_2d_f0", "801_2d_f0_notta", "801_3d_fullres_f0", "801_3d_fullres_f0_notta", "802_2d_all5",
    "802_2d_f0", "802_3d_cascade_fullres_all5", "802_3d_fullres_all5", "802_3d_fullres_f0",
    "802_3d_fullres_f0_notta", "802_3d_lowres_all5", "803_2d_f0", "803_2d_f0_notta", "804_2d_f0",
    "804_2d_f0_notta", "804_3d_fullres_f0", "804_3d_fullres_f0_notta",
  ]

  private static func model(_ dataset: String, _ configuration: String) -> URL {
    Goldens.path("golden/models/results/\(dataset)/nnUNetTrainer_1epoch__nnUNetPlans_tiny__\(configuration)")
  }

  /// Runs a model over the golden test cases as the name of the set tells.
  ///
  /// - Returns: the folders of the predictions and of the golden ones, and the dataset.
  private func predict(
    _ name: String, precision: Precision
  ) throws -> (output: URL, golden: URL, dataset: String) {
    var parts = name.split(separator: "_").map(String.init)
    let dataset = try #require(Self.names[parts.removeFirst()])
    let usesMirroring = parts.last != "notta"
    if !usesMirroring { parts.removeLast() }
    let folds: [Fold] = parts.removeLast() == "all5" ? (0..<5).map(Fold.number) : [.number(0)]
    let configuration = parts.joined(separator: "_")
    var request = PredictionRequest(model: .folder(Self.model(dataset, configuration)), folds: folds)
    request.usesMirroring = usesMirroring
    request.savesProbabilities = true
    request.precision = precision
    if configuration == "3d_cascade_fullres" {
      request.previousStage = Goldens.path("golden/models/predictions/802_3d_lowres_all5")
    }
    let output = try Goldens.temporaryFolder("golden-model")
    try Pipeline(roots: DatasetRoots()).predict(
      folder: Goldens.path("golden/raw/\(dataset)/imagesTs"), to: output, request)
    return (output, Goldens.path("golden/models/predictions/\(name)"), dataset)
  }

  private static func ending(_ dataset: String) -> String {
    dataset.hasPrefix("Dataset803") ? ".png" : ".nii.gz"
  }

  @Test("Labels and probabilities are the reference's", arguments: sets)
  func golden(_ name: String) throws {
    let (output, golden, dataset) = try predict(name, precision: .float32)
    defer { try? FileManager.default.removeItem(at: output) }
    let files = try FileManager.default.contentsOfDirectory(atPath: golden.path).filter {
      $0.hasSuffix(".npz")
    }
    #expect(files.count >= 2)
    let ending = Self.ending(dataset)
    for file in files {
      let identifier = String(file.dropLast(4))
      let ours = try #require(try readNPZ(output.appending(path: file))["probabilities"]).floats()
      let theirs = try #require(try readNPZ(golden.appending(path: file))["probabilities"]).floats()
      #expect(ours.shape == theirs.shape, "\(identifier)")
      let largest = zip(ours.elements, theirs.elements).map { abs($0 - $1) }.max() ?? 1
      #expect(largest <= 2e-3, "\(identifier): \(largest)")
      let labels = try readLabels(output.appending(path: identifier + ending)).voxels
      let expected = try readLabels(golden.appending(path: identifier + ending)).voxels
      let differing = labels.elements.indices.filter { labels.elements[$0] != expected.elements[$0] }
      #expect(differing.count * 10_000 <= labels.count, "\(identifier): \(differing.count) voxels")
      for voxel in differing {
        let values = (0..<theirs.shape[0]).map { theirs.elements[$0 * labels.count + voxel] }
        #expect(isClose(values, isRegions: dataset.hasPrefix("Dataset802")), "\(identifier): \(values)")
      }
    }
  }

  /// The sets with few passes through the network; all of them have been seen to hold.
  private static let quickSets = [
    "801_2d_f0_notta", "802_2d_f0", "803_2d_f0", "804_2d_f0_notta", "804_3d_fullres_f0_notta",
  ]

  @Test("In bf16 at least 99.9 % of the labels are the reference's", arguments: quickSets)
  func bfloat16(_ name: String) throws {
    let (output, golden, dataset) = try predict(name, precision: .bfloat16)
    defer { try? FileManager.default.removeItem(at: output) }
    var (equal, total) = (0, 0)
    let ending = Self.ending(dataset)
    for file in try FileManager.default.contentsOfDirectory(atPath: golden.path) where file.hasSuffix(ending)
    {
      let labels = try readLabels(output.appending(path: file)).voxels.elements
      let expected = try readLabels(golden.appending(path: file)).voxels.elements
      equal += zip(labels, expected).count { $0 == $1 }
      total += expected.count
    }
    #expect(total > 0 && Double(equal) >= 0.999 * Double(total), "\(equal) of \(total)")
  }

  @Test(
    "In bf16 the Dice of the held-out cases is the reference's within 0.002",
    arguments: [("802", "3d_lowres"), ("803", "2d")])
  func heldOutDice(_ number: String, _ configuration: String) throws {
    let dataset = try #require(Self.names[number])
    let raw = Goldens.path("golden/raw/\(dataset)")
    let fold = Self.model(dataset, configuration).appending(path: "fold_0")
    let ending = Self.ending(dataset)
    let cases = try FileManager.default.contentsOfDirectory(
      atPath: fold.appending(path: "validation").path
    ).filter { $0.hasSuffix(ending) }.map { String($0.dropLast(ending.count)) }
    let output = try Goldens.temporaryFolder("golden-model")
    defer { try? FileManager.default.removeItem(at: output) }
    var request = PredictionRequest(
      model: .folder(fold.deletingLastPathComponent()), folds: [.number(0)])
    request.precision = .bfloat16
    let images = cases.map { raw.appending(path: "imagesTr/\($0)_0000\(ending)") }
    let pipeline = Pipeline(roots: DatasetRoots())
    try pipeline.predict(PredictionInput(images), to: output, request)
    let summary = try pipeline.evaluate(
      EvaluationRequest(
        references: raw.appending(path: "labelsTr"), predictions: output,
        datasetJSON: raw.appending(path: "dataset.json"), plans: output.appending(path: "plans.json"),
        allowsMissing: true))
    let golden = try EvaluationSummary(at: fold.appending(path: "validation"))
    let (dice, expected) = (summary.foregroundMean.dice, golden.foregroundMean.dice)
    #expect(abs(dice - expected) <= 0.002)
  }

  /// Whether the decision at these probabilities hangs on less than 2e-3.
  private func isClose(_ values: [Float], isRegions: Bool) -> Bool {
    if isRegions { return values.contains { abs($0 - 0.5) <= 2e-3 } }
    let sorted = values.sorted(by: >)
    return sorted[0] - sorted[1] <= 2e-3
  }
}
