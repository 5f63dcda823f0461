// The one seam between the engine and a device: the operations a network, its losses and optimizers need.
// N batch, C channels, K classes, V voxels. Shapes are the caller's duty: violations are programmer mistakes.

package import Tensors

/// Kernel, stride and padding of a convolution, one number per spatial axis.
package struct ConvolutionGeometry: Hashable, Sendable {
  package let kernel: [Int]
  package let stride: [Int]
  package let padding: [Int]

  /// A convolution that keeps the extent at stride 1: padding is half the kernel.
  package init(kernel: [Int], stride: [Int]) {
    self.kernel = kernel
    self.stride = stride
    padding = kernel.map { ($0 - 1) / 2 }
  }

  /// Output extents: `(input + 2 padding - kernel) / stride + 1` per axis.
  package func outputShape(for input: [Int]) -> [Int] {
    input.indices.map { (input[$0] + 2 * padding[$0] - kernel[$0]) / stride[$0] + 1 }
  }
}

/// What a normalisation keeps for its backward pass.
package struct NormalizationStatistics {
  /// `[N, C padded]` each.
  package let mean: Tensor
  package let reciprocalDeviation: Tensor
}

/// Constants of instance norm with leaky ReLU.
package struct NormalizationSettings: Hashable, Sendable {
  package var epsilon: Float
  /// Slope for negative values; 1 leaves out the activation.
  package var negativeSlope: Float

  package init(epsilon: Float = 1e-5, negativeSlope: Float = 0.01) {
    self.epsilon = epsilon
    self.negativeSlope = negativeSlope
  }
}

/// One device's implementation of the engine's operations.
///
/// Activations are in the backend's own layout, parameters and logits in the plain layout.
package protocol Backend: AnyObject {
  /// For reports: what computes, such as "CPU, oneDNN 2.6.3, AVX-512".
  var name: String { get }
  var pool: TensorPool { get }

  /// A tensor's values in the plain layout (the same tensor if it is plain).
  func plain(_ tensor: Tensor) -> Tensor
  /// A plain tensor's values in the layout of activations.
  func activation(_ tensor: Tensor) -> Tensor

  /// - Shape: source `[N, C, spatial]`, weight `[O, C, kernel]`, bias `[O]`; result `[N, O, spatial']`.
  func convolve(_ source: Tensor, weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry) throws
    -> Tensor
  /// The gradient with respect to the source, given the gradient of the result.
  func convolutionSourceGradient(
    _ gradient: Tensor, weight: Tensor, sourceShape: [Int], geometry: ConvolutionGeometry
  ) throws -> Tensor
  /// The gradients with respect to weight and, if asked for, bias.
  func convolutionWeightGradient(
    _ gradient: Tensor, source: Tensor, weightShape: [Int], geometry: ConvolutionGeometry, wantsBias: Bool
  ) throws -> (weight: Tensor, bias: Tensor?)

  /// Transposed convolution with kernel = stride.
  /// - Shape: source `[N, C, spatial]`, weight `[C, O, stride]`, bias `[O]`; result `[N, O, spatial * stride]`.
  func upsample(_ source: Tensor, weight: Tensor, bias: Tensor, stride: [Int]) throws -> Tensor
  func upsamplingGradients(
    _ gradient: Tensor, source: Tensor, weight: Tensor, stride: [Int]
  ) throws -> (source: Tensor, weight: Tensor, bias: Tensor)

  /// Instance norm with affine parameters followed by leaky ReLU.
  func normalize(
    _ source: Tensor, scale: Tensor, shift: Tensor, settings: NormalizationSettings
  ) -> (result: Tensor, statistics: NormalizationStatistics)
  /// Consumes `gradient`: its buffer may hold the result.
  func normalizationGradients(
    _ gradient: Tensor, source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> (source: Tensor, scale: Tensor, shift: Tensor)

  /// Channels of `first`, then channels of `second`.
  func concatenate(_ first: Tensor, _ second: Tensor) -> Tensor
  func split(_ tensor: Tensor, firstChannelCount: Int) -> (first: Tensor, second: Tensor)

  /// `target += addend`; same shape and layout.
  func add(_ addend: Tensor, into target: Tensor)

  /// Dice and cross-entropy (or their region forms) of plain logits, with the gradient if asked for.
  func segmentationLoss(
    logits: Tensor, target: SegmentationTarget, terms: SegmentationLossTerms, wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?)

  /// True positives, false positives and false negatives of hard predictions, per output channel.
  ///
  /// - Parameters:
  ///   - logits: `[N, K, spatial]`, in any layout.
  ///   - target: What they should have said; voxels that do not count are left out.
  func confusion(logits: Tensor, target: SegmentationTarget) -> [SIMD3<Int64>]

  /// The Euclidean norm over several plain tensors.
  func norm(of tensors: [Tensor]) -> Double
  /// One step of stochastic gradient descent on a parameter, in place; `momentum` holds the running direction.
  func descend(_ parameter: Tensor, gradient: Tensor, momentum: Tensor, step: DescentStep)
}

/// Constants of one SGD step.
package struct DescentStep: Sendable {
  package var learningRate: Float
  package var momentum: Float
  package var weightDecay: Float
  package var usesNesterov: Bool
  /// Factor on the gradient, from clipping.
  package var gradientScale: Float
  /// Whether this is the first step, which sets the running direction instead of decaying it.
  package var isFirst: Bool

  package init(
    learningRate: Float, momentum: Float, weightDecay: Float, usesNesterov: Bool, gradientScale: Float = 1,
    isFirst: Bool
  ) {
    self.learningRate = learningRate
    self.momentum = momentum
    self.weightDecay = weightDecay
    self.usesNesterov = usesNesterov
    self.gradientScale = gradientScale
    self.isFirst = isFirst
  }
}

/// What a network should have said, at one resolution.
package enum SegmentationTarget {
  /// One label per voxel, `[N, V]`, with the value that does not count.
  case labels([Int16], ignored: Int?)
  /// One 0/1 map per region, `[N, R, V]`; with `hasIgnoreMap` the last map marks voxels that do not count.
  case regions([Int16], hasIgnoreMap: Bool)
}

/// Weights and constants of the terms of a segmentation loss.
package struct SegmentationLossTerms: Hashable, Sendable {
  package var crossEntropyWeight: Float
  package var diceWeight: Float
  /// Whether Dice sums run over the batch before the ratio.
  package var batchDice: Bool
  /// Whether the first channel takes part in the Dice term.
  package var includesBackground: Bool
  package var smoothing: Float

  package init(
    crossEntropyWeight: Float = 1, diceWeight: Float = 1, batchDice: Bool = false,
    includesBackground: Bool = false,
    smoothing: Float = 1e-5
  ) {
    self.crossEntropyWeight = crossEntropyWeight
    self.diceWeight = diceWeight
    self.batchDice = batchDice
    self.includesBackground = includesBackground
    self.smoothing = smoothing
  }
}
