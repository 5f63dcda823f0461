// From validated folds to the champion, against what nnU-Net chose among the same predictions.

import Archives
import Datasets
import Evaluation
import Foundation
import Pipelines
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite(.enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
struct SelectionTests {
  private static let dataset = "Dataset802_PhantomBrain"
  private static let configurations = ["2d", "3d_lowres", "3d_fullres", "3d_cascade_fullres"]

  /// A root with the validated folds of the golden models and nothing that came of them.
  private struct Root {
    let url: URL
    let pipeline: Pipeline
    var results: URL { url.appending(path: "results/\(dataset)") }

    init() throws {
      url = try Goldens.temporaryFolder("selection")
      let files = FileManager.default
      let golden = Goldens.path("golden/models/results/\(dataset)")
      for configuration in configurations {
        let model = "nnUNetTrainer_1epoch__nnUNetPlans_tiny__\(configuration)"
        let target = url.appending(path: "results/\(dataset)/\(model)")
        try files.createDirectory(at: target, withIntermediateDirectories: true)
        for name in ["dataset.json", "plans.json"] + (0..<5).map({ "fold_\($0)" }) {
          try files.createSymbolicLink(
            at: target.appending(path: name), withDestinationURL: golden.appending(path: "\(model)/\(name)"))
        }
      }
      pipeline = Pipeline(
        roots: DatasetRoots(
          raw: Goldens.path("golden/raw"), preprocessed: Goldens.path("golden/preprocessed"),
          results: url.appending(path: "results")))
    }

    func remove() { try? FileManager.default.removeItem(at: url) }
  }

  private func models(_ configurations: [String] = configurations) -> [ModelReference] {
    configurations.map {
      ModelReference(trainer: "nnUNetTrainer_1epoch", plans: "nnUNetPlans_tiny", configuration: $0)
    }
  }

  /// Every number of two documents with the same keys, by path.
  private func compare(_ a: JSON?, _ b: JSON?, at path: String, skipping: Set<String> = []) {
    if let object = b?.object {
      #expect(Set(a?.object?.keys ?? []) == Set(object.keys), "\(path)")
      for key in object.keys where !skipping.contains(key) {
        compare(a?[key], b?[key], at: "\(path).\(key)", skipping: skipping)
      }
    } else if let list = b?.array {
      #expect(a?.array?.count == list.count, "\(path)")
      for (index, value) in list.enumerated() {
        let other = a?.array.flatMap { index < $0.count ? $0[index] : nil }
        compare(other, value, at: "\(path)[\(index)]", skipping: skipping)
      }
    } else if let number = b?.double {
      let other = a?.double ?? .infinity
      #expect(number.isNaN && other.isNaN || abs(number - other) <= 1e-6, "\(path): \(other) for \(number)")
    } else {
      #expect(a == b, "\(path)")
    }
  }

  @Test("Cross-validations, ranking, ensembles and postprocessing are nnU-Net's")
  func golden() throws {
    let root = try Root()
    defer { root.remove() }
    let selection = try root.pipeline.findBestConfiguration(
      SelectionRequest(dataset: Self.dataset, models: models()))
    let golden = Goldens.path("golden/models/results/\(Self.dataset)")
    let files = ["prediction_file", "reference_file", "postprocessing_file", "some_plans_file"]
    compare(
      try JSON(contentsOf: root.results.appending(path: "inference_information.json")),
      try JSON(contentsOf: golden.appending(path: "inference_information.json")), at: "information",
      skipping: Set(files))
    var folders = models().map { "\($0.folderName)/crossval_results_folds_0_1_2_3_4" }
    folders += selection.candidates.filter { $0.members.count > 1 }.map { "ensembles/\($0.identifier)" }
    #expect(folders.count == 10)
    for folder in folders {
      compare(
        try JSON(contentsOf: root.results.appending(path: "\(folder)/summary.json")),
        try JSON(contentsOf: golden.appending(path: "\(folder)/summary.json")), at: folder,
        skipping: Set(files))
    }
    let best = "ensembles/\(selection.best.identifier)"
    compare(
      try JSON(contentsOf: root.results.appending(path: "\(best)/postprocessing.json")),
      try JSON(contentsOf: golden.appending(path: "\(best)/postprocessing.json")), at: "postprocessing")
    let pickle = "\(best)/postprocessing.pkl"
    let steps = try PostprocessingStep.read(root.results.appending(path: pickle))
    #expect(steps == (try PostprocessingStep.read(golden.appending(path: pickle))))
    #expect(steps == selection.postprocessing.steps && steps.count == 1)
    for index in 0..<6 {
      let name = "\(best)/postprocessed/brain_00\(index).nii.gz"
      let ours = try readLabels(root.results.appending(path: name))
      #expect(ours.voxels == (try readLabels(golden.appending(path: name))).voxels, "\(name)")
    }
    #expect(
      selection.instructions.contains("lunette ensemble -i OUTPUT_FOLDER_MODEL_1 OUTPUT_FOLDER_MODEL_2"))
  }

  @Test("A cascade's instructions begin with its first stage; a rule of the caller picks the winner")
  func cascade() throws {
    let root = try Root()
    defer { root.remove() }
    var request = SelectionRequest(dataset: Self.dataset, models: models(["2d", "3d_cascade_fullres"]))
    request.allowsEnsembles = false
    var ranked: Int?
    request.select = { candidates, index in
      ranked = index
      #expect(candidates.map(\.members.count) == [1, 1])
      return 1
    }
    let selection = try root.pipeline.findBestConfiguration(request)
    #expect(ranked == 1 && selection.best.members[0].configuration == "3d_cascade_fullres")
    let lines = selection.instructions.split(separator: "\n")
    let first = lines.firstIndex {
      $0.contains("-c 3d_lowres") && $0.contains("OUTPUT_FOLDER_PREVIOUS_STAGE")
    }
    let second = lines.firstIndex { $0.contains("-prev_stage_predictions OUTPUT_FOLDER_PREVIOUS_STAGE") }
    #expect(try #require(first) < #require(second))
  }

  @Test("Missing folds are named with the commands that train them")
  func missing() throws {
    let root = try Root()
    defer { root.remove() }
    let model = models()[0]
    try FileManager.default.removeItem(at: root.results.appending(path: "\(model.folderName)/fold_3"))
    let error = #expect(throws: Diagnostic.self) {
      try root.pipeline.accumulateCrossValidation(
        of: model, dataset: Self.dataset, folds: (0..<5).map(Fold.number))
    }
    #expect(
      error?.remedy?.contains(
        "lunette train \(Self.dataset) 2d 3 -tr nnUNetTrainer_1epoch -p nnUNetPlans_tiny") == true)
    #expect(
      !FileManager.default.fileExists(
        atPath: root.results.appending(path: "\(model.folderName)/crossval_results_folds_0_1_2_3_4").path))
  }

  @Test("The ensemble of two folders is nnU-Net's, voxel for voxel")
  func ensemble() throws {
    let output = try Goldens.temporaryFolder("ensemble")
    defer { try? FileManager.default.removeItem(at: output) }
    let predictions = Goldens.path("golden/models/predictions")
    var request = EnsembleRequest(
      inputs: ["802_3d_fullres_all5", "802_2d_all5"].map { predictions.appending(path: $0) }, output: output)
    request.savesProbabilities = true
    let count = try Pipeline(roots: DatasetRoots()).ensemble(request)
    #expect(count == 2)
    for name in ["brain_006", "brain_007"] {
      let golden = predictions.appending(path: "802_ensemble_3d_fullres_2d")
      let ours = try readLabels(output.appending(path: "\(name).nii.gz"))
      let theirs = try readLabels(golden.appending(path: "\(name).nii.gz"))
      let mean = try #require(try readNPZ(output.appending(path: "\(name).npz"))["probabilities"]).floats()
      let expected = try #require(try readNPZ(golden.appending(path: "\(name).npz"))["probabilities"])
        .floats()
      // The golden's inputs are rounded to float16, which turns a few voxels next to one half.
      let differing = ours.voxels.elements.indices.filter {
        ours.voxels.elements[$0] != theirs.voxels.elements[$0]
      }
      #expect(differing.count * 10_000 <= ours.voxels.count, "\(differing.count) voxels")
      for voxel in differing {
        let values = (0..<3).map { expected.elements[$0 * ours.voxels.count + voxel] }
        #expect(values.contains { abs($0 - 0.5) <= 1e-3 }, "\(name): \(values)")
      }
      #expect(mean.shape == expected.shape)
      let largest = zip(mean.elements, expected.elements).map { abs($0 - $1) }.max() ?? 1
      #expect(largest <= 2e-3, "\(largest)")
    }
  }
}
