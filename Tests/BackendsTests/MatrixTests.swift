// Convolutions by the kernels of the matrix unit against their definition, on the unit where there is one and without it.

import Backends
import Tensors
import Testing

/// Products of eight bits are exact in float32; weights and results are rounded to eight bits.
private let halfTolerance = 6e-3
/// Nothing is rounded but sums of float32.
private let sumTolerance = 2e-6

private let features = CPUBackend.processorFeatures

@Suite(
  .serialized,
  .enabled(if: features.contains("AVX-512 bf16"), "this processor has no AVX-512 with bf16"))
struct MatrixTests {
  /// The same kernels, on a matrix unit too where this processor has one.
  static let forms: [ConvolutionForm] =
    features.contains("AMX bf16") ? [.portableMatrix, .automatic] : [.portableMatrix]

  static let convolutions = [
    ConvolutionCase(source: [2, 16, 3, 4, 6], outputs: 32, kernel: [3, 3, 3], stride: [1, 1, 1]),
    // Odd extents, channels that fill no block, an odd number of blocks on either side.
    ConvolutionCase(source: [3, 20, 5, 7, 9], outputs: 40, kernel: [3, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [1, 70, 2, 5, 11], outputs: 5, kernel: [1, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [2, 17, 13, 31], outputs: 48, kernel: [3, 3], stride: [1, 1]),
    ConvolutionCase(source: [2, 32, 3, 5, 4], outputs: 3, kernel: [1, 1, 1], stride: [1, 1, 1]),
    // Strides, along some axes or all, that divide the extent and that do not; a kernel without a middle.
    ConvolutionCase(source: [2, 16, 6, 8, 8], outputs: 32, kernel: [3, 3, 3], stride: [2, 2, 2]),
    ConvolutionCase(source: [1, 33, 5, 7, 9], outputs: 20, kernel: [1, 3, 3], stride: [1, 2, 2]),
    ConvolutionCase(source: [1, 8, 9, 11, 10], outputs: 24, kernel: [3, 3, 3], stride: [2, 1, 3]),
    ConvolutionCase(source: [2, 16, 12, 10], outputs: 16, kernel: [2, 2], stride: [2, 2]),
    ConvolutionCase(source: [1, 16, 14, 13], outputs: 16, kernel: [5, 7], stride: [2, 1]),
    // A single voxel in the plane, a single plane.
    ConvolutionCase(source: [2, 16, 4, 1, 1], outputs: 16, kernel: [3, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [1, 16, 1, 6, 5], outputs: 16, kernel: [3, 3, 3], stride: [1, 1, 1]),
    // Planes so large that they are worked off in bands; so many planes, or so many channels, that threads share them.
    ConvolutionCase(source: [1, 96, 2, 62, 70], outputs: 16, kernel: [3, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [1, 16, 21, 6, 6], outputs: 16, kernel: [3, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [5, 64, 4, 4], outputs: 160, kernel: [3, 3], stride: [1, 1]),
    ConvolutionCase(source: [1, 96, 3, 4, 4], outputs: 128, kernel: [3, 3, 3], stride: [1, 1, 1]),
  ]

  @Test("All three directions agree with the definition", arguments: convolutions, forms)
  func agreement(_ c: ConvolutionCase, _ form: ConvolutionForm) throws {
    let backend = try CPUBackend(convolutionForm: form)
    let found = try ConvolutionAgreement(c, .bfloat16, on: backend, wantsBias: true)
    #expect(found.result < halfTolerance)
    #expect(found.sourceGradient < halfTolerance)
    #expect(found.weightGradient < sumTolerance)
    #expect(found.biasGradient < sumTolerance)
  }

  @Test(
    "Transposed convolutions agree with the definition",
    arguments: [[2, 2, 2], [1, 2, 2], [1, 3, 1], [2, 2], [1, 2]], forms)
  func upsampling(_ stride: [Int], _ form: ConvolutionForm) throws {
    let backend = try CPUBackend(convolutionForm: form)
    let source = exactNumbers([2, 40, 3, 5, 6].dropLast(3 - stride.count), seed: 1, .bfloat16, on: backend)
    let weight = exactNumbers([40, 20] + stride, seed: 2, .bfloat16, on: backend)
    let bias = Tensor(randomArray([20], seed: 3), pool: backend.pool)
    func activation(_ tensor: Tensor) -> Tensor { backend.activation(tensor, precision: .bfloat16) }
    let result = try backend.upsample(activation(source), weight: weight, bias: bias, stride: stride)
    let oracle = naiveUpsampling(
      NaiveArray(source.hostArray), NaiveArray(weight.hostArray),
      bias: bias.hostArray.elements.map(Double.init))
    #expect(relativeError(backend.plain(result).hostArray, oracle) < halfTolerance)
    // By the gradients' definition: they are the same linear map seen from the other sides.
    let gradient = exactNumbers(result.shape, seed: 4, .bfloat16, on: backend)
    let found = try backend.upsamplingGradients(
      activation(gradient), source: activation(source), weight: weight, stride: stride)
    let exact = try CPUBackend(convolutionForm: .direct).upsamplingGradients(
      backend.activation(gradient, precision: .float32),
      source: backend.activation(source, precision: .float32), weight: weight, stride: stride)
    #expect(
      relativeError(backend.plain(found.source).hostArray, NaiveArray(backend.plain(exact.source).hostArray))
        < halfTolerance)
    #expect(relativeError(found.weight.hostArray, NaiveArray(exact.weight.hostArray)) < 2 * sumTolerance)
    #expect(relativeError(found.bias.hostArray, NaiveArray(exact.bias.hostArray)) < 2 * sumTolerance)
  }

  @Test("Lanes beyond the channels stay zero", arguments: forms)
  func padding(_ form: ConvolutionForm) throws {
    let backend = try CPUBackend(convolutionForm: form)
    let source = backend.activation(
      Tensor(randomArray([1, 16, 2, 6, 6], seed: 1), pool: backend.pool), precision: .bfloat16)
    let weight = Tensor(randomArray([20, 16, 3, 3, 3], seed: 2), pool: backend.pool)
    let result = try backend.convolve(
      source, weight: weight, bias: Tensor(randomArray([20], seed: 3), pool: backend.pool),
      geometry: ConvolutionGeometry(kernel: [3, 3, 3], stride: [1, 1, 1]))
    let lanes = UnsafeBufferPointer(
      start: result.storage.pointer.assumingMemoryBound(to: UInt16.self), count: result.storedCount)
    let second = lanes.suffix(result.storedCount / 2)
    #expect(second.enumerated().allSatisfy { $0.offset % 16 < 4 || $0.element == 0 })
    #expect(second.contains { $0 != 0 })
    withExtendedLifetime(result) {}
  }

  @Test("The unit and its substitute give the same sums but for their order")
  func substitute() throws {
    guard Self.forms.count == 2 else { return }
    let found = try Self.forms.map { form in
      let backend = try CPUBackend(convolutionForm: form)
      let numbers = exactNumbers([2, 32, 5, 9, 8], seed: 1, .bfloat16, on: backend)
      let source = backend.activation(numbers, precision: .bfloat16)
      return try backend.convolutionWeightGradient(
        source, source: source, weightShape: [32, 32, 3, 3, 3],
        geometry: ConvolutionGeometry(kernel: [3, 3, 3], stride: [1, 1, 1]), wantsBias: false
      ).weight.hostArray
    }
    #expect(relativeError(found[0], NaiveArray(found[1])) < sumTolerance)
  }

  @Test("Only bfloat16 goes to the matrix unit, and strides no longer than the kernel")
  func selection() {
    func shape(_ precision: Precision, _ kernel: [Int], _ stride: Int, _ form: ConvolutionForm)
      -> MatrixShape?
    {
      MatrixShape(
        precision, sourceShape: [2, 32, 8, 8, 8], outputChannelCount: 32,
        geometry: ConvolutionGeometry(kernel: kernel, stride: kernel.map { _ in stride }), form: form)
    }
    #expect(shape(.bfloat16, [3, 3, 3], 2, .portableMatrix) != nil)
    #expect(shape(.float32, [3, 3, 3], 1, .portableMatrix) == nil)
    #expect(shape(.bfloat16, [1, 1, 1], 2, .portableMatrix) == nil)
    #expect(shape(.bfloat16, [9, 9, 9], 1, .portableMatrix) == nil)
    #expect(shape(.bfloat16, [3, 3, 3], 1, .direct) == nil)
    #expect(shape(.bfloat16, [3, 3, 3], 1, .winograd) == nil)
  }
}
