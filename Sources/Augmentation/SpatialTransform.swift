// Rotation and scaling about the patch's centre, or only the crop to it when neither is drawn.

package import Archives
import CKernels
import Foundation
import Reporting
package import Tensors

/// Samples the plan's patch from the enlarged one, rotated and scaled with some probability.
package struct SpatialTransform: AugmentationTransform {
  private let patchSize: [Int]

  package init(patchSize: [Int]) { self.patchSize = patchSize }

  package let defaults: JSONObject = [
    "rotation_probability": 0.2, "rotation_degrees": [-30, 30],
    "scaling_probability": 0.2, "scaling_range": [0.7, 1.4],  // above 1 objects shrink
    "dummy_2d": false,
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    let rotates = random.uniform() < parameters.double("rotation_probability")
    let scales = random.uniform() < parameters.double("scaling_probability")
    var drawn: JSONObject = [:]
    if rotates {
      let range = parameters.range("rotation_degrees")
      let axisCount = parameters.bool("dummy_2d") ? 2 : patchSize.count
      drawn["angles_degrees"] = JSON((0..<axisCount).map { _ in random.uniform(range.lower, range.upper) })
    }
    if scales {
      let range = parameters.range("scaling_range")
      drawn["scale"] = .number(random.uniform(range.lower, range.upper))
    }
    return drawn.isEmpty ? nil : .object(drawn)
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    for (extent, wanted) in zip(sample.image.shape.dropFirst(), patchSize) where extent < wanted {
      throw Diagnostic(
        "a patch is too small to crop from", expected: "at least \(patchSize)",
        found: "\(Array(sample.image.shape.dropFirst()))", remedy: "read the box the pipeline asks for")
    }
    guard let drawn else {
      sample.image = Self.centerCrop(sample.image, to: patchSize)
      sample.segmentation = Self.centerCrop(sample.segmentation, to: patchSize)
      return
    }
    let matrix = try matrix(drawn, inPlane: parameters.bool("dummy_2d") || patchSize.count == 2)
    sample.image = resampleImage(sample.image, matrix)
    sample.segmentation = resampleLabels(sample.segmentation, matrix)
  }

  /// The first index of a centred crop.
  package static func cropStart(from extent: Int, to wanted: Int) -> Int { max(0, extent / 2 - wanted / 2) }

  /// The 3x3 map from centred patch positions to centred source positions, row by row.
  private func matrix(_ drawn: JSON, inPlane: Bool) throws(Diagnostic) -> [Double] {
    let degrees = drawn["angles_degrees"]?.doubles ?? [0, 0, 0]
    let scale = drawn["scale"]?.double ?? 1
    guard drawn["angles_degrees"] == nil || degrees.count == (inPlane ? 2 : 3), scale.isFinite, scale > 0
    else {
      throw unusableDraw(
        AugmentationPipeline.Names.spatial,
        expected: "\(inPlane ? 2 : 3) \"angles_degrees\" and a positive \"scale\"",
        found: drawn)
    }
    let c = degrees.map { cos($0 / 180 * .pi) }
    let s = degrees.map { sin($0 / 180 * .pi) }
    if inPlane {
      let (c, s) = (c[c.count - 1] * scale, s[s.count - 1] * scale)
      return [1, 0, 0, 0, c, -s, 0, s, c]
    }
    let aboutX = [1, 0, 0, 0, c[0], -s[0], 0, s[0], c[0]]
    let aboutY = [c[1], 0, s[1], 0, 1, 0, -s[1], 0, c[1]]
    let aboutZ = [c[2], -s[2], 0, s[2], c[2], 0, 0, 0, 1]
    return multiply(multiply(aboutZ, aboutY), aboutX).map { $0 * scale }
  }

  private func multiply(_ a: [Double], _ b: [Double]) -> [Double] {
    var product = [Double](repeating: 0, count: 9)
    for row in 0..<3 {
      for column in 0..<3 {
        for k in 0..<3 { product[row * 3 + column] += a[row * 3 + k] * b[k * 3 + column] }
      }
    }
    return product
  }

  private func resampleImage(_ image: NDArray<Float>, _ matrix: [Double]) -> NDArray<Float> {
    let (from, to) = (spatialExtents(of: image.shape), spatialExtents(of: [0] + patchSize))
    let (fromCount, toCount) = (from.reduce(1, *), to.reduce(1, *))
    let channelCount = image.shape[0]
    let elements = [Float](unsafeUninitializedCapacity: channelCount * toCount) { target, count in
      image.elements.withUnsafeBufferPointer { source in
        guard let source = source.baseAddress, let target = target.baseAddress else { return }
        for channel in 0..<channelCount {
          nnk_sample_linear(source + channel * fromCount, from, target + channel * toCount, to, matrix)
        }
        count = channelCount * toCount
      }
    }
    return NDArray(shape: [channelCount] + patchSize, elements: elements)
  }

  private func resampleLabels(_ labels: NDArray<Int16>, _ matrix: [Double]) -> NDArray<Int16> {
    let (from, to) = (spatialExtents(of: labels.shape), spatialExtents(of: [0] + patchSize))
    let (fromCount, toCount) = (from.reduce(1, *), to.reduce(1, *))
    let channelCount = labels.shape[0]
    let elements = [Int16](unsafeUninitializedCapacity: channelCount * toCount) { target, count in
      labels.elements.withUnsafeBufferPointer { source in
        guard let source = source.baseAddress, let target = target.baseAddress else { return }
        for channel in 0..<channelCount {
          nnk_sample_labels(source + channel * fromCount, from, target + channel * toCount, to, matrix, -1)
        }
        count = channelCount * toCount
      }
    }
    return NDArray(shape: [channelCount] + patchSize, elements: elements)
  }

  private static func centerCrop<T>(_ array: NDArray<T>, to patchSize: [Int]) -> NDArray<T> {
    if array.shape.dropFirst().elementsEqual(patchSize) { return array }
    let from = spatialExtents(of: array.shape)
    let to = spatialExtents(of: [0] + patchSize)
    let start = zip(from, to).map { cropStart(from: $0, to: $1) }
    var result: [T] = []
    result.reserveCapacity(array.shape[0] * to.reduce(1, *))
    for channel in 0..<array.shape[0] {
      for z in start[0]..<start[0] + to[0] {
        for y in start[1]..<start[1] + to[1] {
          let row = ((channel * from[0] + z) * from[1] + y) * from[2] + start[2]
          result.append(contentsOf: array.elements[row..<row + to[2]])
        }
      }
    }
    return NDArray(shape: [array.shape[0]] + patchSize, elements: result)
  }
}

/// The three spatial extents behind the channel axis; a flat image has a leading extent of 1.
func spatialExtents(of shape: [Int]) -> [Int] {
  shape.count == 3 ? [1] + shape.dropFirst() : Array(shape.dropFirst())
}
