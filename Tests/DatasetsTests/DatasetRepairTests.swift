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
}
