// Which convolutions the processor's matrix unit computes, and what that takes. `Docs/Decisions/0009-matrix-unit.md` says
// why it is worth its own kernels.

internal import CKernels
package import Tensors

/// A convolution in bfloat16 that the processor's matrix unit (AMX) computes by its definition.
package struct MatrixShape: Sendable {
  var kernel: nnk_matrix_convolution

  /// Channels per block of the activations.
  static let block = 16

  /// `nil` where there is no such unit, or another form is wanted.
  ///
  /// - Parameters:
  ///   - precision: Of source and result.
  ///   - sourceShape: `[N, C, spatial]`.
  ///   - outputChannelCount: Channels of the result.
  ///   - geometry: Kernel, stride and padding.
  ///   - form: The backend's choice.
  package init?(
    _ precision: Precision, sourceShape: [Int], outputChannelCount: Int, geometry: ConvolutionGeometry,
    form: ConvolutionForm = .automatic
  ) {
    guard precision == .bfloat16, form != .direct, form != .winograd else { return nil }
    let lead = 3 - geometry.kernel.count
    func three(_ values: [Int], fill: Int = 1) -> (Int, Int, Int) {
      let all = Array(repeating: fill, count: lead) + values
      return (all[0], all[1], all[2])
    }
    let extent = Array(sourceShape.dropFirst(2))
    kernel = nnk_matrix_convolution(
      batch: sourceShape[0], input_channels: sourceShape[1], output_channels: outputChannelCount,
      source: three(extent), result: three(geometry.outputShape(for: extent)), kernel: three(geometry.kernel),
      stride: three(geometry.stride), padding: three(geometry.padding, fill: 0),
      is_portable: form == .portableMatrix ? 1 : 0)
    guard nnk_matrix_supports(&kernel) != 0 else { return nil }
  }

  /// A transposed convolution, as the way back of a convolution whose stride is its kernel; `sourceShape` is of what it
  /// enlarges.
  package init?(
    _ precision: Precision, upsampling sourceShape: [Int], outputChannelCount: Int, stride: [Int],
    form: ConvolutionForm = .automatic
  ) {
    self.init(
      precision,
      sourceShape: [sourceShape[0], outputChannelCount]
        + zip(sourceShape.dropFirst(2), stride).map { $0 * $1 },
      outputChannelCount: sourceShape[1],
      geometry: ConvolutionGeometry(kernel: stride, stride: stride, padding: stride.map { _ in 0 }),
      form: form)
  }

  /// Bytes of the packed weights.
  package var weightByteCount: Int {
    var kernel = kernel
    return nnk_matrix_weight_bytes(&kernel)
  }

  /// Floats that the weight gradient keeps beside its result.
  package var scratchCount: Int {
    var kernel = kernel
    return nnk_matrix_gradient_scratch(&kernel)
  }
}
