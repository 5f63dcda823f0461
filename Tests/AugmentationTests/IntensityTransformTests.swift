// Properties of the intensity and label steps that the reference fixture does not show.

import Archives
import Augmentation
import Tensors
import Testing

@Suite struct IntensityTransformTests {
  /// Averages of some hundred single-precision numbers of unit size.
  static let statisticsTolerance = 1e-4

  private func apply(
    _ transform: any AugmentationTransform, _ drawn: JSON?, _ values: JSONObject = [:], image: NDArray<Float>,
    labels: NDArray<Int16>? = nil
  ) throws -> AugmentationSample {
    let patch = Array(image.shape.dropFirst())
    var pipeline = try AugmentationPipeline(patchSize: patch).inserting(transform, named: "step", after: nil)
    try pipeline.set("step", values)
    var draw = AugmentationDraw()
    if let drawn { draw.steps["step"] = drawn }
    return try pipeline.apply(
      draw, image: image, segmentation: labels ?? NDArray(shape: [1] + patch, repeating: 0))
  }

  private func moments(_ values: [Float]) -> (mean: Double, standardDeviation: Double) {
    let mean = values.reduce(0) { $0 + Double($1) } / Double(values.count)
    let squares = values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    return (mean, (squares / Double(values.count - 1)).squareRoot())
  }

  @Test("Noise has the drawn width and follows its seed alone")
  func noise() throws {
    let image = NDArray<Float>(shape: [1, 20, 30, 25], repeating: 2)
    let first = try apply(GaussianNoiseTransform(), ["sigma": 0.1, "seed": 7], image: image)
    let again = try apply(GaussianNoiseTransform(), ["sigma": 0.1, "seed": 7], image: image)
    let other = try apply(GaussianNoiseTransform(), ["sigma": 0.1, "seed": 8], image: image)
    #expect(first.image == again.image)
    #expect(first.image != other.image)
    let (mean, deviation) = moments(first.image.elements)
    #expect(abs(mean - 2) < 0.0035)  // four standard errors of 15000 samples
    #expect(abs(deviation - 0.1) < 0.0025)
  }

  @Test(
    "Blur kernels have nnU-Net's taps",
    arguments: [
      (0.5, [0.1065, 0.7870, 0.1065]), (0.75, [0.0152, 0.2188, 0.5321, 0.2188, 0.0152]),
      (1.0, [0.0044, 0.0540, 0.2420, 0.3991, 0.2420, 0.0540, 0.0044]),
    ] as [(Double, [Float])])
  func taps(sigma: Double, expected: [Float]) {
    let taps = GaussianBlurTransform.taps(sigma: sigma)
    #expect(taps.count == expected.count)
    for (tap, value) in zip(taps, expected) { #expect(abs(tap - value) < 6e-5) }  // four printed digits
  }

  @Test(
    "Kernel sizes switch where nnU-Net's do", arguments: [(0.583, 3), (0.585, 5), (0.915, 5), (0.918, 7)])
  func tapCounts(sigma: Double, count: Int) {
    #expect(GaussianBlurTransform.taps(sigma: sigma).count == count)
  }

  @Test("Blurring keeps a constant image, even along an axis shorter than the kernel")
  func blurOfConstant() throws {
    let image = NDArray<Float>(shape: [1, 2, 1, 9], repeating: 3)
    let sample = try apply(GaussianBlurTransform(), ["sigmas": [[1.0, 1.0, 1.0]]], image: image)
    for value in sample.image.elements { #expect(abs(value - 3) < 1e-5) }
  }

  @Test("Gamma keeps mean and standard deviation", arguments: [false, true])
  func gammaKeepsStatistics(inverts: Bool) throws {
    let image = ReferenceTransformTests.image([2, 8, 9, 7])
    let sample = try apply(
      GammaTransform(), ["gammas": [0.8, 1.4]], ["inverts": .bool(inverts)], image: image)
    for channel in 0..<2 {
      let range = channel * 504..<(channel + 1) * 504
      let (old, new) = (moments(Array(image.elements[range])), moments(Array(sample.image.elements[range])))
      #expect(abs(old.mean - new.mean) < Self.statisticsTolerance)
      #expect(abs(old.standardDeviation - new.standardDeviation) < Self.statisticsTolerance)
    }
    #expect(sample.image != image)
  }

  @Test("Gamma and contrast leave a constant channel finite")
  func constantChannel() throws {
    let image = NDArray<Float>(shape: [1, 4, 4], repeating: 1.5)
    #expect(try apply(GammaTransform(), ["gammas": [1.3]], image: image).image == image)
    #expect(try apply(ContrastTransform(), ["factors": [1.3]], image: image).image == image)
  }

  @Test("Factors lie below one half of the time")
  func balancedFactors() throws {
    let pipeline = AugmentationPipeline.standard(patchSize: [8, 8])
    var below = 0
    var factors: [Double] = []
    for key in 0..<4000 {
      var random = RandomSource(key: [key])
      guard let drawn = try pipeline.draw(using: &random, channelCount: 1).steps["gamma"] else { continue }
      factors += drawn["gammas"]?.doubles ?? []
    }
    below = factors.count { $0 < 1 }
    #expect(abs(Double(below) / Double(factors.count) - 0.5) < 0.06)  // four standard errors of 1200 draws
    #expect(factors.allSatisfy { $0 >= 0.7 && $0 <= 1.5 })
  }

  @Test("Mirroring flips both arrays along the drawn axes")
  func mirror() throws {
    let image = NDArray<Float>(shape: [1, 2, 2, 3], elements: (0..<12).map(Float.init))
    let sample = try apply(
      MirrorTransform(), ["axes": [0, 2]], image: image, labels: image.map { Int16($0) })
    #expect(sample.image.elements == [8, 7, 6, 11, 10, 9, 2, 1, 0, 5, 4, 3])
    #expect(sample.segmentation == sample.image.map { Int16($0) })
  }

  @Test("Masking zeroes the named channels where the segmentation is negative")
  func mask() throws {
    let image = NDArray<Float>(shape: [2, 1, 3], repeating: 5)
    let labels = NDArray<Int16>(shape: [1, 1, 3], elements: [-1, 0, 2])
    let sample = try apply(MaskImageTransform(), nil, ["channels": [1]], image: image, labels: labels)
    #expect(sample.image.elements == [5, 5, 5, 0, 5, 5])
  }

  @Test("Supervision targets have nnU-Net's sizes and voxels")
  func supervision() {
    let segmentation = NDArray<Int16>(shape: [1, 10, 256, 224], repeating: 1)
    let strides = [[1, 1, 1], [2, 2, 2], [2, 2, 2], [2, 2, 2]]
    let shapes = supervisionTargets(segmentation, strides: strides).map { Array($0.shape.dropFirst()) }
    #expect(shapes == [[10, 256, 224], [5, 128, 112], [2, 64, 56]])
    let ramp = NDArray<Int16>(shape: [1, 1, 8], elements: (0..<8).map(Int16.init))
    #expect(resizeNearestExact(ramp, to: [1, 4]).elements == [1, 3, 5, 7])
    #expect(resizeNearestExact(ramp, to: [1, 2]).elements == [2, 6])
  }
}
