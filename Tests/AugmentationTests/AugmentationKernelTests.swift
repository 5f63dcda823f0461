// The fast loops against their definitions in double precision.

import Archives
import Augmentation
import CKernels
import Foundation
import Tensors
import Testing

@Suite struct AugmentationKernelTests {
  enum Tolerance {
    /// A few roundings of single precision.
    static let power = 1e-6
    /// Sums of up to seven products of unit size along three axes.
    static let blur = 3e-6
    /// Interpolation weights carry one rounding of positions near 20.
    static let lowResolution = 1e-5
  }

  private func noise(_ count: Int, key: Int) -> [Float] {
    var random = RandomSource(key: [key])
    return (0..<count).map { _ in Float(random.uniform(-1, 1)) }
  }

  @Test("Powers agree with the library's", arguments: [0.01, 0.3, 0.7, 1, 1.2345678, 1.5, 4] as [Double])
  func power(exponent: Double) {
    let exponent = Double(Float(exponent))
    var random = RandomSource(key: [5])
    // Every size from 1e-7 to 1, and the ends.
    let values = [0, 1] + (0..<20000).map { _ in Float(pow(10, random.uniform(-7, 0))) }
    var raised = values
    var statistics = [0.0, 0, 0, 0]
    nnk_power(&raised, values.count, 1, 0, 1, 1, Float(exponent), &statistics)
    var worst = 0.0
    for (value, result) in zip(values, raised) {
      let expected = pow(Double(value), exponent)
      if expected > 1e-30 { worst = max(worst, abs(Double(result) - expected) / expected) }
    }
    #expect(raised[0] == 0 && raised[1] == 1)
    #expect(worst < Tolerance.power)
    let mean = raised.reduce(0) { $0 + Double($1) } / Double(raised.count)
    #expect(abs(statistics[0] - mean) < 1e-12)
  }

