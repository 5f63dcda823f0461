// Resizing images and logits, channel by channel in double precision, with the clipping that scikit-image applies.
// C channels, Z Y X array axes (slowest first)

import Foundation
package import Tensors

/// The element type a result is rounded to.
package enum ResultRounding: Sendable {
  case float32
  /// To half precision and back, as nnU-Net keeps logits.
  case float16
}

/// How an image is resized, once spacings have been turned into a decision.
package struct ResizeRule: Sendable, Equatable {
  package var order: InterpolationOrder
  /// The axis along which slices are picked by nearest neighbour, or `nil`.
  package var separateAxis: Int?
  package var rounding: ResultRounding

  package init(order: InterpolationOrder, separateAxis: Int? = nil, rounding: ResultRounding = .float32) {
    self.order = order
    self.separateAxis = separateAxis
    self.rounding = rounding
  }
}

/// Resizes every channel; an image that has the size already is returned untouched.
///
/// - Shape: input `[C, Z, Y, X]`, output `[C] + newShape`
package func resizeImage(_ image: NDArray<Float>, to newShape: [Int], rule: ResizeRule) -> NDArray<Float> {
  if Array(image.shape.dropFirst()) == newShape { return image }
  var result = NDArray<Float>(shape: [image.shape[0]] + newShape, repeating: 0)
  let size = newShape.reduce(1, *)
  result.elements.withUnsafeMutableBufferPointer { result in
    forEachResizedChannel(of: image, to: newShape, rule: rule) { channel, values in
      guard let target = result.baseAddress, let source = values.baseAddress else { return }
      (target + channel * size).update(from: source, count: size)
    }
  }
  return result
}

/// Resizes one channel after another and hands each to `body`, so that memory stays that of a single channel.
package func forEachResizedChannel(
  of image: NDArray<Float>, to newShape: [Int], rule: ResizeRule,
  _ body: (_ channel: Int, _ values: UnsafeBufferPointer<Float>) throws -> Void
) rethrows {
  let shape = Array(image.shape.dropFirst())
  precondition(
    shape.count == newShape.count && !newShape.contains { $0 < 1 }, "\(shape) cannot become \(newShape)")
  let inputSize = shape.reduce(1, *)
  let resizer = ChannelResizer(shape: shape, newShape: newShape, rule: rule)
  var result = [Float](repeating: 0, count: shape == newShape ? 0 : newShape.reduce(1, *))
  for channel in 0..<image.shape[0] {
    try image.elements.withUnsafeBufferPointer { elements in
      let source = UnsafeBufferPointer(rebasing: elements[channel * inputSize..<(channel + 1) * inputSize])
      if shape == newShape { return try body(channel, source) }
      result.withUnsafeMutableBufferPointer { resizer.resize(source, into: $0) }
      try result.withUnsafeBufferPointer { try body(channel, $0) }
    }
  }
}

/// One channel's way from its old size to the new one.
private struct ChannelResizer {
  let shape: [Int]
  let newShape: [Int]
  let rule: ResizeRule

  func resize(_ source: UnsafeBufferPointer<Float>, into destination: UnsafeMutableBufferPointer<Float>) {
    let limits = clippingLimits(of: source)
    var extents = shape
    var block = [Double](unsafeUninitializedCapacity: source.count) { buffer, count in
      for i in 0..<source.count { buffer[i] = Double(source[i]) }
      count = source.count
    }
    for axis in resizedAxes {
      let interpolation = AxisInterpolation(
        inputCount: shape[axis], outputCount: newShape[axis], order: rule.order)
      let outer = extents[..<axis].reduce(1, *)
      let inner = extents[(axis + 1)...].reduce(1, *)
      extents[axis] = newShape[axis]
      let size = extents.reduce(1, *)
      block = [Double](unsafeUninitializedCapacity: size) { buffer, count in
        let target = UnsafeMutableBufferPointer(rebasing: buffer[..<size])
        block.withUnsafeBufferPointer {
          resizeAxis($0, outerCount: outer, innerCount: inner, by: interpolation, into: target)
        }
        count = size
      }
    }
    block.withUnsafeBufferPointer { finish($0, extents: extents, limits: limits, into: destination) }
  }

  /// The axes that change inside a slice, those that shrink most first, since that keeps the work small.
  private var resizedAxes: [Int] {
    let axes = shape.indices.filter { $0 != rule.separateAxis && shape[$0] != newShape[$0] }
    return axes.sorted { newShape[$0] * shape[$1] < newShape[$1] * shape[$0] }
  }

  /// The axes before, along and after the slices that are clipped apart; without them all is one slice.
  private func sliceLayout(_ extents: [Int]) -> (outer: Int, slices: Int, inner: Int) {
    guard let axis = rule.separateAxis else { return (1, 1, extents.reduce(1, *)) }
    return (extents[..<axis].reduce(1, *), extents[axis], extents[(axis + 1)...].reduce(1, *))
  }

  /// Smallest and largest value of every slice.
  private func clippingLimits(of source: UnsafeBufferPointer<Float>) -> [ClosedRange<Double>] {
    let (outer, slices, inner) = sliceLayout(shape)
    return (0..<slices).map { slice in
      var low = source[slice * inner]
      var high = low
      for o in 0..<outer {
        let start = (o * slices + slice) * inner
        for i in start..<start + inner {
          low = Swift.min(low, source[i])
          high = Swift.max(high, source[i])
        }
      }
      return low <= high ? Double(low)...Double(high) : -Double.infinity...Double.infinity
    }
  }

  /// Picks slices, clips and rounds.
  private func finish(
    _ block: UnsafeBufferPointer<Double>, extents: [Int], limits: [ClosedRange<Double>],
    into destination: UnsafeMutableBufferPointer<Float>
  ) {
    let (outer, slices, inner) = sliceLayout(extents)
    let picks =
      rule.separateAxis.map { nearestIndices(inputCount: shape[$0], outputCount: newShape[$0]) } ?? [0]
    guard let source = block.baseAddress, let target = destination.baseAddress else { return }
    // SAFETY: every row reads one slice row and writes its own part of the destination.
    nonisolated(unsafe) let input = source
    nonisolated(unsafe) let output = target
    let rounding = rule.rounding
    // A joint resize is one long row; it is cut so that all cores have work.
    let pieces = rule.separateAxis == nil ? Swift.min(inner, 16) : 1
    parallelFor(outer * picks.count * pieces) { task in
      let row = task / pieces
      let piece = task % pieces
      let pick = picks[row % picks.count]
      let from = input + (row / picks.count * slices + pick) * inner
      let to = output + row * inner
      let low = limits[pick].lowerBound
      let high = limits[pick].upperBound
      for i in inner * piece / pieces..<inner * (piece + 1) / pieces {
        let value = Swift.min(Swift.max(from[i], low), high)
        to[i] = rounding == .float16 ? Float(Float16(value)) : Float(value)
      }
    }
  }
}
