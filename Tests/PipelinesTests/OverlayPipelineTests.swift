// Pictures of whole datasets: which slices, which cases, and what happens to those that cannot be read.

import Archives
import Datasets
import Figures
import Foundation
import Pipelines
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("Overlays of datasets")
struct OverlayPipelineTests {
  /// A dataset of three small cases below `root`.
  private func makeDataset(below root: URL) throws -> (pipeline: Pipeline, folder: URL) {
    let folder = root.appending(path: "raw/Dataset007_Small")
    for name in ["imagesTr", "labelsTr"] {
      try FileManager.default.createDirectory(
        at: folder.appending(path: name), withIntermediateDirectories: true)
    }
    let description: JSON = [
      "channel_names": ["0": "MRI"], "labels": ["background": 0, "part": 1], "numTraining": 3,
      "file_ending": ".nii.gz",
    ]
    try description.write(to: folder.appending(path: "dataset.json"))
    let geometry = ImageGeometry(spacing: [2, 1, 1])
    var labels = NDArray<Float>(shape: [5, 12, 14], repeating: 0)
    for y in 3..<9 { for x in 4..<9 { labels[3, y, x] = 1 } }
    let image = NDArray<Float>(shape: labels.shape, elements: (0..<labels.count).map { Float($0 % 97) })
    for name in ["a", "b", "c"] {
      try writeImage(
        Volume(voxels: image, geometry: geometry), to: folder.appending(path: "imagesTr/\(name)_0000.nii.gz"))
      try writeImage(
        Volume(voxels: labels, geometry: geometry), to: folder.appending(path: "labelsTr/\(name).nii.gz"))
    }
    return (Pipeline(roots: DatasetRoots(root: root, environment: [:])), folder)
  }

  private func pictures(in folder: URL) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
  }

  @Test("One picture per case; a case that cannot be read is an error at the end and the rest is there")
  func brokenCase() throws {
    let root = try Goldens.temporaryFolder("overlays")
    defer { try? FileManager.default.removeItem(at: root) }
    let (pipeline, folder) = try makeDataset(below: root)
    let output = root.appending(path: "out")
    let request = OverlayRequest(dataset: "Dataset007_Small", content: .raw, output: output)
    #expect(try pipeline.drawOverlays(request) == 3)
    #expect(try pictures(in: output) == ["a.png", "b.png", "c.png"])
    try FileManager.default.removeItem(at: output)
    try Data("broken".utf8).write(to: folder.appending(path: "imagesTr/b_0000.nii.gz"))
    let error = #expect(throws: Diagnostic.self) { try pipeline.drawOverlays(request) }
    #expect(error?.failure == "1 of 3 cases could not be drawn")
    #expect(try pictures(in: output) == ["a.png", "c.png"])
  }

  @Test(
    "With a folder of predictions only their cases are drawn, and a better prediction changes the picture")
  func predictions() throws {
    let root = try Goldens.temporaryFolder("overlays")
    defer { try? FileManager.default.removeItem(at: root) }
    let (pipeline, folder) = try makeDataset(below: root)
    let predicted = root.appending(path: "predicted")
    try FileManager.default.createDirectory(at: predicted, withIntermediateDirectories: true)
    let output = root.appending(path: "out")
    let request = OverlayRequest(
      dataset: "Dataset007_Small", content: .predictions(predicted), output: output)
    #expect(throws: Diagnostic.self) { try pipeline.drawOverlays(request) }
    let file = predicted.appending(path: "b.nii.gz")
    try FileManager.default.copyItem(at: folder.appending(path: "labelsTr/b.nii.gz"), to: file)
    #expect(try pipeline.drawOverlays(request) == 1)
    let exact = try Data(contentsOf: output.appending(path: "b.png"))
    var labels = try readImage(file)
    labels.voxels[3, 3, 4] = 0
    try writeImage(labels, to: file)
    #expect(try pipeline.drawOverlays(request) == 1)
    #expect(try pictures(in: output) == ["b.png"])
    #expect(try Data(contentsOf: output.appending(path: "b.png")) != exact)
  }

  @Test("A channel that does not exist, and data that are not preprocessed, are refused with a remedy")
  func refusals() throws {
    let root = try Goldens.temporaryFolder("overlays")
    defer { try? FileManager.default.removeItem(at: root) }
    let (pipeline, _) = try makeDataset(below: root)
    let request = OverlayRequest(
      dataset: "Dataset007_Small", content: .raw, channel: 1, output: root.appending(path: "out"))
    let error = #expect(throws: Diagnostic.self) { try pipeline.drawOverlays(request) }
    #expect(error?.remedy == "choose another -channel_idx")
  }

  @Test(
    "The slices are those that nnU-Net's own rule gives along each axis", .tags(.golden),
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)),
    arguments: [
      ("801_PhantomCT/labelsTr/ct_000", [11, 47, 38]), ("801_PhantomCT/labelsTr/ct_003", [10, 49, 46]),
      ("802_PhantomBrain/labelsTr/brain_000", [22, 43, 38]),
      ("804_PhantomOblique/labelsTr/ob_000", [40, 37, 8]),
      ("804_PhantomOblique/labelsTr/ob_003", [32, 35, 8]),
    ])
  func referenceSlices(_ name: String, _ expected: [Int]) throws {
    let labels = try readLabels(Goldens.path("golden/raw/Dataset\(name).nii.gz"))
    let shares = SliceShares(of: [labels.voxels])
    #expect((0..<3).map(shares.best) == expected)
  }
}
