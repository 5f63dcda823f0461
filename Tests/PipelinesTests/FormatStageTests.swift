// Every format on its way through the stages: the same voxels in, the same preprocessed bytes out; pictures; goldens.

import Archives
import Datasets
import Foundation
import Pipelines
import Planning
import Preprocessing
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

/// The golden arrays' own tolerance: cubic splines in another order of additions.
private let voxelTolerance: Float = 2e-4
private let statisticsTolerance = 1e-6

@Suite struct FormatStageTests {
  /// Writes three phantoms as a dataset in one format and preprocesses it.
  private func preprocess(ending: String, version: Int = 1) throws -> (Pipeline, [PreprocessedCase]) {
    let root = try Goldens.temporaryFolder("format-stage")
    let pipeline = Pipeline(roots: DatasetRoots(root: root))
    let folder = try pipeline.roots.rawFolder(of: "Dataset700_Format")
    var options = PhantomOptions()
    options.extentMillimeters = 32
    for index in 0..<3 {
      var phantom = makePhantomCase(index: index, options: options)
      if version == 2 {
        let step = Array(phantom.image.geometry.spacing.reversed())
        let geometry = ImageGeometry(spacing: phantom.image.geometry.spacing)
        let orientation = NIfTIOrientation(
          version: 2, dimensionCount: 3, pixdim: [1] + step + [1, 1, 1, 1], qformCode: 0, sformCode: 0,
          quaternion: [0, 0, 0, 0, 0, 0], srow: Array(repeating: 0, count: 12), xyztUnits: 2)
        phantom.image.geometry = geometry
        phantom.image.geometry.nifti = orientation
        phantom.labels.geometry = phantom.image.geometry
      }
      let stem = "case_00\(index)"
      for part in ["imagesTr", "labelsTr"] { try createFolder(folder.appending(path: part)) }
      let image = folder.appending(path: "imagesTr/\(stem)_0000\(ending)")
      try writeImage(phantom.image, to: image)
      if ending.hasPrefix(".tif") || ending == ".npy" {
        // The spacing file of a case has no channel number.
        try FileManager.default.moveItem(
          at: folder.appending(path: "imagesTr/\(stem)_0000.json"),
          to: folder.appending(path: "imagesTr/\(stem).json"))
      }
      try writeLabels(
        phantom.labels, to: folder.appending(path: "labelsTr/\(stem)\(ending)"), maximumLabel: 2)
    }
    let description: JSON = [
      "channel_names": ["0": "MR"], "labels": ["background": 0, "shell": 1, "core": 2], "numTraining": 3,
      "file_ending": .string(ending),
    ]
    try description.write(to: folder.appending(path: "dataset.json"))
    let dataset = try pipeline.openDataset("700")
    try pipeline.verify(dataset)
    let plans = try pipeline.planExperiment(for: dataset, pipeline.extractFingerprint(of: dataset))
    try pipeline.preprocess(dataset, by: plans, configurations: ["3d_fullres"])
    let store = PreprocessedStore(
      datasetFolder: try pipeline.roots.preprocessedFolder(of: dataset.name),
      configuration: try plans.configuration(named: "3d_fullres"))
    return (pipeline, try store.identifiers().map { try store.open($0) })
  }

  @Test("The same image in every lossless format gives the same preprocessed bytes")
  func sameBytes() throws {
    let (first, reference) = try preprocess(ending: ".nii.gz")
    defer { remove(first) }
    #expect(reference.count == 3)
    let variants = [
      (".nii", 1), (".nii.gz", 2), (".nrrd", 1), (".mha", 1), (".mhd", 1), (".gipl", 1), (".tif", 1),
      (".tiff", 1),
      (".npy", 1),
    ]
    for (ending, version) in variants {
      let (pipeline, cases) = try preprocess(ending: ending, version: version)
      defer { remove(pipeline) }
      #expect(cases.map(\.identifier) == reference.map(\.identifier))
      for (a, b) in zip(cases, reference) {
        #expect(a.wholeImage() == b.wholeImage(), "\(ending) \(a.identifier)")
        #expect(a.wholeSegmentation() == b.wholeSegmentation(), "\(ending) \(a.identifier)")
        #expect(a.foregroundLocations == b.foregroundLocations, "\(ending) \(a.identifier)")
        #expect(a.properties.spacing == b.properties.spacing, "\(ending)")
        #expect(a.properties.boundingBox == b.properties.boundingBox, "\(ending)")
      }
    }
  }

