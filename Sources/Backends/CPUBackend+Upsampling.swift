// Transposed convolution of the CPU backend.

internal import CKernels
package import Tensors

extension CPUBackend {
  // Own kernels write every offset within the kernel where it belongs. Without AVX2 it is a 1x1 convolution to all offsets
  // at once, followed by a copy that interleaves them; oneDNN's own is several times slower.

  /// What the own kernels take, where processor and precision allow them.
  private static func ownUpsampling(
    _ precision: Precision, sourceShape: [Int], outputChannelCount: Int, stride: [Int],
    block: Int = widestBlock
  ) -> nnk_upsampling? {
    let lead = Array(repeating: 1, count: 3 - stride.count)
    func three(_ values: [Int]) -> (Int, Int, Int) {
      let all = lead + values
      return (all[0], all[1], all[2])
    }
    var own = nnk_upsampling(
      type: precision == .float32 ? NNK_FLOAT32 : NNK_BFLOAT16, lanes: Int32(block),
      samples: sourceShape[0],
      input_channels: sourceShape[1], output_channels: outputChannelCount,
      input_blocks: (sourceShape[1] + block - 1) / block,
      output_blocks: (outputChannelCount + block - 1) / block,
      extent: three(Array(sourceShape.dropFirst(2))), kernel: three(stride))
    return nnk_upsampling_supports(&own) != 0 ? own : nil
  }

  private func ownUpsampling(_ source: Tensor, weight: Tensor, stride: [Int]) -> nnk_upsampling? {
    if convolutionForm == .direct { return nil }
    return Self.ownUpsampling(
      source.precision, sourceShape: source.shape, outputChannelCount: weight.shape[1], stride: stride,
      block: block)
  }

  /// The transposed convolution on the matrix unit, where precision and processor allow it.
  private func matrixUpsampling(_ source: Tensor, weight: Tensor, stride: [Int]) -> MatrixShape? {
    guard block == MatrixShape.block else { return nil }
    return MatrixShape(
      source.precision, upsampling: source.shape, outputChannelCount: weight.shape[1], stride: stride,
      form: convolutionForm)
  }

  /// Floats that the own weight gradient keeps beside its result, and bytes of the packed weight; `nil` where oneDNN
  /// computes it.
  package static func upsamplingScratch(
    _ precision: Precision, sourceShape: [Int], outputChannelCount: Int, stride: [Int]
  ) -> (floatCount: Int, weightByteCount: Int)? {
    guard
      var own = ownUpsampling(
        precision, sourceShape: sourceShape, outputChannelCount: outputChannelCount, stride: stride)
    else { return nil }
    if let shape = MatrixShape(
      precision, upsampling: sourceShape, outputChannelCount: outputChannelCount, stride: stride)
    {
      return (shape.scratchCount, shape.weightByteCount)
    }
    return (nnk_upsampling_scratch(&own), nnk_upsampling_weight_bytes(&own))
  }

  /// The weight as the own kernels take it, made again when values or direction change.
  private func upsamplingWeight(
    _ weight: Tensor, _ own: inout nnk_upsampling, isAdjoint: Bool
  ) -> TensorStorage {
    packedWeight(
      weight, form: ["upsampling", String(own.type.rawValue)], isAdjoint: isAdjoint,
      byteCount: nnk_upsampling_weight_bytes(&own)
    ) { nnk_upsampling_pack(&own, weight.floats, isAdjoint ? 1 : 0, $0) }
  }

  /// The extents and stride as three axes, and how many offsets a kernel has.
  private func space(_ shape: [Int], _ stride: [Int]) -> (extent: [Int], kernel: [Int], offsetCount: Int) {
    let lead = Array(repeating: 1, count: 3 - stride.count)
    return (lead + shape.dropFirst(2), lead + stride, stride.reduce(1, *))
  }

  private func pointwise(_ rank: Int) -> ConvolutionGeometry {
    ConvolutionGeometry(kernel: Array(repeating: 1, count: rank), stride: Array(repeating: 1, count: rank))
  }

  package func upsample(_ source: Tensor, weight: Tensor, bias: Tensor, stride: [Int]) throws -> Tensor {
    let outputChannelCount = weight.shape[1]
    if let shape = matrixUpsampling(source, weight: weight, stride: stride) {
      let result = makeActivation(
        [source.batchCount, outputChannelCount] + zip(source.spatialShape, stride).map { $0 * $1 },
        source.precision)
      runMatrix(shape, source: source, weight: weight, bias: bias, isAdjoint: true, into: result)
      return result
    }
    if var own = ownUpsampling(source, weight: weight, stride: stride) {
      let result = makeActivation(
        [source.batchCount, outputChannelCount] + zip(source.spatialShape, stride).map { $0 * $1 },
        source.precision)
      let packed = upsamplingWeight(weight, &own, isAdjoint: false)
      let paddedBias = padded1D(bias, to: blocks(outputChannelCount) * block)
      nnk_upsampling_forward(
        &own, source.storage.pointer, packed.pointer, paddedBias.floats, result.storage.pointer)
      withExtendedLifetime((packed, paddedBias)) {}
      return result
    }
    let (extent, kernel, offsetCount) = space(source.shape, stride)
    let padded = blocks(outputChannelCount) * block
    let deep = try convolve(
      source, weight: offsetsAsChannels(weight, offsetCount: offsetCount), bias: nil,
      geometry: pointwise(stride.count))
    let result = makeActivation(
      [source.batchCount, outputChannelCount] + zip(source.spatialShape, stride).map { $0 * $1 },
      source.precision)
    let paddedBias = padded1D(bias, to: padded)
    defer { withExtendedLifetime((deep, paddedBias)) {} }
    nnk_depth_to_space(
      deep.storage.pointer, result.storage.pointer, source.kernelType, paddedBias.floats, source.batchCount,
      blocks(outputChannelCount), extent, kernel, Int32(block))
    return result
  }

