// Batch norm, running statistics, activations, dropout and channel sums against definitions in double precision.

import Backends
import Foundation
import Tensors
import Testing

/// Rounding of float sums over at most a few thousand terms.
private let tolerance = 1e-5
/// Central differences of the oracle against a float32 gradient.
private let gradientTolerance = 2e-3
/// One rounding to seven bits of mantissa, and one of the gradient.
private let halfTolerance = 8e-3

/// Batch norm with affine parameters and leaky ReLU, of all samples together.
private func naiveBatchNorm(
  _ source: NaiveArray, scale: [Double], shift: [Double], epsilon: Double, slope: Double
) -> (result: NaiveArray, means: [Double], variances: [Double]) {
  var result = source
  let voxels = source.shape.dropFirst(2).reduce(1, *)
  let channelCount = source.shape[1]
  var (means, variances): ([Double], [Double]) = ([], [])
  for channel in 0..<channelCount {
    let indices = source.values.indices.filter { $0 / voxels % channelCount == channel }
    let mean = indices.reduce(0) { $0 + source.values[$1] } / Double(indices.count)
    let variance =
      indices.reduce(0) { $0 + (source.values[$1] - mean) * (source.values[$1] - mean) }
      / Double(indices.count)
    for i in indices {
      let z = (source.values[i] - mean) / (variance + epsilon).squareRoot() * scale[channel] + shift[channel]
      result.values[i] = z > 0 ? z : z * slope
    }
    means.append(mean)
    variances.append(variance)
  }
  return (result, means, variances)
}

/// An activation by its formula.
private func naive(_ function: ActivationFunction, _ x: Double) -> Double {
  switch function {
  case .leakyReLU(let slope): x > 0 ? x : Double(slope) * x
  case .relu6: min(max(x, 0), 6)
  case .elu(let alpha): x > 0 ? x : Double(alpha) * (exp(x) - 1)
  case .celu(let alpha): max(0, x) + min(0, Double(alpha) * (exp(x / Double(alpha)) - 1))
  case .selu: 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * (exp(x) - 1))
  case .gelu(isApproximate: false): x * 0.5 * erfc(-x / 2.0.squareRoot())
  case .gelu: 0.5 * x * (1 + tanh((2 / Double.pi).squareRoot() * (x + 0.044715 * pow(x, 3))))
  case .silu: x / (1 + exp(-x))
  case .mish: x * tanh(log(1 + exp(x)))
  case .hardswish: x <= -3 ? 0 : (x >= 3 ? x : x * (x + 3) / 6)
  case .hyperbolicTangent: tanh(x)
  }
}

