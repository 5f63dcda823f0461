// The corrected copy: what it mends, what it leaves, and that the original stays as it was.

import Archives
import Datasets
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("DatasetRepair")
struct DatasetRepairTests {
  private func volume<T>(_ value: T, _ geometry: ImageGeometry) -> Volume<T> {
    Volume(voxels: NDArray(shape: [3, 4, 5], repeating: value), geometry: geometry)
  }

  /// Two cases: NaN and infinity in one, rounding in the geometry of the other; a flip that nobody can decide on.
  private func makeDataset() throws -> URL {
    let folder = try Goldens.temporaryFolder().appending(path: "Dataset011_Mend")
    for name in ["imagesTr", "labelsTr", "imagesTs"] { try createFolder(folder.appending(path: name)) }
    let geometry = ImageGeometry(spacing: [2, 1, 1], origin: [10, 20, 30])
    var broken = volume(Float(3), geometry)
    broken.voxels.elements.replaceSubrange(0..<4, with: [.nan, .infinity, -.infinity, -7])
    try writeImage(broken, to: folder.appending(path: "imagesTr/a_0000.nii.gz"))
    try writeImage(volume(Float(1), geometry), to: folder.appending(path: "imagesTr/b_0000.nii.gz"))
    try writeImage(volume(Float(2), geometry), to: folder.appending(path: "imagesTs/t_0000.nii.gz"))
    var flipped = geometry
    flipped.direction = [-1, 0, 0, 0, 1, 0, 0, 0, 1]
    try writeLabels(volume(1, flipped), to: folder.appending(path: "labelsTr/a.nii.gz"), maximumLabel: 1)
    var rounded = geometry
    rounded.origin[1] += 2e-3
    try writeLabels(volume(1, rounded), to: folder.appending(path: "labelsTr/b.nii.gz"), maximumLabel: 1)
    let json: JSON = [
      "modality": ["0": "MR"], "labels": ["background": 0, "a": 1], "numTraining": 7,
      "file_ending": ".nii.gz",
    ]
    try json.write(to: folder.appending(path: "dataset.json"))
    return folder
  }

