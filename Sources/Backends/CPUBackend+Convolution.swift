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
    func makeResult() -> Tensor {
      makeActivation(
        [source.batchCount, weight.shape[0]] + geometry.outputShape(for: source.spatialShape),
        source.precision)
    }
    if source.layout != .plain,
      let shape = matrix(
        source.precision, sourceShape: source.shape, outputChannelCount: weight.shape[0], geometry: geometry)
    {
      let result = makeResult()
      runMatrix(shape, source: source, weight: weight, bias: bias, isAdjoint: false, into: result)
      return result
    }
    if source.layout != .plain,
      let shape = winograd(
        sourceShape: source.shape, outputChannelCount: weight.shape[0], geometry: geometry,
        precision: source.precision)
    {
      let result = makeResult()
      runWinograd(shape, source: source, weight: weight, bias: bias, isAdjoint: false, into: result)
      return result
    }
    if source.layout != .plain,
      var own = strided(
        source.precision, sourceShape: source.shape, outputChannelCount: weight.shape[0], geometry: geometry)
    {
      let result = makeResult()
      runStrided(&own, source: source, weight: weight, bias: bias, isAdjoint: false, into: result)
      return result
    }
    if mustWiden(source) {
      return changed(
        try convolve(changed(source, to: .float32), weight: weight, bias: bias, geometry: geometry),
        to: source.precision)
    }
    let result = makeResult()
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
    if let shape = matrix(
      gradient.precision, sourceShape: sourceShape, outputChannelCount: weight.shape[0], geometry: geometry)
    {
      let source = makeActivation(sourceShape, gradient.precision)
      runMatrix(shape, source: gradient, weight: weight, isAdjoint: true, into: source)
      return source
    }
    if let shape = winograd(
      sourceShape: sourceShape, outputChannelCount: weight.shape[0], geometry: geometry,
      precision: gradient.precision)
    {
      let source = makeActivation(sourceShape, gradient.precision)
      runWinograd(shape, source: gradient, weight: weight, isAdjoint: true, into: source)
      return source
    }
    if var own = strided(
      gradient.precision, sourceShape: sourceShape, outputChannelCount: weight.shape[0], geometry: geometry)
    {
      let source = makeActivation(sourceShape, gradient.precision)
      runStrided(&own, source: gradient, weight: weight, isAdjoint: true, into: source)
      return source
    }
    if mustWiden(gradient) {
      return changed(
        try convolutionSourceGradient(
          changed(gradient, to: .float32), weight: weight, sourceShape: sourceShape, geometry: geometry),
        to: gradient.precision)
    }
    let source = makeActivation(sourceShape, gradient.precision)
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
    if source.layout != .plain,
      let shape = winograd(
        sourceShape: source.shape, outputChannelCount: weightShape[0], geometry: geometry,
        precision: gradient.precision), shape.suitsWeightGradient
    {
      return (
        winogradWeightGradient(shape, gradient: gradient, source: source, weightShape: weightShape),
        wantsBias ? channelSums(gradient) : nil
      )
    }
    let convolution = try convolution(
      key(
        source.shape, weightShape[0], geometry, gradient.precision, plain: source.layout == .plain,
        bias: wantsBias))
    var own = Self.kernelConvolution(
      gradient.precision, sourceShape: source.shape, outputChannelCount: weightShape[0], geometry: geometry,
      isPlain: source.layout == .plain, block: block)
    // From one to four plain channels oneDNN is faster, unless it has only its slow reference for them.
    if nnk_weight_gradient_supports(&own) != 0,
      source.layout != .plain || mustWiden(gradient) || convolution.weightGradientIsSlow
    {
      let weight = Tensor(uninitialized: weightShape, pool: pool)
      let scratch = Tensor(uninitialized: [nnk_weight_gradient_scratch(&own)], pool: pool)
      nnk_weight_gradient_run(
        &own, source.storage.pointer, gradient.storage.pointer, scratch.floats, weight.floats)
      withExtendedLifetime(scratch) {}
      return (weight, wantsBias ? channelSums(gradient) : nil)
    }
    if mustWiden(gradient) {
      return try convolutionWeightGradient(
        changed(gradient, to: .float32), source: changed(source, to: .float32), weightShape: weightShape,
        geometry: geometry, wantsBias: wantsBias)
    }
    let weight = Tensor(uninitialized: weightShape, pool: pool)
    let bias = wantsBias ? Tensor(uninitialized: [weightShape[0]], pool: pool) : nil
    try convolution.runWeightGradient(gradient, source: source, into: weight, bias: bias, pool: pool)
    return (weight, bias)
  }

  /// Whether oneDNN has to compute with the values of an activation in float32.
  private func mustWiden(_ activation: Tensor) -> Bool {
    // With blocks of eight it has nothing for bfloat16 but its reference, whatever the processor can do.
    activation.precision != .float32 && !(block == 16 && Self.multipliesBFloat16)
  }

  /// The values in another precision, in the same layout.
  private func changed(_ tensor: Tensor, to precision: Precision) -> Tensor {
    let result = Tensor(
      uninitialized: tensor.shape, precision: precision, layout: tensor.layout, pool: pool)
    if precision == .float32 {
      nnk_to_float32(tensor.storage.pointer, result.floats, tensor.storedCount)
    } else {
      nnk_to_bfloat16(tensor.floats, result.storage.pointer, tensor.storedCount)
    }
    withExtendedLifetime(tensor) {}
    return result
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
    if let shape = WinogradShape(
      sourceShape: sourceShape, outputChannelCount: outputChannelCount, geometry: geometry)
    {
      return shape.weightByteCount(precision)
    }
    guard
      var own = ownStrided(
        precision, sourceShape: sourceShape, outputChannelCount: outputChannelCount, geometry: geometry)
    else { return nil }
    return nnk_strided_weight_bytes(&own)
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
    var own = kernelConvolution(
      precision, sourceShape: sourceShape, outputChannelCount: weightShape[0], geometry: geometry)
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
