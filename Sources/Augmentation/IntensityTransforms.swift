// Steps that change intensities voxel by voxel: noise, brightness, contrast, gamma. They act on the whole patch,
// padding included.

package import Archives
import CKernels
import Foundation
import Reporting
package import Tensors

/// Adds independent normal noise with one standard deviation for all channels.
package struct GaussianNoiseTransform: AugmentationTransform {
  package init() {}
  package let kind = "gaussian_noise"
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

/// Multiplies every channel by its own factor.
package struct BrightnessTransform: AugmentationTransform {
  package init() {}
  package let kind = "brightness"
  package let defaults: JSONObject = [
    "probability": 0.15, "channel_probability": 1, "factor_range": [0.75, 1.25],
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    drawFactors("factors", "factor_range", parameters, context, &random)
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    try forEachNumber("factors", drawn, AugmentationPipeline.Names.brightness, &sample) { values, factor in
      nnk_affine(values.baseAddress, values.count, 0, factor, 0)
    }
  }
}

/// Adds a number of its own to each of some channels.
package struct AdditiveBrightnessTransform: AugmentationTransform {
  package init() {}
  package let kind = "brightness_additive"
  package let defaults: JSONObject = [
    "probability": 0.1, "channel_probability": 0.5, "mean": 0.0, "standard_deviation": 0.5,
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let shifts = drawPerChannel(parameters, context, &random) { random in
      .number(parameters.double("mean") + parameters.double("standard_deviation") * random.normal())
    }
    return ["shifts": shifts]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    try forEachNumber("shifts", drawn, AugmentationPipeline.Names.brightness, &sample) { values, shift in
      nnk_affine(values.baseAddress, values.count, 0, 1, shift)
    }
  }
}

/// Stretches every channel about its mean by its own factor, within its old range unless told otherwise.
package struct ContrastTransform: AugmentationTransform {
  private let preservesRange: Bool
  package init(preservesRange: Bool = true) { self.preservesRange = preservesRange }
  package let kind = "contrast"
  package var defaults: JSONObject {
    [
      "probability": 0.15, "channel_probability": 1, "factor_range": [0.75, 1.25],
      "clips": .bool(preservesRange),
    ]
  }

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    drawFactors("factors", "factor_range", parameters, context, &random)
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let preservesRange = parameters.bool("clips")
    try forEachNumber("factors", drawn, AugmentationPipeline.Names.contrast, &sample) { values, factor in
      let old = IntensityStatistics(values)
      if preservesRange {
        nnk_contrast(values.baseAddress, values.count, old.mean, factor, old.minimum, old.maximum)
      } else {
        nnk_affine(values.baseAddress, values.count, old.mean, factor, old.mean)
      }
    }
  }
}

/// Raises every channel's relative intensity to its own power, then restores mean and standard deviation.
package struct GammaTransform: AugmentationTransform {
  private let inverts: Bool
  package init(inverts: Bool = false) { self.inverts = inverts }
  package var kind: String { inverts ? "gamma_inverted" : "gamma" }
  package var defaults: JSONObject {
    [
      "probability": .number(inverts ? 0.1 : 0.3), "channel_probability": 1, "gamma_range": [0.7, 1.5],
      "inverts": .bool(inverts),
    ]
  }

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    drawFactors("gammas", "gamma_range", parameters, context, &random)
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let sign: Float = parameters.bool("inverts") ? -1 : 1
    let floor: Float = 1e-7  // guards constant channels against division by zero
    try forEachNumber("gammas", drawn, AugmentationPipeline.Names.gamma, &sample) { values, gamma in
      // The statistics of the inverted image are those of the image, turned around.
      let old = IntensityStatistics(values)
      let lower = sign < 0 ? -old.maximum : old.minimum
      let range = old.maximum - old.minimum
      var raised = [0.0, 0, 0, 0]
      nnk_power(values.baseAddress, values.count, sign, lower, max(range, floor), range, gamma, &raised)
      let new = IntensityStatistics(raised)
      nnk_affine(
        values.baseAddress, values.count, new.mean,
        sign * (old.standardDeviation / max(new.standardDeviation, floor)), old.mean)
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
    self.init(result)
  }

  /// Takes what the kernels write.
  init(_ result: [Double]) {
    (mean, standardDeviation) = (Float(result[0]), Float(result[1]))
    (minimum, maximum) = (Float(result[2]), Float(result[3]))
  }
}

/// A number that lies below 1 half of the time, whatever the range.
func drawBalanced(_ range: (lower: Double, upper: Double), _ random: inout RandomSource) -> Double {
  if random.uniform() < 0.5, range.lower < 1 { return random.uniform(range.lower, 1) }
  return random.uniform(max(range.lower, 1), range.upper)
}

/// One drawn value per channel; null for those that the step leaves alone.
func drawPerChannel(
  _ parameters: AugmentationParameters, _ context: AugmentationContext, _ random: inout RandomSource,
  _ draw: (inout RandomSource) -> JSON
) -> JSON {
  let probability = parameters.double("channel_probability")
  return .array(
    (0..<context.channelCount).map { _ in
      // A step that always acts on every channel draws nothing for that.
      probability >= 1 || random.uniform() < probability ? draw(&random) : .null
    })
}

private func drawFactors(
  _ key: String, _ rangeKey: String, _ parameters: AugmentationParameters, _ context: AugmentationContext,
  _ random: inout RandomSource
) -> JSON? {
  guard random.uniform() < parameters.double("probability") else { return nil }
  let range = parameters.range(rangeKey)
  let factors = drawPerChannel(parameters, context, &random) { .number(drawBalanced(range, &$0)) }
  return .object(JSONObject([(key, factors)]))
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

/// Calls `change` with the values of every channel that something is recorded for, and that; nothing recorded, nothing
/// changed.
func forEachChannel(
  _ key: String, _ drawn: JSON?, _ step: String, _ sample: inout AugmentationSample,
  _ change: (UnsafeMutableBufferPointer<Float>, JSON) throws -> Void
) throws {
  guard let drawn else { return }
  let entries = try channelEntries(drawn[key], step, sample, "one entry or null per channel")
  let count = sample.image.count / max(1, entries.count)
  try sample.image.elements.withUnsafeMutableBufferPointer { elements in
    for (channel, entry) in entries.enumerated() where !entry.isNull {
      try change(
        UnsafeMutableBufferPointer(rebasing: elements[channel * count..<(channel + 1) * count]), entry)
    }
  }
}

private func forEachNumber(
  _ key: String, _ drawn: JSON?, _ step: String, _ sample: inout AugmentationSample,
  _ change: (UnsafeMutableBufferPointer<Float>, Float) -> Void
) throws {
  try forEachChannel(key, drawn, step, &sample) { values, entry in
    guard let number = entry.double, number.isFinite else {
      throw unusableDraw(step, expected: "one number or null per channel", found: drawn)
    }
    change(values, Float(number))
  }
}
