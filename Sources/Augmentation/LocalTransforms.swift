// Steps that change a part of the image: blank boxes, and bumps of brightness or gamma.

package import Archives
import CKernels
import Foundation
import Reporting
package import Tensors

/// Fills boxes of some channels with the mean of what is in them.
package struct BlankRectangleTransform: AugmentationTransform {
  package init() {}
  package let kind = "blank_rectangle"
  package let defaults: JSONObject = [
    "probability": 0.4, "channel_probability": 0.5, "count_range": [1, 4],  // both included
    "size_limits": [],  // smallest and largest extent per axis, both included
  ]

  /// The limits for a patch: from a tenth of each extent to below a third.
  package static func sizeLimits(patchSize: [Int]) -> JSON {
    .array(patchSize.map { JSON([max(1, $0 / 10), max(1, $0 / 10, $0 / 3 - 1)]) })
  }

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) throws -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    var limits = parameters.integerLists("size_limits")
    if limits.isEmpty {
      limits = (Self.sizeLimits(patchSize: context.patchSize).array ?? []).compactMap(\.integers)
    }
    guard limits.count == context.patchSize.count,
      zip(limits, context.patchSize).allSatisfy({
        $0.count == 2 && $0[0] >= 1 && $0[0] <= $0[1] && $0[1] <= $1
      })
    else {
      throw Diagnostic(
        "the sizes of blank rectangles do not fit the patch", at: "augmentation step \"blank_rectangle\"",
        expected: "smallest and largest extent for each axis of \(context.patchSize)", found: "\(limits)",
        remedy: "set \"size_limits\"")
    }
    let counts = parameters.range("count_range")
    let boxes = drawPerChannel(parameters, context, &random) { random in
      .array(
        (0..<drawWhole(counts, &random)).map { _ in
          let sizes = limits.map { $0[0] + random.integer(below: $0[1] - $0[0] + 1) }
          let lower = zip(context.patchSize, sizes).map { random.integer(below: $0 - $1 + 1) }
          return ["lower": JSON(lower), "upper": JSON(zip(lower, sizes).map { $0 + $1 })]
        })
    }
    return ["boxes": boxes]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let extents = spatialExtents(of: sample.image.shape)
    let axisCount = sample.image.shape.count - 1
    try forEachChannel("boxes", drawn, "blank_rectangle", &sample) { values, entry in
      for box in entry.array ?? [] {
        guard let lower = box["lower"]?.integers, let upper = box["upper"]?.integers,
          lower.count == axisCount, upper.count == axisCount
        else { throw unusableDraw("blank_rectangle", expected: "boxes of \(axisCount) axes", found: box) }
        let flat = 3 - axisCount
        let from = Array(repeating: 0, count: flat) + lower
        let to = Array(repeating: 1, count: flat) + upper
        guard (0..<3).allSatisfy({ from[$0] >= 0 && from[$0] < to[$0] && to[$0] <= extents[$0] }) else {
          throw unusableDraw("blank_rectangle", expected: "boxes inside \(extents)", found: box)
        }
        Self.blank(values, extents, from, to)
      }
    }
  }

  private static func blank(
    _ values: UnsafeMutableBufferPointer<Float>, _ extents: [Int], _ from: [Int], _ to: [Int]
  ) {
    func forEachRow(_ body: (Range<Int>) -> Void) {
      for z in from[0]..<to[0] {
        for y in from[1]..<to[1] {
          let row = (z * extents[1] + y) * extents[2]
          body(row + from[2]..<row + to[2])
        }
      }
    }
    var sum = 0.0
    forEachRow { for i in $0 { sum += Double(values[i]) } }
    let count = (0..<3).reduce(1) { $0 * (to[$1] - from[$1]) }
    let mean = Float(sum / Double(count))
    forEachRow { for i in $0 { values[i] = mean } }
  }
}

/// Adds a bump of random place, width and height to some channels.
package struct BrightnessGradientTransform: AugmentationTransform {
  package init() {}
  package let kind = "brightness_gradient"
  package let defaults: JSONObject = [
    "probability": 0.3, "channel_probability": 0.5, "center_range": [-0.5, 1.5], "strength_range": [1, 5],
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let strengths = parameters.range("strength_range")
    let bumps = drawPerChannel(parameters, context, &random) { random in
      var bump = Bump.draw(parameters, context, &random)
      let strength = random.uniform(strengths.lower, strengths.upper)
      bump["strength"] = .number(random.uniform() < 0.5 ? -strength : strength)
      return .object(bump)
    }
    return ["bumps": bumps]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let shape = sample.image.shape
    try forEachChannel("bumps", drawn, "brightness_gradient", &sample) { values, entry in
      guard let strength = entry["strength"]?.double, strength.isFinite else {
        throw unusableDraw("brightness_gradient", expected: "a \"strength\" per bump", found: entry)
      }
      let bump = try Bump(entry, shape: shape, step: "brightness_gradient")
      guard bump.height > 0 else { return }
      nnk_add_product(
        values.baseAddress, bump.extents, bump.profiles[0], bump.profiles[1], bump.profiles[2], bump.lowest,
        Float(strength) / bump.height)
    }
  }
}

