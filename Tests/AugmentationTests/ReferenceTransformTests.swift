// Every transform against what the reference implementation gave for fixed parameters. The fixture names the
// versions and the formula of its input.

import Archives
import Augmentation
import Foundation
import Tensors
import Testing

@Suite struct ReferenceTransformTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let json: JSON
    let labelWidth: Int
    var testDescription: String { json["name"]?.string ?? "" }
  }

  enum Tolerance {
    // Both compute in single precision; the reference's positions carry a few rounding errors of coordinates
    // near 100.
    static let intensity: Float = 2e-4
    // Labels at exact ties flip when a position is off by one rounding error.
    static let labelFraction = 2e-3
  }

  static let cases: [Case] = ["reference-transforms", "reference-variants"].flatMap { name -> [Case] in
    let url = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Fixtures/\(name).json")
    guard let fixture = try? JSON(contentsOf: url), let width = fixture["label_width"]?.integer else {
      return []
    }
    return (fixture["cases"]?.array ?? []).map { Case(json: $0, labelWidth: width) }
  }

  static func image(_ shape: [Int]) -> NDArray<Float> {
    let count = shape.reduce(1, *)
    return NDArray(shape: shape, elements: (0..<count).map { Float(($0 * 7919 + 13) % 1009) / 256 - 1.5 })
  }

  static func labels(_ shape: [Int], width: Int) -> NDArray<Int16> {
    let axes = shape.count - 1
    let weights = Array([7, 5, 3].suffix(axes))
    var result = NDArray<Int16>(shape: shape, repeating: 0)
    for i in 0..<result.count {
      var rest = i
      var index = [Int](repeating: 0, count: axes)
      for axis in stride(from: axes - 1, through: 0, by: -1) {
        index[axis] = rest % shape[axis + 1]
        rest /= shape[axis + 1]
      }
      let sum = zip(index, weights).reduce(1) { $0 + $1.0 * $1.1 }
      result.elements[i] = index[axes - 1] < 2 ? -1 : Int16(sum / width % 4)
    }
    return result
  }

  /// The image of a case: with channels of zeros and ones for some labels behind it, in a cascade.
  static func input(_ example: Case, _ shape: [Int], _ labels: NDArray<Int16>) -> NDArray<Float> {
    var result = image(shape)
    for label in example.json["one_hot_labels"]?.integers ?? [] {
      result.elements += labels.elements.map { Int($0) == label ? 1 : 0 }
      result.shape[0] += 1
    }
    return result
  }

  @Test("The fixture is complete")
  func fixtureIsComplete() { #expect(Self.cases.count == 17 + 44) }

  @Test("A transform with fixed parameters gives what the reference gives", arguments: cases)
  func matchesReference(_ example: Case) throws {
    let json = example.json
    let step = try #require(json["step"]?.string)
    let patchSize = try #require(json["patch_size"]?.integers)
    let sourceShape = try #require(json["source_shape"]?.integers)
    var pipeline = try AugmentationPipeline(patchSize: patchSize)
      .inserting(TransformLibrary.make(step, patchSize: patchSize), named: step, after: nil)
    try pipeline.set(step, try #require(json["parameters"]?.object))
    var draw = AugmentationDraw()
    if let drawn = json["draw"], !drawn.isNull { draw.steps[step] = drawn }
    let labels = Self.labels([1] + sourceShape.dropFirst(), width: example.labelWidth)
    let sample = try pipeline.apply(
      draw, image: Self.input(example, sourceShape, labels), segmentation: labels)
    if let expected = json["image"]?.doubles {
      // Of a cascade's image the fixture has the channels of the previous stage alone.
      let elements = sample.image.elements.suffix(expected.count)
      #expect(sample.image.count == expected.count || json["one_hot_labels"] != nil)
      let difference = zip(elements, expected).map { abs($0 - Float($1)) }.max() ?? 0
      #expect(difference <= Tolerance.intensity)
    }
    if let expected = json["segmentation"]?.integers {
      #expect(sample.segmentation.count == expected.count)
      let wrong = zip(sample.segmentation.elements, expected).count { Int($0) != $1 }
      #expect(Double(wrong) <= Tolerance.labelFraction * Double(expected.count))
    }
    if let expected = json["targets"]?.array {
      #expect(sample.targets.map(\.shape) == expected.compactMap { $0["shape"]?.integers })
      #expect(
        sample.targets.map { $0.elements.map(Int.init) } == expected.compactMap { $0["values"]?.integers })
    }
  }
}
