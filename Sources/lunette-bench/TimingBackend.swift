// A backend that notes how long every operation of another one takes.

import Backends
import Tensors

/// One kind of operation on one shape.
struct OperationKey: Hashable {
  let name: String
  let detail: String
}

/// Calls, seconds and floating-point operations of a kind.
struct OperationCost {
  var calls = 0
  var seconds = 0.0
  /// Multiplications and additions of its convolutions or products, borders counted as if they were inside.
  var flops = 0.0
}

/// Hands everything on to the CPU backend, with a stopwatch.
final class TimingBackend: Backend {
  private let inner: CPUBackend
  private(set) var costs: [OperationKey: OperationCost] = [:]

  init(_ inner: CPUBackend) { self.inner = inner }

  func reset() { costs = [:] }

  var name: String { inner.name }
  var pool: TensorPool { inner.pool }
  var supportedPrecisions: [Precision] { inner.supportedPrecisions }
  var trainingPrecision: Precision { inner.trainingPrecision }

  private func timed<T>(
    _ name: String, _ detail: String = "", flops: Double = 0, _ body: () throws -> T
  ) rethrows -> T {
    let start = ContinuousClock.now
    let result = try body()
    let key = OperationKey(name: name, detail: detail)
    costs[key, default: OperationCost()].calls += 1
    costs[key, default: OperationCost()].seconds += (ContinuousClock.now - start) / .seconds(1)
    costs[key, default: OperationCost()].flops += flops
    return result
  }

  /// - Returns: A name for a convolution, and twice its multiplications.
  private func convolution(
    _ source: [Int], _ outputs: Int, _ geometry: ConvolutionGeometry
  ) -> (detail: String, flops: Double) {
    let extents = geometry.outputShape(for: Array(source.dropFirst(2)))
    let terms = ([source[0], source[1], outputs] + extents + geometry.kernel).map(Double.init)
    return (
      "\(source) to \(outputs), kernel \(geometry.kernel), stride \(geometry.stride)", 2 * terms.reduce(1, *)
    )
  }

  // MARK: - Layouts

  func plain(_ tensor: Tensor) -> Tensor { timed("layout") { inner.plain(tensor) } }
  func activation(_ tensor: Tensor, precision: Precision) -> Tensor {
    timed("layout") { inner.activation(tensor, precision: precision) }
  }
  func converted(_ tensor: Tensor, to precision: Precision) -> Tensor {
    timed("layout") { inner.converted(tensor, to: precision) }
  }

  // MARK: - Convolutions

  func convolve(
    _ source: Tensor, weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry
  ) throws -> Tensor {
    let cost = convolution(source.shape, weight.shape[0], geometry)
    return try timed("convolution", cost.detail, flops: cost.flops) {
      try inner.convolve(source, weight: weight, bias: bias, geometry: geometry)
    }
  }

  func convolutionSourceGradient(
    _ gradient: Tensor, weight: Tensor, sourceShape: [Int], geometry: ConvolutionGeometry
  ) throws -> Tensor {
    let cost = convolution(sourceShape, weight.shape[0], geometry)
    return try timed("convolution, source gradient", cost.detail, flops: cost.flops) {
      try inner.convolutionSourceGradient(
        gradient, weight: weight, sourceShape: sourceShape, geometry: geometry)
    }
  }

  func convolutionWeightGradient(
    _ gradient: Tensor, source: Tensor, weightShape: [Int], geometry: ConvolutionGeometry, wantsBias: Bool
  ) throws -> (weight: Tensor, bias: Tensor?) {
    let cost = convolution(source.shape, weightShape[0], geometry)
    return try timed("convolution, weight gradient", cost.detail, flops: cost.flops) {
      try inner.convolutionWeightGradient(
        gradient, source: source, weightShape: weightShape, geometry: geometry, wantsBias: wantsBias)
    }
  }

  func logits(_ source: Tensor, weight: Tensor, bias: Tensor) throws -> Tensor {
    try timed("head", "\(source.shape) to \(weight.shape[0])") {
      try inner.logits(source, weight: weight, bias: bias)
    }
  }

