// Steps that flip both arrays or turn the segmentation into targets: mirroring, masking, label removal, the previous
// stage's labels, regions, deep supervision.

package import Archives
import CKernels
import Reporting
package import Tensors

/// Flips image and segmentation along each allowed axis with a probability.
package struct MirrorTransform: AugmentationTransform {
  package init() {}
  package let kind = "mirror"
  package let defaults: JSONObject = ["axes": [0, 1, 2], "axis_probability": 0.5]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    let axes = parameters.integers("axes").filter { _ in
      random.uniform() < parameters.double("axis_probability")
    }
    return axes.isEmpty ? nil : ["axes": JSON(axes)]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    guard let drawn else { return }
    let axisCount = sample.image.shape.count - 1
    guard let axes = drawn["axes"]?.integers, axes.allSatisfy((0..<axisCount).contains) else {
      throw unusableDraw(AugmentationPipeline.Names.mirror, expected: "axes below \(axisCount)", found: drawn)
    }
    var flips: [Int32] = [0, 0, 0]
    for axis in axes { flips[axis + 3 - axisCount] = 1 }
    let extents = spatialExtents(of: sample.image.shape)
    let count = extents.reduce(1, *)
    sample.image.elements.withUnsafeMutableBufferPointer { elements in
      guard let values = elements.baseAddress else { return }
      for start in stride(from: 0, to: elements.count, by: count) {
        nnk_flip_floats(values + start, extents, flips)
      }
    }
    sample.segmentation.elements.withUnsafeMutableBufferPointer { elements in
      guard let labels = elements.baseAddress else { return }
      for start in stride(from: 0, to: elements.count, by: count) {
        nnk_flip_labels(labels + start, extents, flips)
      }
    }
  }
}

/// Sets some channels to zero where the first segmentation channel is negative, outside the nonzero mask.
package struct MaskImageTransform: AugmentationTransform {
  package init() {}
  package let kind = "mask_image"
  package let defaults: JSONObject = ["channels": []]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? { nil }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let channels = parameters.integers("channels")
    guard channels.allSatisfy((0..<sample.image.shape[0]).contains) else {
      throw Diagnostic(
        "a channel to mask does not exist",
        at: "augmentation step \"\(AugmentationPipeline.Names.maskImage)\"",
        expected: "channels below \(sample.image.shape[0])", found: "\(channels)", remedy: "set \"channels\"")
    }
    let count = sample.image.count / max(1, sample.image.shape[0])
    sample.image.elements.withUnsafeMutableBufferPointer { image in
      sample.segmentation.elements.withUnsafeBufferPointer { labels in
        for channel in channels {
          for i in 0..<count where labels[i] < 0 { image[channel &* count &+ i] = 0 }
        }
      }
    }
  }
}

/// Turns the mark of voxels outside the mask into background.
package struct RemoveLabelTransform: AugmentationTransform {
  package init() {}
  package let kind = "remove_label"
  package let defaults: JSONObject = ["label": -1, "replacement": 0]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? { nil }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let label = Int16(truncatingIfNeeded: Int(parameters.double("label")))
    let replacement = Int16(truncatingIfNeeded: Int(parameters.double("replacement")))
    sample.segmentation.elements.withUnsafeMutableBufferPointer { labels in
      nnk_replace_label(labels.baseAddress, labels.count, label, replacement)
    }
  }
}

/// Moves the second segmentation channel, a previous stage's prediction, into the image: one channel per label, 1 where
/// it is.
package struct MoveSegmentationTransform: AugmentationTransform {
  package init() {}
  package let kind = "move_seg_as_one_hot"
  package let defaults: JSONObject = ["labels": []]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? { nil }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let labels = parameters.integers("labels").compactMap(Int16.init(exactly:))
    let shape = sample.segmentation.shape
    guard shape[0] == 2 else {
      throw Diagnostic(
        "there is no previous stage's prediction to move into the image",
        at: "augmentation step \"\(AugmentationPipeline.Names.moveSegmentation)\"",
        expected: "2 segmentation channels", found: "\(shape[0])",
        remedy: "leave the step away unless the configuration is the second stage of a cascade")
    }
    let count = shape.dropFirst().reduce(1, *)
    let previous = sample.segmentation.elements[count...]
    let channels = [Float](unsafeUninitializedCapacity: labels.count * count) { target, initialized in
      previous.withUnsafeBufferPointer { previous in
        for (channel, label) in labels.enumerated() {
          for i in 0..<count { target[channel &* count &+ i] = previous[i] == label ? 1 : 0 }
        }
      }
      initialized = labels.count * count
    }
    sample.image = NDArray(
      shape: [sample.image.shape[0] + labels.count] + shape.dropFirst(),
      elements: sample.image.elements + channels)
    sample.segmentation = NDArray(
      shape: [1] + shape.dropFirst(), elements: Array(sample.segmentation.elements[..<count]))
  }
}

