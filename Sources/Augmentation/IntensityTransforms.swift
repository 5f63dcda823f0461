// Steps that change intensities only: noise, blur, brightness, contrast, gamma. They act on the whole patch,
// padding included.

package import Archives
import CKernels
import Foundation
import Reporting
package import Tensors

/// Adds independent normal noise with one standard deviation for all channels.
package struct GaussianNoiseTransform: AugmentationTransform {
  package init() {}
  package let defaults: JSONObject = ["probability": 0.1, "sigma_range": [0, 0.1]]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let range = parameters.range("sigma_range")
    return [
      "sigma": .number(random.uniform(range.lower, range.upper)),
      "seed": .integer(Int(truncatingIfNeeded: random.next())),
    ]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    guard let drawn else { return }
    guard let sigma = drawn["sigma"]?.double, let seed = drawn["seed"]?.integer else {
      throw unusableDraw(
        AugmentationPipeline.Names.gaussianNoise, expected: "\"sigma\" and a whole \"seed\"", found: drawn)
    }
    sample.image.elements.withUnsafeMutableBufferPointer {
      nnk_add_normal_noise($0.baseAddress, $0.count, Float(sigma), UInt64(bitPattern: Int64(seed)))
    }
  }
}

/// Blurs some channels with a Gaussian whose width differs per axis.
package struct GaussianBlurTransform: AugmentationTransform {
  package init() {}
  package let defaults: JSONObject = [
    "probability": 0.2, "channel_probability": 0.5, "sigma_range": [0.5, 1],
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let range = parameters.range("sigma_range")
    let sigmas: [JSON] = (0..<context.channelCount).map { _ in
      guard random.uniform() < parameters.double("channel_probability") else { return .null }
      return JSON(context.patchSize.map { _ in random.uniform(range.lower, range.upper) })
    }
    return ["sigmas": .array(sigmas)]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    guard let drawn else { return }
    let axisCount = sample.image.shape.count - 1
    let channels = try channelEntries(
      drawn["sigmas"], AugmentationPipeline.Names.gaussianBlur, sample,
      "\(axisCount) widths or null per channel")
    for (channel, entry) in channels.enumerated() where !entry.isNull {
      guard let sigmas = entry.doubles, sigmas.count == axisCount else {
        throw unusableDraw(
          AugmentationPipeline.Names.gaussianBlur, expected: "\(axisCount) widths per channel", found: entry)
      }
      blur(channel, sigmas, &sample.image)
    }
  }

  private func blur(_ channel: Int, _ sigmas: [Double], _ image: inout NDArray<Float>) {
    let extents = spatialExtents(of: image.shape)
    let count = extents.reduce(1, *)
    var values = Array(image.elements[channel * count..<(channel + 1) * count])
    var blurred = values
    for (axis, sigma) in sigmas.enumerated() where sigma > 0 {
      let taps = Self.taps(sigma: sigma)
      nnk_blur_axis(values, &blurred, extents, Int32(axis + 3 - sigmas.count), taps, taps.count)
      swap(&values, &blurred)
    }
    image.elements.replaceSubrange(channel * count..<(channel + 1) * count, with: values)
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

/// Multiplies every channel by its own factor.
package struct BrightnessTransform: AugmentationTransform {
  package init() {}
  package let defaults: JSONObject = ["probability": 0.15, "factor_range": [0.75, 1.25]]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    drawFactors("factors", "factor_range", parameters, context, &random)
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    try forEachFactor("factors", drawn, AugmentationPipeline.Names.brightness, &sample) { values, factor in
      nnk_affine(values.baseAddress, values.count, 0, factor, 0)
    }
  }
}

/// Stretches every channel about its mean by its own factor, within its old range.
package struct ContrastTransform: AugmentationTransform {
  package init() {}
  package let defaults: JSONObject = ["probability": 0.15, "factor_range": [0.75, 1.25]]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    drawFactors("factors", "factor_range", parameters, context, &random)
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    try forEachFactor("factors", drawn, AugmentationPipeline.Names.contrast, &sample) { values, factor in
      let old = IntensityStatistics(values)
      nnk_contrast(values.baseAddress, values.count, old.mean, factor, old.minimum, old.maximum)
    }
  }
}