  private func remove(_ pipeline: Pipeline) {
    guard let raw = pipeline.roots[.raw] else { return }
    try? FileManager.default.removeItem(at: raw.deletingLastPathComponent())
  }

  @Test(
    "Colour pictures go the whole way and equal the reference's fingerprint and arrays",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func goldenPictures() throws {
    let root = try Goldens.temporaryFolder("pictures")
    defer { try? FileManager.default.removeItem(at: root) }
    let pipeline = Pipeline(
      roots: DatasetRoots(
        raw: Goldens.path("golden/raw"), preprocessed: root.appending(path: "preprocessed"), results: root))
    let dataset = try pipeline.openDataset("Dataset803_PhantomCells")
    #expect(try dataset.reader() == .naturalImage2D)
    try pipeline.verify(dataset)
    let golden = Goldens.path("golden/preprocessed/Dataset803_PhantomCells")
    let fingerprint = try pipeline.extractFingerprint(of: dataset)
    try expectEqual(
      fingerprint, DatasetFingerprint(contentsOf: golden.appending(path: "dataset_fingerprint.json")))
    let plans = try pipeline.planExperiment(for: dataset, fingerprint)
    #expect(plans.readerWriter == "NaturalImage2DIO")
    let configuration = try plans.configuration(named: "2d")
    let wanted = try Plans(contentsOf: golden.appending(path: "nnUNetPlans.json")).configuration(named: "2d")
    #expect(configuration.patchSize == wanted.patchSize && configuration.batchSize == wanted.batchSize)
    try pipeline.preprocess(dataset, by: plans, configurations: ["2d"])
    let store = PreprocessedStore(
      datasetFolder: try pipeline.roots.preprocessedFolder(of: dataset.name), configuration: configuration)
    for identifier in ["cell_000", "cell_001"] {
      let ours = try store.open(identifier)
      let arrays = try readNPZ(golden.appending(path: "nnUNetPlans_2d/\(identifier).npz"))
      let data = try #require(arrays["data"]).floats()
      #expect(ours.channelCount == 3 && [3] + ours.shape == data.shape)
      let worst = zip(ours.wholeImage().elements, data.elements).map { abs($0 - $1) }.max() ?? .infinity
      #expect(worst <= voxelTolerance, "\(identifier): \(worst)")
      let segmentation = try #require(arrays["seg"]).int16s()
      #expect(ours.wholeSegmentation().elements == segmentation.elements, "\(identifier)")
    }
  }

  private func expectEqual(_ ours: DatasetFingerprint, _ theirs: DatasetFingerprint) {
    #expect(ours.spacings == theirs.spacings)
    #expect(ours.shapesAfterCrop == theirs.shapesAfterCrop)
    #expect(ours.medianRelativeSizeAfterCropping == theirs.medianRelativeSizeAfterCropping)
    #expect(ours.foregroundIntensities.count == 3)
    for (a, b) in zip(ours.foregroundIntensities, theirs.foregroundIntensities) {
      for (x, y) in [
        (a.mean, b.mean), (a.standardDeviation, b.standardDeviation), (a.percentile005, b.percentile005),
        (a.percentile995, b.percentile995),
      ] {
        #expect(abs(x - y) <= statisticsTolerance * max(1, abs(y)))
      }
    }
  }

  @Test(
    "Predictions of colour pictures are PNG files equal to the reference's",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func goldenPrediction() throws {
    let pipeline = Pipeline(
      roots: DatasetRoots(
        raw: Goldens.path("golden/raw"), preprocessed: Goldens.path("golden/preprocessed"),
        results: Goldens.path("golden/models/results")))
    var request = PredictionRequest(
      dataset: "Dataset803_PhantomCells", configuration: "2d", trainerName: "nnUNetTrainer_1epoch",
      plans: "nnUNetPlans_tiny", folds: [.number(0)])
    request.usesMirroring = false
    let output = try Goldens.temporaryFolder("picture-prediction")
    defer { try? FileManager.default.removeItem(at: output) }
    try pipeline.predict(
      folder: Goldens.path("golden/raw/Dataset803_PhantomCells/imagesTs"), to: output, request)
    for identifier in ["cell_012", "cell_013"] {
      let ours = try readLabels(output.appending(path: "\(identifier).png"))
      let theirs = try readLabels(Goldens.path("golden/models/predictions/803_2d_f0_notta/\(identifier).png"))
      #expect(ours.voxels == theirs.voxels, "\(identifier)")
      #expect(ours.geometry.axisCount == 2)
    }
  }
}
