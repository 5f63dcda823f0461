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
    for (number, name) in ["c0", "c1"].enumerated() {
      for channel in 0..<2 {
        try writeImage(
          image(Float(1 + number)), to: folder.appending(path: "imagesTr/\(name)_000\(channel).nii.gz"))
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
    #expect(result.warnings.map(\.failure) == ["image and label of case c0 differ in geometry"])
    #expect(result.warnings[0].found?.contains("a shift by 5.0, 0.0, 0.0 mm") == true)
    #expect(result.findings[0].repair == nil)
    for name in ["c0", "c1"] {
      try writeLabels(labels(0), to: folder.appending(path: "labelsTr/\(name).nii.gz"), maximumLabel: 1)
    }
    #expect(try errors(folder).map { $0.prefix(26) } == ["no case has any foreground"])
  }

  /// Replaces the label map of c0 by one with another geometry and returns what is found.
  private func finding(_ change: (inout ImageGeometry) -> Void) throws -> DatasetFinding {
    let folder = try makeDataset()
    var moved = labels()
    change(&moved.geometry)
    try writeLabels(moved, to: folder.appending(path: "labelsTr/c0.nii.gz"), maximumLabel: 1)
    let findings = try DatasetVerifier(folder: folder).verify().findings
    #expect(findings.count == 1)
    return try #require(findings.first)
  }

  @Test("Geometry that differs is told apart: rounding, flip, spacing, rotation")
  func geometryClasses() throws {
    let noise = try finding { $0.origin = [1e-3, 0, 0] }
    #expect(noise.severity == .warning && noise.diagnostic.found?.hasPrefix("rounding") == true)
    guard case .copyGeometry = noise.repair else {
      Issue.record("rounding can be repaired")
      return
    }
    let flip = try finding { $0.direction = [-1, 0, 0, 0, -1, 0, 0, 0, 1] }
    #expect(flip.severity == .warning && flip.diagnostic.found == "a flip: x and y runs the other way round")
    let spacing = try finding { $0.spacing = [2, 1, 1.5] }
    #expect(spacing.severity == .error && spacing.diagnostic.found?.contains("distances") == true)
    let turned = try finding { $0.direction = [0.8, -0.6, 0, 0.6, 0.8, 0, 0, 0, 1] }
    #expect(turned.severity == .warning && turned.diagnostic.found?.contains("36.87 degrees") == true)
    #expect([flip, spacing, turned].allSatisfy { $0.repair == nil })
  }

  @Test("Channels that lie elsewhere are found too")
  func channelGeometry() throws {
    let folder = try makeDataset()
    var moved = image(1)
    moved.geometry.origin = [0, -7, 0]
    try writeImage(moved, to: folder.appending(path: "imagesTr/c0_0001.nii.gz"))
    let found = try DatasetVerifier(folder: folder).verify()
    #expect(found.warnings.map(\.failure) == ["channels of case c0 differ in geometry"])
    #expect(found.warnings[0].found?.contains("a shift by 0.0, -7.0, 0.0 mm") == true)
  }

  @Test("Infinite voxels, empty labels and fractions as labels are found")
  func values() throws {
    let folder = try makeDataset()
    var broken = image(1)
    broken.voxels.elements[3] = .infinity
    broken.voxels.elements[4] = -.infinity
    try writeImage(broken, to: folder.appending(path: "imagesTr/c0_0000.nii.gz"))
    try writeLabels(labels(0), to: folder.appending(path: "labelsTr/c0.nii.gz"), maximumLabel: 1)
    var fractions = image(0)
    fractions.voxels.elements[9] = 0.5
    try writeImage(fractions, to: folder.appending(path: "labelsTr/c1.nii.gz"))
    let found = try DatasetVerifier(folder: folder).verify()
    #expect(found.warnings.contains { $0.found == "2 infinite voxels" })
    #expect(found.warnings.contains { $0.failure == "the labels of case c0 are empty" })
    #expect(found.errors.contains { $0.description.contains("0.5") && $0.location?.contains("c1") == true })
    var nan = image(0)
    nan.voxels.elements[9] = .nan
    try writeImage(nan, to: folder.appending(path: "labelsTr/c1.nii.gz"))
    #expect(try errors(folder).contains { $0.contains("labelsTr/c1.nii.gz") && $0.contains("nan") })
  }

  @Test("A case that is there twice is found, whatever it is called")
  func duplicates() throws {
    let folder = try makeDataset()
    for channel in 0..<2 {
      let copy = folder.appending(path: "imagesTr/c1_000\(channel).nii.gz")
      try FileManager.default.removeItem(at: copy)
      try FileManager.default.copyItem(
        at: folder.appending(path: "imagesTr/c0_000\(channel).nii.gz"), to: copy)
    }
    let found = try DatasetVerifier(folder: folder).verify().warnings
    #expect(found.map(\.failure) == ["two cases have the same images"])
    #expect(found[0].found == "c1 equals c0 in every voxel, labels included")
  }

  @Test("A skewed sform is read, kept and reported")
  func skew() throws {
    let folder = try makeDataset()
    for file in ["imagesTr/c0_0000", "imagesTr/c0_0001", "labelsTr/c0"] {
      let url = folder.appending(path: file + ".nii.gz")
      var bytes = try Gzip.decompress(Data(contentsOf: url))
      func put(_ value: Float, at offset: Int) {
        withUnsafeBytes(of: value.bitPattern.littleEndian) {
          bytes.replaceSubrange(offset..<offset + 4, with: $0)
        }
      }
      // No qform; the second axis leans into the first.
      bytes[252] = 0
      put(0.2, at: 280 + 4)
      try Data(Gzip.compress(bytes)).write(to: url)
    }
    let found = try DatasetVerifier(folder: folder).verify()
    #expect(found.errors.isEmpty)
    #expect(found.warnings.count == 2)
    #expect(
      found.warnings.allSatisfy { $0.failure == "an image of case c0 has axes that are not at right angles" })
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

  @Test(
    "Orders of regions that cannot be meant are remarked on",
    arguments: [
      (["background": 0, "whole": [1, 2], "core": [2]], [1, 2], 0),
      (["background": 0, "whole": [1, 2], "core": [2]], [2, 1], 1),
      (["background": 0, "core": [2], "whole": [1, 2]], [2, 1], 1),
      (["background": 0, "core": [2], "whole": [1, 2]], [1, 2], 2),
    ] as [(JSON, [Int], Int)])
  func regions(_ labels: JSON, _ order: [Int], _ count: Int) throws {
    let folder = try makeDataset(labels: labels)
    var object = try #require(try JSON(contentsOf: folder.appending(path: "dataset.json")).object)
    object["regions_class_order"] = JSON(order)
    try JSON.object(object).write(to: folder.appending(path: "dataset.json"))
    let warnings = try DatasetVerifier(folder: folder).verify().warnings
    #expect(warnings.count { $0.failure.contains("order of the regions") } == count)
  }
}
