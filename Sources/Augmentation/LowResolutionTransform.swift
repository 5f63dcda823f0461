// Simulated low resolution: some channels are shrunk by dropping voxels and enlarged again linearly.

package import Archives
import CKernels
import Reporting
package import Tensors

/// Shrinks and enlarges some channels, by the same factor along every axis.
package struct LowResolutionTransform: AugmentationTransform {
  package init() {}
  package let kind = "low_resolution"
  package let defaults: JSONObject = [
    "probability": 0.25, "channel_probability": 0.5, "zoom_range": [0.5, 1], "ignored_axes": [],
  ]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let range = parameters.range("zoom_range")
    let zooms = drawPerChannel(parameters, context, &random) { .number($0.uniform(range.lower, range.upper)) }
    return ["zooms": zooms]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    guard let drawn else { return }
    let name = AugmentationPipeline.Names.lowResolution
    let ignored = parameters.integers("ignored_axes")
    let extents = spatialExtents(of: sample.image.shape)
    let flatAxisCount = 4 - sample.image.shape.count
    let count = extents.reduce(1, *)
    for (channel, entry) in try channelEntries(drawn["zooms"], name, sample, "a zoom or null").enumerated()
    where !entry.isNull {
      guard let zoom = entry.double, zoom > 0, zoom <= 1 else {
        throw unusableDraw(name, expected: "zooms above 0, at most 1", found: entry)
      }
      let low = extents.enumerated().map { axis, extent in
        if axis < flatAxisCount || ignored.contains(axis - flatAxisCount) { return extent }
        // nnU-Net keeps zooms in single precision and rounds halves to even.
        return max(1, Int((Double(extent) * Double(Float(zoom))).rounded(.toNearestOrEven)))
      }
      var scratch = [Float](repeating: 0, count: low.reduce(1, *) + low[2])
      sample.image.elements.withUnsafeMutableBufferPointer { elements in
        guard let base = elements.baseAddress else { return }
        nnk_low_resolution(base + channel * count, extents, low, &scratch)
      }
    }
  }
}
