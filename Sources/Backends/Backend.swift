// The one seam between the engine and a device: the operations a network, its losses and optimizers need.
// N batch, C channels, K classes, V voxels. Shapes are the caller's duty: violations are programmer mistakes.

package import Tensors

/// Kernel, stride and padding of a convolution, one number per spatial axis.
package struct ConvolutionGeometry: Hashable, Sendable {
  package let kernel: [Int]
  package let stride: [Int]
  package let padding: [Int]

  /// A convolution that keeps the extent at stride 1 unless told otherwise: padding is half the kernel.
  package init(kernel: [Int], stride: [Int], padding: [Int]? = nil) {
    self.kernel = kernel
    self.stride = stride
    self.padding = padding ?? kernel.map { ($0 - 1) / 2 }
  }

  /// Output extents: `(input + 2 padding - kernel) / stride + 1` per axis.
  package func outputShape(for input: [Int]) -> [Int] {
    input.indices.map { (input[$0] + 2 * padding[$0] - kernel[$0]) / stride[$0] + 1 }
  }
}

/// One device's implementation of the engine's operations.
///
/// Activations are in the backend's own layout, parameters and logits in the plain layout. Parameters, their gradients
/// and the statistics of norms are float32; activations and their gradients have the precision of the network's input,
/// and every operation answers in its source's precision, adding up in float32.
package protocol Backend: TensorArithmetic {
  /// For reports: what computes, such as "CPU, oneDNN 2.6.3, AVX-512".
  var name: String { get }
  var pool: TensorPool { get }

  /// What activations can be stored in, float32 first.
  var supportedPrecisions: [Precision] { get }
  /// What a training stores them in unless told otherwise: what the device multiplies fastest.
  var trainingPrecision: Precision { get }

  /// A tensor's values as float32 in the plain layout (the same tensor if it is that already).
  func plain(_ tensor: Tensor) -> Tensor
  /// A tensor's values in the layout of activations.
  func activation(_ tensor: Tensor, precision: Precision) -> Tensor
  /// A plain tensor's values in another precision, such as a network's input.
  func converted(_ tensor: Tensor, to precision: Precision) -> Tensor

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

  /// The output head: a pointwise convolution into logits, which are plain and float32 whatever the features are.
  /// - Shape: source `[N, C, spatial]`, weight `[K, C, 1...]`, bias `[K]`; result `[N, K, spatial]`.
  func logits(_ source: Tensor, weight: Tensor, bias: Tensor) throws -> Tensor
  /// The gradients of ``logits(_:weight:bias:)``, given that of its plain result.
  func logitsGradients(
    _ gradient: Tensor, source: Tensor, weight: Tensor
  ) throws -> (source: Tensor, weight: Tensor, bias: Tensor)

  /// Transposed convolution with kernel = stride.
  /// - Shape: source `[N, C, spatial]`, weight `[C, O, stride]`, bias `[O]`; result `[N, O, spatial * stride]`.
  func upsample(_ source: Tensor, weight: Tensor, bias: Tensor, stride: [Int]) throws -> Tensor
  func upsamplingGradients(
    _ gradient: Tensor, source: Tensor, weight: Tensor, stride: [Int]
  ) throws -> (source: Tensor, weight: Tensor, bias: Tensor)

  /// Instance or batch norm with affine parameters followed by leaky ReLU.
  func normalize(
    _ source: Tensor, scale: Tensor, shift: Tensor, settings: NormalizationSettings
  ) -> (result: Tensor, statistics: NormalizationStatistics)
  /// The result from given statistics; from those of the first time, bit for bit once more.
  func normalize(
    _ source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> Tensor
  /// Consumes `gradient`: its buffer may hold the result.
  func normalizationGradients(
    _ gradient: Tensor, source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> (source: Tensor, scale: Tensor, shift: Tensor)
  /// Running statistics as constants, the same for every sample of a batch.
  /// - Shape: mean and variance `[C]`.
  func constantStatistics(
    mean: Tensor, variance: Tensor, batchCount: Int, settings: NormalizationSettings
  ) -> NormalizationStatistics
  /// Moves running statistics, in place, by a share of the way to those of a batch, whose variances become unbiased.
  ///
  /// - Parameters:
  ///   - statistics: Those of a batch, with variances; the samples' mean if they differ.
  ///   - mean: The running mean, `[C]`.
  ///   - variance: The running variance, `[C]`.
  ///   - valueCount: How many values share one mean and variance.
  ///   - share: From 0, nothing changes, to 1, the batch's statistics.
  func follow(
    _ statistics: NormalizationStatistics, mean: Tensor, variance: Tensor, valueCount: Int, share: Double)

  /// A function of every number.
  func activate(_ source: Tensor, _ function: ActivationFunction) -> Tensor
  /// The gradient with respect to the source.
  func activationGradient(_ gradient: Tensor, source: Tensor, _ function: ActivationFunction) -> Tensor
  /// Leaky ReLU whose slope, a tensor of one number, is learnt.
  func parametricReLU(_ source: Tensor, slope: Tensor) -> Tensor
  /// The gradients with respect to source and slope.
  func parametricReLUGradients(
    _ gradient: Tensor, source: Tensor, slope: Tensor
  ) -> (source: Tensor, slope: Tensor)

  /// Drops what the key says and scales up what is kept; the gradient goes through the same function.
  func dropout(_ source: Tensor, _ settings: DropoutSettings, key: UInt64) -> Tensor

  /// Sums over samples and voxels, `[C]`: the gradient of what is added to every voxel of a channel.
  func channelSums(_ tensor: Tensor) -> Tensor

  /// `leakyReLU(first + second)`; same shape and layout.
  func residual(_ first: Tensor, _ second: Tensor, negativeSlope: Float) -> Tensor
  /// The gradient with respect to either branch, in a buffer of its own.
  func residualGradient(_ gradient: Tensor, result: Tensor, negativeSlope: Float) -> Tensor

  /// Means over windows of `kernel` voxels that do not overlap; every extent must be a multiple.
  func averagePool(_ source: Tensor, kernel: [Int]) -> Tensor
  func averagePoolGradient(_ gradient: Tensor, kernel: [Int]) -> Tensor

  /// Channels of `first`, then channels of `second`.
  func concatenate(_ first: Tensor, _ second: Tensor) -> Tensor
  func split(_ tensor: Tensor, firstChannelCount: Int) -> (first: Tensor, second: Tensor)

  /// `target += addend`; same shape and layout.
  func add(_ addend: Tensor, into target: Tensor)

  /// A sum of losses of the logits, with its gradient (float32, plain) if asked for.
  func segmentationLoss(
    logits: Tensor, target: SegmentationTarget, terms: [WeightedLossTerm], wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?)

  /// True positives, false positives and false negatives of hard predictions, per output channel.
  ///
  /// - Parameters:
  ///   - logits: `[N, K, spatial]`, in any layout.
  ///   - target: What they should have said; voxels that do not count are left out.
  func confusion(logits: Tensor, target: SegmentationTarget) -> [SIMD3<Int64>]

  /// The Euclidean norm over several plain tensors.
  func norm(of tensors: [Tensor]) -> Double
  /// One step of an optimizer on a parameter, in place, together with its state.
  ///
  /// - Parameters:
  ///   - parameter: What is changed.
  ///   - gradient: The gradient of the loss.
  ///   - state: One tensor per slot of the rule, updated.
  ///   - rule: The optimizer.
  ///   - step: Rate, decay and count.
  func descend(
    _ parameter: Tensor, gradient: Tensor, state: [Tensor], rule: OptimizerRule, step: DescentStep)
}

/// What a network should have said, at one resolution.
package enum SegmentationTarget {
  /// One label per voxel, `[N, V]`, with the value that does not count.
  case labels([Int16], ignored: Int?)
  /// One 0/1 map per region, `[N, R, V]`; with `hasIgnoreMap` the last map marks voxels that do not count.
  case regions([Int16], hasIgnoreMap: Bool)
}
