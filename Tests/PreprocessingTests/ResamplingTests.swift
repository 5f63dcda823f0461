// Resampling against published vectors, small references and properties.

import Archives
import Foundation
import Planning
import Preprocessing
import Tensors
import TestSupport
import Testing

/// Vectors are printed with six decimals.
private let printedTolerance: Float = 6e-7
/// A float32 spline: about ten roundings of 6e-8 on values of the range.
private let float32Tolerance: Float = 6e-7
/// The reference's torch resampling, as far as it is promised; it computes positions in float32.
private let torchTolerance: Float = 1e-3
/// One unit in the last place of half precision, where the double lies at the border of two values.
private let float16Tolerance: Float = 0.0005

private func resized(_ line: [Float], to count: Int, order: InterpolationOrder) -> [Float] {
  resizeImage(
    NDArray(shape: [1, 1, 1, line.count], elements: line), to: [1, 1, count], rule: ResizeRule(order: order)
  ).elements
}

private func largestDifference(_ a: [Float], _ b: [Float]) -> Float {
  a.count == b.count ? zip(a, b).map { abs($0 - $1) }.max() ?? 0 : .infinity
}

@Suite struct ResamplingTests {
  private static let line: [Float] = [1, 4, 2, 8, 5, 7]

  @Test(
    "One line is resized as scikit-image does it",
    arguments: [
      (
        InterpolationOrder.cubic,
        [1, 2.888013, 3.727825, 1.831461, 5.073557, 8, 5.475524, 5.516787, 7.254236] as [Float]
      ),
      (
        .cubic,
        [
          1, 1.854058, 3.727962, 3.487552, 1.917484, 3.211359, 6.898977, 7.901387, 5.814734, 4.964342,
          6.310839, 7.319371,
        ]
      ),
      (.cubic, [1.854058, 1.917484, 7.901387, 6.310839]),
      (.linear, [1, 2.5, 3.666667, 2.333333, 5, 7.5, 5.5, 6, 7]),
      (.nearest, [1, 4, 4, 2, 8, 8, 5, 7, 7]),
    ])
  func publishedLines(order: InterpolationOrder, expected: [Float]) {
    #expect(
      largestDifference(resized(Self.line, to: expected.count, order: order), expected) < printedTolerance)
  }

  @Test("Nearest neighbours of an even ratio are the upper ones")
  func nearestHalves() {
    #expect(resized((0..<8).map(Float.init), to: 4, order: .nearest) == [1, 3, 5, 7])
    #expect(resized((0..<4).map(Float.init), to: 8, order: .nearest) == [0, 0, 1, 1, 2, 2, 3, 3])
  }

  @Test("The spline goes through the samples, along every axis", arguments: 0..<3)
  func interpolates(axis: Int) {
    // Every third sample of a line three times as long lies on a sample.
    let count = 70
    let samples = (0..<count).map { Float(sin(Double($0) * 1.3) * 5 + Double($0 % 7)) }
    var shape = [3, 3, 3]
    shape[axis] = count
    var newShape = shape
    newShape[axis] = 3 * count
    var image = NDArray<Float>(shape: [1] + shape, repeating: 0)
    let stride = rowMajorStrides(of: shape)[axis]
    for i in 0..<image.count { image.elements[i] = samples[i / stride % count] }
    let result = resizeImage(image, to: newShape, rule: ResizeRule(order: .cubic))
    for i in 0..<result.count where i / stride % (3 * count) % 3 == 1 {
      #expect(abs(result.elements[i] - samples[i / stride % (3 * count) / 3]) <= 12 * float32Tolerance)
    }
  }

  @Test("Lines and rows beyond the width of a vector are resized like single ones")
  func widths() {
    for width in [1, 31, 32, 33, 63, 65, 130] {
      var wide = NDArray<Float>(shape: [1, 1, 9, width], repeating: 0)
      for y in 0..<9 { for x in 0..<width { wide[0, 0, y, x] = Self.value(y, x) } }
      let lines = resizeImage(wide, to: [1, 13, width], rule: ResizeRule(order: .cubic, separateAxis: 0))
      let rows = resizeImage(
        wide.transposed([0, 1, 3, 2]), to: [1, width, 13], rule: ResizeRule(order: .cubic, separateAxis: 0))
      #expect(lines.transposed([0, 1, 3, 2]) == rows)
      // The last line alone, with two constants that keep the clipping range.
      let single = resized((0..<9).map { Self.value($0, width - 1) }, to: 13, order: .cubic)
      for y in 0..<13 where abs(single[y]) < 4 {
        #expect(abs(lines[0, 0, y, width - 1] - single[y]) < 20 * float32Tolerance)
      }
    }
  }

  private static func value(_ y: Int, _ x: Int) -> Float { Float((y * 7 + x * 5) % 11) - 5 }

  @Test(
    "A constant image stays constant", arguments: [InterpolationOrder.nearest, .linear, .cubic],
    [nil, 0, 1, 2])
  func constantStaysConstant(order: InterpolationOrder, separateAxis: Int?) {
    let image = NDArray<Float>(shape: [2, 5, 9, 11], repeating: 0.1)
    let result = resizeImage(
      image, to: [7, 13, 8], rule: ResizeRule(order: order, separateAxis: separateAxis))
    #expect(result.shape == [2, 7, 13, 8])
    #expect(result.elements.allSatisfy { $0 == 0.1 })
  }

  @Test("An image of the right size is returned untouched, even without rounding")
  func sameShape() {
    let image = NDArray<Float>(shape: [1, 2, 3, 4], elements: (0..<24).map { Float($0) * 0.1 })
    #expect(resizeImage(image, to: [2, 3, 4], rule: ResizeRule(order: .linear, rounding: .float16)) == image)
  }

  @Test("A linear ramp stays a ramp away from the borders")
  func rampStaysRamp() {
    let result = resized((0..<30).map(Float.init), to: 60, order: .cubic)
    for i in 20..<40 { #expect(abs(result[i] - (Float(i) + 0.5) / 2 + 0.5) < 1e-5) }
  }

  @Test("Exact ties go to the nearest label, then to the smallest")
  func labelTies() {
    func resizedLabels(_ line: [Int16], to count: Int) -> [Int16] {
      resizeLabelMap(
        NDArray(shape: [1, 1, line.count], elements: line), to: [1, 1, count], separateAxis: nil
      ).elements
    }
    #expect(resizedLabels([0, 0, 2, 2], to: 8) == [0, 0, 0, 0, 2, 2, 2, 2])
    #expect(resizedLabels([0, 1, 2, 2, 0, 1], to: 3) == [1, 2, 1])
  }

  @Test("The coarse axis is chosen from the current spacing first, then from the new one")
  func separateAxisChoice() {
    #expect(coarseAxis(current: [5, 1, 1], new: [1, 5, 1]) == 0)
    #expect(coarseAxis(current: [3, 1, 1], new: [1, 5, 1]) == 1)
    #expect(coarseAxis(current: [3, 1, 1], new: [1, 1, 1]) == nil)
    #expect(coarseAxis(current: [1, 5, 5], new: [9, 1, 1]) == nil)
    #expect(coarseAxis(current: [2, 1, 1], new: [1, 1, 1], force: true) == 0)
    #expect(coarseAxis(current: [9, 1, 1], new: [1, 1, 1], force: false) == nil)
  }

  @Test("New sizes round halves to even")
  func newShape() {
    #expect(resampledShape([5, 10, 7], from: [1, 1, 2], to: [2, 4, 1]) == [2, 2, 14])
  }

  @Test("Small volumes agree with the reference in every way of resampling", arguments: 0..<5)
  func referenceVolumes(index: Int) throws {
    let fixture = try #require(JSON(parsing: resamplingFixture, source: "fixture")[index])
    let shape = try #require(fixture["shape"]?.integers)
    let newShape = try #require(fixture["newShape"]?.integers)
    let current = try #require(fixture["current"]?.doubles)
    let new = try #require(fixture["new"]?.doubles)
    let axis = coarseAxis(current: current, new: new)
    let image = NDArray(shape: shape, elements: try decode(fixture["image"], as: Float.self))

    let cubic = resizeImage(image, to: newShape, rule: ResizeRule(order: .cubic, separateAxis: axis))
    let expectedCubic = try decode(fixture["cubic"], as: Float.self)
    let range = (expectedCubic.max() ?? 0) - (expectedCubic.min() ?? 0)
    #expect(largestDifference(cubic.elements, expectedCubic) <= float32Tolerance * range)

    let half = image.map { Float(Float16($0)) }
    let linear = resizeImage(
      half, to: newShape, rule: ResizeRule(order: .linear, separateAxis: axis, rounding: .float16))
    let expectedLinear = try decode(fixture["linear16"], as: Float.self)
    #expect(largestDifference(linear.elements, expectedLinear) <= float16Tolerance * range)

    let labels = NDArray(
      shape: Array(shape.dropFirst()), elements: try decode(fixture["labels"], as: Int16.self))
    let resizedLabels = resizeLabelMap(labels, to: newShape, separateAxis: axis)
    #expect(resizedLabels.elements == (try decode(fixture["labelsOut"], as: Int16.self)))
  }

  @Test("Linear resampling is PyTorch's, with a coarse axis apart and without", arguments: 0..<4)
  func torchVolumes(index: Int) throws {
    let fixture = try #require(JSON(parsing: torchResamplingFixture, source: "fixture")[index])
    let shape = try #require(fixture["shape"]?.integers)
    let newShape = try #require(fixture["newShape"]?.integers)
    let current = try #require(fixture["current"]?.doubles)
    let new = try #require(fixture["new"]?.doubles)
    let separatesZ = fixture["force"]?.bool == nil
    let image = NDArray(shape: shape, elements: try decode(fixture["image"], as: Float.self))
    let result = try resample(
      image, to: newShape, from: current, to: new,
      using: .torch(isSegmentation: false, separateZ: separatesZ))
    #expect(
      largestDifference(result.elements, try decode(fixture["linear"], as: Float.self)) <= torchTolerance)
    let labels = NDArray(
      shape: Array(shape.dropFirst()), elements: try decode(fixture["labels"], as: Int16.self))
    let resizedLabels = try resampleLabels(
      labels, to: newShape, from: current, to: new,
      using: .torch(isSegmentation: true, separateZ: separatesZ))
    #expect(resizedLabels.elements == (try decode(fixture["labelsOut"], as: Int16.self)))
  }

  @Test("The slices that PyTorch calls nearest-exact are those below the centre")
  func nearestExact() {
    let image = NDArray<Float>(shape: [1, 3, 1, 2], elements: [0, 0, 1, 1, 2, 2])
    let rule = ResizeRule(order: .linear, separateAxis: 0, sliceChoice: .nearestExact)
    #expect(resizeImage(image, to: [6, 1, 2], rule: rule).elements == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2])
  }

  private func decode<T: BitwiseCopyable>(_ json: JSON?, as type: T.Type) throws -> [T] {
    let text = try #require(json?.string)
    let data = try #require(Data(base64Encoded: text))
    return data.withUnsafeBytes { bytes in
      (0..<bytes.count / MemoryLayout<T>.size).map {
        bytes.loadUnaligned(fromByteOffset: $0 * MemoryLayout<T>.size, as: T.self)
      }
    }
  }
}