@Suite(.serialized) struct BlockOperationTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  private func activation(_ array: NDArray<Float>, _ precision: Precision = .float32) -> Tensor {
    backend.activation(Tensor(array, pool: backend.pool), precision: precision)
  }

  private func plain(_ array: NDArray<Float>) -> Tensor { Tensor(array, pool: backend.pool) }

  private static let shapes = [[3, 16, 3, 4, 5], [2, 5, 6, 7], [1, 20, 9, 4]]

  @Test("Batch norm and its gradients agree with the definition", arguments: shapes)
  func batchNorm(_ shape: [Int]) {
    let settings = NormalizationSettings(
      epsilon: 1e-3, negativeSlope: 0.1, extent: .batch, keepsVariance: true)
    let source = randomArray(shape, seed: 1).map { 3 + 2 * $0 }
    let (scale, shift) = (randomArray([shape[1]], seed: 2), randomArray([shape[1]], seed: 3))
    let doubles = (scale.elements.map(Double.init), shift.elements.map(Double.init))
    func oracle(_ x: NaiveArray, _ scale: [Double], _ shift: [Double]) -> NaiveArray {
      naiveBatchNorm(x, scale: scale, shift: shift, epsilon: 1e-3, slope: Double(Float(0.1))).result
    }
    let expected = naiveBatchNorm(
      NaiveArray(source), scale: doubles.0, shift: doubles.1, epsilon: 1e-3, slope: 0.1)
    let (result, statistics) = backend.normalize(
      activation(source), scale: plain(scale), shift: plain(shift), settings: settings)
    #expect(relativeError(backend.plain(result).hostArray, expected.result) < tolerance)
    let padded = statistics.mean.shape[1]
    for sample in 0..<shape[0] {
      for channel in 0..<shape[1] {
        let at = sample * padded + channel
        #expect(abs(Double(statistics.mean.floats[at]) - expected.means[channel]) < 1e-5)
        let variance = Double(statistics.variance?.floats[at] ?? .nan)
        #expect(abs(variance - expected.variances[channel]) < 1e-5 * expected.variances[channel])
      }
    }
    let again = backend.normalize(
      activation(source), scale: plain(scale), shift: plain(shift), statistics: statistics, settings: settings
    )
    #expect(backend.plain(again).hostArray == backend.plain(result).hostArray)

    // Half precision rounds what comes in and what goes out.
    let half = backend.normalize(
      activation(source, .bfloat16), scale: plain(scale), shift: plain(shift), settings: settings
    ).result
    #expect(half.precision == .bfloat16)
    #expect(relativeError(backend.plain(half).hostArray, expected.result) < 2 * halfTolerance)

    let gradient = randomArray(shape, seed: 4)
    let gradients = backend.normalizationGradients(
      activation(gradient), source: activation(source), scale: plain(scale), shift: plain(shift),
      statistics: statistics, settings: settings)
    func objective(_ x: NaiveArray, _ scale: [Double], _ shift: [Double]) -> Double {
      zip(gradient.elements, oracle(x, scale, shift).values).reduce(0) { $0 + Double($1.0) * $1.1 }
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
    #expect(abs(numeric - analytic) < gradientTolerance * max(1, abs(numeric)))
    for channel in [0, shape[1] - 1] {
      func moved(_ values: [Double], _ by: Double) -> [Double] {
        var values = values
        values[channel] += by
        return values
      }
      let x = NaiveArray(source)
      let byScale =
        (objective(x, moved(doubles.0, h), doubles.1) - objective(x, moved(doubles.0, -h), doubles.1))
        / (2 * h)
      #expect(
        abs(byScale - Double(gradients.scale.floats[channel])) < gradientTolerance * max(1, abs(byScale)))
      let byShift =
        (objective(x, doubles.0, moved(doubles.1, h)) - objective(x, doubles.0, moved(doubles.1, -h)))
        / (2 * h)
      #expect(
        abs(byShift - Double(gradients.shift.floats[channel])) < gradientTolerance * max(1, abs(byShift)))
    }
  }

  @Test("Instance norm that keeps its variances gives what the fused one gives")
  func keptVariances() {
    let source = randomArray([2, 5, 6, 7], seed: 1).map { 100 + $0 }
    let (scale, shift) = (plain(randomArray([5], seed: 2)), plain(randomArray([5], seed: 3)))
    let fused = backend.normalize(
      activation(source), scale: scale, shift: shift, settings: NormalizationSettings())
    let kept = backend.normalize(
      activation(source), scale: scale, shift: shift, settings: NormalizationSettings(keepsVariance: true))
    #expect(backend.plain(kept.result).hostArray == backend.plain(fused.result).hostArray)
    #expect(kept.statistics.variance != nil && fused.statistics.variance == nil)
  }

  @Test("Constant statistics are applied, and the gradient takes them for constants")
  func constantStatistics() {
    let shape = [2, 5, 3, 4]
    let settings = NormalizationSettings(epsilon: 1e-5, negativeSlope: 0.2, extent: .batch)
    let source = randomArray(shape, seed: 1)
    let (mean, variance) = (randomArray([5], seed: 2), randomArray([5], seed: 3).map { 0.5 + $0 * $0 })
    let (scale, shift) = (randomArray([5], seed: 4), randomArray([5], seed: 5))
    let statistics = backend.constantStatistics(
      mean: plain(mean), variance: plain(variance), batchCount: 2, settings: settings)
    let result = backend.plain(
      backend.normalize(
        activation(source), scale: plain(scale), shift: plain(shift), statistics: statistics,
        settings: settings)
    ).hostArray
    let gradient = randomArray(shape, seed: 6)
    let gradients = backend.normalizationGradients(
      activation(gradient), source: activation(source), scale: plain(scale), shift: plain(shift),
      statistics: statistics, settings: settings)
    let bySource = backend.plain(gradients.source).hostArray
    var (byScale, byShift) = ([Double](repeating: 0, count: 5), [Double](repeating: 0, count: 5))
    for i in source.elements.indices {
      let c = i / 12 % 5
      let factor = 1 / (Double(variance.elements[c]) + 1e-5).squareRoot()
      let normalised = (Double(source.elements[i]) - Double(mean.elements[c])) * factor
      let z = normalised * Double(scale.elements[c]) + Double(shift.elements[c])
      #expect(abs(Double(result.elements[i]) - (z > 0 ? z : 0.2 * z)) < 1e-5)
      let behind = Double(gradient.elements[i]) * (z > 0 ? 1 : 0.2)
      #expect(abs(Double(bySource.elements[i]) - behind * Double(scale.elements[c]) * factor) < 1e-5)
      byScale[c] += behind * normalised
      byShift[c] += behind
    }
    for c in 0..<5 {
      #expect(abs(Double(gradients.scale.floats[c]) - byScale[c]) < 1e-4)
      #expect(abs(Double(gradients.shift.floats[c]) - byShift[c]) < 1e-4)
    }
  }

  @Test("Running statistics move by their share to the batch's, with unbiased variances")
  func runningStatistics() {
    let source = randomArray([3, 5, 4, 4], seed: 1).map { 2 * $0 - 1 }
    let (ones, zeros) = (plain(NDArray(shape: [5], repeating: 1)), plain(NDArray(shape: [5], repeating: 0)))
    for (extent, valueCount) in [(NormalizationSettings.Extent.batch, 48), (.sample, 16)] {
      let statistics = backend.normalize(
        activation(source), scale: ones, shift: zeros,
        settings: NormalizationSettings(extent: extent, keepsVariance: true)
      ).statistics
      let (mean, variance) = (
        plain(NDArray(shape: [5], repeating: 4)), plain(NDArray(shape: [5], repeating: 9))
      )
      backend.follow(statistics, mean: mean, variance: variance, valueCount: valueCount, share: 0.25)
      for c in 0..<5 {
        // Per sample, or of all: the mean of unbiased variances over groups of equal size.
        let values = (0..<3).map { n in (0..<16).map { Double(source.elements[(n * 5 + c) * 16 + $0]) } }
        let groups = extent == .batch ? [values.flatMap(\.self)] : values
        let moments = groups.map { group -> (Double, Double) in
          let mean = group.reduce(0, +) / Double(group.count)
          return (mean, group.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(group.count - 1))
        }
        let count = Double(moments.count)
        let expected = (
          3 + 0.25 * moments.reduce(0) { $0 + $1.0 } / count,
          6.75 + 0.25 * moments.reduce(0) { $0 + $1.1 } / count
        )
        #expect(abs(Double(mean.floats[c]) - expected.0) < 1e-5)
        #expect(abs(Double(variance.floats[c]) - expected.1) < 1e-5)
      }
    }
  }

  private static let functions: [ActivationFunction] = [
    .leakyReLU(slope: 0.25), .leakyReLU(slope: 0), .relu6, .elu(alpha: 0.75), .celu(alpha: 1.5), .selu,
    .gelu(isApproximate: false), .gelu(isApproximate: true), .silu, .mish, .hardswish, .hyperbolicTangent,
  ]

  @Test("Activations and their derivatives agree with their formulas", arguments: functions)
  func activations(_ function: ActivationFunction) {
    let source = randomArray([2, 5, 6, 7], seed: 1).map { 4 * $0 }
    let gradient = randomArray(source.shape, seed: 2)
    let result = backend.activate(activation(source), function)
    let values = backend.plain(result).hostArray
    let derivatives = backend.plain(
      backend.activationGradient(activation(gradient), source: activation(source), function)
    ).hostArray
    for (i, x) in source.elements.map(Double.init).enumerated() {
      #expect(abs(Double(values.elements[i]) - naive(function, x)) < 2e-6 * max(1, abs(x)), "at \(x)")
      let slope = (naive(function, x + 1e-6) - naive(function, x - 1e-6)) / 2e-6
      let expected = Double(gradient.elements[i]) * slope
      #expect(abs(Double(derivatives.elements[i]) - expected) < 5e-6 * max(1, abs(expected)), "at \(x)")
    }
    let halves = backend.activate(activation(source, .bfloat16), function)
    #expect(halves.precision == .bfloat16)
    var oracle = NaiveArray(backend.plain(activation(source, .bfloat16)).hostArray)
    for i in oracle.values.indices { oracle.values[i] = naive(function, oracle.values[i]) }
    #expect(relativeError(backend.plain(halves).hostArray, oracle) < halfTolerance)
    // Lanes beyond the channels stay zero: their sums would show them.
    let sums = backend.channelSums(result)
    #expect(sums.shape == [5])
    for padded in lanes(of: result, beyond: 5) { #expect(padded == 0) }
  }

  /// What a blocked tensor holds beyond its channels.
  private func lanes(of tensor: Tensor, beyond channelCount: Int) -> [Float] {
    guard case .channelBlocked(let block) = tensor.layout else { return [.nan] }
    return (0..<tensor.storedCount).filter { index in
      let plane = index / (tensor.voxelCount * block)
      let blocks = (channelCount + block - 1) / block
      return plane % blocks * block + index % block >= channelCount
    }.map { tensor.floats[$0] }
  }

  @Test(
    "Parametric ReLU and its gradients agree with the definition", arguments: [Precision.float32, .bfloat16])
  func parametricReLU(_ precision: Precision) {
    let source = backend.plain(activation(randomArray([2, 5, 20, 21], seed: 1), precision)).hostArray
    let gradient = backend.plain(activation(randomArray(source.shape, seed: 2), precision)).hostArray
    let slope = plain(NDArray(shape: [1], elements: [0.375]))
    let values = backend.plain(
      backend.parametricReLU(activation(source, precision), slope: slope)
    ).hostArray
    let gradients = backend.parametricReLUGradients(
      activation(gradient, precision), source: activation(source, precision), slope: slope)
    let bySource = backend.plain(gradients.source).hostArray
    var sum = 0.0
    for (i, x) in source.elements.enumerated() {
      let (d, allowed) = (gradient.elements[i], precision == .float32 ? 1e-6 : 0.01)
      #expect(abs(Double(values.elements[i] - (x > 0 ? x : 0.375 * x))) < allowed * 4)
      #expect(abs(Double(bySource.elements[i] - (x > 0 ? d : 0.375 * d))) < allowed * 4)
      if x < 0 { sum += Double(x) * Double(d) }
    }
    #expect(abs(Double(gradients.slope.floats[0]) - sum) < 1e-4 * max(1, abs(sum)))
  }

  /// SplitMix64's number at a position of its sequence.
  private func draw(_ key: UInt64, _ unit: Int) -> UInt64 {
    var z = key &+ UInt64(unit + 1) &* 0x9E37_79B9_7F4A_7C15
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  @Test(
    "Dropout drops what the key says, whatever the layout, and scales up the rest",
    arguments: [DropoutSettings.Unit.element, .channel, .sample], [0.25, 0.8, 1])
  func dropout(_ unit: DropoutSettings.Unit, _ probability: Double) {
    let shape = [4, 21, 5, 6]
    let source = randomArray(shape, seed: 1).map { $0 + 10 }
    let settings = DropoutSettings(unit, probability: probability)
    let result = backend.dropout(activation(source), settings, key: 77)
    let values = backend.plain(result).hostArray
    let size =
      switch unit {
      case .element: 1
      case .channel: 30
      case .sample: 21 * 30
      }
    var kept = 0
    for (i, x) in source.elements.enumerated() {
      let isKept = Double(draw(77, i / size) >> 11) * 0x1p-53 < 1 - probability
      kept += isKept ? 1 : 0
      let expected = isKept ? Double(x) / (1 - probability) : 0
      #expect(abs(Double(values.elements[i]) - expected) < 1e-5 * max(1, expected))
    }
    if unit == .element {
      // Four deviations of a binomial distribution.
      let deviation = (probability * (1 - probability) / Double(source.count)).squareRoot()
      #expect(abs(Double(kept) / Double(source.count) - (1 - probability)) <= 4 * deviation)
    }
    for padded in lanes(of: result, beyond: 21) { #expect(padded == 0) }
    let again = backend.plain(backend.dropout(activation(source), settings, key: 77)).hostArray
    #expect(again == values)
    if unit == .element, probability < 1 {
      #expect(backend.plain(backend.dropout(activation(source), settings, key: 78)).hostArray != values)
    }
    let halves = backend.dropout(activation(source, .bfloat16), settings, key: 77)
    for (half, value) in zip(backend.plain(halves).hostArray.elements, values.elements) {
      #expect((half == 0) == (value == 0))
    }
  }

  @Test("Channel sums are those over samples and voxels")
  func channelSums() {
    let source = randomArray([3, 21, 5, 6], seed: 1)
    let sums = backend.channelSums(activation(source)).hostArray
    for c in 0..<21 {
      let sum = source.elements.indices.filter { $0 / 30 % 21 == c }.reduce(0.0) {
        $0 + Double(source.elements[$1])
      }
      #expect(abs(Double(sums.elements[c]) - sum) < 1e-4)
    }
  }
}
