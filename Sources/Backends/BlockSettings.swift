// What the operations between convolutions are told: constants of norms, activation functions, dropout.
// N batch, C channels.

package import Tensors

/// Constants of a norm with leaky ReLU.
package struct NormalizationSettings: Hashable, Sendable {
  /// What shares a mean and a variance.
  package enum Extent: Hashable, Sendable {
    /// A channel of a sample: instance norm.
    case sample
    /// A channel of all samples: batch norm.
    case batch
  }

  package var epsilon: Float
  /// Slope for negative values; 1 leaves out the activation.
  package var negativeSlope: Float
  package var extent: Extent
  /// Whether the statistics come with variances, for running statistics.
  package var keepsVariance: Bool

  package init(
    epsilon: Float = 1e-5, negativeSlope: Float = 0.01, extent: Extent = .sample, keepsVariance: Bool = false
  ) {
    self.epsilon = epsilon
    self.negativeSlope = negativeSlope
    self.extent = extent
    self.keepsVariance = keepsVariance
  }
}

/// What a normalisation keeps for its backward pass.
package struct NormalizationStatistics {
  /// `[N, C padded]` each.
  package let mean: Tensor
  package let reciprocalDeviation: Tensor
  /// Biased variances, where settings ask for them.
  package let variance: Tensor?
  /// Whether they do not depend on the source.
  package let isConstant: Bool

  package init(
    mean: Tensor, reciprocalDeviation: Tensor, variance: Tensor? = nil, isConstant: Bool = false
  ) {
    self.mean = mean
    self.reciprocalDeviation = reciprocalDeviation
    self.variance = variance
    self.isConstant = isConstant
  }
}

/// An activation function, 0 at 0.
package enum ActivationFunction: Hashable, Sendable {
  /// `x`, or `slope x` below zero; slope 0 is ReLU.
  case leakyReLU(slope: Float)
  /// `x` between 0 and 6.
  case relu6
  /// `x`, or `alpha (exp x - 1)` below zero.
  case elu(alpha: Float)
  /// `x`, or `alpha (exp(x / alpha) - 1)` below zero.
  case celu(alpha: Float)
  /// ELU with the constants that keep mean 0 and deviation 1.
  case selu
  /// `x` times the normal distribution's function, or its approximation by a hyperbolic tangent.
  case gelu(isApproximate: Bool)
  /// `x sigmoid x`
  case silu
  /// `x tanh(log(1 + exp x))`
  case mish
  /// `x` times `x + 3` between 0 and 6, over 6.
  case hardswish
  case hyperbolicTangent

  /// The slope, for operations that have leaky ReLU in them.
  package var leakySlope: Float? { if case .leakyReLU(let slope) = self { slope } else { nil } }
}

/// What is dropped, and how much of it.
package struct DropoutSettings: Hashable, Sendable {
  /// What is kept or dropped as a whole.
  package enum Unit: Hashable, Sendable {
    case element, channel, sample
  }

  package var unit: Unit
  /// The probability with which a unit is dropped, from 0 to 1.
  package var probability: Double

  package init(_ unit: Unit, probability: Double) {
    self.unit = unit
    self.probability = probability
  }
}
