// Convolution of the CPU backend.

internal import CKernels
package import Tensors

extension CPUBackend {
  private func key(
    _ sourceShape: [Int], _ outputChannelCount: Int, _ geometry: ConvolutionGeometry, _ precision: Precision,
    plain: Bool, bias: Bool
  ) -> ConvolutionKey {
    ConvolutionKey(
      sourceShape: sourceShape, outputChannelCount: outputChannelCount, geometry: geometry,
      precision: precision, sourceIsPlain: plain, hasBias: bias)
  }

  package func convolve(
    _ source: Tensor, weight: Tensor, bias: Tensor?, geometry: ConvolutionGeometry
  ) throws -> Tensor {
    let result = makeActivation(
      [source.batchCount, weight.shape[0]] + geometry.outputShape(for: source.spatialShape),
      source.precision)
    if source.layout != .plain,
      let shape = matrix(
        source.precision, sourceShape: source.shape, outputChannelCount: weight.shape[0], geometry: geometry)
    {
      runMatrix(shape, source: source, weight: weight, bias: bias, isAdjoint: false, into: result)
      return result
    }
    if source.layout != .plain,
      let shape = winograd(
        sourceShape: source.shape, outputChannelCount: weight.shape[0], geometry: geometry,
        precision: source.precision)
    {
      runWinograd(shape, source: source, weight: weight, bias: bias, isAdjoint: false, into: result)
      return result
    }
    let convolution = try convolution(
      key(
        source.shape, weight.shape[0], geometry, source.precision, plain: source.layout == .plain,
        bias: bias != nil))
    try convolution.run(source: source, weight: weight, bias: bias, into: result, pool: pool)
    return result
  }

  package func convolutionSourceGradient(
    _ gradient: Tensor, weight: Tensor, sourceShape: [Int], geometry: ConvolutionGeometry
  ) throws -> Tensor {
    let source = makeActivation(sourceShape, gradient.precision)
    if let shape = matrix(
      gradient.precision, sourceShape: sourceShape, outputChannelCount: weight.shape[0], geometry: geometry)
    {
      runMatrix(shape, source: gradient, weight: weight, isAdjoint: true, into: source)
      return source
    }
    if let shape = winograd(
      sourceShape: sourceShape, outputChannelCount: weight.shape[0], geometry: geometry,
      precision: gradient.precision)
    {
      runWinograd(shape, source: gradient, weight: weight, isAdjoint: true, into: source)
      return source
    }
    let convolution = try convolution(
      key(sourceShape, weight.shape[0], geometry, gradient.precision, plain: false, bias: false))
    try convolution.runSourceGradient(gradient, weight: weight, into: source, pool: pool)
    return source
  }

  package func convolutionWeightGradient(
    _ gradient: Tensor, source: Tensor, weightShape: [Int], geometry: ConvolutionGeometry, wantsBias: Bool
  ) throws -> (weight: Tensor, bias: Tensor?) {
    if source.layout != .plain,
      let shape = matrix(
        gradient.precision, sourceShape: source.shape, outputChannelCount: weightShape[0],
        geometry: geometry)
    {
      return (
        matrixWeightGradient(shape, gradient: gradient, source: source, weightShape: weightShape),
        wantsBias ? channelSums(gradient) : nil
      )
    }
    if !wantsBias, source.layout != .plain,
      let shape = winograd(
        sourceShape: source.shape, outputChannelCount: weightShape[0], geometry: geometry,
        precision: gradient.precision), shape.suitsWeightGradient
    {
      return (
        winogradWeightGradient(shape, gradient: gradient, source: source, weightShape: weightShape), nil
      )
    }
    let convolution = try convolution(
      key(
        source.shape, weightShape[0], geometry, gradient.precision, plain: source.layout == .plain,
        bias: wantsBias))
    let weight = Tensor(uninitialized: weightShape, pool: pool)
    var own = Self.ownWeightGradient(
      gradient.precision, sourceShape: source.shape, isPlain: source.layout == .plain,
      weightShape: weightShape, geometry: geometry)
    // From one to four plain channels oneDNN is faster, unless it has only its slow reference for them.
    let isOwn =
      !wantsBias && nnk_weight_gradient_supports(&own) != 0
      && (source.layout != .plain || convolution.weightGradientIsSlow)
    if isOwn {
      let scratch = Tensor(uninitialized: [nnk_weight_gradient_scratch(&own)], pool: pool)
      nnk_weight_gradient_run(
        &own, source.storage.pointer, gradient.storage.pointer, scratch.floats, weight.floats)
      withExtendedLifetime(scratch) {}
      return (weight, nil)
    }
    let bias = wantsBias ? Tensor(uninitialized: [weightShape[0]], pool: pool) : nil
    try convolution.runWeightGradient(gradient, source: source, into: weight, bias: bias, pool: pool)
    return (weight, bias)
  }

