// How a gradient becomes a step: the rules of the optimizers that nnU-Net's trainers use, and the constants of one step.

/// The update rule of an optimizer.
package enum OptimizerRule: Hashable, Sendable {
  /// Stochastic gradient descent with momentum and no dampening; decay is added to the gradient.
  case sgd(momentum: Double, nesterov: Bool)
  /// Adam; with `decoupledDecay` AdamW. `amsgrad` divides by the largest second moment so far.
  case adam(beta1: Double, beta2: Double, epsilon: Double, decoupledDecay: Bool, amsgrad: Bool)
  /// Adan: Nesterov momentum estimated from gradient differences. The betas are the shares of what is new.
  case adan(beta1: Double, beta2: Double, beta3: Double, epsilon: Double)

  /// torch's constants of Adam and AdamW.
  package static func adam(decoupledDecay: Bool, amsgrad: Bool) -> OptimizerRule {
    .adam(beta1: 0.9, beta2: 0.999, epsilon: 1e-8, decoupledDecay: decoupledDecay, amsgrad: amsgrad)
  }

  /// Adan's published constants.
  package static let adan = OptimizerRule.adan(beta1: 0.02, beta2: 0.08, beta3: 0.01, epsilon: 1e-8)

  /// What is kept per parameter between steps, each of the parameter's shape and zero at first.
  package var slotNames: [String] {
    switch self {
    case .sgd: ["momentum"]
    case .adam(_, _, _, _, let amsgrad):
      ["first_moment", "second_moment"] + (amsgrad ? ["largest_second_moment"] : [])
    case .adan: ["first_moment", "difference_moment", "second_moment", "last_gradient"]
    }
  }
}

/// Constants of one step.
package struct DescentStep: Sendable {
  package var learningRate: Double
  package var weightDecay: Double
  /// Factor on the gradient, from clipping.
  package var gradientScale: Float
  /// The number of this step, from 1.
  package var count: Int
  /// Whether the parameter has had no step before.
  package var isFirst: Bool

  package init(
    learningRate: Double, weightDecay: Double, gradientScale: Float = 1, count: Int = 1, isFirst: Bool
  ) {
    self.learningRate = learningRate
    self.weightDecay = weightDecay
    self.gradientScale = gradientScale
    self.count = count
    self.isFirst = isFirst
  }
}
