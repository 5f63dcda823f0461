// The spatial step: crops, hand-checked vectors, and the fast kernels against a naive double-precision
// version.

import Archives
import Augmentation
import Foundation
import Tensors
import Testing

@Suite struct SpatialTransformTests {
  /// Single-precision positions of up to 30 voxels move a sample of unit contrast by this much at most.
  static let intensityTolerance = 1e-4

  private func pipeline(_ patchSize: [Int]) throws -> AugmentationPipeline {
    try AugmentationPipeline(patchSize: patchSize)
      .inserting(SpatialTransform(patchSize: patchSize), named: "spatial", after: nil)
  }

  @Test(
    "Without rotation and scaling the patch is cropped from the middle",
    arguments: [(7, 4, 1), (8, 4, 2), (73, 40, 16)])
  func cropStart(extent: Int, wanted: Int, start: Int) {
    #expect(SpatialTransform.cropStart(from: extent, to: wanted) == start)
  }

  @Test("A crop takes the same voxels from image and segmentation")
  func crop() throws {
    let source = NDArray<Float>(shape: [2, 5, 7], elements: (0..<70).map(Float.init))
    let labels = NDArray<Int16>(shape: [1, 5, 7], elements: (0..<35).map(Int16.init))
    let sample = try pipeline([2, 3]).apply(AugmentationDraw(), image: source, segmentation: labels)
    #expect(sample.segmentation.elements == [9, 10, 11, 16, 17, 18])
    #expect(sample.image.elements == [9, 10, 11, 16, 17, 18, 44, 45, 46, 51, 52, 53])
  }

  @Test("Scaling by two averages four pixels, pads the border and settles four-way ties by the nearest pixel")
  func scaleTwo() throws {
    let source = NDArray<Float>(shape: [1, 4, 4], elements: (0..<16).map(Float.init))
    let draw = AugmentationDraw(steps: ["spatial": ["scale": 2.0]])
    let sample = try pipeline([4, 4]).apply(draw, image: source, segmentation: source.map { Int16($0) })
    #expect(sample.image.elements == [0, 0, 0, 0, 0, 2.5, 4.5, 0, 0, 10.5, 12.5, 0, 0, 0, 0, 0])
    #expect(sample.segmentation.elements == [-1, -1, -1, -1, -1, 0, 2, -1, -1, 8, 10, -1, -1, -1, -1, -1])
  }

  @Test("A right angle turns the image exactly")
  func rightAngle() throws {
    let source = NDArray<Float>(shape: [1, 4, 4], elements: (0..<16).map(Float.init))
    let draw = AugmentationDraw(steps: ["spatial": ["angles_degrees": [0.0, 90.0]]])
    let sample = try pipeline([4, 4]).apply(draw, image: source, segmentation: source.map { Int16($0) })
    #expect(sample.segmentation.elements[0..<4] == [12, 8, 4, 0])
    for (value, label) in zip(sample.image.elements, sample.segmentation.elements) {
      #expect(abs(value - Float(label)) < 1e-5)  // one rounding error of a position times a contrast of 4
    }
  }

  @Test("The kernels agree with a naive double-precision version", arguments: 0..<6)
  func agreesWithNaive(_ trial: Int) throws {
    var random = RandomSource(key: [11, trial])
    let (from, to) = ([9 + trial, 12, 11], [6, 5 + trial, 9])
    let image = NDArray<Float>(
      shape: [1] + from, elements: (0..<from.reduce(1, *)).map { _ in Float(random.uniform(-1, 1)) })
    let labels = NDArray<Int16>(
      shape: [1] + from, elements: (0..<from.reduce(1, *)).map { _ in Int16(random.integer(below: 4)) })
    let angles = (0..<3).map { _ in random.uniform(-30, 30) }
    let scale = random.uniform(0.7, 1.4)
    let draw = AugmentationDraw(steps: ["spatial": ["angles_degrees": JSON(angles), "scale": .number(scale)]])
    let sample = try pipeline(to).apply(draw, image: image, segmentation: labels)
    var wrong = 0
    for i in 0..<to.reduce(1, *) {
      let index = [i / (to[1] * to[2]), i / to[2] % to[1], i % to[2]]
      let position = Naive.position(index, from, to, angles, scale)
      #expect(abs(Naive.linear(image, position) - Double(sample.image.elements[i])) < Self.intensityTolerance)
      if Naive.label(labels, position) != sample.segmentation.elements[i] { wrong += 1 }
    }
    #expect(wrong <= 2)  // near-ties within a rounding error of float16's grid
  }
}

/// The spatial step as its definition reads, in double precision.
private enum Naive {
  static func position(_ index: [Int], _ from: [Int], _ to: [Int], _ degrees: [Double], _ scale: Double)
    -> [Double]
  {
    var u = zip(index, to).map { (Double($0) - Double($1 - 1) / 2) * scale }
    for (axis, plane) in [(0, (1, 2)), (1, (2, 0)), (2, (0, 1))] {
      let (c, s) = (cos(degrees[axis] * .pi / 180), sin(degrees[axis] * .pi / 180))
      (u[plane.0], u[plane.1]) = (c * u[plane.0] - s * u[plane.1], s * u[plane.0] + c * u[plane.1])
    }
    return zip(u, from).map { $0 + Double($1 - 1) / 2 }
  }

  static func corners(_ position: [Double], _ shape: [Int]) -> [(index: Int?, weight: Double)] {
    (0..<8).map { corner in
      var (index, weight, inside) = (0, 1.0, true)
      for axis in 0..<3 {
        let low = position[axis].rounded(.down)
        let upper = corner >> axis & 1 == 1
        let i = Int(low) + (upper ? 1 : 0)
        weight *= upper ? position[axis] - low : 1 - position[axis] + low
        if i < 0 || i >= shape[axis + 1] { inside = false }
        index = index * shape[axis + 1] + i
      }
      return (inside ? index : nil, weight)
    }
  }

  static func linear(_ image: NDArray<Float>, _ position: [Double]) -> Double {
    corners(position, image.shape).reduce(0) { sum, corner in
      sum + (corner.index.map { Double(image.elements[$0]) * corner.weight } ?? 0)
    }
  }

  static func label(_ labels: NDArray<Int16>, _ position: [Double]) -> Int16 {
    var scores: [Int16: Double] = [:]
    for corner in corners(position, labels.shape) {
      scores[corner.index.map { labels.elements[$0] } ?? -1, default: 0] += 1000 * corner.weight
    }
    // The spacing of float16 doubles at each power of two.
    func half(_ x: Double) -> Double {
      let step = pow(2, floor(log2(max(x, 1e-4))) - 10)
      return (x / step).rounded(.toNearestOrEven) * step
    }
    let best = scores.values.map(half).max() ?? 0
    let tied = scores.filter { half($0.value) == best }.keys.sorted()
    let nearest = position.map { Int($0.rounded(.toNearestOrEven)) }
    let isInside = zip(nearest, labels.shape.dropFirst()).allSatisfy { $0 >= 0 && $0 < $1 }
    let index = zip(nearest, labels.shape.dropFirst()).reduce(0) { $0 * $1.1 + $1.0 }
    let label: Int16 = isInside ? labels.elements[index] : -1
    return tied.contains(label) ? label : tied[0]
  }
}