  private static func ownWeightGradient(
    _ precision: Precision, sourceShape: [Int], isPlain: Bool, weightShape: [Int],
    geometry: ConvolutionGeometry
  ) -> nnk_weight_gradient {
    let lead = Array(repeating: 1, count: 3 - geometry.kernel.count)
    func three(_ values: [Int], fill: Int = 1) -> (Int, Int, Int) {
      let all = lead.map { _ in fill } + values
      return (all[0], all[1], all[2])
    }
    func blocks(_ channelCount: Int) -> Int { (channelCount + 15) / 16 }
    let extent = Array(sourceShape.dropFirst(2))
    return nnk_weight_gradient(
      type: precision == .float32 ? NNK_FLOAT32 : NNK_BFLOAT16, plain_source: isPlain ? 1 : 0,
      batch: sourceShape[0], input_channels: weightShape[1], output_channels: weightShape[0],
      input_blocks: isPlain ? 1 : blocks(weightShape[1]), output_blocks: blocks(weightShape[0]),
      input: three(extent), output: three(geometry.outputShape(for: extent)), kernel: three(geometry.kernel),
      stride: three(geometry.stride), padding: three(geometry.padding, fill: 0))
  }

  /// Bytes of the weight as own kernels take it for a blocked source; `nil` where oneDNN computes the convolution.
  package static func ownWeightByteCount(
    _ precision: Precision, sourceShape: [Int], outputChannelCount: Int, geometry: ConvolutionGeometry
  ) -> Int? {
    if let shape = MatrixShape(
      precision, sourceShape: sourceShape, outputChannelCount: outputChannelCount, geometry: geometry)
    {
      return shape.weightByteCount
    }
    return WinogradShape(
      sourceShape: sourceShape, outputChannelCount: outputChannelCount, geometry: geometry
    )?.weightByteCount(precision)
  }

  /// Floats that the own weight gradient of a blocked source keeps beside its result; `nil` where oneDNN computes it.
  package static func weightGradientScratchCount(
    _ precision: Precision, sourceShape: [Int], weightShape: [Int], geometry: ConvolutionGeometry
  ) -> Int? {
    if let shape = MatrixShape(
      precision, sourceShape: sourceShape, outputChannelCount: weightShape[0], geometry: geometry)
    {
      return shape.scratchCount
    }
    if let shape = WinogradShape(
      sourceShape: sourceShape, outputChannelCount: weightShape[0], geometry: geometry),
      shape.suitsWeightGradient
    {
      var kernel = shape.kernelShape(precision == .float32 ? NNK_FLOAT32 : NNK_BFLOAT16)
      return nnk_winograd_supports(&kernel) != 0 ? nnk_winograd_gradient_scratch(&kernel) : nil
    }
    var own = ownWeightGradient(
      precision, sourceShape: sourceShape, isPlain: false, weightShape: weightShape, geometry: geometry)
    return nnk_weight_gradient_supports(&own) != 0 ? nnk_weight_gradient_scratch(&own) : nil
  }

  /// A vector with zeros appended.
  func padded1D(_ vector: Tensor, to count: Int) -> Tensor {
    if vector.count == count { return vector }
    let result = Tensor(uninitialized: [count], pool: pool)
    result.floats.update(repeating: 0, count: count)
    result.floats.update(from: vector.floats, count: vector.count)
    return result
  }

  /// The first elements of a vector.
  func truncated1D(_ vector: Tensor, to count: Int) -> Tensor {
    if vector.count == count { return vector }
    let result = Tensor(uninitialized: [count], pool: pool)
    result.floats.update(from: vector.floats, count: count)
    return result
  }
}
