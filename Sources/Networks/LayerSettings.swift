// What the blocks of a U-Net consist of beside their convolution: norm, activation and dropout as values.
// C channels.

package import Backends

/// A norm behind a convolution.
package struct NormalizationSpec: Hashable, Sendable {
  package enum Kind: Hashable, Sendable {
    case instance, batch
  }

  package var kind: Kind
  package var epsilon: Double
  /// Whether a factor per channel is learnt.
  package var hasScale: Bool
  /// Whether a number to add per channel is learnt.
  package var hasShift: Bool
  /// Whether evaluation takes statistics that training has gathered.
  package var tracksStatistics: Bool
  /// The share of a batch in running statistics; `nil` for the mean over all batches, in instance norm for none.
  package var momentum: Double?

  package init(
    kind: Kind, epsilon: Double = 1e-5, hasScale: Bool = true, hasShift: Bool = true,
    tracksStatistics: Bool = false, momentum: Double? = 0.1
  ) {
    self.kind = kind
    self.epsilon = epsilon
    self.hasScale = hasScale
    self.hasShift = hasShift
    self.tracksStatistics = tracksStatistics
    self.momentum = momentum
  }

  /// nnU-Net's: instance norm with affine parameters.
  package static let standard = NormalizationSpec(kind: .instance)
}

/// An activation.
package enum ActivationSpec: Hashable, Sendable {
  case function(ActivationFunction)
  /// Leaky ReLU whose slope is learnt, from an initial value on.
  case parametricReLU(initialSlope: Double)

  /// nnU-Net's: leaky ReLU of slope 0.01.
  package static let standard = ActivationSpec.function(.leakyReLU(slope: 0.01))

  /// The slope, for operations that have leaky ReLU in them.
  package var leakySlope: Float? {
    if case .function(let function) = self { function.leakySlope } else { nil }
  }
}

/// What a block of a U-Net consists of.
package struct BlockSpec: Hashable, Sendable {
  /// Whether the convolution has a bias.
  package var hasBias: Bool
  package var dropout: DropoutSettings?
  package var norm: NormalizationSpec?
  package var activation: ActivationSpec?
  /// Whether the activation comes before the norm.
  package var activationIsFirst: Bool

  package init(
    hasBias: Bool = true, dropout: DropoutSettings? = nil, norm: NormalizationSpec? = .standard,
    activation: ActivationSpec? = .standard, activationIsFirst: Bool = false
  ) {
    self.hasBias = hasBias
    self.dropout = dropout
    self.norm = norm
    self.activation = activation
    self.activationIsFirst = activationIsFirst
  }

  /// The same without dropout.
  var withoutDropout: BlockSpec {
    var spec = self
    spec.dropout = nil
    return spec
  }

  /// The same without dropout and activation.
  var linear: BlockSpec {
    var spec = withoutDropout
    spec.activation = nil
    return spec
  }
}
