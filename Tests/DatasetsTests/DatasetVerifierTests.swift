// What the verifier finds in datasets with planted faults, and that good ones pass.

import Archives
import Datasets
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("DatasetVerifier")
struct DatasetVerifierTests {
  private static let geometry = ImageGeometry(spacing: [2, 1, 1])

  private func image(_ value: Float = 1, shape: [Int] = [4, 5, 6]) -> Volume<Float> {
    Volume(voxels: NDArray(shape: shape, repeating: value), geometry: Self.geometry)
  }

  private func labels(_ value: Int16 = 1, shape: [Int] = [4, 5, 6]) -> Volume<Int16> {
    var voxels = NDArray<Int16>(shape: shape, repeating: 0)
    voxels.elements[7] = value
    return Volume(voxels: voxels, geometry: Self.geometry)
  }

  /// Two sound cases of two channels.
  private func makeDataset(labels declared: JSON = ["background": 0, "a": 1], count: Int = 2) throws -> URL {
    let folder = try Goldens.temporaryFolder().appending(path: "Dataset010_Faults")
    for name in ["imagesTr", "labelsTr"] {
      try FileManager.default.createDirectory(
        at: folder.appending(path: name), withIntermediateDirectories: true)
    }
    for name in ["c0", "c1"] {
      for channel in 0..<2 {
        try writeImage(image(), to: folder.appending(path: "imagesTr/\(name)_000\(channel).nii.gz"))
      }
      try writeLabels(labels(), to: folder.appending(path: "labelsTr/\(name).nii.gz"), maximumLabel: 1)
    }
    let json: JSON = [
      "channel_names": ["0": "T1", "1": "T2"], "labels": declared, "numTraining": .integer(count),
      "file_ending": ".nii.gz",
    ]
    try json.write(to: folder.appending(path: "dataset.json"))
    return folder
  }

  private func errors(_ folder: URL) throws -> [String] {
    try DatasetVerifier(folder: folder).verify().errors.map(\.description)
  }

  @Test("A sound dataset has no findings")
  func sound() throws {
    let result = try DatasetVerifier(folder: makeDataset()).verify()
    #expect(result.findings.isEmpty)
    #expect(result.caseCount == 2)
    try result.throwIfUnusable()
  }

  @Test("A missing or malformed dataset.json is one clear finding")
  func description() throws {
    let folder = try makeDataset()
    let url = folder.appending(path: "dataset.json")
    try Data("{\"labels\": ".utf8).write(to: url)
    #expect(try errors(folder).first?.contains("dataset.json, line 1") == true)
    try FileManager.default.removeItem(at: url)
    #expect(try errors(folder).first?.contains("no such file") == true)
    #expect(try errors(folder.appending(path: "none")).first?.contains("no such folder") == true)
  }

  @Test("All faults of a dataset are found in one round and listed together")
  func collected() throws {
    let folder = try makeDataset(count: 3)
    try FileManager.default.removeItem(at: folder.appending(path: "labelsTr/c0.nii.gz"))
    try writeLabels(labels(4), to: folder.appending(path: "labelsTr/c1.nii.gz"), maximumLabel: 4)
    var broken = image()
    broken.voxels.elements[3] = .nan
    try writeImage(broken, to: folder.appending(path: "imagesTr/c1_0001.nii.gz"))
    let found = try errors(folder)
    #expect(found.count == 4)
    #expect(found.contains { $0.contains("\"numTraining\": 3") && $0.contains("2 in imagesTr") })
    #expect(found.contains { $0.contains("labelsTr/c0.nii.gz") && $0.contains("no label file") })
    #expect(found.contains { $0.contains("does not declare") && $0.contains("found:    4") })
    #expect(found.contains { $0.contains("c1_0001.nii.gz") && $0.contains("1 NaN") })
    #expect { try DatasetVerifier(folder: folder).verify().throwIfUnusable() } throws: { error in
      "\(error)".contains("4 problems") && found.allSatisfy { "\(error)".contains($0.prefix { $0 != "\n" }) }
    }
  }

  @Test("Sizes, spacings and channels that do not match are found")
  func mismatches() throws {
    let folder = try makeDataset()
    try writeLabels(
      labels(shape: [4, 5, 7]), to: folder.appending(path: "labelsTr/c0.nii.gz"), maximumLabel: 1)
    try FileManager.default.removeItem(at: folder.appending(path: "imagesTr/c1_0001.nii.gz"))
    let found = try errors(folder)
    #expect(found.count == 2)
    #expect(found.contains { $0.contains("differ in size") && $0.contains("[4, 5, 7]") })
    #expect(found.contains { $0.contains("wrong number of channels") && $0.contains("c1_0000.nii.gz") })
    try writeImage(image(shape: [4, 5, 8]), to: folder.appending(path: "imagesTr/c1_0001.nii.gz"))
    #expect(try errors(folder).contains { $0.contains("do not match") && $0.contains("c1_0001") })
  }

  @Test("A truncated file is found, and gaps between labels")
  func truncated() throws {
    let folder = try makeDataset(labels: ["background": 0, "a": 2])
    let url = folder.appending(path: "imagesTr/c0_0000.nii.gz")
    let bytes = try Data(contentsOf: url)
    try bytes.prefix(bytes.count / 2).write(to: url)
    let found = try errors(folder)
    #expect(found.contains { $0.contains("c0_0000.nii.gz") })
    #expect(found.contains { $0.contains("gaps") && $0.contains("0, 2") })
  }

  @Test("A shifted label map is a warning, a dataset without foreground an error")
  func oddities() throws {
    let folder = try makeDataset()
    var shifted = labels()
    shifted.geometry.origin = [5, 0, 0]
    try writeLabels(shifted, to: folder.appending(path: "labelsTr/c0.nii.gz"), maximumLabel: 1)
    let result = try DatasetVerifier(folder: folder).verify()
    #expect(result.errors.isEmpty)
    #expect(result.warnings.map(\.failure) == ["image and label of case c0 differ in origin"])
    for name in ["c0", "c1"] {
      try writeLabels(labels(0), to: folder.appending(path: "labelsTr/\(name).nii.gz"), maximumLabel: 1)
    }
    #expect(try errors(folder).map { $0.prefix(26) } == ["no case has any foreground"])
  }

  @Test(
    "Real and phantom datasets pass", .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)),
    arguments: [
      "data/Dataset004_Hippocampus", "golden/raw/Dataset802_PhantomBrain",
      "golden/raw/Dataset804_PhantomOblique",
    ])
  func goldens(path: String) throws {
    #expect(try DatasetVerifier(folder: Goldens.path(path)).verify().errors == [])
  }
}
