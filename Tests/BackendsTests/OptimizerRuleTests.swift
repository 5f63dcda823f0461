// Optimizer steps against their definitions in double precision, written as the publications state them.

import Backends
import Foundation
import Tensors
import Testing

/// Float32 state over six steps.
private let tolerance = 2e-6

@Suite(.serialized) struct OptimizerRuleTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  /// Six steps of a rule on 40 numbers with given gradients; the weights after each.
  private func run(_ rule: OptimizerRule, rate: Double, decay: Double) -> [[Double]] {
    let weight = Tensor(randomArray([40], seed: 1), pool: backend.pool)
    let state = rule.slotNames.map { _ in
      Tensor(NDArray<Float>(shape: [40], repeating: 0), pool: backend.pool)
    }
    return (1...6).map { count in
      backend.descend(
        weight, gradient: Tensor(randomArray([40], seed: 10 + count), pool: backend.pool), state: state,
        rule: rule,
        step: DescentStep(
          learningRate: rate, weightDecay: decay, gradientScale: 0.5, count: count, isFirst: count == 1))
      return weight.hostArray.elements.map(Double.init)
    }
  }

  /// The same by a definition that sees one number at a time.
  private func define(
    _ step: (_ w: inout Double, _ g: Double, _ state: inout [Double], _ count: Int) -> Void
  ) -> [[Double]] {
    var weights = randomArray([40], seed: 1).elements.map(Double.init)
    var states = Array(repeating: [Double](repeating: 0, count: 4), count: 40)
    return (1...6).map { count in
      let gradients = randomArray([40], seed: 10 + count).elements.map { Double($0) * 0.5 }
      for i in weights.indices { step(&weights[i], gradients[i], &states[i], count) }
      return weights
    }
  }

  private func expect(_ actual: [[Double]], _ expected: [[Double]]) {
    for (step, pair) in zip(actual, expected).enumerated() {
      for (a, e) in zip(pair.0, pair.1) { #expect(abs(a - e) < tolerance * max(1, abs(e)), "step \(step)") }
    }
    #expect(actual[0] != actual[5])
  }

  @Test("SGD with Nesterov momentum", arguments: [true, false])
  func sgd(_ nesterov: Bool) {
    expect(
      run(.sgd(momentum: 0.9, nesterov: nesterov), rate: 0.1, decay: 0.01),
      define { w, g, state, count in
        let d = g + 0.01 * w
        state[0] = count == 1 ? d : 0.9 * state[0] + d
        w -= 0.1 * (nesterov ? d + 0.9 * state[0] : state[0])
      })
  }

  @Test("Adam, AdamW and amsgrad", arguments: [(false, false), (true, false), (true, true), (false, true)])
  func adam(_ decoupled: Bool, _ amsgrad: Bool) {
    let (rate, decay) = (0.05, 0.02)
    expect(
      run(.adam(decoupledDecay: decoupled, amsgrad: amsgrad), rate: rate, decay: decay),
      define { w, g, state, count in
        let d = decoupled ? g : g + decay * w
        if decoupled { w *= 1 - rate * decay }
        state[0] = 0.9 * state[0] + 0.1 * d
        state[1] = 0.999 * state[1] + 0.001 * d * d
        state[2] = max(state[2], state[1])
        let first = state[0] / (1 - pow(0.9, Double(count)))
        let second = (amsgrad ? state[2] : state[1]) / (1 - pow(0.999, Double(count)))
        w -= rate * first / (second.squareRoot() + 1e-8)
      })
  }

  @Test("Adan")
  func adan() {
    let (rate, decay) = (0.05, 0.02)
    expect(
      run(.adan, rate: rate, decay: decay),
      define { w, g, state, count in
        if count > 1 {
          let change = g - state[3]
          state[0] = 0.98 * state[0] + 0.02 * g
          state[1] = 0.92 * state[1] + 0.08 * change
          state[2] = 0.99 * state[2] + 0.01 * (g + 0.92 * change) * (g + 0.92 * change)
        }
        func corrected(_ value: Double, _ beta: Double) -> Double {
          value / (1 - pow(1 - beta, Double(count)))
        }
        let size = rate / (corrected(state[2], 0.01).squareRoot() + 1e-8)
        w = (w - size * (corrected(state[0], 0.02) + 0.92 * corrected(state[1], 0.08))) / (1 + decay * rate)
        state[3] = g
      })
  }
}
