// Convolutions of any taps and strides by own kernels, where oneDNN has nothing but its slow reference: without AVX-512.

internal import CKernels
import Tensors

extension CPUBackend {
  /// A convolution as the kernels take it; extents and geometry get a leading axis where there are but two.
  static func kernelConvolution(
    _ precision: Precision, sourceShape: [Int], outputChannelCount: Int, geometry: ConvolutionGeometry,
    isPlain: Bool = false, block: Int = widestBlock
  ) -> nnk_convolution {
    let lead = Array(repeating: 1, count: 3 - geometry.kernel.count)
    func three(_ values: [Int], fill: Int = 1) -> (Int, Int, Int) {
      let all = lead.map { _ in fill } + values
      return (all[0], all[1], all[2])
    }
    func blocks(_ channelCount: Int) -> Int { (channelCount + block - 1) / block }
    let extent = Array(sourceShape.dropFirst(2))
    return nnk_convolution(
      type: precision == .float32 ? NNK_FLOAT32 : NNK_BFLOAT16, lanes: Int32(block),
      plain_source: isPlain ? 1 : 0, batch: sourceShape[0], input_channels: sourceShape[1],
      output_channels: outputChannelCount, input_blocks: isPlain ? 1 : blocks(sourceShape[1]),
      output_blocks: blocks(outputChannelCount), input: three(extent),
      output: three(geometry.outputShape(for: extent)), kernel: three(geometry.kernel),
      stride: three(geometry.stride), padding: three(geometry.padding, fill: 0))
  }

  /// What the own kernels take, where they are to compute the convolution: with AVX2 alone oneDNN has no way back through
  /// strides in three axes but its reference, which takes minutes, and is not faster in others.
  static func ownStrided(
    _ precision: Precision, sourceShape: [Int], outputChannelCount: Int, geometry: ConvolutionGeometry,
    block: Int = widestBlock
  ) -> nnk_convolution? {
    guard block == 8 else { return nil }
    var own = kernelConvolution(
      precision, sourceShape: sourceShape, outputChannelCount: outputChannelCount, geometry: geometry,
      block: block)
    return nnk_strided_supports(&own) != 0 ? own : nil
  }

  func strided(
    _ precision: Precision, sourceShape: [Int], outputChannelCount: Int, geometry: ConvolutionGeometry
  ) -> nnk_convolution? {
    Self.ownStrided(
      precision, sourceShape: sourceShape, outputChannelCount: outputChannelCount, geometry: geometry,
      block: block)
  }

  /// The convolution of `source`, or with `isAdjoint` the way back from its result, into `result`.
  func runStrided(
    _ convolution: inout nnk_convolution, source: Tensor, weight: Tensor, bias: Tensor? = nil,
    isAdjoint: Bool, into result: Tensor
  ) {
    let packed = packedWeight(
      weight, form: ["strided", String(convolution.type.rawValue)], isAdjoint: isAdjoint,
      byteCount: nnk_strided_weight_bytes(&convolution)
    ) { nnk_strided_pack(&convolution, weight.floats, isAdjoint ? 1 : 0, $0) }
    if isAdjoint {
      nnk_strided_adjoint(
        &convolution, source.storage.pointer, packed.pointer, result.storage.pointer)
    } else {
      let paddedBias = bias.map { padded1D($0, to: Int(convolution.output_blocks) * block) }
      nnk_strided_forward(
        &convolution, source.storage.pointer, packed.pointer, paddedBias?.floats, result.storage.pointer)
      withExtendedLifetime(paddedBias) {}
    }
    withExtendedLifetime(packed) {}
  }
}