  private func contents(of folder: URL) throws -> [String: Data] {
    var result: [String: Data] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder.path)
    where name.hasSuffix(".gz") || name.hasSuffix(".json") {
      result[name] = try Data(contentsOf: folder.appending(path: name))
    }
    return result
  }

  @Test(
    "Rounding, NaN, infinities and dataset.json are mended in the copy; the original stays, a flip is left")
  func mends() throws {
    let folder = try makeDataset()
    let before = try contents(of: folder)
    let findings = try DatasetVerifier(folder: folder).verify()
    #expect(findings.errors.count == 3 && findings.warnings.count == 3)
    let copy = try Goldens.temporaryFolder().appending(path: "Dataset011_Mend")
    let done = try DatasetRepair(dataset: RawDataset(folder: folder), findings: findings).write(to: copy)
    #expect(
      done == [
        "imagesTr/a_0000.nii.gz: 1 NaN voxels set to 0",
        "imagesTr/a_0000.nii.gz: 2 infinite voxels set to the nearest finite value of the image",
        "labelsTr/b.nii.gz: geometry copied from b_0000.nii.gz",
        "dataset.json: \"channel_names\" added from \"modality\"", "dataset.json: \"numTraining\" set to 2",
      ])
    #expect(try contents(of: folder) == before)
    let after = try DatasetVerifier(folder: copy).verify()
    #expect(after.errors.isEmpty)
    #expect(after.warnings.map(\.failure) == ["image and label of case a differ in geometry"])
    let mended = try readImage(copy.appending(path: "imagesTr/a_0000.nii.gz"))
    #expect(mended.voxels.elements.prefix(5) == [0, 3, -7, -7, 3])
    #expect(try contents(of: copy)["imagesTs/t_0000.nii.gz"] == before["imagesTs/t_0000.nii.gz"])
    #expect(try contents(of: copy)["imagesTr/b_0000.nii.gz"] == before["imagesTr/b_0000.nii.gz"])
  }

  @Test("An existing folder is never written into")
  func existing() throws {
    let folder = try makeDataset()
    let findings = try DatasetVerifier(folder: folder).verify()
    let repair = DatasetRepair(dataset: try RawDataset(folder: folder), findings: findings)
    #expect { try repair.write(to: folder) } throws: { "\($0)".contains("there already") }
  }

  /// Two cases with regions, and a dataset.json as somebody wrote it by hand.
  private func makeHandWritten(_ json: String, ending: String = ".nii") throws -> URL {
    let folder = try Goldens.temporaryFolder().appending(path: "Dataset012_Hand")
    for name in ["imagesTr", "labelsTr"] { try createFolder(folder.appending(path: name)) }
    let geometry = ImageGeometry(spacing: [2, 1, 1])
    for (index, name) in ["a", "b"].enumerated() {
      try writeImage(
        volume(Float(index), geometry), to: folder.appending(path: "imagesTr/\(name)_0000\(ending)"))
      try writeLabels(
        volume(3, geometry), to: folder.appending(path: "labelsTr/\(name)\(ending)"), maximumLabel: 3)
    }
    try Data(json.utf8).write(to: folder.appending(path: "dataset.json"))
    return folder
  }

  private static let handWritten = """
    { # the tumours, as the documentation shows them
      "channel_names": {"0": "T1"},
      "labels": {"background": 0, "whole": [1, 2, 3], "core": ["2", 3], "enhancing": 3,}, // nested
      "numTraining": "two",
      "file_ending": ".nii "
    }
    """

  @Test("All faults of a dataset.json written by hand are one report, and are mended in the copy")
  func handWritten() throws {
    let folder = try makeHandWritten(Self.handWritten)
    let before = try Data(contentsOf: folder.appending(path: "dataset.json"))
    let error = try #require(
      #expect(throws: Diagnostic.self) { try RawDataset(folder: folder, environment: [:]) })
    let faults = [
      "a comment in line 1", "a comma before '}' in line 3", "a comment in line 3",
      "whole numbers for the region",
      "regions_class_order", "file_ending", "numTraining",
    ]
    for fault in faults { #expect(error.failure.contains(fault), "\(fault)") }
    let findings = try DatasetVerifier(folder: folder).verify()
    #expect(findings.errors.count == faults.count)
    #expect(findings.caseCount == 2)
    #expect(findings.warnings.count == 1)

    let copy = try Goldens.temporaryFolder().appending(path: "Dataset012_Hand")
    let dataset = try RawDataset(folder: folder, correcting: true)
    let done = try DatasetRepair(dataset: dataset, findings: findings).write(to: copy)
    #expect(done.count == faults.count + 1)
    #expect(try Data(contentsOf: folder.appending(path: "dataset.json")) == before)
    #expect(try DatasetVerifier(folder: copy).verify().findings.isEmpty)
    let mended = try RawDataset(folder: copy).description
    #expect(mended.labels.regionsClassOrder == [1, 2, 3])
    #expect(mended.labels.foregroundRegions == [.region([1, 2, 3]), .region([2, 3]), .region([3])])
    #expect(mended.fileEnding == ".nii" && mended.trainingCaseCount == 2)
  }

  @Test(
    "What takes no judgement is corrected, and nothing else",
    arguments: [
      (#""labels": {"background": 0, "a": [1, 2], "b": [2, 3]}, "file_ending": ".nii.gz""#, nil),
      (#""labels": {"0": "background", "1": "a"}, "file_ending": "nii.gz""#, [0, 1]),
      (#""labels": {"a": 1}, "file_ending": ".nrrd""#, [0, 1]),
      (#""labels": {"background": "0", "a": "1"}"#, [0, 1]),
    ] as [(String, [Int]?)])
  func judgement(_ rest: String, _ labels: [Int]?) throws {
    let folder = try makeHandWritten(
      #"{"channel_names": {"0": "T1"}, "numTraining": 2, \#(rest)}"#, ending: ".nii.gz")
    guard let labels else {
      #expect(throws: Diagnostic.self) { try RawDataset(folder: folder, correcting: true) }
      return
    }
    #expect(throws: Diagnostic.self) { try RawDataset(folder: folder) }
    let description = try RawDataset(folder: folder, correcting: true).description
    #expect(description.labels.allLabels == labels)
    #expect(description.fileEnding == ".nii.gz")
  }
}