  func logitsGradients(
    _ gradient: Tensor, source: Tensor, weight: Tensor
  ) throws -> (source: Tensor, weight: Tensor, bias: Tensor) {
    try timed("head, gradients", "\(source.shape) to \(weight.shape[0])") {
      try inner.logitsGradients(gradient, source: source, weight: weight)
    }
  }

  /// Every source voxel meets every offset of the kernel once.
  private func upsampling(_ source: Tensor, _ weight: Tensor) -> (detail: String, flops: Double) {
    (
      "\(source.shape) to \(weight.shape[1]), stride \(Array(weight.shape.dropFirst(2)))",
      2 * Double(source.batchCount * source.voxelCount) * Double(weight.count)
    )
  }

  func upsample(_ source: Tensor, weight: Tensor, bias: Tensor, stride: [Int]) throws -> Tensor {
    let cost = upsampling(source, weight)
    return try timed("transposed convolution", cost.detail, flops: cost.flops) {
      try inner.upsample(source, weight: weight, bias: bias, stride: stride)
    }
  }

  func upsamplingGradients(
    _ gradient: Tensor, source: Tensor, weight: Tensor, stride: [Int]
  ) throws -> (source: Tensor, weight: Tensor, bias: Tensor) {
    let cost = upsampling(source, weight)
    return try timed("transposed convolution, gradients", cost.detail, flops: 2 * cost.flops) {
      try inner.upsamplingGradients(gradient, source: source, weight: weight, stride: stride)
    }
  }

  // MARK: - Between convolutions

  func normalize(
    _ source: Tensor, scale: Tensor, shift: Tensor, settings: NormalizationSettings
  ) -> (result: Tensor, statistics: NormalizationStatistics) {
    timed("norm", "\(source.shape)") {
      inner.normalize(source, scale: scale, shift: shift, settings: settings)
    }
  }