  @Test("Statistics keep their digits when the mean is large", arguments: [0, 7, 15, 16, 17, 1000])
  func statistics(count: Int) {
    let values = noise(count, key: 3).map { 30000 + $0 }
    var result = [0.0, 0, 0, 0]
    nnk_statistics(values, count, &result)
    guard count > 0 else { return #expect(result[0] == 0 && result[1] == 0) }
    let mean = values.reduce(0) { $0 + Double($1) } / Double(count)
    let squares = values.reduce(0) { $0 + (Double($1) - mean) * (Double($1) - mean) }
    #expect(abs(result[0] - mean) < 1e-8)
    #expect(abs(result[1] - (count > 1 ? (squares / Double(count - 1)).squareRoot() : 0)) < 1e-8)
    #expect(result[2] == Double(values.min() ?? 0) && result[3] == Double(values.max() ?? 0))
  }

  @Test("Noise is normal, and neighbouring values and blocks are independent")
  func normalNoise() {
    let count = 400_000
    var values = [Float](repeating: 0, count: count)
    nnk_add_normal_noise(&values, count, 1, 42)
    let numbers = values.map(Double.init)
    func moment(_ power: Int) -> Double { numbers.reduce(0) { $0 + pow($1, Double(power)) } / Double(count) }
    // Five standard errors of each moment.
    let scale = 5 / Double(count).squareRoot()
    #expect(abs(moment(1)) < scale)
    #expect(abs(moment(2) - 1) < scale * 2.0.squareRoot())
    #expect(abs(moment(3)) < scale * 15.0.squareRoot())
    #expect(abs(moment(4) - 3) < scale * 96.0.squareRoot())
    for lag in [1, 2, 1024, 2048] {
      let product = (0..<count - lag).reduce(0.0) { $0 + numbers[$1] * numbers[$1 + lag] }
      #expect(abs(product / Double(count - lag)) < scale, "lag \(lag)")
    }
    // Kolmogorov's distance from the normal distribution, at one in a million.
    let sorted = numbers.sorted()
    let distance = sorted.enumerated().map {
      abs(0.5 * erfc(-$1 / 2.0.squareRoot()) - (Double($0) + 0.5) / Double(count))
    }
    #expect((distance.max() ?? 1) < 2.7 / Double(count).squareRoot())
    #expect((sorted.last ?? 0) > 4)
  }

  @Test("Noise of every length begins alike", arguments: [1, 2, 1023, 1024, 1025, 2047, 2048, 2049])
  func noiseOfLengths(count: Int) {
    var all = [Float](repeating: 0, count: 5000)
    nnk_add_normal_noise(&all, 5000, 0.5, 9)
    var some = [Float](repeating: 0, count: count)
    nnk_add_normal_noise(&some, count, 0.5, 9)
    #expect(some.elementsEqual(all.prefix(count)))
  }

  @Test(
    "Blurring in one pass equals three passes along the axes",
    arguments: [[9, 8, 11], [2, 3, 19], [1, 12, 13], [1, 1, 1], [7, 7, 7], [30, 2, 5]])
  func blur(extents: [Int]) {
    let sigmas = [0.97, 0.6, 1.4]
    let count = extents.reduce(1, *)
    var values = noise(count, key: 7)
    let taps = sigmas.map { GaussianBlurTransform.taps(sigma: $0) }
    let expected = Naive.blurred(values, extents, taps)
    taps[0].withUnsafeBufferPointer { z in
      taps[1].withUnsafeBufferPointer { y in
        taps[2].withUnsafeBufferPointer { x in
          nnk_blur(&values, extents, [z.baseAddress, y.baseAddress, x.baseAddress], taps.map(\.count))
        }
      }
    }
    for (value, wanted) in zip(values, expected) { #expect(abs(Double(value) - wanted) < Tolerance.blur) }
  }

  @Test("Low resolution takes the nearest voxels and goes back linearly", arguments: [0.5, 0.63, 0.99])
  func lowResolution(zoom: Double) throws {
    let extents = [6, 17, 23]
    let image = NDArray(shape: [1] + extents, elements: noise(extents.reduce(1, *), key: 8))
    let pipeline = try AugmentationPipeline(patchSize: extents)
      .inserting(LowResolutionTransform(), named: "low_resolution", after: nil)
    let sample = try pipeline.apply(
      AugmentationDraw(steps: ["low_resolution": ["zooms": [.number(zoom)]]]), image: image,
      segmentation: NDArray(shape: [1] + extents, repeating: 0))
    let low = extents.map { Int((Double($0) * Double(Float(zoom))).rounded(.toNearestOrEven)) }
    let small = resizeNearestExact(image, to: low)
    for i in 0..<sample.image.count {
      let index = [i / (extents[1] * extents[2]), i / extents[2] % extents[1], i % extents[2]]
      let position = (0..<3).map { axis in
        max(0, (Double(index[axis]) + 0.5) * Double(low[axis]) / Double(extents[axis]) - 0.5)
      }
      #expect(
        abs(Naive.linear(small, position) - Double(sample.image.elements[i])) < Tolerance.lowResolution)
    }
  }

  @Test(
    "Dilation and erosion follow their definitions",
    arguments: [(1.0, 3), (1.5, 3), (2.3, 3), (3.7, 3), (5.2, 3), (1.0, 2), (2.3, 2), (3.7, 2)]
      as [(Double, Int)])
  func morphology(radius: Double, axisCount: Int) {
    let extents = axisCount == 3 ? [7, 9, 21] : [1, 15, 22]
    let count = extents.reduce(1, *)
    var random = RandomSource(key: [4])
    let mask = (0..<count).map { _ -> UInt8 in random.uniform() < 0.04 ? 1 : 0 }
    let element = StructuringElement(radius: radius, axisCount: axisCount)
    #expect(element.dilate(mask, extents) == Naive.dilated(mask, extents, element))
    let inverse = Naive.dilated(mask.map { 1 - $0 }, extents, element).map { 1 - $0 }
    #expect(element.erode(mask, extents) == inverse)
  }

  @Test(
    "Structuring elements have nnU-Net's voxels",
    arguments: [
      (1.0, 3, 7), (1.5, 3, 8), (2.3, 3, 33), (3.7, 3, 160), (1.0, 2, 5), (1.5, 2, 4), (2.3, 2, 15),
      (3.7, 2, 41),
    ] as [(Double, Int, Int)])
  func structuringElements(radius: Double, axisCount: Int, voxelCount: Int) {
    #expect(StructuringElement(radius: radius, axisCount: axisCount).voxelCount == voxelCount)
  }

  @Test("Components are joined over corners and numbered by their first voxels", arguments: 0..<8)
  func components(trial: Int) {
    let extents = [5, 8, 9]
    var random = RandomSource(key: [6, trial])
    let share = 0.05 + 0.05 * Double(trial)
    let mask = (0..<360).map { _ -> UInt8 in random.uniform() < share ? 1 : 0 }
    var labels = [Int32](repeating: -1, count: 360)
    let count = nnk_label_components(mask, &labels, extents)
    let expected = Naive.components(mask, extents)
    #expect(labels == expected)
    #expect(count == expected.max())
  }

  @Test("Flips in place equal a copy read backwards", arguments: 0..<8)
  func flips(which: Int) {
    let extents = [3, 4, 5]
    let flips = (0..<3).map { Int32(which >> $0 & 1) }
    let values = (0..<60).map(Float.init)
    var flipped = values
    nnk_flip_floats(&flipped, extents, flips)
    for i in 0..<60 {
      let index = [i / 20, i / 5 % 4, i % 5].enumerated().map { flips[$0] == 1 ? extents[$0] - 1 - $1 : $1 }
      #expect(flipped[i] == values[index[0] * 20 + index[1] * 5 + index[2]])
    }
  }
}

/// The loops as their definitions read.
private enum Naive {
  static func reflected(_ index: Int, _ extent: Int) -> Int {
    var index = index
    while extent > 1, index < 0 || index >= extent { index = index < 0 ? -index : 2 * (extent - 1) - index }
    return extent == 1 ? 0 : index
  }