  package func upsamplingGradients(
    _ gradient: Tensor, source: Tensor, weight: Tensor, stride: [Int]
  ) throws -> (source: Tensor, weight: Tensor, bias: Tensor) {
    let outputChannelCount = weight.shape[1]
    let byBias = channelSums(gradient)
    if let shape = matrixUpsampling(source, weight: weight, stride: stride) {
      let byWeight = matrixWeightGradient(
        shape, gradient: source, source: gradient, weightShape: weight.shape)
      let bySource = makeActivation(source.shape, source.precision)
      runMatrix(shape, source: gradient, weight: weight, isAdjoint: false, into: bySource)
      return (bySource, byWeight, byBias)
    }
    if var own = ownUpsampling(source, weight: weight, stride: stride) {
      let byWeight = Tensor(uninitialized: weight.shape, pool: pool)
      let scratch = Tensor(uninitialized: [nnk_upsampling_scratch(&own)], pool: pool)
      nnk_upsampling_weight_gradient(
        &own, source.storage.pointer, gradient.storage.pointer, scratch.floats, byWeight.floats)
      withExtendedLifetime(scratch) {}
      let bySource = makeActivation(source.shape, source.precision)
      let packed = upsamplingWeight(weight, &own, isAdjoint: true)
      nnk_upsampling_source_gradient(
        &own, gradient.storage.pointer, packed.pointer, bySource.storage.pointer)
      withExtendedLifetime(packed) {}
      return (bySource, byWeight, byBias)
    }
    let (extent, kernel, offsetCount) = space(source.shape, stride)
    let padded = blocks(outputChannelCount) * block
    let deep = makeActivation(
      [source.batchCount, offsetCount * padded] + source.spatialShape, gradient.precision)
    nnk_space_to_depth(
      gradient.storage.pointer, deep.storage.pointer, gradient.kernelType, source.batchCount,
      blocks(outputChannelCount), extent, kernel, Int32(block))
    let wide = offsetsAsChannels(weight, offsetCount: offsetCount)
    let geometry = pointwise(stride.count)
    let sourceGradient = try convolutionSourceGradient(
      deep, weight: wide, sourceShape: source.shape, geometry: geometry)
    let wideGradient = try convolutionWeightGradient(
      deep, source: source, weightShape: wide.shape, geometry: geometry, wantsBias: false
    ).weight
    return (
      sourceGradient, channelsAsOffsets(wideGradient, like: weight, offsetCount: offsetCount), byBias
    )
  }

  /// `[C, O, offsets]` as a pointwise weight `[offsets * O padded, C, 1...]`, made again when the values change.
  private func offsetsAsChannels(_ weight: Tensor, offsetCount: Int) -> Tensor {
    let (inputCount, outputCount) = (weight.shape[0], weight.shape[1])
    let padded = blocks(outputCount) * block
    let shape = [offsetCount * padded, inputCount] + Array(repeating: 1, count: weight.shape.count - 2)
    let slot = AnyHashable("offsets as channels")
    if let known = weight.storage.derivedForms[slot], known.version == weight.storage.version {
      return Tensor(shape: shape, storage: known.storage)
    }
    let wide = Tensor(uninitialized: shape, pool: weightPool)
    let (from, to) = (weight.floats, wide.floats)
    to.update(repeating: 0, count: wide.count)
    for c in 0..<inputCount {
      for o in 0..<outputCount {
        for k in 0..<offsetCount {
          to[(k * padded + o) * inputCount + c] = from[(c * outputCount + o) * offsetCount + k]
        }
      }
    }
    weight.storage.derivedForms[slot] = (weight.storage.version, wide.storage)
    return wide
  }

  private func channelsAsOffsets(_ wide: Tensor, like weight: Tensor, offsetCount: Int) -> Tensor {
    let (inputCount, outputCount) = (weight.shape[0], weight.shape[1])
    let padded = blocks(outputCount) * block
    let result = Tensor(uninitialized: weight.shape, pool: pool)
    let (from, to) = (wide.floats, result.floats)
    for c in 0..<inputCount {
      for o in 0..<outputCount {
        for k in 0..<offsetCount {
          to[(c * outputCount + o) * offsetCount + k] = from[(k * padded + o) * inputCount + c]
        }
      }
    }
    return result
  }
}