  func normalize(
    _ source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> Tensor {
    timed("norm, again", "\(source.shape)") {
      inner.normalize(source, scale: scale, shift: shift, statistics: statistics, settings: settings)
    }
  }

  func normalizationGradients(
    _ gradient: Tensor, source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> (source: Tensor, scale: Tensor, shift: Tensor) {
    timed("norm, gradients", "\(source.shape)") {
      inner.normalizationGradients(
        gradient, source: source, scale: scale, shift: shift, statistics: statistics, settings: settings)
    }
  }

  func constantStatistics(
    mean: Tensor, variance: Tensor, batchCount: Int, settings: NormalizationSettings
  ) -> NormalizationStatistics {
    timed("norm, statistics") {
      inner.constantStatistics(mean: mean, variance: variance, batchCount: batchCount, settings: settings)
    }
  }

  func follow(
    _ statistics: NormalizationStatistics, mean: Tensor, variance: Tensor, valueCount: Int, share: Double
  ) {
    timed("norm, statistics") {
      inner.follow(statistics, mean: mean, variance: variance, valueCount: valueCount, share: share)
    }
  }

  func activate(_ source: Tensor, _ function: ActivationFunction) -> Tensor {
    timed("activation", "\(source.shape)") { inner.activate(source, function) }
  }

  func activationGradient(_ gradient: Tensor, source: Tensor, _ function: ActivationFunction) -> Tensor {
    timed("activation, gradient", "\(source.shape)") {
      inner.activationGradient(gradient, source: source, function)
    }
  }

  func parametricReLU(_ source: Tensor, slope: Tensor) -> Tensor {
    timed("activation", "\(source.shape)") { inner.parametricReLU(source, slope: slope) }
  }

  func parametricReLUGradients(
    _ gradient: Tensor, source: Tensor, slope: Tensor
  ) -> (source: Tensor, slope: Tensor) {
    timed("activation, gradient", "\(source.shape)") {
      inner.parametricReLUGradients(gradient, source: source, slope: slope)
    }
  }

  func dropout(_ source: Tensor, _ settings: DropoutSettings, key: UInt64) -> Tensor {
    timed("dropout", "\(source.shape)") { inner.dropout(source, settings, key: key) }
  }

  func channelSums(_ tensor: Tensor) -> Tensor {
    timed("bias gradient", "\(tensor.shape)") { inner.channelSums(tensor) }
  }

  func residual(_ first: Tensor, _ second: Tensor, negativeSlope: Float) -> Tensor {
    timed("residual", "\(first.shape)") { inner.residual(first, second, negativeSlope: negativeSlope) }
  }

  func residualGradient(_ gradient: Tensor, result: Tensor, negativeSlope: Float) -> Tensor {
    timed("residual, gradient", "\(result.shape)") {
      inner.residualGradient(gradient, result: result, negativeSlope: negativeSlope)
    }
  }

  func averagePool(_ source: Tensor, kernel: [Int]) -> Tensor {
    timed("pooling", "\(source.shape)") { inner.averagePool(source, kernel: kernel) }
  }

  func averagePoolGradient(_ gradient: Tensor, kernel: [Int]) -> Tensor {
    timed("pooling, gradient", "\(gradient.shape)") { inner.averagePoolGradient(gradient, kernel: kernel) }
  }

  func concatenate(_ first: Tensor, _ second: Tensor) -> Tensor {
    timed("concatenation", "\(first.shape)") { inner.concatenate(first, second) }
  }

  func split(_ tensor: Tensor, firstChannelCount: Int) -> (first: Tensor, second: Tensor) {
    timed("split", "\(tensor.shape)") { inner.split(tensor, firstChannelCount: firstChannelCount) }
  }

  func add(_ addend: Tensor, into target: Tensor) {
    timed("sum", "\(target.shape)") { inner.add(addend, into: target) }
  }

  // MARK: - Loss and optimizer

  func segmentationLoss(
    logits: Tensor, target: SegmentationTarget, terms: [WeightedLossTerm], wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?) {
    timed("loss", "\(logits.shape)") {
      inner.segmentationLoss(logits: logits, target: target, terms: terms, wantsGradient: wantsGradient)
    }
  }

  func confusion(logits: Tensor, target: SegmentationTarget) -> [SIMD3<Int64>] {
    timed("confusion", "\(logits.shape)") { inner.confusion(logits: logits, target: target) }
  }

  func norm(of tensors: [Tensor]) -> Double { timed("optimizer") { inner.norm(of: tensors) } }

  func descend(
    _ parameter: Tensor, gradient: Tensor, state: [Tensor], rule: OptimizerRule, step: DescentStep
  ) {
    timed("optimizer") { inner.descend(parameter, gradient: gradient, state: state, rule: rule, step: step) }
  }
}

// MARK: - Arithmetic of scripts, which no training step of ours uses

extension TimingBackend {
  func map(_ x: Tensor, _ function: ElementFunction) -> Tensor { inner.map(x, function) }
  func mapGradient(_ gradient: Tensor, x: Tensor, result: Tensor, _ function: ElementFunction) -> Tensor {
    inner.mapGradient(gradient, x: x, result: result, function)
  }
  func combine(_ a: Tensor, _ b: Tensor, _ function: PairFunction) -> Tensor { inner.combine(a, b, function) }
  func reduce(_ x: Tensor, axes: [Int], _ reduction: Reduction) -> Tensor {
    inner.reduce(x, axes: axes, reduction)
  }
  func gather(_ x: Tensor, _ view: StridedView) -> Tensor { inner.gather(x, view) }
  func place(_ x: Tensor, _ view: StridedView, in shape: [Int]) -> Tensor { inner.place(x, view, in: shape) }
  func join(_ tensors: [Tensor], axis: Int) -> Tensor { inner.join(tensors, axis: axis) }
  func softmax(_ x: Tensor, axis: Int) -> Tensor { inner.softmax(x, axis: axis) }
  func product(_ a: Tensor, _ b: Tensor, transposingFirst: Bool, transposingSecond: Bool) -> Tensor {
    inner.product(a, b, transposingFirst: transposingFirst, transposingSecond: transposingSecond)
  }
  func select(_ x: Tensor, at index: Tensor, axis: Int) -> Tensor { inner.select(x, at: index, axis: axis) }
  func scatter(_ gradient: Tensor, at index: Tensor, axis: Int, extent: Int) -> Tensor {
    inner.scatter(gradient, at: index, axis: axis, extent: extent)
  }
}