  static func blurred(_ values: [Float], _ extents: [Int], _ taps: [[Float]]) -> [Double] {
    var result = values.map(Double.init)
    let strides = rowMajorStrides(of: extents)
    for axis in 0..<3 {
      let before = result
      for i in result.indices {
        let position = i / strides[axis] % extents[axis]
        result[i] = taps[axis].enumerated().reduce(0) { sum, tap in
          let other = reflected(position + tap.offset - taps[axis].count / 2, extents[axis])
          return sum + Double(tap.element) * before[i + (other - position) * strides[axis]]
        }
      }
    }
    return result
  }

  static func linear(_ image: NDArray<Float>, _ position: [Double]) -> Double {
    var sum = 0.0
    for corner in 0..<8 {
      var (offset, weight) = (0, 1.0)
      for axis in 0..<3 {
        let extent = image.shape[axis + 1]
        let low = min(Int(position[axis]), extent - 1)
        let isUpper = corner >> axis & 1 == 1
        weight *= isUpper ? position[axis] - Double(low) : 1 - position[axis] + Double(low)
        offset = offset * extent + min(low + (isUpper ? 1 : 0), extent - 1)
      }
      sum += weight * Double(image.elements[offset])
    }
    return sum
  }

  static func dilated(_ mask: [UInt8], _ extents: [Int], _ element: StructuringElement) -> [UInt8] {
    let set = Set(
      stride(from: 0, to: element.rows.count, by: 4).flatMap { row in
        (element.rows[row + 2]...element.rows[row + 3]).map {
          [Int(element.rows[row]), Int(element.rows[row + 1]), Int($0)]
        }
      })
    return mask.indices.map { i in
      let index = [i / (extents[1] * extents[2]), i / extents[2] % extents[1], i % extents[2]]
      for offset in set {
        let other = zip(index, offset).map { $0 + $1 }
        guard zip(other, extents).allSatisfy({ $0 >= 0 && $0 < $1 }) else { continue }
        if mask[(other[0] * extents[1] + other[1]) * extents[2] + other[2]] == 1 { return 1 }
      }
      return 0
    }
  }

  static func components(_ mask: [UInt8], _ extents: [Int]) -> [Int32] {
    var labels = [Int32](repeating: 0, count: mask.count)
    var number: Int32 = 0
    for start in mask.indices where mask[start] == 1 && labels[start] == 0 {
      number += 1
      var waiting = [start]
      labels[start] = number
      while let i = waiting.popLast() {
        let index = [i / (extents[1] * extents[2]), i / extents[2] % extents[1], i % extents[2]]
        for k in 0..<27 {
          let other = [index[0] + k / 9 - 1, index[1] + k / 3 % 3 - 1, index[2] + k % 3 - 1]
          guard zip(other, extents).allSatisfy({ $0 >= 0 && $0 < $1 }) else { continue }
          let j = (other[0] * extents[1] + other[1]) * extents[2] + other[2]
          if mask[j] == 1, labels[j] == 0 {
            labels[j] = number
            waiting.append(j)
          }
        }
      }
    }
    return labels
  }
}
