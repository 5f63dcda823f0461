// Case discovery in folders and from the `dataset` key, and dataset names.

import Archives
import Datasets
import Foundation
import Reporting
import TestSupport
import Testing

@Suite("RawDataset")
struct RawDatasetTests {
  private func makeDataset(files: [String], extra: String = "") throws -> URL {
    let folder = try Goldens.temporaryFolder().appending(path: "raw/Dataset007_Test")
    let images = folder.appending(path: "imagesTr")
    try FileManager.default.createDirectory(at: images, withIntermediateDirectories: true)
    for file in files { try Data().write(to: images.appending(path: file)) }
    let text =
      #"{"channel_names": {"0": "a", "1": "b"}, "labels": {"background": 0, "x": 1}, "numTraining": 2, "file_ending": ".nii.gz""#
      + extra + "}"
    try Data(text.utf8).write(to: folder.appending(path: "dataset.json"))
    return folder
  }

  @Test("Files are grouped by case, channels in order, labels by name")
  func scan() throws {
    let folder = try makeDataset(
      files: [
        "b_0001.nii.gz", "b_0000.nii.gz", "a_1_0000.nii.gz", "a_1_0001.nii.gz", "._b_0000.nii.gz",
        "notes.txt",
      ])
    let dataset = try RawDataset(folder: folder)
    let cases = try dataset.cases()
    #expect(cases.map(\.identifier) == ["a_1", "b"])
    #expect(cases.last?.images.map(\.lastPathComponent) == ["b_0000.nii.gz", "b_0001.nii.gz"])
    #expect(cases.first?.label.path == folder.appending(path: "labelsTr/a_1.nii.gz").path)
    #expect(try dataset.testCases(in: folder.appending(path: "imagesTr")).map(\.identifier) == ["a_1", "b"])
  }

  @Test("A file without channel number is named")
  func unnumbered() throws {
    let dataset = try RawDataset(folder: makeDataset(files: ["b.nii.gz"]))
    #expect { try dataset.cases() } throws: { "\($0)".contains("b.nii.gz") }
  }

  @Test("The dataset key replaces the folder scan; paths are relative, absolute or with variables")
  func listed() throws {
    let extra =
      #", "dataset": {"z": {"images": ["x/z0.nii.gz", "$BASE/z1.nii.gz"], "label": "${BASE}/z.nii.gz"}, "c": {"images": ["../c.nii.gz"], "label": "$NONE/c"}}"#
    let folder = try makeDataset(files: [], extra: extra)
    let cases = try RawDataset(folder: folder, environment: ["BASE": "/data"]).cases()
    #expect(cases.map(\.identifier) == ["z", "c"])
    #expect(cases[0].images.map(\.path) == [folder.appending(path: "x/z0.nii.gz").path, "/data/z1.nii.gz"])
    #expect(cases[0].label.path == "/data/z.nii.gz")
    #expect(cases[1].images[0].path == folder.deletingLastPathComponent().appending(path: "c.nii.gz").path)
    #expect(cases[1].label.path == folder.appending(path: "$NONE/c").path)
  }

  @Test("Numbers and names resolve to the one dataset they mean")
  func names() throws {
    let raw = try makeDataset(files: []).deletingLastPathComponent()
    let root = raw.deletingLastPathComponent()
    let roots = DatasetRoots(root: root)
    #expect(try roots.resolveName("7") == "Dataset007_Test")
    #expect(try roots.resolveName("Dataset123_Else") == "Dataset123_Else")
    #expect { try roots.resolveName("8") } throws: { "\($0)".contains("Dataset007_Test") }
    #expect { try roots.resolveName("test") } throws: { "\($0)".contains("did you mean Dataset007_Test") }
    try FileManager.default.createDirectory(
      at: root.appending(path: "results/Dataset007_Other"), withIntermediateDirectories: true)
    #expect { try roots.resolveName("7") } throws: { "\($0)".contains("several names") }
  }

  @Test("A folder that is not set says how to set it")
  func unset() throws {
    let roots = DatasetRoots(root: nil, environment: ["nnUNet_raw": "/r"])
    #expect(try roots.rawFolder(of: "Dataset001_A").path == "/r/Dataset001_A")
    #expect { try roots.results() } throws: { error in
      "\(error)".contains("nnUNet_results") && "\(error)".contains("--root")
    }
  }
}
