// Augmentation from scripts: editing a pipeline, and the trainers that ship with one of their own.

import Archives
import Augmentation
import Foundation
import LuaHost
import Pipelines
import Scripting
import Tensors
import TestSupport
import Testing
import Training

@Suite("Augmentation binding")
struct AugmentationBindingTests {
  /// What a trainer from Lua text makes of a default pipeline.
  private func pipeline(_ function: String, from standard: AugmentationPipeline) throws
    -> AugmentationPipeline
  {
    let session = try Session(write: { _ in })
    let source = "return lunette.trainer{ augmentation=\(function) }"
    let trainer = try #require(session.state.run(source, named: "=In[1]")[0].object as? TrainerObject)
    let hook = try #require(trainer.hooks(in: session.state).augmentation)
    return try hook(standard)
  }

  private let standard = AugmentationPipeline.standard(
    patchSize: [8, 16, 16], regions: [[1, 2], [2]], supervisionStrides: [[1, 1, 1], [2, 2, 2]])

  @Test("Transforms are removed, changed and inserted, and the pipeline before stays as it was")
  func editing() throws {
    let changed = try pipeline(
      """
      function(aug)
        local before = #aug
        local other = aug:without("mirror"):set("rotation", { probability=0.5 })
          :insert_after("gamma", lunette.transform.sharpening{ strength_range={ 0.2, 0.4 } })
          :insert_before("spatial", lunette.transform.quarter_turn{ axes={ 1, 2 } }, "turn")
        assert(#aug == before and aug:has("mirror") and not other:has("mirror"))
        assert(other.turn.axes[1] == 1 and other:list()[1].transform == "quarter_turn")
        return other
      end
      """, from: standard)
    let names = changed.steps.map(\.name)
    #expect(names.prefix(2) == ["turn", "spatial"])
    #expect(names.firstIndex(of: "sharpening") == names.firstIndex(of: "gamma").map { $0 + 1 })
    #expect(changed.step(named: "sharpening")?.parameters.range("strength_range").upper == 0.4)
    #expect(changed.step(named: "spatial")?.parameters.double("rotation_probability") == 0.5)
    #expect(names.suffix(2) == ["regions", "deep_supervision"])
  }

  @Test(
    "Mistakes name what there is",
    arguments: [
      ("function(aug) return aug:without('miror') end", "mirror"),
      ("function(aug) return aug:insert_after('gama', lunette.transform.sharpening{}) end", "gamma"),
      ("function(aug) return aug:insert_after('gamma', lunette.transform.mirror{}) end", "share a name"),
      ("function(aug) lunette.transform.median{ size_rang={ 1, 2 } } end", "size_range"),
      ("function(aug) lunette.transform.median{ channel_probability=2 } end", "from 0 to 1"),
      ("function(aug) return 3 end", "an augmentation"),
    ])
  func mistakes(source: String, hint: String) {
    let error = #expect(throws: (any Error).self) { try pipeline(source, from: standard) }
    #expect(error.map { "\($0)" }?.contains(hint) == true, "\(String(describing: error))")
  }

