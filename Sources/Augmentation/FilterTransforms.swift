// Steps that look at a voxel's neighbourhood: Gaussian blur, median, sharpening.

package import Archives
import CKernels
import Foundation
import Reporting
package import Tensors

/// Blurs some channels with a Gaussian whose width differs per axis.
package struct GaussianBlurTransform: AugmentationTransform {
  package init() {}
  package let kind = "gaussian_blur"
  package let defaults: JSONObject = [
    "probability": 0.2, "channel_probability": 0.5, "sigma_range": [0.5, 1], "synchronizes_axes": false,
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let range = parameters.range("sigma_range")
    let sigmas = drawPerChannel(parameters, context, &random) { random in
      if parameters.bool("synchronizes_axes") {
        let sigma = random.uniform(range.lower, range.upper)
        return JSON(context.patchSize.map { _ in sigma })
      }
      return JSON(context.patchSize.map { _ in random.uniform(range.lower, range.upper) })
    }
    return ["sigmas": sigmas]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let extents = spatialExtents(of: sample.image.shape)
    let axisCount = sample.image.shape.count - 1
    try forEachChannel("sigmas", drawn, AugmentationPipeline.Names.gaussianBlur, &sample) { values, entry in
      guard let sigmas = entry.doubles, sigmas.count == axisCount else {
        throw unusableDraw(
          AugmentationPipeline.Names.gaussianBlur, expected: "\(axisCount) widths per channel", found: entry)
      }
      Self.blur(values, extents, sigmas)
    }
  }

  private static func blur(
    _ values: UnsafeMutableBufferPointer<Float>, _ extents: [Int], _ sigmas: [Double]
  ) {
    let unblurred: [[Float]] = Array(repeating: [], count: 3 - sigmas.count)
    let kernels = unblurred + sigmas.map { $0 > 0 ? taps(sigma: $0) : [] }
    let allTaps = kernels.flatMap(\.self) + [0]
    allTaps.withUnsafeBufferPointer { taps in
      guard let first = taps.baseAddress else { return }
      let starts = kernels.indices.map { axis -> UnsafePointer<Float>? in
        first + kernels[..<axis].reduce(0) { $0 + $1.count }
      }
      nnk_blur(values.baseAddress, extents, starts, kernels.map(\.count))
    }
  }

  /// The normalised kernel, cut at about three standard deviations on either side.
  package static func taps(sigma: Double) -> [Float] {
    let radius = tapCount(sigma: sigma) / 2
    let weights = (-radius...radius).map { exp(-0.5 * (Double($0) / sigma) * (Double($0) / sigma)) }
    let sum = weights.reduce(0, +)
    return weights.map { Float($0 / sum) }
  }

  /// The odd number closest to six standard deviations and a half.
  static func tapCount(sigma: Double) -> Int {
    let wanted = 6 * sigma + 0.5
    let rounded = wanted.rounded(.toNearestOrEven)
    if Int(rounded) % 2 == 1 { return Int(rounded) }
    return Int(rounded) + (wanted >= rounded ? 1 : -1)
  }
}

/// Replaces every voxel of some channels by the median of a cube around it.
package struct MedianFilterTransform: AugmentationTransform {
  package init() {}
  package let kind = "median"
  package let defaults: JSONObject = [
    "probability": 0.2, "channel_probability": 0.5, "size_range": [2, 7],  // whole numbers, both included
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let range = parameters.range("size_range")
    let sizes = drawPerChannel(parameters, context, &random) { .integer(drawWhole(range, &$0)) }
    return ["sizes": sizes]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let extents = spatialExtents(of: sample.image.shape)
    let axisCount = Int32(sample.image.shape.count - 1)
    try forEachChannel("sizes", drawn, "median", &sample) { values, entry in
      guard let size = entry.integer, (1...64).contains(size) else {
        throw unusableDraw("median", expected: "sizes from 1 to 64", found: entry)
      }
      nnk_median(Array(values), values.baseAddress, extents, axisCount, size)
    }
  }
}

/// Adds some of the discrete Laplacian to some channels.
package struct SharpeningTransform: AugmentationTransform {
  package init() {}
  package let kind = "sharpening"
  package let defaults: JSONObject = [
    "probability": 0.2, "channel_probability": 0.5, "strength_range": [0.1, 1],
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let range = parameters.range("strength_range")
    let strengths = drawPerChannel(parameters, context, &random) {
      .number($0.uniform(range.lower, range.upper))
    }
    return ["strengths": strengths]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let extents = spatialExtents(of: sample.image.shape)
    let axisCount = Int32(sample.image.shape.count - 1)
    try forEachChannel("strengths", drawn, "sharpening", &sample) { values, entry in
      guard let strength = entry.double, strength.isFinite else {
        throw unusableDraw("sharpening", expected: "one strength or null per channel", found: entry)
      }
      nnk_sharpen(Array(values), values.baseAddress, extents, axisCount, Float(strength))
    }
  }
}

/// A whole number of a range, both limits included.
func drawWhole(_ range: (lower: Double, upper: Double), _ random: inout RandomSource) -> Int {
  let (lower, upper) = (Int(range.lower.rounded()), Int(range.upper.rounded()))
  return lower + random.integer(below: max(1, upper - lower + 1))
}
