// Predictions with the reference's own checkpoints: the same labels voxel for voxel, in the geometry of the input.

import Archives
import Datasets
import Foundation
import Pipelines
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite(.enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
struct GoldenPredictionTests {
  /// Predicts `imagesTs` of a golden dataset with fold 0, without mirroring, into a new folder.
  private func predict(_ dataset: String, _ configuration: String) throws -> (input: URL, output: URL) {
    let pipeline = Pipeline(
      roots: DatasetRoots(
        raw: Goldens.path("golden/raw"), preprocessed: Goldens.path("golden/preprocessed"),
        results: Goldens.path("golden/models/results")))
    var request = PredictionRequest(
      dataset: dataset, configuration: configuration, trainerName: "nnUNetTrainer_1epoch",
      plans: "nnUNetPlans_tiny", folds: [.number(0)])
    request.usesMirroring = false
    let input = Goldens.path("golden/raw/\(dataset)/imagesTs")
    let output = try Goldens.temporaryFolder("prediction")
    try pipeline.predict(folder: input, to: output, request)
    return (input, output)
  }

  @Test(
    "Label maps are the reference's voxel for voxel",
    arguments: [
      ("Dataset801_PhantomCT", "3d_fullres", "801_3d_fullres_f0_notta", ["ct_006", "ct_007"]),
      ("Dataset804_PhantomOblique", "2d", "804_2d_f0_notta", ["ob_006", "ob_007"]),
    ])
  func labels(dataset: String, configuration: String, golden: String, cases: [String]) throws {
    let (_, output) = try predict(dataset, configuration)
    defer { try? FileManager.default.removeItem(at: output) }
    for identifier in cases {
      let ours = try readLabels(output.appending(path: "\(identifier).nii.gz"))
      let theirs = try readLabels(Goldens.path("golden/models/predictions/\(golden)/\(identifier).nii.gz"))
      #expect(ours.voxels == theirs.voxels, "\(identifier)")
      #expect(Set(ours.voxels.elements).count > 1, "\(identifier) shows more than background")
    }
  }

  @Test("An oblique image's size, spacing, qform and sform come back bit for bit")
  func header() throws {
    let (input, output) = try predict("Dataset804_PhantomOblique", "3d_fullres")
    defer { try? FileManager.default.removeItem(at: output) }
    for identifier in ["ob_006", "ob_007"] {
      let image = try header(of: input.appending(path: "\(identifier)_0000.nii.gz"))
      let labels = try header(of: output.appending(path: "\(identifier).nii.gz"))
      // dim[0...3], pixdim, and everything from qform_code to the end of sform's third row.
      for range in [40..<48, 76..<108, 252..<328] {
        #expect(image[range] == labels[range], "\(identifier), bytes \(range)")
      }
    }
  }

  private func header(of url: URL) throws -> [UInt8] {
    Array(try Gzip.decompress([UInt8](Data(contentsOf: url))).prefix(348))
  }
}
