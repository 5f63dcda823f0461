// The pipeline as a whole: mode selection, the enlarged patch, drawing, replaying and editing.

import Archives
import Augmentation
import Reporting
import Tensors
import Testing
import Volumes

@Suite struct AugmentationPipelineTests {
  static let patch = [8, 12, 10]

  private func source(_ pipeline: AugmentationPipeline, channelCount: Int = 2) -> (
    NDArray<Float>, NDArray<Int16>
  ) {
    let extents = pipeline.initialPatchSize
    return (
      ReferenceTransformTests.image([channelCount] + extents),
      ReferenceTransformTests.labels([1] + extents, width: 17)
    )
  }

  @Test(
    "The enlarged patch equals nnU-Net's",
    arguments: [
      ([128, 128, 128], 30, [205, 205, 205]), ([96, 160, 160], 30, [191, 257, 219]),
      ([40, 56, 40], 30, [73, 80, 64]),
      ([512, 512], 180, [602, 602]), ([256, 224], 180, [301, 301]), ([512, 256], 15, [659, 301]),
      ([48, 224, 192], 180, [48, 263, 263]),
    ] as [([Int], Double, [Int])])
  func enlargedPatch(patch: [Int], degrees: Double, expected: [Int]) {
    let mode = AugmentationPipeline.Mode(patchSize: patch)
    #expect(mode.rotationDegrees == degrees)
    #expect(mode.usesDummy2D == (patch[0] == 48))
    #expect(AugmentationPipeline.standard(patchSize: patch).initialPatchSize == expected)
  }

  @Test("The standard steps come in nnU-Net's order")
  func order() {
    let pipeline = AugmentationPipeline.standard(
      patchSize: Self.patch, usesMaskForNormalization: [false, true], regions: [[1, 2], [2]],
      supervisionStrides: [[1, 1, 1], [2, 2, 2]])
    let names = [
      "spatial", "gaussian_noise", "gaussian_blur", "brightness", "contrast", "low_resolution",
      "gamma_inverted",
      "gamma", "mirror", "mask_image", "remove_label", "regions", "deep_supervision",
    ]
    #expect(pipeline.steps.map(\.name) == names)
    #expect(pipeline.step(named: "gamma_inverted")?.parameters.double("probability") == 0.1)
    #expect(pipeline.step(named: "mask_image")?.parameters.integers("channels") == [1])
  }

  @Test("A draw survives a trip through text and replays to the same bits")
  func replay() throws {
    let pipeline = AugmentationPipeline.standard(
      patchSize: Self.patch, supervisionStrides: [[1, 1, 1], [2, 2, 2], [2, 2, 2]])
    let (image, labels) = source(pipeline)
    for key in 0..<20 {
      var random = RandomSource(key: [key])
      let draw = try pipeline.draw(using: &random, channelCount: 2)
      let text = draw.json.text()
      let again = try AugmentationDraw(json: JSON(parsing: Array(text.utf8), source: "draw"))
      let first = try pipeline.apply(draw, image: image, segmentation: labels)
      let second = try pipeline.apply(again, image: image, segmentation: labels)
      #expect(first.image == second.image)
      #expect(first.targets == second.targets)
      #expect(first.targets.map(\.shape) == [[1, 8, 12, 10], [1, 4, 6, 5]])
      #expect(first.segmentation.elements.allSatisfy { $0 >= 0 })
    }
  }

  @Test("Applying to only the part that a draw reads gives the same sample")
  func sourceBox() throws {
    let pipeline = AugmentationPipeline.standard(patchSize: Self.patch)
    let (image, labels) = source(pipeline)
    var random = RandomSource(key: [3])
    var draw = try pipeline.draw(using: &random, channelCount: 2)
    draw.steps["spatial"] = nil
    let box = pipeline.sourceBox(for: draw)
    #expect(box.shape == Self.patch)
    let middle = try AugmentationPipeline(patchSize: Self.patch)
      .inserting(SpatialTransform(patchSize: Self.patch), named: "spatial", after: nil)
      .apply(AugmentationDraw(), image: image, segmentation: labels)
    let small = try pipeline.apply(draw, image: middle.image, segmentation: middle.segmentation)
    let large = try pipeline.apply(draw, image: image, segmentation: labels)
    #expect(small.image == large.image)
    #expect(small.segmentation == large.segmentation)
    draw.steps["spatial"] = ["scale": 1.1]
    #expect(pipeline.sourceBox(for: draw).shape == pipeline.initialPatchSize)
  }

