// Optimizer steps of the CPU backend. The running corrections of Adam and Adan are taken in double precision.

internal import CKernels
import Foundation
package import Tensors

extension CPUBackend {
  package func norm(of tensors: [Tensor]) -> Double {
    tensors.reduce(0) { $0 + nnk_sum_of_squares($1.floats, $1.storedCount) }.squareRoot()
  }

  package func descend(
    _ parameter: Tensor, gradient: Tensor, state: [Tensor], rule: OptimizerRule, step: DescentStep
  ) {
    precondition(state.count == rule.slotNames.count, "\(state.count) slots for \(rule)")
    let (weight, gradientValues, count) = (parameter.floats, gradient.floats, parameter.count)
    let (rate, decay) = (step.learningRate, step.weightDecay)
    switch rule {
    case .sgd(let momentum, let nesterov):
      nnk_sgd(
        weight, gradientValues, state[0].floats, count, Float(rate), Float(momentum), Float(decay),
        step.gradientScale, nesterov ? 1 : 0, step.isFirst ? 1 : 0)
    case .adam(let beta1, let beta2, let epsilon, let decoupledDecay, let amsgrad):
      nnk_adam(
        weight, gradientValues, state[0].floats, state[1].floats, amsgrad ? state[2].floats : nil, count,
        nnk_adam_step(
          scale: step.gradientScale, beta1: Float(beta1), beta2: Float(beta2), epsilon: Float(epsilon),
          decay: decoupledDecay ? 0 : Float(decay), shrink: decoupledDecay ? Float(1 - rate * decay) : 1,
          rate: Float(rate / (1 - pow(beta1, Double(step.count)))),
          root: Float((1 - pow(beta2, Double(step.count))).squareRoot())))
    case .adan(let beta1, let beta2, let beta3, let epsilon):
      func correction(_ beta: Double) -> Float { Float(1 / (1 - pow(1 - beta, Double(step.count)))) }
      nnk_adan(
        weight, gradientValues, state[0].floats, state[1].floats, state[2].floats, state[3].floats, count,
        nnk_adan_step(
          scale: step.gradientScale, beta1: Float(beta1), beta2: Float(beta2), beta3: Float(beta3),
          epsilon: Float(epsilon), rate: Float(rate), shrink: Float(1 / (1 + decay * rate)),
          correction1: correction(beta1), correction2: correction(beta2), correction3: correction(beta3),
          first: step.isFirst ? 1 : 0))
    }
    parameter.storage.version += 1
  }
}
