// The building blocks of the U-Nets: parameters with nnU-Net's names and initial values, and their forward pass.

import Backends
import Tensors

/// Makes parameters and remembers them in order.
struct ParameterFactory {
  private(set) var parameters: [Parameter] = []
  let seed: Int
  let backend: any Backend

  init(seed: Int, backend: any Backend) {
    self.seed = seed
    self.backend = backend
  }

  /// A tensor of one value.
  mutating func constant(_ name: String, count: Int, value: Float) -> Parameter {
    add(name, NDArray(shape: [count], repeating: value))
  }

  /// Kaiming normal for leaky ReLU of slope 0.01: deviation sqrt(2 / (1 + 1e-4) / fan-in), fan-in = shape[1] * kernel.
  mutating func kaiming(_ name: String, shape: [Int]) -> Parameter {
    // Where nothing is written there is nothing to draw random numbers for.
    if backend.pool.isVirtual { return add(name, Tensor(uninitialized: shape, pool: backend.pool)) }
    let fanIn = shape.dropFirst().reduce(1, *)
    let deviation = (2 / (1 + 1e-4) / Double(fanIn)).squareRoot()
    var random = RandomSource(key: [seed, parameters.count])
    let count = shape.reduce(1, *)
    return add(
      name, NDArray(shape: shape, elements: (0..<count).map { _ in Float(random.normal() * deviation) }))
  }

  private mutating func add(_ name: String, _ values: NDArray<Float>) -> Parameter {
    add(name, Tensor(values, pool: backend.pool))
  }

  private mutating func add(_ name: String, _ value: Tensor) -> Parameter {
    let parameter = Parameter(name: name, value: value)
    parameters.append(parameter)
    return parameter
  }
}

/// Convolution, instance norm, leaky ReLU.
///
/// The convolution's bias exists, as in nnU-Net, and is never added: the norm behind it subtracts it again. Its gradient
/// is exactly zero, so it only decays.
struct ConvolutionBlock {
  let weight: Parameter
  let bias: Parameter?
  let scale: Parameter
  let shift: Parameter
  let geometry: ConvolutionGeometry
  let settings: NormalizationSettings

  init(
    _ name: String, inputChannelCount: Int, outputChannelCount: Int, geometry: ConvolutionGeometry,
    hasBias: Bool, settings: NormalizationSettings, startsAtZero: Bool = false,
    factory: inout ParameterFactory
  ) {
    weight = factory.kaiming(
      "\(name).conv.weight", shape: [outputChannelCount, inputChannelCount] + geometry.kernel)
    bias = hasBias ? factory.constant("\(name).conv.bias", count: outputChannelCount, value: 0) : nil
    scale = factory.constant(
      "\(name).norm.weight", count: outputChannelCount, value: startsAtZero ? 0 : 1)
    shift = factory.constant("\(name).norm.bias", count: outputChannelCount, value: 0)
    self.geometry = geometry
    self.settings = settings
  }

  func forward(_ x: Variable, on tape: Tape) throws -> Variable {
    let y = try tape.convolve(x, weight: weight, bias: nil, geometry: geometry)
    if let bias {
      tape.record { [backend = tape.backend] in
        let zero = NDArray<Float>(shape: bias.value.shape, repeating: 0)
        bias.receive(Tensor(zero, pool: backend.pool), backend: backend)
      }
    }
    return tape.normalize(y, scale: scale, shift: shift, settings: settings)
  }
}

/// Several convolution blocks in a row; only the first has a stride and changes the channels.
struct ConvolutionStack {
  let blocks: [ConvolutionBlock]

  init(
    _ name: String, count: Int, inputChannelCount: Int, outputChannelCount: Int, kernel: [Int], stride: [Int],
    spec: ArchitectureSpec, factory: inout ParameterFactory
  ) {
    blocks = (0..<count).map { j in
      ConvolutionBlock(
        "\(name).convs.\(j)", inputChannelCount: j == 0 ? inputChannelCount : outputChannelCount,
        outputChannelCount: outputChannelCount,
        geometry: ConvolutionGeometry(kernel: kernel, stride: j == 0 ? stride : stride.map { _ in 1 }),
        hasBias: spec.hasConvolutionBias, settings: spec.normalization, factory: &factory)
    }
  }

  func forward(_ x: Variable, on tape: Tape) throws -> Variable {
    var x = x
    for block in blocks { x = try block.forward(x, on: tape) }
    return x
  }
}

/// A linear layer with weight and bias: a transposed convolution or an output head.
struct WeightAndBias {
  let weight: Parameter
  let bias: Parameter

  init(_ name: String, shape: [Int], biasCount: Int, factory: inout ParameterFactory) {
    weight = factory.kaiming("\(name).weight", shape: shape)
    bias = factory.constant("\(name).bias", count: biasCount, value: 0)
  }
}

/// Two convolution blocks around which the input passes by; nnU-Net's `BasicBlockD`.
struct ResidualBlock {
  let first: ConvolutionBlock
  /// Without activation, which follows the sum; its norm starts at zero, so that the block starts as its shortcut.
  let second: ConvolutionBlock
  /// A pointwise convolution with norm where the channels change.
  let projection: ConvolutionBlock?
  let stride: [Int]
  let negativeSlope: Float

  init(
    _ name: String, inputChannelCount: Int, outputChannelCount: Int, kernel: [Int], stride: [Int],
    spec: ArchitectureSpec, factory: inout ParameterFactory
  ) {
    let ones = stride.map { _ in 1 }
    var linear = spec.normalization
    linear.negativeSlope = 1
    first = ConvolutionBlock(
      "\(name).conv1", inputChannelCount: inputChannelCount, outputChannelCount: outputChannelCount,
      geometry: ConvolutionGeometry(kernel: kernel, stride: stride), hasBias: spec.hasConvolutionBias,
      settings: spec.normalization, factory: &factory)
    second = ConvolutionBlock(
      "\(name).conv2", inputChannelCount: outputChannelCount, outputChannelCount: outputChannelCount,
      geometry: ConvolutionGeometry(kernel: kernel, stride: ones), hasBias: spec.hasConvolutionBias,
      settings: linear, startsAtZero: true, factory: &factory)
    // The position in the shortcut's sequence: pooling, where there is any, comes first and has no parameters.
    let position = stride == ones ? 0 : 1
    projection =
      inputChannelCount == outputChannelCount
      ? nil
      : ConvolutionBlock(
        "\(name).skip.\(position)", inputChannelCount: inputChannelCount,
        outputChannelCount: outputChannelCount, geometry: ConvolutionGeometry(kernel: ones, stride: ones),
        hasBias: false, settings: linear, factory: &factory)
    self.stride = stride
    negativeSlope = spec.normalization.negativeSlope
  }

  func forward(_ x: Variable, on tape: Tape) throws -> Variable {
    let branch = try second.forward(first.forward(x, on: tape), on: tape)
    var shortcut = stride.allSatisfy { $0 == 1 } ? x : tape.averagePool(x, kernel: stride)
    if let projection { shortcut = try projection.forward(shortcut, on: tape) }
    return tape.addActivated(branch, shortcut, negativeSlope: negativeSlope)
  }
}