/// Raises every channel's relative intensity to its own power, then restores mean and standard deviation.
package struct GammaTransform: AugmentationTransform {
  package init() {}
  package let defaults: JSONObject = ["probability": 0.3, "gamma_range": [0.7, 1.5], "inverts": false]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    drawFactors("gammas", "gamma_range", parameters, context, &random)
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let inverts = parameters.bool("inverts")
    let floor: Float = 1e-7  // guards constant channels against division by zero
    try forEachFactor("gammas", drawn, AugmentationPipeline.Names.gamma, &sample) { values, gamma in
      if inverts { nnk_affine(values.baseAddress, values.count, 0, -1, 0) }
      let old = IntensityStatistics(values)
      let range = old.maximum - old.minimum
      nnk_power(values.baseAddress, values.count, old.minimum, max(range, floor), range, gamma)
      let new = IntensityStatistics(values)
      nnk_affine(
        values.baseAddress, values.count, new.mean, old.standardDeviation / max(new.standardDeviation, floor),
        old.mean)
      if inverts { nnk_affine(values.baseAddress, values.count, 0, -1, 0) }
    }
  }
}

// MARK: - Shared

/// Mean, unbiased standard deviation and extremes of one channel.
struct IntensityStatistics {
  let mean, standardDeviation, minimum, maximum: Float

  init(_ values: UnsafeMutableBufferPointer<Float>) {
    var result = [0.0, 0, 0, 0]
    nnk_statistics(values.baseAddress, values.count, &result)
    (mean, standardDeviation) = (Float(result[0]), Float(result[1]))
    (minimum, maximum) = (Float(result[2]), Float(result[3]))
  }
}

/// A number that lies below 1 half of the time, whatever the range.
func drawBalanced(_ range: (lower: Double, upper: Double), _ random: inout RandomSource) -> Double {
  if random.uniform() < 0.5, range.lower < 1 { return random.uniform(range.lower, 1) }
  return random.uniform(max(range.lower, 1), range.upper)
}

private func drawFactors(
  _ key: String, _ rangeKey: String, _ parameters: AugmentationParameters, _ context: AugmentationContext,
  _ random: inout RandomSource
) -> JSON? {
  guard random.uniform() < parameters.double("probability") else { return nil }
  let range = parameters.range(rangeKey)
  let factors = (0..<context.channelCount).map { _ in drawBalanced(range, &random) }
  return .object(JSONObject([(key, JSON(factors))]))
}

/// One recorded entry per channel of the image.
func channelEntries(
  _ recorded: JSON?, _ step: String, _ sample: AugmentationSample, _ expected: String
) throws(Diagnostic) -> [JSON] {
  guard let entries = recorded?.array, entries.count == sample.image.shape[0] else {
    throw unusableDraw(step, expected: "\(expected), \(sample.image.shape[0]) channels", found: recorded)
  }
  return entries
}

/// Calls `change` with the values and the recorded factor of every channel; nothing recorded, nothing
/// changed.
private func forEachFactor(
  _ key: String, _ drawn: JSON?, _ step: String, _ sample: inout AugmentationSample,
  _ change: (UnsafeMutableBufferPointer<Float>, Float) -> Void
) throws {
  guard let drawn else { return }
  let factors = try channelEntries(drawn[key], step, sample, "one number per channel").compactMap(\.double)
  let channelCount = sample.image.shape[0]
  guard factors.count == channelCount else {
    throw unusableDraw(step, expected: "one number per channel", found: drawn)
  }
  let count = sample.image.count / max(1, channelCount)
  sample.image.elements.withUnsafeMutableBufferPointer { elements in
    for (channel, factor) in factors.enumerated() {
      change(
        UnsafeMutableBufferPointer(rebasing: elements[channel * count..<(channel + 1) * count]), Float(factor)
      )
    }
  }
}
