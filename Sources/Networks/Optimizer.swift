// First-order optimizers over a network's parameters: clipping, steps, and the state that a checkpoint keeps.
// What a rule does to one parameter is the backend's business.

package import Backends
package import Tensors

/// Updates a network's parameters from their gradients.
package final class Optimizer {
  package let parameters: [Parameter]
  package let rule: OptimizerRule
  package var learningRate: Double
  /// Applied to every parameter, norms and biases included, as the reference does.
  package let weightDecay: Double
  /// Per parameter one tensor for every name in ``OptimizerRule/slotNames``; empty before its first step.
  package private(set) var state: [[Tensor]]
  /// Steps taken so far.
  package private(set) var stepCount = 0
  private let backend: any Backend
  private var gradientScale: Float = 1

  package init(
    _ rule: OptimizerRule = .sgd(momentum: 0.99, nesterov: true), parameters: [Parameter],
    backend: any Backend,
    learningRate: Double = 0.01, weightDecay: Double = 3e-5
  ) {
    self.rule = rule
    self.parameters = parameters
    self.backend = backend
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    state = Array(repeating: [], count: parameters.count)
  }

  /// Limits the norm over all gradients; takes effect in the next step.
  ///
  /// - Parameter maximum: The limit; the factor is min(1, maximum / (norm + 1e-6)).
  /// - Returns: The norm before clipping.
  @discardableResult
  package func clip(_ maximum: Double) -> Double {
    let norm = backend.norm(of: parameters.compactMap(\.gradient))
    gradientScale = Float(min(1, maximum / (norm + 1e-6)))
    return norm
  }

  /// One step on every parameter that has a gradient; clears the gradients.
  package func step() {
    stepCount += 1
    for (i, parameter) in parameters.enumerated() {
      guard let gradient = parameter.gradient else { continue }
      let isFirst = state[i].isEmpty
      if isFirst {
        let zeros = NDArray<Float>(shape: parameter.value.shape, repeating: 0)
        state[i] = rule.slotNames.map { _ in Tensor(zeros, pool: backend.pool) }
      }
      backend.descend(
        parameter.value, gradient: gradient, state: state[i], rule: rule,
        step: DescentStep(
          learningRate: learningRate, weightDecay: weightDecay, gradientScale: gradientScale,
          count: stepCount, isFirst: isFirst))
      parameter.gradient = nil
    }
    gradientScale = 1
  }

  /// The state by slot and parameter name.
  package var hostState: [String: [String: NDArray<Float>]] {
    var result: [String: [String: NDArray<Float>]] = [:]
    for (slot, name) in rule.slotNames.enumerated() {
      result[name] = [:]
      for (parameter, tensors) in zip(parameters, state) where !tensors.isEmpty {
        result[name]?[parameter.name] = tensors[slot].hostArray
      }
    }
    return result
  }

  /// Takes up the state of a checkpoint; parameters that are not in it start afresh.
  package func restore(_ saved: [String: [String: NDArray<Float>]], stepCount: Int) {
    self.stepCount = stepCount
    for (i, parameter) in parameters.enumerated() {
      let slots = rule.slotNames.compactMap { saved[$0]?[parameter.name] }
      guard slots.count == rule.slotNames.count, slots.allSatisfy({ $0.shape == parameter.value.shape })
      else {
        state[i] = []
        continue
      }
      state[i] = slots.map { Tensor($0, pool: backend.pool) }
    }
  }
}
