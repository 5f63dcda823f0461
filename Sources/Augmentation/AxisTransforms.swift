// Steps that exchange axes of equal extent: quarter turns and permutations.

package import Archives
import Reporting
package import Tensors

/// Turns image and segmentation by quarters in the plane of two axes.
package struct QuarterTurnTransform: AugmentationTransform {
  package init() {}
  package let kind = "quarter_turn"
  package let defaults: JSONObject = ["probability": 0.5, "axes": []]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    var axes = parameters.integers("axes")
    guard axes.count > 1 else { return nil }
    let turns = random.integer(below: 4)
    axes.shuffle(using: &random)
    return ["turns": .integer(turns), "axes": JSON(axes.prefix(2).sorted())]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    guard let drawn else { return }
    let extents = sample.image.shape.dropFirst().map(\.self)
    guard let turns = drawn["turns"]?.integer, let axes = drawn["axes"]?.integers, axes.count == 2,
      axes.allSatisfy(extents.indices.contains), axes[0] != axes[1], extents[axes[0]] == extents[axes[1]]
    else {
      throw unusableDraw("quarter_turn", expected: "\"turns\" and two axes of equal extent", found: drawn)
    }
    let count = ((turns % 4) + 4) % 4
    sample.image = Self.turned(sample.image, count, axes)
    sample.segmentation = Self.turned(sample.segmentation, count, axes)
  }

  /// Quarter turns that take the first axis towards the second.
  private static func turned<T>(_ array: NDArray<T>, _ turns: Int, _ axes: [Int]) -> NDArray<T> {
    switch turns {
    case 1: exchanged(flipped(array, [axes[1]]), axes)
    case 2: flipped(array, axes)
    case 3: exchanged(flipped(array, [axes[0]]), axes)
    default: array
    }
  }

  private static func exchanged<T>(_ array: NDArray<T>, _ axes: [Int]) -> NDArray<T> {
    var order = Array(array.shape.indices)
    order.swapAt(axes[0] + 1, axes[1] + 1)
    return array.transposed(order)
  }

  private static func flipped<T>(_ array: NDArray<T>, _ axes: [Int]) -> NDArray<T> {
    let extents = spatialExtents(of: array.shape)
    let flips = Set(axes.map { $0 + 4 - array.shape.count })
    var result: [T] = []
    result.reserveCapacity(array.count)
    array.elements.withUnsafeBufferPointer { source in
      for channel in 0..<array.shape[0] {
        for z in 0..<extents[0] {
          for y in 0..<extents[1] {
            let (sz, sy) = (
              flips.contains(0) ? extents[0] - 1 - z : z, flips.contains(1) ? extents[1] - 1 - y : y
            )
            let row = ((channel * extents[0] + sz) * extents[1] + sy) * extents[2]
            if flips.contains(2) {
              for x in 0..<extents[2] { result.append(source[row &+ extents[2] &- 1 &- x]) }
            } else {
              result.append(contentsOf: source[row..<row + extents[2]])
            }
          }
        }
      }
    }
    return NDArray(shape: array.shape, elements: result)
  }
}

/// Puts axes of equal extent in another order.
package struct TransposeTransform: AugmentationTransform {
  package init() {}
  package let kind = "transpose"
  package let defaults: JSONObject = ["probability": 0.5, "axes": []]

  package func draw(
    _ parameters: AugmentationParameters, in context: AugmentationContext, using random: inout RandomSource
  ) -> JSON? {
    guard random.uniform() < parameters.double("probability") else { return nil }
    let axes = parameters.integers("axes")
    guard axes.count > 1 else { return nil }
    let shuffled = axes.shuffled(using: &random)
    var order = Array(context.patchSize.indices)
    for (axis, other) in zip(axes.sorted(), shuffled) where order.indices.contains(axis) {
      order[axis] = other
    }
    return ["order": JSON(order)]
  }

  package func apply(
    _ drawn: JSON?, _ parameters: AugmentationParameters, to sample: inout AugmentationSample
  ) throws {
    guard let drawn else { return }
    let extents = sample.image.shape.dropFirst().map(\.self)
    guard let order = drawn["order"]?.integers, order.sorted() == Array(extents.indices),
      order.map({ extents[$0] }) == extents
    else {
      throw unusableDraw(
        "transpose", expected: "an order of all axes that keeps the extents \(extents)", found: drawn)
    }
    let axes = [0] + order.map { $0 + 1 }
    sample.image = sample.image.transposed(axes)
    sample.segmentation = sample.segmentation.transposed(axes)
  }
}
