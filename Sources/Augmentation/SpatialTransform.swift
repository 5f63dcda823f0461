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

  package let kind = "spatial"
  package let defaults: JSONObject = [
    "rotation_probability": 0.2, "rotation_degrees": [-30, 30], "rotation_axis_probability": 1,
    "scaling_probability": 0.2, "scaling_range": [0.7, 1.4],  // above 1 objects shrink
    "scaling_per_axis": false, "dummy_2d": false,
    "image_order": 1, "label_order": 1,  // 1 interpolates linearly, 0 takes the nearest voxel
    // What the enlarged patch leaves room for; nnU-Net zooms further than that.
    "smallest_zoom": 0.85,
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    let rotates = random.uniform() < parameters.double("rotation_probability")
    let scales = random.uniform() < parameters.double("scaling_probability")
    let axisCount = parameters.bool("dummy_2d") ? 2 : patchSize.count
    var drawn: JSONObject = [:]
    if rotates {
      let range = parameters.range("rotation_degrees")
      var angles = (0..<axisCount).map { _ in random.uniform(range.lower, range.upper) }
      let axisProbability = parameters.double("rotation_axis_probability")
      if axisProbability < 1 {
        for axis in angles.indices where random.uniform() >= axisProbability { angles[axis] = 0 }
      }
      drawn["angles_degrees"] = JSON(angles)
    }
    if scales {
      let range = parameters.range("scaling_range")
      drawn["scale"] =
        parameters.bool("scaling_per_axis")
        ? JSON((0..<axisCount).map { _ in random.uniform(range.lower, range.upper) })
        : .number(random.uniform(range.lower, range.upper))
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
      sample.image = centerCrop(sample.image)
      sample.segmentation = centerCrop(sample.segmentation)
      return
    }
    let matrix = try matrix(drawn, inPlane: parameters.bool("dummy_2d") || patchSize.count == 2)
    sample.image = resampleImage(sample.image, matrix, order: parameters.integer("image_order"))
    sample.segmentation = resampleLabels(
      sample.segmentation, matrix, order: parameters.integer("label_order"))
  }

  /// The first index of a centred crop.
  package static func cropStart(from extent: Int, to wanted: Int) -> Int { max(0, extent / 2 - wanted / 2) }

  /// The 3x3 map from centred patch positions to centred source positions, row by row.
  private func matrix(_ drawn: JSON, inPlane: Bool) throws(Diagnostic) -> [Double] {
    let axisCount = inPlane ? 2 : 3
    let degrees = drawn["angles_degrees"]?.doubles ?? Array(repeating: 0, count: axisCount)
    let scales =
      drawn["scale"]?.doubles
      ?? Array(repeating: drawn["scale"].map { $0.double ?? .nan } ?? 1, count: axisCount)
    guard drawn["angles_degrees"] == nil || degrees.count == axisCount, scales.count == axisCount,
      scales.allSatisfy({ $0.isFinite && $0 > 0 })
    else {
      throw unusableDraw(
        AugmentationPipeline.Names.spatial,
        expected: "\(axisCount) \"angles_degrees\" and a positive \"scale\", or one per axis",
        found: drawn)
    }
    let c = degrees.map { cos($0 / 180 * .pi) }
    let s = degrees.map { sin($0 / 180 * .pi) }
    if inPlane {
      let (c, s) = (c[c.count - 1], s[s.count - 1])
      return [1, 0, 0, 0, c * scales[0], -s * scales[1], 0, s * scales[0], c * scales[1]]
    }
    let aboutX = [1, 0, 0, 0, c[0], -s[0], 0, s[0], c[0]]
    let aboutY = [c[1], 0, s[1], 0, 1, 0, -s[1], 0, c[1]]
    let aboutZ = [c[2], -s[2], 0, s[2], c[2], 0, 0, 0, 1]
    return multiply(multiply(aboutZ, aboutY), aboutX).enumerated().map { $1 * scales[$0 % 3] }
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

  private func resampleImage(_ image: NDArray<Float>, _ matrix: [Double], order: Int) -> NDArray<Float> {
    let (from, to) = (spatialExtents(of: image.shape), spatialExtents(of: [0] + patchSize))
    let channelCount = image.shape[0]
    return resampled(image) { source, target in
      if order == 1 {
        nnk_sample_linear(source, from, target, to, matrix, channelCount)
      } else {
        for channel in 0..<channelCount {
          nnk_sample_nearest_floats(
            source + channel * from.reduce(1, *), from, target + channel * to.reduce(1, *), to, matrix, 0)
        }
      }
    }
  }

  private func resampleLabels(_ labels: NDArray<Int16>, _ matrix: [Double], order: Int) -> NDArray<Int16> {
    let (from, to) = (spatialExtents(of: labels.shape), spatialExtents(of: [0] + patchSize))
    return resampled(labels) { source, target in
      for channel in 0..<labels.shape[0] {
        let (source, target) = (source + channel * from.reduce(1, *), target + channel * to.reduce(1, *))
        if order == 1 {
          nnk_sample_labels(source, from, target, to, matrix, -1)
        } else {
          nnk_sample_nearest_labels(source, from, target, to, matrix, -1)
        }
      }
    }
  }

  /// An array of the patch's size whose elements `fill` writes.
  private func resampled<T>(
    _ array: NDArray<T>, _ fill: (UnsafePointer<T>, UnsafeMutablePointer<T>) -> Void
  ) -> NDArray<T> {
    let count = array.shape[0] * patchSize.reduce(1, *)
    let elements = [T](unsafeUninitializedCapacity: count) { target, initialized in
      array.elements.withUnsafeBufferPointer { source in
        guard let source = source.baseAddress, let target = target.baseAddress else { return }
        fill(source, target)
        initialized = count
      }
    }
    return NDArray(shape: [array.shape[0]] + patchSize, elements: elements)
  }

  private func centerCrop<T>(_ array: NDArray<T>) -> NDArray<T> {
    if array.shape.dropFirst().elementsEqual(patchSize) { return array }
    let from = spatialExtents(of: array.shape)
    let to = spatialExtents(of: [0] + patchSize)
    let start = zip(from, to).map { Self.cropStart(from: $0, to: $1) }
    return resampled(array) { source, target in
      for channel in 0..<array.shape[0] {
        nnk_copy_box(
          source + channel * from.reduce(1, *), from, start, target + channel * to.reduce(1, *), to,
          MemoryLayout<T>.stride)
      }
    }
  }
}

/// The three spatial extents behind the channel axis; a flat image has a leading extent of 1.
func spatialExtents(of shape: [Int]) -> [Int] {
  shape.count == 3 ? [1] + shape.dropFirst() : Array(shape.dropFirst())
}
