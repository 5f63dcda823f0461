// Every operation of the CPU backend against the naive oracle, over channel counts that fill blocks and that do not.

import Backends
import Tensors
import Testing

/// Rounding of float sums over at most a few thousand terms.
private let tolerance = 2e-6

struct ConvolutionCase: Sendable, CustomTestStringConvertible {
  var source: [Int]
  var outputs: Int
  var kernel: [Int]
  var stride: [Int]
  var testDescription: String { "\(source) to \(outputs), kernel \(kernel), stride \(stride)" }
}

@Suite(.serialized) struct CPUBackendTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  private func activation(_ array: NDArray<Float>) -> Tensor {
    backend.activation(Tensor(array, pool: backend.pool), precision: .float32)
  }

  private func plain(_ array: NDArray<Float>) -> Tensor { Tensor(array, pool: backend.pool) }

  static let convolutions = [
    ConvolutionCase(source: [2, 1, 6, 8, 7], outputs: 32, kernel: [3, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [1, 4, 6, 8, 7], outputs: 8, kernel: [3, 3, 3], stride: [1, 1, 1]),
    ConvolutionCase(source: [2, 16, 6, 8, 8], outputs: 32, kernel: [3, 3, 3], stride: [2, 2, 2]),
    ConvolutionCase(source: [1, 24, 5, 7, 9], outputs: 20, kernel: [1, 3, 3], stride: [1, 2, 2]),
    ConvolutionCase(source: [2, 32, 3, 5, 4], outputs: 3, kernel: [1, 1, 1], stride: [1, 1, 1]),
    ConvolutionCase(source: [2, 8, 12, 10], outputs: 16, kernel: [3, 3], stride: [2, 2]),
    ConvolutionCase(source: [1, 3, 9, 11], outputs: 16, kernel: [3, 3], stride: [1, 1]),
    // Rows so long that a plane is worked off in several tiles; three blocks of channels on either side.
    ConvolutionCase(source: [1, 18, 2, 22, 130], outputs: 5, kernel: [3, 3, 3], stride: [1, 2, 1]),
    ConvolutionCase(source: [3, 33, 13, 40], outputs: 35, kernel: [3, 3], stride: [1, 1]),
  ]

  @Test("Convolution and its gradients agree with the definition", arguments: convolutions)
  func convolution(_ c: ConvolutionCase) throws {
    let geometry = ConvolutionGeometry(kernel: c.kernel, stride: c.stride)
    let source = randomArray(c.source, seed: 1)
    let weight = randomArray([c.outputs, c.source[1]] + c.kernel, seed: 2)
    let bias = randomArray([c.outputs], seed: 3)
    let naive = NaiveGeometry(geometry)
    let oracle = naiveConvolution(
      NaiveArray(source), NaiveArray(weight), bias: bias.elements.map(Double.init), naive)
    let result = try backend.convolve(
      activation(source), weight: plain(weight), bias: plain(bias), geometry: geometry)
    #expect(relativeError(backend.plain(result).hostArray, oracle) < tolerance)
    let fromPlain = try backend.convolve(
      plain(source), weight: plain(weight), bias: plain(bias), geometry: geometry)
    #expect(relativeError(backend.plain(fromPlain).hostArray, oracle) < tolerance)

    let gradient = randomArray(result.shape, seed: 4)
    let expected = naiveConvolutionGradients(
      NaiveArray(gradient), source: NaiveArray(source), weight: NaiveArray(weight), naive)
    let bySource = try backend.convolutionSourceGradient(
      activation(gradient), weight: plain(weight), sourceShape: c.source, geometry: geometry)
    #expect(relativeError(backend.plain(bySource).hostArray, expected.source) < tolerance)
    let byWeight = try backend.convolutionWeightGradient(
      activation(gradient), source: activation(source), weightShape: weight.shape, geometry: geometry,
      wantsBias: true)
    #expect(relativeError(byWeight.weight.hostArray, expected.weight) < tolerance)
    for source in [activation(source), plain(source)] {
      let alone = try backend.convolutionWeightGradient(
        activation(gradient), source: source, weightShape: weight.shape, geometry: geometry, wantsBias: false)
      #expect(relativeError(alone.weight.hostArray, expected.weight) < tolerance)
    }
    let voxels = result.voxelCount
    for o in 0..<c.outputs {
      let sum = gradient.elements.indices.filter { $0 / voxels % c.outputs == o }.reduce(0.0) {
        $0 + Double(gradient.elements[$1])
      }
      #expect(abs(Double(byWeight.bias?.floats[o] ?? .nan) - sum) < 1e-4)
    }
  }

  @Test(
    "An output head and its gradients agree with the definition, for few and many classes",
    arguments: [
      (3, [2, 32, 5, 6, 7]), (5, [1, 20, 70, 61]), (16, [2, 48, 3, 5, 7]), (19, [1, 24, 4, 5, 6]),
    ])
  func outputHead(_ classCount: Int, _ shape: [Int]) throws {
    let ones = shape.dropFirst(2).map { _ in 1 }
    let source = randomArray(shape, seed: 1)
    let weight = randomArray([classCount, shape[1]] + ones, seed: 2)
    let bias = randomArray([classCount], seed: 3)
    let naive = NaiveGeometry(ConvolutionGeometry(kernel: ones, stride: ones))
    let oracle = naiveConvolution(
      NaiveArray(source), NaiveArray(weight), bias: bias.elements.map(Double.init), naive)
    for precision in [Precision.float32, .bfloat16] {
      // Half precision rounds the features once; the sums are those of float32.
      let allowed = precision == .float32 ? tolerance : 4e-3
      let features = backend.activation(plain(source), precision: precision)
      let logits = try backend.logits(features, weight: plain(weight), bias: plain(bias))
      #expect(logits.layout == .plain && logits.precision == .float32)
      #expect(relativeError(logits.hostArray, oracle) < allowed)
      let gradient = randomArray(logits.shape, seed: 4)
      let expected = naiveConvolutionGradients(
        NaiveArray(gradient), source: NaiveArray(source), weight: NaiveArray(weight), naive)
      let gradients = try backend.logitsGradients(plain(gradient), source: features, weight: plain(weight))
      #expect(gradients.source.precision == precision)
      #expect(relativeError(backend.plain(gradients.source).hostArray, expected.source) < allowed)
      #expect(relativeError(gradients.weight.hostArray, expected.weight) < allowed)
      let voxels = logits.voxelCount
      for k in 0..<classCount {
        let sum = gradient.elements.indices.filter { $0 / voxels % classCount == k }.reduce(0.0) {
          $0 + Double(gradient.elements[$1])
        }
        // Float sums over runs of 4096 voxels; for many classes the gradient is rounded to the features' precision.
        let isRounded = classCount > 16 && precision == .bfloat16
        #expect(abs(Double(gradients.bias.floats[k]) - sum) < (isRounded ? 0.2 : 5e-4))
      }
    }
  }

  @Test("Weights in oneDNN's layout follow an update of the values")
  func packedWeightsFollowUpdates() throws {
    let geometry = ConvolutionGeometry(kernel: [3, 3], stride: [1, 1])
    let source = activation(randomArray([1, 16, 6, 6], seed: 1))
    let weight = plain(randomArray([16, 16, 3, 3], seed: 2))
    let before = backend.plain(try backend.convolve(source, weight: weight, bias: nil, geometry: geometry))
      .hostArray
    let step = DescentStep(learningRate: 1, weightDecay: 1, isFirst: true)
    let zero = plain(NDArray(shape: weight.shape, repeating: 0))
    backend.descend(
      weight, gradient: zero, state: [plain(NDArray(shape: weight.shape, repeating: 0))],
      rule: .sgd(momentum: 0, nesterov: false), step: step)
    let after = backend.plain(try backend.convolve(source, weight: weight, bias: nil, geometry: geometry))
      .hostArray
    #expect(before.elements.contains { abs($0) > 0.1 })
    #expect(after.elements.allSatisfy { $0 == 0 })
  }

  @Test(
    "Transposed convolution and its gradients agree with the definition",
    arguments: [
      ([2, 32, 3, 4, 5], 16, [2, 2, 2]), ([1, 24, 4, 3, 2], 8, [1, 2, 2]), ([2, 16, 5, 4], 24, [2, 2]),
    ])
  func upsampling(_ shape: [Int], _ outputs: Int, _ stride: [Int]) throws {
    let source = randomArray(shape, seed: 1)
    let weight = randomArray([shape[1], outputs] + stride, seed: 2)
    let bias = randomArray([outputs], seed: 3)
    let oracle = naiveUpsampling(NaiveArray(source), NaiveArray(weight), bias: bias.elements.map(Double.init))
    let result = try backend.upsample(
      activation(source), weight: plain(weight), bias: plain(bias), stride: stride)
    #expect(relativeError(backend.plain(result).hostArray, oracle) < tolerance)

    // The operation is linear, so <gradient, f(d) - f(0)> equals <adjoint(gradient), d> for source and weight.
    let gradient = randomArray(result.shape, seed: 4)
    let gradients = try backend.upsamplingGradients(
      activation(gradient), source: activation(source), weight: plain(weight), stride: stride)
    let zeroBias = [Double](repeating: 0, count: outputs)
    func dot(_ a: NDArray<Float>, _ b: [Double]) -> Double {
      zip(a.elements, b).reduce(0) { $0 + Double($1.0) * $1.1 }
    }
    let direction = randomArray(shape, seed: 5)
    let bySource = naiveUpsampling(NaiveArray(direction), NaiveArray(weight), bias: zeroBias)
    let sourceGradient = backend.plain(gradients.source).hostArray
    let left = dot(gradient, bySource.values)
    #expect(abs(left - dot(sourceGradient, direction.elements.map(Double.init))) < 1e-3 * max(1, abs(left)))
    let weightDirection = randomArray(weight.shape, seed: 6)
    let byWeight = naiveUpsampling(NaiveArray(source), NaiveArray(weightDirection), bias: zeroBias)
    let right = dot(gradient, byWeight.values)
    #expect(
      abs(right - dot(gradients.weight.hostArray, weightDirection.elements.map(Double.init))) < 1e-3
        * max(1, abs(right)))
    let voxels = result.voxelCount
    for o in 0..<outputs {
      let sum = gradient.elements.indices.filter { $0 / voxels % outputs == o }.reduce(0.0) {
        $0 + Double(gradient.elements[$1])
      }
      #expect(abs(Double(gradients.bias.floats[o]) - sum) < 1e-4)
    }
  }

  @Test(
    "Instance norm with leaky ReLU agrees with the definition, far from zero too",
    arguments: [([2, 32, 4, 5, 6], 0.0), ([1, 20, 9, 7], 0.0), ([2, 16, 12, 13, 14], 30.0)])
  func normalization(_ shape: [Int], _ offset: Double) throws {
    let source = randomArray(shape, seed: 1).map { $0 + Float(offset) }
    let scale = randomArray([shape[1]], seed: 2)
    let shift = randomArray([shape[1]], seed: 3)
    let settings = NormalizationSettings()
    let (result, statistics) = backend.normalize(
      activation(source), scale: plain(scale), shift: plain(shift), settings: settings)
    let doubles = (scale.elements.map(Double.init), shift.elements.map(Double.init))
    let oracle = naiveNormalization(
      NaiveArray(source), scale: doubles.0, shift: doubles.1, epsilon: 1e-5, slope: 0.01)
    #expect(relativeError(backend.plain(result).hostArray, oracle) < 1e-5)

    // Gradients by central differences of the oracle along random directions.
    let gradient = randomArray(shape, seed: 4)
    let gradients = backend.normalizationGradients(
      activation(gradient), source: activation(source), scale: plain(scale), shift: plain(shift),
      statistics: statistics, settings: settings)
    func objective(_ x: NaiveArray, _ scale: [Double], _ shift: [Double]) -> Double {
      let y = naiveNormalization(x, scale: scale, shift: shift, epsilon: 1e-5, slope: 0.01)
      return zip(gradient.elements, y.values).reduce(0) { $0 + Double($1.0) * $1.1 }
    }
    let h = 1e-6
    let direction = randomArray(shape, seed: 5).elements.map(Double.init)
    func shifted(_ factor: Double) -> NaiveArray {
      var x = NaiveArray(source)
      for i in x.values.indices { x.values[i] += factor * direction[i] }
      return x
    }
    let numeric =
      (objective(shifted(h), doubles.0, doubles.1) - objective(shifted(-h), doubles.0, doubles.1)) / (2 * h)
    let analytic = zip(backend.plain(gradients.source).hostArray.elements, direction).reduce(0) {
      $0 + Double($1.0) * $1.1
    }
    #expect(abs(numeric - analytic) < 2e-3 * max(1, abs(numeric)))
    for channel in [0, shape[1] - 1] {
      var (up, down) = (doubles.0, doubles.0)
      up[channel] += h
      down[channel] -= h
      let byScale =
        (objective(NaiveArray(source), up, doubles.1) - objective(NaiveArray(source), down, doubles.1))
        / (2 * h)
      #expect(abs(byScale - Double(gradients.scale.floats[channel])) < 2e-3 * max(1, abs(byScale)))
      (up, down) = (doubles.1, doubles.1)
      up[channel] += h
      down[channel] -= h
      let byShift =
        (objective(NaiveArray(source), doubles.0, up) - objective(NaiveArray(source), doubles.0, down))
        / (2 * h)
      #expect(abs(byShift - Double(gradients.shift.floats[channel])) < 2e-3 * max(1, abs(byShift)))
    }
  }

  @Test(
    "Concatenation and split are inverse, with full and partial blocks",
    arguments: [(16, 32), (8, 24), (32, 5)])
  func concatenation(_ first: Int, _ second: Int) {
    let a = randomArray([2, first, 3, 4, 5], seed: 1)
    let b = randomArray([2, second, 3, 4, 5], seed: 2)
    let whole = backend.concatenate(activation(a), activation(b))
    #expect(whole.shape == [2, first + second, 3, 4, 5])
    let host = backend.plain(whole).hostArray
    #expect(host[1, 0, 2, 3, 4] == a[1, 0, 2, 3, 4])
    #expect(host[1, first, 2, 3, 4] == b[1, 0, 2, 3, 4])
    let parts = backend.split(whole, firstChannelCount: first)
    #expect(backend.plain(parts.first).hostArray == a)
    #expect(backend.plain(parts.second).hostArray == b)
  }

  @Test("A second step of the same shapes takes its buffers from the pool")
  func poolIsReused() throws {
    let geometry = ConvolutionGeometry(kernel: [3, 3], stride: [1, 1])
    let source = activation(randomArray([1, 16, 6, 6], seed: 1))
    let weight = plain(randomArray([16, 16, 3, 3], seed: 2))
    _ = try backend.convolve(source, weight: weight, bias: nil, geometry: geometry)
    let usage = backend.pool.usage
    for _ in 0..<3 { _ = try backend.convolve(source, weight: weight, bias: nil, geometry: geometry) }
    #expect(backend.pool.usage.peak == usage.peak)
    #expect(backend.pool.usage.current == usage.current)
  }
}
