// A backend that computes nothing: it makes the tensors that the CPU backend makes, without memory behind them, so that a
// network's memory can be counted by running it. N batch, C channels, O output channels.

import Backends
import Tensors

/// Stands in for ``CPUBackend`` to count its tensors.
final class CountingBackend: Backend {
  let pool = TensorPool(isVirtual: true)
  /// Weights in other layouts, as the CPU backend keeps them.
  let weightPool = TensorPool(isVirtual: true)
  /// Channels per block, as the CPU backend has them on this processor.
  private let block = CPUBackend.widestBlock
  /// The weights of the largest convolution, for what oneDNN needs beside the tensors.
  private(set) var largestWeightByteCount = 0

  let name = "counting"
  var supportedPrecisions: [Precision] { [.float32, .bfloat16] }
  var trainingPrecision: Precision { .float32 }

  private func padded(_ channelCount: Int) -> Int { (channelCount + block - 1) / block * block }

  private func activation(_ shape: [Int], _ precision: Precision) -> Tensor {
    Tensor(uninitialized: shape, precision: precision, layout: .channelBlocked(block), pool: pool)
  }

  func plain(_ tensor: Tensor) -> Tensor {
    if tensor.layout == .plain, tensor.precision == .float32 { return tensor }
    return Tensor(uninitialized: tensor.shape, pool: pool)
  }

  func activation(_ tensor: Tensor, precision: Precision) -> Tensor {
    if tensor.layout != .plain, tensor.precision == precision { return tensor }
    let source = plain(tensor)
    defer { withExtendedLifetime(source) {} }
    return activation(tensor.shape, precision)
  }

  func converted(_ tensor: Tensor, to precision: Precision) -> Tensor {
    tensor.precision == precision
      ? tensor : Tensor(uninitialized: tensor.shape, precision: precision, pool: pool)
  }

  // MARK: - Convolutions

  /// The weight in a convolution's own layout, which stays with the weight.
  private func pack(
    _ weight: Tensor, for source: Tensor, as form: String, _ precision: Precision,
    _ geometry: ConvolutionGeometry
  ) {
    if source.layout != .plain,
      let byteCount = CPUBackend.ownWeightByteCount(
        precision, sourceShape: source.shape, outputChannelCount: weight.shape[0], geometry: geometry)
    {
      let slot = AnyHashable([AnyHashable("own"), AnyHashable(precision)])
      if weight.storage.derivedForms[slot] == nil {
        weight.storage.derivedForms[slot] = (0, weightPool.allocate(byteCount: byteCount))
      }
      return
    }
    let inputCount = source.layout == .plain ? weight.shape[1] : padded(weight.shape[1])
    let shape = [padded(weight.shape[0]), inputCount] + weight.shape.dropFirst(2)
    let byteCount = shape.reduce(1, *) * precision.byteCount
    largestWeightByteCount = max(largestWeightByteCount, shape.reduce(1, *) * Precision.float32.byteCount)
    let slot = AnyHashable([AnyHashable(form), AnyHashable(source.shape), AnyHashable(precision)])
    if let known = weight.storage.derivedForms[slot], known.version == weight.storage.version { return }
    let storage = weight.storage.derivedForms[slot]?.storage ?? weightPool.allocate(byteCount: byteCount)
    let widened = shape == weight.shape ? nil : Tensor(uninitialized: shape, pool: pool)
    defer { withExtendedLifetime(widened) {} }
    weight.storage.derivedForms[slot] = (weight.storage.version, storage)
  }

  func convolve(_ source: Tensor, weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry) -> Tensor {
    let result = activation(
      [source.batchCount, weight.shape[0]] + geometry.outputShape(for: source.spatialShape), source.precision)
    pack(weight, for: source, as: "forward", source.precision, geometry)
    return result
  }

  func convolutionSourceGradient(
    _ gradient: Tensor, weight: Tensor, sourceShape: [Int], geometry: ConvolutionGeometry
  ) -> Tensor {
    let source = activation(sourceShape, gradient.precision)
    pack(weight, for: source, as: "source gradient", gradient.precision, geometry)
    return source
  }

  func convolutionWeightGradient(
    _ gradient: Tensor, source: Tensor, weightShape: [Int], geometry: ConvolutionGeometry, wantsBias: Bool
  ) -> (weight: Tensor, bias: Tensor?) {
    let weight = Tensor(uninitialized: weightShape, pool: pool)
    if !wantsBias, source.layout != .plain,
      let scratch = CPUBackend.weightGradientScratchCount(
        gradient.precision, sourceShape: source.shape, weightShape: weightShape, geometry: geometry)
    {
      _ = Tensor(uninitialized: [scratch], pool: pool)
      return (weight, nil)
    }
    let bias = wantsBias ? Tensor(uninitialized: [weightShape[0]], pool: pool) : nil
    let inputCount = source.layout == .plain ? weightShape[1] : padded(weightShape[1])
    let shape = [padded(weightShape[0]), inputCount] + weightShape.dropFirst(2)
    let packed = Tensor(uninitialized: shape, pool: pool)
    let widened = shape == weightShape ? nil : Tensor(uninitialized: shape, pool: pool)
    defer { withExtendedLifetime((packed, widened)) {} }
    return (weight, bias)
  }