  @Test("An object in place of a function keeps the training's own targets")
  func object() throws {
    let own = try AugmentationPipeline.standard(patchSize: [8, 16, 16]).without("mirror")
    let fitted = try own.fitted(to: standard)
    #expect(!fitted.steps.contains { $0.name == "mirror" })
    #expect(fitted.steps.map(\.name).suffix(3) == ["remove_label", "regions", "deep_supervision"])
    #expect(throws: (any Error).self) {
      try AugmentationPipeline.standard(patchSize: [8, 8, 8]).fitted(to: standard)
    }
    let cascade = AugmentationPipeline.standard(patchSize: [8, 16, 16], previousStageLabels: [1, 2])
    #expect(
      try own.fitted(to: cascade).steps.map(\.name).suffix(4) == [
        "remove_label", "move_seg_as_one_hot", "random_binary_operator", "remove_random_component",
      ])
  }

  // MARK: the trainers that ship

  private static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent()
  private static let recipe = root.appending(path: "Recipes/trainers/augmentation.lua")
  static let trainers: [String] = {
    let text = (try? String(contentsOf: recipe, encoding: .utf8)) ?? ""
    return text.split(separator: "\n").filter { $0.hasPrefix("-- Trainers:") }
      .flatMap { $0.dropFirst("-- Trainers:".count).split(separator: " ").map(String.init) }
  }()

  private func shipped(
    _ name: String, _ patchSize: [Int], previousStageLabels: [Int]? = nil
  ) throws -> (settings: TrainerSettings, pipeline: AugmentationPipeline) {
    let loaded = try LoadedTrainer(named: name, from: Self.recipe)
    let axes = loaded.settings.mirrorAxes(dimensionCount: patchSize.count)
    let standard = AugmentationPipeline.standard(
      patchSize: patchSize, mirrorAxes: axes, supervisionStrides: [patchSize.map { _ in 1 }],
      previousStageLabels: previousStageLabels)
    return (loaded.settings, try loaded.hooks.augmentation?(standard) ?? standard)
  }

  @Test(
    "Every shipped trainer works in two and three dimensions, has an identity, and can be kept as data",
    arguments: trainers)
  func shippedTrainers(name: String) throws {
    for patchSize in [[16, 16], [24, 16], [12, 16, 16], [2, 16, 16], [6, 7, 8]] {
      let pipeline = try shipped(name, patchSize, previousStageLabels: [1]).pipeline
      #expect(pipeline.step(named: "deep_supervision") != nil)
      let again = try AugmentationPipeline(patchSize: patchSize, list: pipeline.list(), source: "test")
      #expect(again.list() == pipeline.list())
      let image = ReferenceImage.make([2] + pipeline.initialPatchSize)
      for key in 0..<3 {
        var random = RandomSource(key: [key])
        let draw = try again.draw(using: &random, channelCount: 2)
        let sample = try pipeline.apply(draw, image: image.image, segmentation: image.labels)
        #expect(sample.image.shape == [3] + patchSize)
        #expect(!sample.image.elements.contains { !$0.isFinite })
      }
    }
    #expect(try LoadedTrainer(named: name, from: Self.recipe).definition().settings.name == name)
  }

  @Test("DA5 has nnU-Net's steps and numbers")
  func da5() throws {
    let url = Self.root.appending(path: "Tests/AugmentationTests/Fixtures/da5-steps.json")
    let fixture = try JSON(contentsOf: url)
    let patchSize = try #require(fixture["patch_size"]?.integers)
    let expected = try AugmentationPipeline(
      patchSize: patchSize, list: fixture["steps"] ?? .null, source: url.path)
    let found = try shipped("nnUNetTrainerDA5", patchSize).pipeline.without("deep_supervision")
    #expect(Self.withoutIntegers(found.list()) == Self.withoutIntegers(expected.list()))
    // Rotations by 30 degrees, and zooms down to 0.7.
    #expect(
      found.initialPatchSize
        == AugmentationPipeline.enlargedPatch(
          patchSize, rotationDegrees: 30, usesDummy2D: false, smallestZoom: 0.7))
    let nearest = try shipped("nnUNetTrainerDA5ord0", patchSize).pipeline.step(named: "spatial")?.parameters
    #expect(nearest?.integer("image_order") == 0 && nearest?.integer("label_order") == 0)
    let labels = try shipped("nnUNetTrainerDA5Segord0", patchSize).pipeline.step(named: "spatial")?.parameters
    #expect(labels?.integer("image_order") == 1 && labels?.integer("label_order") == 0)
  }

  /// Lua and files write the same number as a whole one or not.
  private static func withoutIntegers(_ json: JSON) -> JSON {
    switch json {
    case .integer(let value): .number(Double(value))
    case .array(let values): .array(values.map(withoutIntegers))
    case .object(let object): .object(JSONObject(object.pairs.map { ($0.key, withoutIntegers($0.value)) }))
    default: json
    }
  }

  @Test("The other variants change what their names say")
  func variants() throws {
    let none = try shipped("nnUNetTrainerNoDA", [12, 16, 16], previousStageLabels: [1, 2])
    #expect(none.pipeline.steps.map(\.name) == ["remove_label", "move_seg_as_one_hot", "deep_supervision"])
    #expect(none.pipeline.initialPatchSize == [12, 16, 16])
    let turned = try shipped("nnUNetTrainer_noDummy2DDA", [2, 16, 16]).pipeline
    #expect(turned.step(named: "spatial")?.parameters.bool("dummy_2d") == false)
    #expect(turned.step(named: "spatial")?.parameters.range("rotation_degrees").upper == 30)
    #expect(turned.step(named: "low_resolution")?.parameters.integers("ignored_axes") == [])
    let first = try shipped("nnUNetTrainer_onlyMirror01_1500ep", [12, 16, 16])
    #expect(first.pipeline.step(named: "mirror")?.parameters.integers("axes") == [0, 1])
    #expect(first.settings.epochs == 1500)
    let flat = try shipped("nnUNetTrainer_onlyMirror01", [16, 16]).pipeline
    #expect(flat.step(named: "mirror")?.parameters.integers("axes") == [0])
    let order = try shipped("nnUNetTrainer_DASegOrd0_NoMirroring", [12, 16, 16], previousStageLabels: [1])
    #expect(order.pipeline.step(named: "mirror") == nil)
    #expect(order.pipeline.step(named: "spatial")?.parameters.integer("label_order") == 0)
    #expect(
      order.pipeline.step(named: "random_binary_operator")?.parameters.double("label_probability") == 1)
  }
}

/// An image of any shape with labels and a previous stage's labels.
private enum ReferenceImage {
  static func make(_ shape: [Int]) -> (image: NDArray<Float>, labels: NDArray<Int16>) {
    let count = shape.reduce(1, *)
    let spatial = count / shape[0]
    return (
      NDArray(shape: shape, elements: (0..<count).map { Float(($0 * 7919 + 13) % 1009) / 256 - 1.5 }),
      NDArray(shape: [2] + shape.dropFirst(), elements: (0..<2 * spatial).map { Int16($0 / 7 % 3 - 1) })
    )
  }
}
