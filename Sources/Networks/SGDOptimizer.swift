// Stochastic gradient descent with momentum, as torch.optim.SGD states it: no dampening, decay on every parameter.

package import Backends
package import Tensors

/// Updates a network's parameters from their gradients.
package final class SGDOptimizer {
  package let parameters: [Parameter]
  package var learningRate: Double
  package let momentum: Double
  package let weightDecay: Double
  package let usesNesterov: Bool
  /// The running direction per parameter; `nil` before its first step.
  package private(set) var directions: [Tensor?]
  private let backend: any Backend
  private var gradientScale: Float = 1

  package init(
    parameters: [Parameter], backend: any Backend, learningRate: Double = 0.01, momentum: Double = 0.99,
    weightDecay: Double = 3e-5, usesNesterov: Bool = true
  ) {
    self.parameters = parameters
    self.backend = backend
    self.learningRate = learningRate
    self.momentum = momentum
    self.weightDecay = weightDecay
    self.usesNesterov = usesNesterov
    directions = Array(repeating: nil, count: parameters.count)
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
    for (i, parameter) in parameters.enumerated() {
      guard let gradient = parameter.gradient else { continue }
      let isFirst = directions[i] == nil
      let direction =
        directions[i] ?? Tensor(NDArray(shape: parameter.value.shape, repeating: 0), pool: backend.pool)
      backend.descend(
        parameter.value, gradient: gradient, momentum: direction,
        step: DescentStep(
          learningRate: Float(learningRate), momentum: Float(momentum), weightDecay: Float(weightDecay),
          usesNesterov: usesNesterov, gradientScale: gradientScale, isFirst: isFirst))
      directions[i] = direction
      parameter.gradient = nil
    }
    gradientScale = 1
  }

  /// Takes up a direction kept in a checkpoint.
  package func restoreDirection(_ values: NDArray<Float>, at index: Int) {
    precondition(values.shape == parameters[index].value.shape, "direction of \(parameters[index].name)")
    directions[index] = Tensor(values, pool: backend.pool)
  }
}
