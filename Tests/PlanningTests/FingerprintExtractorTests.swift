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
}
