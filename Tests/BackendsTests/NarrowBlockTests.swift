// What a processor without AVX-512 computes, blocks of eight channels, on any that has AVX2.

import Backends
import Tensors
import Testing

private let hasVectors = CPUBackend.processorFeatures.contains("AVX2")

@Suite(.serialized, .enabled(if: hasVectors, "this processor has no AVX2"))
struct NarrowBlockTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend(block: 8) }

  /// Those of every backend, and strides that own kernels take: phases without a tap, strides of one axis alone, odd
  /// extents, taps of even number, planes worked off in several parts.
  static let convolutions =
    CPUBackendTests.convolutions.filter { $0.source[1] > 4 } + [
      ConvolutionCase(source: [2, 16, 7, 9, 5], outputs: 24, kernel: [3, 3, 3], stride: [2, 2, 2]),
      ConvolutionCase(source: [1, 12, 4, 6, 9], outputs: 20, kernel: [1, 3, 3], stride: [2, 3, 4]),
      ConvolutionCase(source: [1, 8, 5, 8, 8], outputs: 8, kernel: [3, 3, 3], stride: [1, 1, 2]),
      ConvolutionCase(source: [1, 9, 6, 11], outputs: 7, kernel: [5, 3], stride: [2, 2]),
      ConvolutionCase(source: [2, 8, 3, 4, 6], outputs: 16, kernel: [1, 1, 1], stride: [2, 2, 2]),
      ConvolutionCase(source: [1, 64, 3, 33, 35], outputs: 16, kernel: [3, 3, 3], stride: [2, 2, 2]),
    ]

  @Test("Convolutions agree with their definition", arguments: convolutions, [false, true])
  func convolution(_ c: ConvolutionCase, _ wantsBias: Bool) throws {
    let exact = try ConvolutionAgreement(c, .float32, on: backend, wantsBias: wantsBias)
    #expect(exact.result < 2e-6)
    #expect(exact.sourceGradient < 2e-6)
    #expect(exact.weightGradient < 2e-6)
    #expect(exact.biasGradient < 2e-6)
    // Sources and gradients are stored rounded; the weights are not.
    let rounded = try ConvolutionAgreement(c, .bfloat16, on: backend, wantsBias: wantsBias)
    #expect(rounded.result < 4e-3)
    #expect(rounded.sourceGradient < 4e-3)
    #expect(rounded.weightGradient < 4e-3)
    #expect(rounded.biasGradient < 4e-3)
  }

  @Test(
    "Transposed convolutions agree with their definition",
    arguments: [
      ([2, 32, 3, 4, 5], 16, [2, 2, 2]), ([1, 24, 4, 3, 2], 8, [1, 2, 2]), ([2, 17, 5, 4], 25, [2, 2]),
      ([1, 9, 2, 12, 13], 20, [2, 1, 2]),
    ])
  func upsampling(_ shape: [Int], _ outputs: Int, _ stride: [Int]) throws {
    for (precision, allowed) in [(Precision.float32, 2e-6), (.bfloat16, 4e-3)] {
      let source = exactNumbers(shape, seed: 1, precision, on: backend)
      let weight = Tensor(randomArray([shape[1], outputs] + stride, seed: 2), pool: backend.pool)
      let bias = Tensor(randomArray([outputs], seed: 3), pool: backend.pool)
      let naive = (NaiveArray(source.hostArray), NaiveArray(weight.hostArray))
      let result = try backend.upsample(
        backend.activation(source, precision: precision), weight: weight, bias: bias, stride: stride)
      let oracle = naiveUpsampling(
        naive.0, naive.1, bias: bias.hostArray.elements.map(Double.init))
      #expect(result.precision == precision)
      #expect(relativeError(backend.plain(result).hostArray, oracle) < allowed)
      let gradient = exactNumbers(result.shape, seed: 4, precision, on: backend)
      // The way back is a convolution of stride = kernel, from the result to the source.
      let back = NaiveGeometry(ConvolutionGeometry(kernel: stride, stride: stride))
      let arrived = NaiveArray(gradient.hostArray)
      let none = [Double](repeating: 0, count: shape[1])
      let expected = (
        source: naiveConvolution(arrived, naive.1, bias: none, back),
        weight: naiveConvolutionGradients(naive.0, source: arrived, weight: naive.1, back).weight
      )
      let found = try backend.upsamplingGradients(
        backend.activation(gradient, precision: precision),
        source: backend.activation(source, precision: precision), weight: weight, stride: stride)
      #expect(relativeError(backend.plain(found.source).hostArray, expected.source) < allowed)
      #expect(relativeError(found.weight.hostArray, expected.weight) < allowed)
    }
  }
}
