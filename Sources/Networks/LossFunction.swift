// Losses that are functions of differentiable tensors, beside the built-in terms.

package import Backends
import Tensors

/// A loss of one resolution, made of tensor operations.
package final class LossFunction {
  /// What a loss sees of one resolution.
  package struct Input {
    /// Logits, plain, on the tape.
    package let output: Variable
    package let target: SegmentationTarget
    /// 0 for the finest resolution.
    package let level: Int
    package let tape: Tape
  }

  /// Gives one number on the tape.
  package let body: (Input) throws -> Variable

  package init(_ body: @escaping (Input) throws -> Variable) { self.body = body }
}

/// A loss function with its factor in a sum.
package struct WeightedLossFunction {
  package var weight: Double
  package var function: LossFunction

  package init(_ weight: Double, _ function: LossFunction) {
    self.weight = weight
    self.function = function
  }
}

extension DeepSupervisionLoss {
  /// The weighted sum as a number on the tape, for scripts that go on computing with it.
  ///
  /// - Parameters:
  ///   - heads: Plain logits, finest first.
  ///   - targets: One per head.
  ///   - tape: The tape the heads were computed on.
  package func variable(_ heads: [Variable], _ targets: [SegmentationTarget], on tape: Tape) throws
    -> Variable
  {
    var sum: Variable?
    func add(_ value: Variable) { sum = sum.map { tape.combine($0, value, .add) } ?? value }
    for (level, weight) in weights.enumerated() where weight != 0 {
      let (head, target) = (heads[level], targets[level])
      if !loss.terms.isEmpty { add(tape.segmentationLoss(head, target, (weight * loss).terms)) }
      for weighted in functions {
        let value = try weighted.function.body(
          LossFunction.Input(output: head, target: target, level: level, tape: tape))
        add(tape.map(tape.reshape(value, to: []), .affine(scale: Float(weight * weighted.weight), offset: 0)))
      }
    }
    return sum
      ?? Variable(Tensor(NDArray(shape: [], repeating: 0), pool: tape.backend.pool), needsGradient: false)
  }

  /// The weighted sum; on a recording tape the heads receive their gradients.
  ///
  /// - Parameters:
  ///   - heads: Logits, finest first; those beyond the weights do not count.
  ///   - targets: One per head.
  ///   - tape: The tape the heads were computed on.
  package func evaluate(_ heads: [Variable], _ targets: [SegmentationTarget], on tape: Tape) throws -> Double
  {
    if functions.isEmpty { return self(heads, targets, on: tape) }
    let count = neededHeadCount
    let value = try variable(heads.prefix(count).map(tape.plain), targets, on: tape)
    if tape.isRecording {
      value.receive(
        Tensor(NDArray(shape: value.value.shape, repeating: 1), pool: tape.backend.pool),
        backend: tape.backend)
    }
    return Double(value.value.floats[0])
  }
}