/// Turns the first segmentation channel into one 0/1 channel per region.
package struct RegionsTransform: AugmentationTransform {
  package init() {}
  package let kind = "regions"
  package let defaults: JSONObject = ["regions": []]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? { nil }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let regions = parameters.integerLists("regions")
    let shape = sample.segmentation.shape
    let count = shape.dropFirst().reduce(1, *)
    var result = NDArray<Int16>(shape: [regions.count] + shape.dropFirst(), repeating: 0)
    result.elements.withUnsafeMutableBufferPointer { result in
      sample.segmentation.elements.withUnsafeBufferPointer { labels in
        for (channel, region) in regions.enumerated() {
          for label in region.compactMap(Int16.init(exactly:)) {
            for i in 0..<count where labels[i] == label { result[channel &* count &+ i] = 1 }
          }
        }
      }
    }
    sample.segmentation = result
  }
}

/// Makes one target per supervision scale by taking the nearest voxel.
package struct DeepSupervisionTransform: AugmentationTransform {
  package init() {}
  package let kind = "deep_supervision"
  package let defaults: JSONObject = ["strides": []]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? { nil }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    let strides = parameters.integerLists("strides")
    let axisCount = sample.segmentation.shape.count - 1
    guard strides.allSatisfy({ $0.count == axisCount && $0.allSatisfy { $0 > 0 } }) else {
      throw Diagnostic(
        "supervision strides do not fit the patch",
        at: "augmentation step \"\(AugmentationPipeline.Names.deepSupervision)\"",
        expected: "\(axisCount) positive strides per stage", found: "\(strides)", remedy: "set \"strides\"")
    }
    sample.targets = supervisionTargets(sample.segmentation, strides: strides)
  }
}

/// The segmentation at the resolution of every stage but the last, finest first.
///
/// - Shape: `[S, spatial...]`; `strides` has one list per stage.
package func supervisionTargets(_ segmentation: NDArray<Int16>, strides: [[Int]]) -> [NDArray<Int16>] {
  var reduction = segmentation.shape.dropFirst().map { _ in 1 }
  var targets: [NDArray<Int16>] = []
  for stage in strides.dropLast() {
    reduction = zip(reduction, stage).map { $0 * $1 }
    if reduction.allSatisfy({ $0 == 1 }) {
      targets.append(segmentation)
    } else {
      let extents = zip(segmentation.shape.dropFirst(), reduction).map {
        max(1, Int((Double($0) * (1 / Double($1))).rounded(.toNearestOrEven)))
      }
      targets.append(resizeNearestExact(segmentation, to: extents))
    }
  }
  return targets
}

/// Takes, for every target voxel, the source voxel its centre falls into.
package func resizeNearestExact<T>(_ array: NDArray<T>, to extents: [Int]) -> NDArray<T> {
  let from = spatialExtents(of: array.shape)
  let to = spatialExtents(of: [0] + extents)
  let indices = zip(from, to).map { from, to in
    let ratio = Float(from) / Float(to)
    return (0..<to).map { min(from - 1, Int(((Float($0) + 0.5) * ratio).rounded(.down))) }
  }
  var result: [T] = []
  result.reserveCapacity(array.shape[0] * to.reduce(1, *))
  array.elements.withUnsafeBufferPointer { source in
    for channel in 0..<array.shape[0] {
      for z in indices[0] {
        for y in indices[1] {
          let row = ((channel * from[0] + z) * from[1] + y) * from[2]
          for x in indices[2] { result.append(source[row &+ x]) }
        }
      }
    }
  }
  return NDArray(shape: [array.shape[0]] + extents, elements: result)
}
