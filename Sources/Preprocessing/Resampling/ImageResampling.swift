// Resizing images and logits, channel by channel, with the clipping that scikit-image applies.
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
  package var sliceChoice: SliceChoice
  package var rounding: ResultRounding

  package init(
    order: InterpolationOrder, separateAxis: Int? = nil, sliceChoice: SliceChoice = .roundedHalfUp,
    rounding: ResultRounding = .float32
  ) {
    self.order = order
    self.separateAxis = separateAxis
    self.sliceChoice = sliceChoice
    self.rounding = rounding
  }
}

/// Resizes every channel; an image that has the size already is returned untouched.
///
/// - Shape: input `[C, Z, Y, X]`, output `[C] + newShape`
package func resizeImage(_ image: NDArray<Float>, to newShape: [Int], rule: ResizeRule) -> NDArray<Float> {
  let shape = Array(image.shape.dropFirst())
  if shape == newShape { return image }
  let (inputSize, outputSize) = (shape.reduce(1, *), newShape.reduce(1, *))
  let channelCount = image.shape[0]
  let elements = [Float](unsafeUninitializedCapacity: channelCount * outputSize) { result, count in
    count = channelCount * outputSize
    image.elements.withUnsafeBufferPointer { elements in
      for channel in 0..<channelCount {
        resizeChannel(
          UnsafeBufferPointer(rebasing: elements[channel * inputSize..<(channel + 1) * inputSize]),
          shape: shape,
          into: UnsafeMutableBufferPointer(
            rebasing: result[channel * outputSize..<(channel + 1) * outputSize]),
          newShape: newShape, rule: rule)
      }
    }
  }
  return NDArray(shape: [channelCount] + newShape, elements: elements)
}

/// Resizes one channel of `shape` into memory for one of `newShape`, which differs.
package func resizeChannel(
  _ source: UnsafeBufferPointer<Float>, shape: [Int], into destination: UnsafeMutableBufferPointer<Float>,
  newShape: [Int], rule: ResizeRule
) {
  precondition(
    shape.count == 3 && newShape.count == 3 && !(shape + newShape).contains { $0 < 1 },
    "\(shape) cannot become \(newShape)")
  precondition(source.count == shape.reduce(1, *) && destination.count == newShape.reduce(1, *))
  guard let input = source.baseAddress, let output = destination.baseAddress else { return }
  if let axis = rule.separateAxis {
    SeparateResizer(shape: shape, newShape: newShape, axis: axis, rule: rule).resize(input, into: output)
  } else {
    JointResizer(shape: shape, newShape: newShape, order: rule.order).resize(input, into: output)
  }
  guard rule.rounding == .float16 else { return }
  // SAFETY: every piece is written by one task; the memory outlives the loop.
  nonisolated(unsafe) let result = output
  forEachPiece(of: destination.count) { range in
    for i in range { result[i] = Float(Float16(result[i])) }
  }
}

/// The scratch memory in bytes that resizing one channel takes beside input and output.
///
/// What every thread needs for one slice is left out: it does not grow with the number of slices.
package func resizeScratchBytes(shape: [Int], newShape: [Int], rule: ResizeRule) -> Int {
  if shape == newShape || rule.separateAxis != nil { return 0 }
  return JointResizer(shape: shape, newShape: newShape, order: rule.order).intermediateCount * 4
}

/// Runs `body` over pieces of `0..<count` in parallel.
func forEachPiece(of count: Int, _ body: @Sendable (Range<Int>) -> Void) {
  let pieceSize = 1 << 18
  parallelFor((count + pieceSize - 1) / pieceSize) { piece in
    body(piece * pieceSize..<min(count, (piece + 1) * pieceSize))
  }
}
