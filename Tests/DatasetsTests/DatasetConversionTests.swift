// Decathlon tasks and datasets of the first nnU-Net as raw datasets: files, labels, and what is refused.

import Archives
import Datasets
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite struct DatasetConversionTests {
  let root: URL
  let conversion: DatasetConversion

  init() throws {
    root = try Goldens.temporaryFolder("conversion")
    conversion = DatasetConversion(roots: DatasetRoots(root: root))
  }

  /// A task with one image of two channels and one of one.
  func makeTask(_ name: String = "Task05_Prostate") throws -> URL {
    let folder = root.appending(path: "download/\(name)")
    for part in ["imagesTr", "imagesTs", "labelsTr"] { try createFolder(folder.appending(path: part)) }
    let geometry = ImageGeometry(spacing: [3, 2, 1])
    let labels = Volume(voxels: NDArray<Int16>(shape: [2, 3, 4], repeating: 1), geometry: geometry)
    let two = folder.appending(path: "imagesTr/prostate_01.nii.gz")
    try Data(try Gzip.compress(Self.twoChannels)).write(to: two)
    try writeLabels(labels, to: folder.appending(path: "imagesTs/prostate_02.nii.gz"), maximumLabel: 2)
    try writeLabels(labels, to: folder.appending(path: "labelsTr/prostate_01.nii.gz"), maximumLabel: 2)
    try Data("left over".utf8).write(to: folder.appending(path: "imagesTr/._prostate_01.nii.gz"))
    let json: JSON = [
      "name": "PROSTATE", "tensorImageSize": "4D", "modality": ["0": "T2", "1": "ADC"],
      "labels": ["0": "background", "1": "PZ", "2": "TZ"], "numTraining": 1, "numTest": 1,
      "training": [["image": "./imagesTr/prostate_01.nii.gz"]], "test": ["./imagesTs/prostate_02.nii.gz"],
    ]
    try json.write(to: folder.appending(path: "dataset.json"))
    return folder
  }

  /// A NIfTI-1 file of int16 with extents 4, 3, 2 and two images; voxel `i` holds `i`.
  static let twoChannels: [UInt8] = {
    var bytes = [UInt8](repeating: 0, count: 352)
    func put(_ value: Int, _ offset: Int, _ count: Int = 2) {
      for byte in 0..<count { bytes[offset + byte] = UInt8(truncatingIfNeeded: value >> (8 * byte)) }
    }
    put(348, 0, 4)
    for (i, extent) in [4, 4, 3, 2, 2, 1, 1, 1].enumerated() { put(extent, 40 + 2 * i) }
    put(4, 70)
    put(16, 72)
    for (i, step) in [Float(1), 1, 2, 3, 7].enumerated() { put(Int(step.bitPattern), 76 + 4 * i, 4) }
    put(Int(Float(352).bitPattern), 108, 4)
    bytes[123] = 2
    bytes.replaceSubrange(344..<348, with: Array("n+1\0".utf8))
    for i in 0..<48 { bytes += [UInt8(i), 0] }
    return bytes
  }()

  @Test("A task becomes a dataset: channels apart, labels copied, names turned round")
  func task() throws {
    let target = try conversion.convertDecathlonTask(at: try makeTask())
    #expect(target.lastPathComponent == "Dataset005_Prostate")
    let dataset = try RawDataset(folder: target)
    #expect(dataset.description.channelNames == ["T2", "ADC"])
    #expect(dataset.description.labels.allLabels == [0, 1, 2])
    #expect(dataset.description.json.object?.keys.contains("training") == false)
    #expect(dataset.description.json["name"]?.string == "PROSTATE")
    #expect(dataset.description.json.object?.keys.suffix(2) == ["file_ending", "channel_names"])
    let cases = try dataset.cases()
    #expect(cases.map(\.identifier) == ["prostate_01"] && cases[0].images.count == 2)
    let loaded = try readCase(cases[0], channelCount: 2)
    #expect(loaded.geometry.spacing == [3, 2, 1])
    #expect(try readImage(cases[0].images[1]).voxels.elements == (24..<48).map(Float.init))
    #expect(
      FileManager.default.fileExists(atPath: target.appending(path: "imagesTs/prostate_02_0000.nii.gz").path))
    #expect(try readImageInformation(cases[0].images[0]).dataType == .int16)
  }

  @Test("A number that is taken, a wrong name and missing folders are refused, and nothing is left")
  func refusals() throws {
    let task = try makeTask()
    _ = try conversion.convertDecathlonTask(at: task)
    let taken = #expect(throws: Diagnostic.self) { try conversion.convertDecathlonTask(at: task) }
    #expect(taken?.remedy?.contains("-overwrite_id") == true)
    #expect(
      try conversion.convertDecathlonTask(at: task, identifier: 205).lastPathComponent
        == "Dataset205_Prostate")
    #expect(throws: Diagnostic.self) { try conversion.convertDecathlonTask(at: task, identifier: 1000) }
    #expect(throws: Diagnostic.self) {
      try conversion.convertDecathlonTask(at: root.appending(path: "Prostate"))
    }
    try FileManager.default.removeItem(at: task.appending(path: "labelsTr"))
    #expect(throws: Diagnostic.self) { try conversion.convertDecathlonTask(at: task, identifier: 206) }
    let names = try FileManager.default.contentsOfDirectory(atPath: root.appending(path: "raw").path).sorted()
    #expect(names == ["Dataset005_Prostate", "Dataset205_Prostate"])
  }

  @Test("A damaged image stops the conversion and leaves no dataset behind")
  func damaged() throws {
    let task = try makeTask("Task07_Pancreas")
    try Data("no image".utf8).write(to: task.appending(path: "imagesTr/bad.nii.gz"))
    #expect(throws: (any Error).self) { try conversion.convertDecathlonTask(at: task) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: root.appending(path: "raw").path).isEmpty)
  }

  @Test("A dataset of the first nnU-Net is copied and described anew")
  func oldDataset() throws {
    let old = try makeTask("Task105_Old")
    for (from, to) in [("imagesTr/prostate_01", "imagesTr/prostate_01_0000")] {
      try FileManager.default.moveItem(
        at: old.appending(path: "\(from).nii.gz"), to: old.appending(path: "\(to).nii.gz"))
    }
    let target = try conversion.convertOldDataset(at: old, to: "Dataset105_New")
    let dataset = try RawDataset(folder: target)
    #expect(dataset.description.json.object?.keys.contains("tensorImageSize") == false)
    #expect(dataset.description.json.object?.keys.suffix(2) == ["channel_names", "file_ending"])
    #expect(try dataset.cases().map(\.identifier) == ["prostate_01"])
    #expect(throws: Diagnostic.self) { try conversion.convertOldDataset(at: old, to: "Dataset105_New") }
    #expect(throws: Diagnostic.self) { try conversion.convertOldDataset(at: old, to: "Task105_New") }
    #expect(throws: Diagnostic.self) { try conversion.convertOldDataset(at: target, to: "Dataset106_New") }
  }
}