/// Mixes some channels with a power of themselves, by a bump of random place and width.
package struct LocalGammaTransform: AugmentationTransform {
  package init() {}
  package let kind = "local_gamma"
  package let defaults: JSONObject = [
    "probability": 0.3, "channel_probability": 0.5, "center_range": [-0.5, 1.5],
    "gamma_low_range": [0.01, 0.8], "gamma_high_range": [1.5, 4],  // one of the two, each half of the time
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let bumps = drawPerChannel(parameters, context, &random) { random in
      var bump = Bump.draw(parameters, context, &random)
      let range = parameters.range(random.uniform() < 0.5 ? "gamma_low_range" : "gamma_high_range")
      bump["gamma"] = .number(random.uniform(range.lower, range.upper))
      return .object(bump)
    }
    return ["bumps": bumps]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let shape = sample.image.shape
    try forEachChannel("bumps", drawn, "local_gamma", &sample) { values, entry in
      guard let gamma = entry["gamma"]?.double, gamma > 0, gamma.isFinite else {
        throw unusableDraw("local_gamma", expected: "a positive \"gamma\" per bump", found: entry)
      }
      let bump = try Bump(entry, shape: shape, step: "local_gamma")
      let old = IntensityStatistics(values)
      var settings = nnk_local_gamma(
        shift: bump.lowest, factor: bump.height > 0 ? 1 / bump.height : 0, lower: old.minimum,
        range: max(old.maximum - old.minimum, 1e-8), exponent: Float(gamma))
      nnk_local_power(
        values.baseAddress, bump.extents, bump.profiles[0], bump.profiles[1], bump.profiles[2], &settings)
    }
  }
}

/// A normal density over the image, the product of one profile per axis; brought to 0...1 it is a weight.
struct Bump {
  let extents: [Int]
  /// Per axis, the mass of the density within each voxel.
  let profiles: [[Float]]
  let lowest: Float
  /// The distance from the lowest to the highest value; 0 where the density is flat.
  let height: Float

  /// Draws where it lies, as shares of the extents, and how wide it is in voxels.
  static func draw(
    _ parameters: AugmentationParameters, _ context: AugmentationContext, _ random: inout RandomSource
  ) -> JSONObject {
    let range = parameters.range("center_range")
    var centers: [Double] = []
    var widths: [Double] = []
    for extent in context.patchSize {
      centers.append(random.uniform(range.lower, range.upper))
      // Evenly on a logarithmic scale, from a sixth of the extent to the extent.
      widths.append(exp(random.uniform(log(Double(max(1, extent / 6))), log(Double(extent)))))
    }
    return ["center": JSON(centers), "width": JSON(widths)]
  }

  init(_ json: JSON, shape: [Int], step: String) throws(Diagnostic) {
    let spatial = shape.dropFirst()
    guard let centers = json["center"]?.doubles, let widths = json["width"]?.doubles,
      centers.count == spatial.count, widths.count == spatial.count,
      widths.allSatisfy({ $0 > 0 && $0.isFinite }), centers.allSatisfy(\.isFinite)
    else {
      throw unusableDraw(step, expected: "\(spatial.count) centers and positive widths", found: json)
    }
    var profiles = Array(repeating: [Float(1)], count: 3 - spatial.count)
    for (extent, (center, width)) in zip(spatial, zip(centers, widths)) {
      let cumulative = (0...extent).map { edge in
        0.5 * erfc(-(Double(edge) - 0.5 - center * Double(extent)) / width / 2.0.squareRoot())
      }
      profiles.append((0..<extent).map { Float(cumulative[$0 + 1] - cumulative[$0]) })
    }
    self.profiles = profiles
    extents = spatialExtents(of: shape)
    // Products of what is not negative: the extremes come from the extremes.
    lowest = profiles.reduce(1) { $0 * ($1.min() ?? 0) }
    height = profiles.reduce(1) { $0 * ($1.max() ?? 0) } - lowest
  }
}
