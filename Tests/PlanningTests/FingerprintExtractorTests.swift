// Fingerprints against those of the reference, and what extraction refuses.

import Archives
import Datasets
import Foundation
import Planning
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("FingerprintExtractor", .serialized)
struct FingerprintExtractorTests {
  @Test(
    "Fingerprints of real and phantom datasets are the reference's",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)),
    arguments: [
      ("data/Dataset004_Hippocampus", "hippocampus"),
      ("golden/raw/Dataset801_PhantomCT", "preprocessed/Dataset801_PhantomCT"),
      ("golden/raw/Dataset802_PhantomBrain", "preprocessed/Dataset802_PhantomBrain"),
      ("golden/raw/Dataset803_PhantomCells", "preprocessed/Dataset803_PhantomCells"),
      ("golden/raw/Dataset804_PhantomOblique", "preprocessed/Dataset804_PhantomOblique"),
    ])
  func goldens(raw: String, golden: String) throws {
    let expected = try DatasetFingerprint(
      contentsOf: Goldens.path("golden/\(golden)").appending(path: DatasetFingerprint.fileName))
    let result = try FingerprintExtractor(dataset: RawDataset(folder: Goldens.path(raw))).extract()
    // The same samples summed in the same order: nothing may differ, not even the last bit.
    #expect(result == expected)
  }

  /// A dataset of small cubes; `foreground` says which cases have a labelled voxel.
  private func makeDataset(foreground: [Bool]) throws -> URL {
    let folder = try Goldens.temporaryFolder().appending(path: "Dataset009_Cubes")
    let geometry = ImageGeometry(spacing: [3, 1, 1])
    for (i, isLabelled) in foreground.enumerated() {
      var image = NDArray<Float>(shape: [6, 6, 6], repeating: 0)
      var labels = NDArray<Int16>(shape: [6, 6, 6], repeating: 0)
      for z in 1..<5 { for y in 1..<5 { for x in 2..<5 { image[z, y, x] = Float(z + y + x) } } }
      if isLabelled { labels[2, 3, 4] = 1 }
      for folderName in ["imagesTr", "labelsTr"] {
        try FileManager.default.createDirectory(
          at: folder.appending(path: folderName), withIntermediateDirectories: true)
      }
      try writeImage(
        Volume(voxels: image, geometry: geometry), to: folder.appending(path: "imagesTr/c\(i)_0000.nii.gz"))
      try writeLabels(
        Volume(voxels: labels, geometry: geometry), to: folder.appending(path: "labelsTr/c\(i).nii.gz"),
        maximumLabel: 1)
    }
    let json: JSON = [
      "channel_names": ["0": "MRI"], "labels": ["background": 0, "a": 1],
      "numTraining": .integer(foreground.count), "file_ending": ".nii.gz",
    ]
    try json.write(to: folder.appending(path: "dataset.json"))
    return folder
  }

  @Test("Cases without foreground count for sizes but not for intensities")
  func partialForeground() throws {
    let dataset = try RawDataset(folder: makeDataset(foreground: [false, true, false]))
    let result = try FingerprintExtractor(dataset: dataset, sampleCount: 3000).extract()
    #expect(result.spacings == [[3, 1, 1], [3, 1, 1], [3, 1, 1]])
    #expect(result.shapesAfterCrop == [[4, 4, 3], [4, 4, 3], [4, 4, 3]])
    #expect(result.medianRelativeSizeAfterCropping == 48.0 / 216)
    #expect(result.foregroundIntensities[0].mean == 9)
    #expect(result.foregroundIntensities[0].standardDeviation == 0)
  }

  @Test("A dataset without any foreground is refused")
  func noForeground() throws {
    let dataset = try RawDataset(folder: makeDataset(foreground: [false, false]))
    #expect { try FingerprintExtractor(dataset: dataset, sampleCount: 100).extract() } throws: {
      "\($0)".contains("no foreground")
    }
  }

  @Test("A fingerprint that is there is reused unless a clean one is asked for")
  func reuse() throws {
    let folder = try makeDataset(foreground: [true])
    let extractor = try FingerprintExtractor(dataset: RawDataset(folder: folder), sampleCount: 100)
    let output = folder.appending(path: "preprocessed")
    let first = try extractor.extract(into: output)
    var other = first
    other.medianRelativeSizeAfterCropping = 0.5
    try other.write(to: output.appending(path: DatasetFingerprint.fileName))
    #expect(try extractor.extract(into: output) == other)
    #expect(try extractor.extract(into: output, clean: true) == first)
  }

  @Test("The first broken case is named")
  func broken() throws {
    let folder = try makeDataset(foreground: [true, true, true])
    try FileManager.default.removeItem(at: folder.appending(path: "labelsTr/c1.nii.gz"))
    let dataset = try RawDataset(folder: folder)
    #expect { try FingerprintExtractor(dataset: dataset, sampleCount: 99).extract() } throws: {
      "\($0)".contains("c1.nii.gz")
    }
  }

  @Test("A run that was stopped reuses what it measured; a changed file is measured again")
  func restart() throws {
    let folder = try makeDataset(foreground: [true, true, true])
    let dataset = try RawDataset(folder: folder)
    let extractor = FingerprintExtractor(dataset: dataset, sampleCount: 300, memoryLimit: 1)
    let undisturbed = try Goldens.temporaryFolder().appending(path: "plain")
    let expected = try extractor.extract(into: undisturbed)
    // One broken case stops the run after the others.
    let label = folder.appending(path: "labelsTr/c1.nii.gz")
    let content = try Data(contentsOf: label)
    try content.prefix(40).write(to: label)
    let output = try Goldens.temporaryFolder().appending(path: "stopped")
    #expect(throws: (any Error).self) { try extractor.extract(into: output) }
    let notes = output.appending(path: "fingerprint.lunette")
    let kept = try FileManager.default.contentsOfDirectory(atPath: notes.path).sorted()
    #expect(!kept.isEmpty && !kept.contains("c1.safetensors"))
    try content.write(to: label)
    let resumed = try extractor.extract(into: output)
    #expect(resumed == expected)
    let name = DatasetFingerprint.fileName
    #expect(
      try Data(contentsOf: output.appending(path: name))
        == Data(contentsOf: undisturbed.appending(path: name)))
    #expect(!FileManager.default.fileExists(atPath: notes.path))
  }

  @Test("What was kept of a case counts as long as its files are the same")
  func keptMeasurements() throws {
    let folder = try makeDataset(foreground: [true, true])
    // So little memory that the cases come one after the other.
    let extractor = FingerprintExtractor(
      dataset: try RawDataset(folder: folder), sampleCount: 300, memoryLimit: 1)
    let label = folder.appending(path: "labelsTr/c1.nii.gz")
    let content = try Data(contentsOf: label)
    try FileManager.default.removeItem(at: label)
    let output = try Goldens.temporaryFolder()
    #expect(throws: (any Error).self) { try extractor.extract(into: output) }
    let note = output.appending(path: "fingerprint.lunette/c0.safetensors")
    // A note with a mark of its own shows in the result if it is used.
    var data = try Data(contentsOf: note)
    let place = try #require(data.range(of: Data("[3.0, 1.0, 1.0]".utf8)))
    data.replaceSubrange(place, with: Data("[4.0, 1.0, 1.0]".utf8))
    try data.write(to: note)
    try content.write(to: label)
    #expect(try extractor.extract(into: output).spacings == [[4, 1, 1], [3, 1, 1]])
    // A file that was written again is another file.
    try FileManager.default.removeItem(at: output.appending(path: DatasetFingerprint.fileName))
    try FileManager.default.createDirectory(
      at: note.deletingLastPathComponent(), withIntermediateDirectories: true)
    try data.write(to: note)
    let image = folder.appending(path: "imagesTr/c0_0000.nii.gz")
    let bytes = try Data(contentsOf: image)
    try FileManager.default.removeItem(at: image)
    try bytes.write(to: image)
    #expect(try extractor.extract(into: output).spacings == [[3, 1, 1], [3, 1, 1]])
  }

  @Test("A measurement that failed at once leaves no folder")
  func leavesNothing() throws {
    let folder = try makeDataset(foreground: [true])
    try FileManager.default.removeItem(at: folder.appending(path: "labelsTr/c0.nii.gz"))
    let root = try Goldens.temporaryFolder()
    let output = root.appending(path: "a/b")
    let extractor = FingerprintExtractor(dataset: try RawDataset(folder: folder), sampleCount: 99)
    #expect(throws: (any Error).self) { try extractor.extract(into: output) }
    #expect(try FileManager.default.contentsOfDirectory(atPath: root.path) == [])
  }
}
