// Convolutions on the processor's matrix unit; which ones, says MatrixShape.

internal import CKernels
import Tensors

extension CPUBackend {
  /// The convolution on the matrix unit, where precision and processor allow it.
  func matrix(
    _ precision: Precision, sourceShape: [Int], outputChannelCount: Int, geometry: ConvolutionGeometry
  ) -> MatrixShape? {
    guard block == MatrixShape.block else { return nil }
    return MatrixShape(
      precision, sourceShape: sourceShape, outputChannelCount: outputChannelCount, geometry: geometry,
      form: convolutionForm)
  }

  /// The convolution of `source`, or with `isAdjoint` the way back from its result, into `result`.
  func runMatrix(
    _ shape: MatrixShape, source: Tensor, weight: Tensor, bias: Tensor? = nil, isAdjoint: Bool,
    into result: Tensor
  ) {
    var kernel = shape.kernel
    let packed = packedWeight(
      weight, form: ["matrix"], isAdjoint: isAdjoint, byteCount: shape.weightByteCount
    ) { nnk_matrix_pack(&kernel, weight.floats, isAdjoint ? 1 : 0, $0) }
    let paddedBias = bias.map { padded1D($0, to: blocks($0.count) * block) }
    (isAdjoint ? nnk_matrix_adjoint : nnk_matrix_forward)(
      &kernel, source.storage.pointer, packed.pointer, paddedBias?.floats, result.storage.pointer)
    withExtendedLifetime((packed, paddedBias)) {}
  }

  /// The gradient by the weight, of `weightShape`.
  func matrixWeightGradient(
    _ shape: MatrixShape, gradient: Tensor, source: Tensor, weightShape: [Int]
  ) -> Tensor {
    let weight = Tensor(uninitialized: weightShape, pool: pool)
    var kernel = shape.kernel
    let scratch = Tensor(uninitialized: [shape.scratchCount], pool: pool)
    nnk_matrix_weight_gradient(
      &kernel, source.storage.pointer, gradient.storage.pointer, scratch.floats, weight.floats)
    withExtendedLifetime(scratch) {}
    return weight
  }
}
