// Which convolutions are computed by Winograd's minimal filtering, and what that takes: four results of a plane for 16
// products in place of 36. `Docs/Decisions/0008-winograd.md` says what it does to the numbers.

internal import CKernels
package import Tensors

/// How a backend computes convolutions.
package enum ConvolutionForm: Sendable {
  /// On the processor's matrix unit if it has one for the precision, else by Winograd's minimal filtering where that pays.
  case automatic
  /// By their definition, without either.
  case direct
  /// By the matrix unit's kernels, but without the unit; for tests.
  case portableMatrix
  /// By Winograd's minimal filtering wherever the shape allows it, without a matrix unit; for tests.
  case winograd
}

/// A convolution with 3 x 3 taps in the plane, one or three along z, and stride 1, large enough for Winograd's form.
package struct WinogradShape: Hashable, Sendable {
  let batchCount: Int
  let inputChannelCount: Int
  let outputChannelCount: Int
  /// Extents along z, y, x.
  let extent: [Int]
  /// Taps along z.
  let depth: Int
  /// Whether the weight gradient pays too.
  package private(set) var suitsWeightGradient = false
  /// Channels per block of the activations.
  let block: Int
  /// Multiplications of the plain convolution below which it is done in a few milliseconds anyway.
  private static let leastProductCount = 1 << 28
  /// Voxels of the batch from which a transformed weight gradient pays for the sums it keeps, 16 for each tap of z.
  private static let leastGradientVoxelCount = 8192
  /// Voxels from which transforming the weights is little beside using them.
  private static let leastVoxelCount = 512

  /// `nil` where another form is needed or pays.
  ///
  /// - Parameters:
  ///   - sourceShape: `[N, C, spatial]`.
  ///   - outputChannelCount: Channels of the result.
  ///   - geometry: Kernel, stride and padding.
  ///   - form: The backend's choice.
  ///   - block: Channels per block; what suits the processor if left out.
  package init?(
    sourceShape: [Int], outputChannelCount: Int, geometry: ConvolutionGeometry,
    form: ConvolutionForm = .automatic, block: Int? = nil
  ) {
    let kernel = geometry.kernel
    guard form == .automatic || form == .winograd, kernel.suffix(2) == [3, 3],
      geometry.stride.allSatisfy({ $0 == 1 }),
      kernel.count == 2 || kernel[0] == 1 || kernel[0] == 3
    else { return nil }
    self.block = block ?? CPUBackend.widestBlock
    batchCount = sourceShape[0]
    inputChannelCount = sourceShape[1]
    self.outputChannelCount = outputChannelCount
    extent = (kernel.count == 2 ? [1] : []) + sourceShape.dropFirst(2)
    depth = kernel.count == 2 ? 1 : kernel[0]
    suitsWeightGradient = form == .winograd || voxelCount >= Self.leastGradientVoxelCount
    if form == .winograd { return }
    let products = voxelCount * inputChannelCount * outputChannelCount * depth * 9
    guard voxelCount >= Self.leastVoxelCount, products >= Self.leastProductCount else { return nil }
  }

  private var voxelCount: Int { batchCount * extent.reduce(1, *) }

  private func blocks(_ channelCount: Int) -> Int { (channelCount + block - 1) / block }

  /// Bytes of the transformed weights.
  package func weightByteCount(_ precision: Precision) -> Int {
    var kernel = kernelShape(precision == .float32 ? NNK_FLOAT32 : NNK_BFLOAT16)
    return nnk_winograd_weight_bytes(&kernel)
  }

  /// As the kernels take it; `isAdjoint` for the way back from result to source.
  func kernelShape(_ type: nnk_type, isAdjoint: Bool = false) -> nnk_winograd {
    let (input, output) =
      isAdjoint ? (outputChannelCount, inputChannelCount) : (inputChannelCount, outputChannelCount)
    return nnk_winograd(
      type: type, lanes: Int32(block), batch: batchCount, input_channels: input, output_channels: output,
      input_blocks: blocks(input), output_blocks: blocks(output), extent: (extent[0], extent[1], extent[2]),
      depth: depth)
  }
}