  @Test("Removing a step leaves what the others draw as it was")
  func removal() throws {
    let pipeline = AugmentationPipeline.standard(patchSize: Self.patch)
    let reduced = try pipeline.without("gaussian_noise")
    for key in 0..<50 {
      var (a, b) = (RandomSource(key: [key]), RandomSource(key: [key]))
      var full = try pipeline.draw(using: &a, channelCount: 1)
      full.steps["gaussian_noise"] = nil
      #expect(try reduced.draw(using: &b, channelCount: 1) == full)
    }
  }

  @Test("Steps happen as often as their probabilities say")
  func frequencies() throws {
    let pipeline = AugmentationPipeline.standard(patchSize: Self.patch)
    var counts: [String: Int] = [:]
    let drawCount = 4000
    for key in 0..<drawCount {
      var random = RandomSource(key: [key, 1])
      for name in try pipeline.draw(using: &random, channelCount: 1).steps.keys {
        counts[name, default: 0] += 1
      }
    }
    let expected = [
      "spatial": 0.36, "gaussian_noise": 0.1, "gaussian_blur": 0.2, "brightness": 0.15, "contrast": 0.15,
      "low_resolution": 0.25, "gamma_inverted": 0.1, "gamma": 0.3, "mirror": 0.875,
    ]
    for (name, probability) in expected {
      // Four standard deviations of a binomial fraction.
      let tolerance = 4 * (probability * (1 - probability) / Double(drawCount)).squareRoot()
      #expect(abs(Double(counts[name] ?? 0) / Double(drawCount) - probability) < tolerance, "\(name)")
    }
  }

  @Test("Parameters can be set, and a wrong one is refused with the nearest name")
  func parameters() throws {
    var pipeline = AugmentationPipeline.standard(patchSize: Self.patch)
    try pipeline.set("spatial", ["rotation_degrees": [-10, 10], "rotation_probability": 1])
    #expect(
      pipeline.initialPatchSize
        == AugmentationPipeline.enlargedPatch(Self.patch, rotationDegrees: 10, usesDummy2D: false))
    #expect(throws: Diagnostic.self) { try pipeline.set("gamma", ["probability": 2]) }
    #expect(throws: Diagnostic.self) { try pipeline.set("gamma", ["gamma_range": [1.5, 0.7]]) }
    let error = #expect(throws: Diagnostic.self) { try pipeline.set("gama", ["probability": 1]) }
    #expect(error?.remedy == "did you mean \"gamma\"?")
    let unknown = #expect(throws: Diagnostic.self) { try pipeline.set("gamma", ["probabilty": 1]) }
    #expect(unknown?.remedy == "did you mean \"probability\"?")
  }

  @Test("A closure can be inserted as a step, with a draw of its own")
  func customStep() throws {
    let shift = CustomTransform(
      draw: { _, random in .number(random.uniform(1, 2)) },
      apply: { drawn, sample in
        let amount = Float(drawn?.double ?? 0)
        sample.image = sample.image.map { $0 + amount }
      })
    let plain = AugmentationPipeline.validation(patchSize: Self.patch)
    let pipeline = try plain.inserting(shift, named: "shift", after: nil)
    var random = RandomSource(key: [1])
    let draw = try pipeline.draw(using: &random, channelCount: 2)
    let amount = Float(try #require(draw.steps["shift"]?.double))
    let (image, labels) = source(pipeline)
    let sample = try pipeline.apply(draw, image: image, segmentation: labels)
    #expect(sample.image == image.map { $0 + amount })
    #expect(throws: Diagnostic.self) { try pipeline.inserting(shift, named: "shift", after: nil) }
    #expect(throws: Diagnostic.self) { try plain.apply(draw, image: image, segmentation: labels) }
  }
}
