// The operations that losses and layers of scripts are made of, on plain float32 tensors of any rank up to 8.
// Every function here is pure: results are new tensors. Derivatives are put together in Networks.

package import Tensors

/// A function of one number.
package enum ElementFunction: Hashable, Sendable {
  /// `scale x + offset`
  case affine(scale: Float, offset: Float)
  case exponential
  case logarithm
  case squareRoot
  case absolute
  case power(Float)
  case clamp(Float, Float)
  case sigmoid
  case hyperbolicTangent
  /// `x`, or `slope x` below zero.
  case leakyReLU(slope: Float)
  /// `log(1 + exp x)`
  case softplus
}

/// A function of two numbers; the comparisons give 1 or 0.
package enum PairFunction: Hashable, Sendable {
  case add, subtract, multiply, divide, power, larger, smaller, less, lessOrEqual, equal
}

/// What many numbers become one by.
package enum Reduction: Hashable, Sendable {
  case sum, maximum, minimum
}

/// Positions of a tensor's elements: extents, with a stride for each in another tensor's buffer.
package struct StridedView: Hashable, Sendable {
  package var shape: [Int]
  package var strides: [Int]
  package var offset: Int

  package init(shape: [Int], strides: [Int], offset: Int = 0) {
    self.shape = shape
    self.strides = strides
    self.offset = offset
  }
}

/// Arithmetic on plain float32 tensors, as every backend offers it.
package protocol TensorArithmetic: AnyObject {
  func map(_ x: Tensor, _ function: ElementFunction) -> Tensor
  /// The gradient with respect to `x`, given that of `result`, which is `map(x)`.
  func mapGradient(_ gradient: Tensor, x: Tensor, result: Tensor, _ function: ElementFunction) -> Tensor
  /// Element by element; axes of extent 1 and missing leading axes are repeated.
  func combine(_ a: Tensor, _ b: Tensor, _ function: PairFunction) -> Tensor
  /// Reduced axes are kept with extent 1.
  func reduce(_ x: Tensor, axes: [Int], _ reduction: Reduction) -> Tensor
  /// The elements that a view picks, which may pick one several times.
  func gather(_ x: Tensor, _ view: StridedView) -> Tensor
  /// A tensor of zeros but for the positions of a view, which picks none twice.
  func place(_ x: Tensor, _ view: StridedView, in shape: [Int]) -> Tensor
  /// Tensors one after the other along an axis.
  func join(_ tensors: [Tensor], axis: Int) -> Tensor
  /// Softmax along an axis.
  func softmax(_ x: Tensor, axis: Int) -> Tensor
  /// Matrix products of the last two axes; leading axes are equal, or missing from one of the two.
  func product(_ a: Tensor, _ b: Tensor, transposingFirst: Bool, transposingSecond: Bool) -> Tensor
  /// Along an axis, the elements at the positions in `index`; 0 where a position lies outside.
  func select(_ x: Tensor, at index: Tensor, axis: Int) -> Tensor
  /// The adjoint of `select`: adds each element to its position among `extent`.
  func scatter(_ gradient: Tensor, at index: Tensor, axis: Int, extent: Int) -> Tensor
}

/// The common shape of two tensors in arithmetic; `nil` if there is none.
package func broadcastShape(_ a: [Int], _ b: [Int]) -> [Int]? {
  let rank = max(a.count, b.count)
  let (first, second) = (leadingOnes(a, rank), leadingOnes(b, rank))
  var shape: [Int] = []
  for (x, y) in zip(first, second) {
    guard x == y || x == 1 || y == 1 else { return nil }
    shape.append(x == 1 ? y : x)
  }
  return shape
}

/// A shape with ones in front of it.
package func leadingOnes(_ shape: [Int], _ rank: Int) -> [Int] {
  Array(repeating: 1, count: max(0, rank - shape.count)) + shape
}
