// Every operation in bfloat16 against the same operation in float32, which the naive oracle checks elsewhere.
// Inputs are values that bfloat16 holds exactly, so that only the results' rounding differs.

import Backends
import Tensors
import Testing

/// Half a unit in the last of bfloat16's eight digits, with room for what several roundings add up to.
private let tolerance = 6e-3
/// Sums over all voxels average the roundings away, but start from rounded gradients.
private let sumTolerance = 1e-2

/// The same values with the lower 16 bits cut off.
private func exact(_ array: NDArray<Float>) -> NDArray<Float> {
  array.map { Float(bitPattern: $0.bitPattern & 0xffff_0000) }
}

private func difference(_ a: NDArray<Float>, _ b: NDArray<Float>) -> Double {
  var (square, norm) = (0.0, 0.0)
  for (x, y) in zip(a.elements, b.elements) {
    square += Double(x - y) * Double(x - y)
    norm += Double(y) * Double(y)
  }
  return (square / max(norm, 1e-300)).squareRoot()
}

private let isSupported = (try? CPUBackend().supportedPrecisions.contains(.bfloat16)) ?? false

@Suite(.serialized, .enabled(if: isSupported, "this processor has kernels for float32 alone"))
struct BFloat16Tests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  private func plain(_ array: NDArray<Float>) -> Tensor { Tensor(array, pool: backend.pool) }

  /// An activation in each precision, float32 first.
  private func both(_ array: NDArray<Float>) -> [Tensor] {
    [Precision.float32, .bfloat16].map { backend.activation(plain(array), precision: $0) }
  }

  private func expectAgreement(_ tensors: [Tensor], _ what: String) {
    #expect(tensors[1].precision == .bfloat16, "\(what)")
    let hosts = tensors.map { backend.plain($0).hostArray }
    #expect(difference(hosts[1], hosts[0]) < tolerance, "\(what)")
  }

  @Test("Conversion rounds to nearest even and keeps what is not finite")
  func rounding() {
    let values: [Float] = [
      1, 1 + 1 / 256, 1 + 3 / 256, 1.00001, -2.7182817, 0, .infinity, -.infinity, .nan, 3e38, 0x1p-133,
    ]
    let expected: [Float] = [
      1, 1, 1 + 4 / 256, 1, -2.71875, 0, .infinity, -.infinity, .nan, 3e38, 0x1p-133,
    ]
    let there = backend.converted(plain(NDArray(shape: [values.count], elements: values)), to: .bfloat16)
    let back = backend.converted(there, to: .float32).hostArray.elements
    for (value, wanted) in zip(back, expected) {
      if wanted.isNaN {
        #expect(value.isNaN)
      } else if wanted.isFinite {
        #expect(abs(value - wanted) <= abs(wanted) / 256)
      } else {
        #expect(value == wanted)
      }
    }
    #expect(back[1] == 1 && back[2] == 1 + 4 / 256, "halves go to the even neighbour")
  }

  @Test("Convolution and its gradients", arguments: CPUBackendTests.convolutions)
  func convolution(_ c: ConvolutionCase) throws {
    let geometry = ConvolutionGeometry(kernel: c.kernel, stride: c.stride)
    let source = exact(randomArray(c.source, seed: 1))
    let weight = plain(exact(randomArray([c.outputs, c.source[1]] + c.kernel, seed: 2)))
    let bias = plain(exact(randomArray([c.outputs], seed: 3)))
    let results = try both(source).map {
      try backend.convolve($0, weight: weight, bias: bias, geometry: geometry)
    }
    expectAgreement(results, "result")
    let fromPlain = try backend.convolve(
      backend.converted(plain(source), to: .bfloat16), weight: weight, bias: bias, geometry: geometry)
    expectAgreement([results[0], fromPlain], "result of a plain source")
    let gradients = both(exact(randomArray(results[0].shape, seed: 4)))
    expectAgreement(
      try gradients.map {
        try backend.convolutionSourceGradient(
          $0, weight: weight, sourceShape: c.source, geometry: geometry)
      }, "source gradient")
    let sources = [both(source), [plain(source), backend.converted(plain(source), to: .bfloat16)]]
    for sources in sources {
      let byWeight = try zip(gradients, sources).map {
        try backend.convolutionWeightGradient(
          $0, source: $1, weightShape: weight.shape, geometry: geometry, wantsBias: true)
      }
      #expect(byWeight.allSatisfy { $0.weight.precision == .float32 })
      #expect(difference(byWeight[1].weight.hostArray, byWeight[0].weight.hostArray) < sumTolerance)
      let biases = byWeight.compactMap { $0.bias?.hostArray }
      #expect(biases.count == 2 && difference(biases[1], biases[0]) < sumTolerance)
      let alone = try backend.convolutionWeightGradient(
        gradients[1], source: sources[1], weightShape: weight.shape, geometry: geometry, wantsBias: false)
      #expect(difference(alone.weight.hostArray, byWeight[0].weight.hostArray) < sumTolerance)
    }
  }

  @Test(
    "Transposed convolution and its gradients",
    arguments: [
      ([2, 32, 3, 4, 5], 16, [2, 2, 2]), ([1, 24, 4, 3, 2], 8, [1, 2, 2]), ([2, 16, 5, 4], 24, [2, 2]),
    ])
  func upsampling(_ shape: [Int], _ outputs: Int, _ stride: [Int]) throws {
    let sources = both(exact(randomArray(shape, seed: 1)))
    let weight = plain(exact(randomArray([shape[1], outputs] + stride, seed: 2)))
    let bias = plain(exact(randomArray([outputs], seed: 3)))
    let results = try sources.map {
      try backend.upsample($0, weight: weight, bias: bias, stride: stride)
    }
    expectAgreement(results, "result")
    let gradients = try zip(both(exact(randomArray(results[0].shape, seed: 4))), sources).map {
      try backend.upsamplingGradients($0, source: $1, weight: weight, stride: stride)
    }
    expectAgreement(gradients.map(\.source), "source gradient")
    #expect(difference(gradients[1].weight.hostArray, gradients[0].weight.hostArray) < sumTolerance)
    #expect(difference(gradients[1].bias.hostArray, gradients[0].bias.hostArray) < sumTolerance)
  }

  @Test(
    "Instance norm with leaky ReLU and its gradients",
    arguments: [[2, 32, 4, 5, 6], [1, 20, 9, 7], [2, 16, 12, 13, 14]])
  func normalization(_ shape: [Int]) throws {
    let sources = both(exact(randomArray(shape, seed: 1)))
    let scale = plain(randomArray([shape[1]], seed: 2))
    let shift = plain(randomArray([shape[1]], seed: 3))
    let settings = NormalizationSettings()
    let results = sources.map { backend.normalize($0, scale: scale, shift: shift, settings: settings) }
    expectAgreement(results.map(\.result), "result")
    let arrived = both(exact(randomArray(shape, seed: 4)))
    let gradients = zip(arrived, zip(sources, results)).map { gradient, parts in
      backend.normalizationGradients(
        gradient, source: parts.0, scale: scale, shift: shift, statistics: parts.1.statistics,
        settings: settings)
    }
    expectAgreement(gradients.map(\.source), "source gradient")
    #expect(difference(gradients[1].scale.hostArray, gradients[0].scale.hostArray) < 1e-5)
    #expect(difference(gradients[1].shift.hostArray, gradients[0].shift.hostArray) < 1e-5)
  }

  @Test("Concatenation, split and sum", arguments: [(16, 32), (8, 24), (32, 5)])
  func concatenation(_ first: Int, _ second: Int) {
    let a = exact(randomArray([2, first, 3, 4, 5], seed: 1))
    let b = exact(randomArray([2, second, 3, 4, 5], seed: 2))
    let whole = backend.concatenate(both(a)[1], both(b)[1])
    #expect(whole.precision == .bfloat16)
    let parts = backend.split(whole, firstChannelCount: first)
    #expect(backend.plain(parts.first).hostArray == a)
    #expect(backend.plain(parts.second).hostArray == b)
    let sums = zip(both(a), both(exact(randomArray(a.shape, seed: 3)))).map { target, addend in
      backend.add(addend, into: target)
      return target
    }
    expectAgreement(sums, "sum")
  }
}
