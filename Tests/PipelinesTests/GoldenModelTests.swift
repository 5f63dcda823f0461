// Every golden model of nnU-Net, imported from its .pth and run over the golden test cases: labels and probabilities.

import Archives
import Datasets
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

  @Test(
    "Labels and probabilities are the reference's",
    arguments: [
      "801_2d_f0", "801_2d_f0_notta", "801_3d_fullres_f0", "801_3d_fullres_f0_notta", "802_2d_all5",
      "802_2d_f0", "802_3d_cascade_fullres_all5", "802_3d_fullres_all5", "802_3d_fullres_f0",
      "802_3d_fullres_f0_notta", "802_3d_lowres_all5", "803_2d_f0", "803_2d_f0_notta", "804_2d_f0",
      "804_2d_f0_notta", "804_3d_fullres_f0", "804_3d_fullres_f0_notta",
    ])
  func golden(_ name: String) throws {
    var parts = name.split(separator: "_").map(String.init)
    let dataset = try #require(Self.names[parts.removeFirst()])
    let usesMirroring = parts.last != "notta"
    if !usesMirroring { parts.removeLast() }
    let folds: [Fold] = parts.removeLast() == "all5" ? (0..<5).map(Fold.number) : [.number(0)]
    let configuration = parts.joined(separator: "_")
    let model = Goldens.path(
      "golden/models/results/\(dataset)/nnUNetTrainer_1epoch__nnUNetPlans_tiny__\(configuration)")
    var request = PredictionRequest(model: .folder(model), folds: folds)
    request.usesMirroring = usesMirroring
    request.savesProbabilities = true
    if configuration == "3d_cascade_fullres" {
      request.previousStage = Goldens.path("golden/models/predictions/802_3d_lowres_all5")
    }
    let output = try Goldens.temporaryFolder("golden-model")
    defer { try? FileManager.default.removeItem(at: output) }
    try Pipeline(roots: DatasetRoots()).predict(
      folder: Goldens.path("golden/raw/\(dataset)/imagesTs"), to: output, request)

    let golden = Goldens.path("golden/models/predictions/\(name)")
    let files = try FileManager.default.contentsOfDirectory(atPath: golden.path).filter {
      $0.hasSuffix(".npz")
    }
    #expect(files.count >= 2)
    let ending = dataset.hasPrefix("Dataset803") ? ".png" : ".nii.gz"
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

  /// Whether the decision at these probabilities hangs on less than 2e-3.
  private func isClose(_ values: [Float], isRegions: Bool) -> Bool {
    if isRegions { return values.contains { abs($0 - 0.5) <= 2e-3 } }
    let sorted = values.sorted(by: >)
    return sorted[0] - sorted[1] <= 2e-3
  }
}
