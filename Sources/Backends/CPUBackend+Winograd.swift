// Convolutions in Winograd's form on the CPU backend; which ones, says WinogradShape.

internal import CKernels
import Tensors

extension CPUBackend {
  /// The convolution in Winograd's form, where processor and shape allow it.
  func winograd(
    sourceShape: [Int], outputChannelCount: Int, geometry: ConvolutionGeometry, precision: Precision
  ) -> WinogradShape? {
    guard nnk_lanes_are_supported(precision == .float32 ? NNK_FLOAT32 : NNK_BFLOAT16, Int32(block)) != 0
    else { return nil }
    return WinogradShape(
      sourceShape: sourceShape, outputChannelCount: outputChannelCount, geometry: geometry,
      form: convolutionForm, block: block)
  }

  /// The convolution of `source`, or with `isAdjoint` the gradient by the source, into `result`.
  func runWinograd(
    _ shape: WinogradShape, source: Tensor, weight: Tensor, bias: Tensor? = nil, isAdjoint: Bool,
    into result: Tensor
  ) {
    var kernel = shape.kernelShape(source.kernelType, isAdjoint: isAdjoint)
    let packed = winogradWeight(weight, shape: shape, kernel: &kernel, isAdjoint: isAdjoint)
    let paddedBias = bias.map { padded1D($0, to: Int(kernel.output_blocks) * block) }
    nnk_winograd_run(
      &kernel, source.storage.pointer, packed.pointer, paddedBias?.floats, result.storage.pointer)
    withExtendedLifetime((packed, paddedBias)) {}
  }

  /// The transformed weight, made again when values or direction change: a training uses each direction once a step, so
  /// that both can share their memory.
  private func winogradWeight(
    _ weight: Tensor, shape: WinogradShape, kernel: inout nnk_winograd, isAdjoint: Bool
  ) -> TensorStorage {
    let precision: Precision = kernel.type == NNK_FLOAT32 ? .float32 : .bfloat16
    return packedWeight(
      weight, form: ["winograd", precision.rawValue], isAdjoint: isAdjoint,
      byteCount: shape.weightByteCount(precision)
    ) { nnk_winograd_pack(&kernel, weight.floats, isAdjoint ? 1 : 0, $0) }
  }

  /// A weight in another form, made again when values or direction change; both directions share their memory.
  func packedWeight(
    _ weight: Tensor, form: [String], isAdjoint: Bool, byteCount: Int,
    pack: (UnsafeMutableRawPointer) -> Void
  ) -> TensorStorage {
    let slot = AnyHashable(form)
    let version = weight.storage.version * 2 + (isAdjoint ? 1 : 0)
    let known = weight.storage.derivedForms[slot]
    if let known, known.version == version { return known.storage }
    let storage = known?.storage ?? weightPool.allocate(byteCount: byteCount)
    pack(storage.pointer)
    weight.storage.derivedForms[slot] = (version, storage)
    return storage
  }

  func winogradWeightGradient(
    _ shape: WinogradShape, gradient: Tensor, source: Tensor, weightShape: [Int]
  ) -> Tensor {
    let weight = Tensor(uninitialized: weightShape, pool: pool)
    var kernel = shape.kernelShape(gradient.kernelType)
    let scratch = Tensor(uninitialized: [nnk_winograd_gradient_scratch(&kernel)], pool: pool)
    nnk_winograd_weight_gradient(
      &kernel, source.storage.pointer, gradient.storage.pointer, scratch.floats, weight.floats)
    withExtendedLifetime(scratch) {}
    return weight
  }
}