  func logits(_ source: Tensor, weight: Tensor, bias: Tensor) -> Tensor {
    Tensor(uninitialized: [source.batchCount, weight.shape[0]] + source.spatialShape, pool: pool)
  }

  func logitsGradients(
    _ gradient: Tensor, source: Tensor, weight: Tensor
  ) -> (source: Tensor, weight: Tensor, bias: Tensor) {
    (
      activation(source.shape, source.precision), Tensor(uninitialized: weight.shape, pool: pool),
      Tensor(uninitialized: [weight.shape[0]], pool: pool)
    )
  }

  /// The weight of a transposed convolution as a pointwise one, which stays with the weight.
  private func offsetsAsChannels(_ weight: Tensor, _ offsetCount: Int) -> Tensor {
    let shape =
      [offsetCount * padded(weight.shape[1]), weight.shape[0]]
      + Array(repeating: 1, count: weight.shape.count - 2)
    let slot = AnyHashable("offsets as channels")
    if let known = weight.storage.derivedForms[slot], known.version == weight.storage.version {
      return Tensor(shape: shape, storage: known.storage)
    }
    let wide = Tensor(uninitialized: shape, pool: weightPool)
    weight.storage.derivedForms[slot] = (weight.storage.version, wide.storage)
    return wide
  }

  private func pointwise(_ rank: Int) -> ConvolutionGeometry {
    ConvolutionGeometry(kernel: Array(repeating: 1, count: rank), stride: Array(repeating: 1, count: rank))
  }

  func upsample(_ source: Tensor, weight: Tensor, bias: Tensor, stride: [Int]) -> Tensor {
    if let own = CPUBackend.upsamplingScratch(
      source.precision, sourceShape: source.shape, outputChannelCount: weight.shape[1], stride: stride)
    {
      let slot = AnyHashable([AnyHashable("upsampling"), AnyHashable(source.precision)])
      if weight.storage.derivedForms[slot] == nil {
        weight.storage.derivedForms[slot] = (0, weightPool.allocate(byteCount: own.weightByteCount))
      }
      return activation(
        [source.batchCount, weight.shape[1]] + zip(source.spatialShape, stride).map { $0 * $1 },
        source.precision)
    }
    let deep = convolve(
      source, weight: offsetsAsChannels(weight, stride.reduce(1, *)), bias: nil,
      geometry: pointwise(stride.count))
    defer { withExtendedLifetime(deep) {} }
    return activation(
      [source.batchCount, weight.shape[1]] + zip(source.spatialShape, stride).map { $0 * $1 },
      source.precision)
  }

  func upsamplingGradients(
    _ gradient: Tensor, source: Tensor, weight: Tensor, stride: [Int]
  ) -> (source: Tensor, weight: Tensor, bias: Tensor) {
    let byBias = Tensor(uninitialized: [weight.shape[1]], pool: pool)
    if let own = CPUBackend.upsamplingScratch(
      source.precision, sourceShape: source.shape, outputChannelCount: weight.shape[1], stride: stride)
    {
      let byWeight = Tensor(uninitialized: weight.shape, pool: pool)
      _ = Tensor(uninitialized: [own.floatCount], pool: pool)
      return (activation(source.shape, source.precision), byWeight, byBias)
    }
    let offsetCount = stride.reduce(1, *)
    let deep = activation(
      [source.batchCount, offsetCount * padded(weight.shape[1])] + source.spatialShape, gradient.precision)
    let wide = offsetsAsChannels(weight, offsetCount)
    let geometry = pointwise(stride.count)
    let sourceGradient = convolutionSourceGradient(
      deep, weight: wide, sourceShape: source.shape, geometry: geometry)
    let wideGradient = convolutionWeightGradient(
      deep, source: source, weightShape: wide.shape, geometry: geometry, wantsBias: false
    ).weight
    defer { withExtendedLifetime((deep, wideGradient)) {} }
    return (sourceGradient, Tensor(uninitialized: weight.shape, pool: pool), byBias)
  }

  // MARK: - Between the convolutions

  func normalize(
    _ source: Tensor, scale: Tensor, shift: Tensor, settings: NormalizationSettings
  ) -> (result: Tensor, statistics: NormalizationStatistics) {
    let source = activation(source, precision: source.precision)
    defer { withExtendedLifetime(source) {} }
    let shape = [source.batchCount, padded(source.channelCount)]
    return (
      activation(source.shape, source.precision),
      NormalizationStatistics(
        mean: Tensor(uninitialized: shape, pool: pool),
        reciprocalDeviation: Tensor(uninitialized: shape, pool: pool),
        variance: settings.keepsVariance ? Tensor(uninitialized: shape, pool: pool) : nil)
    )
  }

  func constantStatistics(
    mean: Tensor, variance: Tensor, batchCount: Int, settings: NormalizationSettings
  ) -> NormalizationStatistics {
    let shape = [batchCount, padded(mean.count)]
    return NormalizationStatistics(
      mean: Tensor(uninitialized: shape, pool: pool),
      reciprocalDeviation: Tensor(uninitialized: shape, pool: pool), isConstant: true)
  }

  func follow(
    _ statistics: NormalizationStatistics, mean: Tensor, variance: Tensor, valueCount: Int, share: Double
  ) {}

  func normalize(
    _ source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> Tensor { activation(source.shape, source.precision) }

  func normalizationGradients(
    _ gradient: Tensor, source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> (source: Tensor, scale: Tensor, shift: Tensor) {
    (
      gradient, Tensor(uninitialized: scale.shape, pool: pool), Tensor(uninitialized: shift.shape, pool: pool)
    )
  }

  func activate(_ source: Tensor, _ function: ActivationFunction) -> Tensor {
    activation(source.shape, source.precision)
  }

  func activationGradient(_ gradient: Tensor, source: Tensor, _ function: ActivationFunction) -> Tensor {
    activation(source.shape, source.precision)
  }

  func parametricReLU(_ source: Tensor, slope: Tensor) -> Tensor {
    activation(source.shape, source.precision)
  }

  func parametricReLUGradients(
    _ gradient: Tensor, source: Tensor, slope: Tensor
  ) -> (source: Tensor, slope: Tensor) {
    (activation(source.shape, source.precision), Tensor(uninitialized: slope.shape, pool: pool))
  }

  func dropout(_ source: Tensor, _ settings: DropoutSettings, key: UInt64) -> Tensor {
    activation(source.shape, source.precision)
  }

  func channelSums(_ tensor: Tensor) -> Tensor {
    Tensor(uninitialized: [tensor.channelCount], pool: pool)
  }

  func residual(_ first: Tensor, _ second: Tensor, negativeSlope: Float) -> Tensor {
    activation(first.shape, first.precision)
  }

  func residualGradient(_ gradient: Tensor, result: Tensor, negativeSlope: Float) -> Tensor {
    activation(gradient.shape, gradient.precision)
  }

  func averagePool(_ source: Tensor, kernel: [Int]) -> Tensor {
    activation(
      [source.batchCount, source.channelCount] + zip(source.spatialShape, kernel).map { $0 / $1 },
      source.precision)
  }

  func averagePoolGradient(_ gradient: Tensor, kernel: [Int]) -> Tensor {
    activation(
      [gradient.batchCount, gradient.channelCount] + zip(gradient.spatialShape, kernel).map { $0 * $1 },
      gradient.precision)
  }

  func concatenate(_ first: Tensor, _ second: Tensor) -> Tensor {
    var shape = first.shape
    shape[1] += second.shape[1]
    if first.channelCount % block == 0 { return activation(shape, first.precision) }
    let parts = (plain(first), plain(second), Tensor(uninitialized: shape, pool: pool))
    defer { withExtendedLifetime(parts) {} }
    return activation(shape, first.precision)
  }

  func split(_ tensor: Tensor, firstChannelCount: Int) -> (first: Tensor, second: Tensor) {
    var shapes = (tensor.shape, tensor.shape)
    shapes.0[1] = firstChannelCount
    shapes.1[1] -= firstChannelCount
    let isWhole = firstChannelCount % block == 0
    let whole = isWhole ? nil : plain(tensor)
    let parts =
      isWhole
      ? nil : (Tensor(uninitialized: shapes.0, pool: pool), Tensor(uninitialized: shapes.1, pool: pool))
    defer { withExtendedLifetime((whole, parts)) {} }
    return (activation(shapes.0, tensor.precision), activation(shapes.1, tensor.precision))
  }

  func add(_ addend: Tensor, into target: Tensor) {}

  // MARK: - Loss and optimizer

  func segmentationLoss(
    logits: Tensor, target: SegmentationTarget, terms: [WeightedLossTerm], wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?) {
    let logits = plain(logits)
    let probabilities = Tensor(uninitialized: logits.shape, pool: pool)
    defer { withExtendedLifetime((logits, probabilities)) {} }
    return (0, wantsGradient ? Tensor(uninitialized: logits.shape, pool: pool) : nil)
  }

  func confusion(logits: Tensor, target: SegmentationTarget) -> [SIMD3<Int64>] {
    let logits = plain(logits)
    defer { withExtendedLifetime(logits) {} }
    return Array(repeating: SIMD3(0, 0, 0), count: logits.channelCount)
  }

  func norm(of tensors: [Tensor]) -> Double { 1 }

  func descend(
    _ parameter: Tensor, gradient: Tensor, state: [Tensor], rule: OptimizerRule, step: DescentStep
  ) {
    parameter.storage.version += 1
  }
}
