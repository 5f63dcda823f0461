// The building blocks of the U-Nets: parameters with nnU-Net's names and initial values, and their forward pass.
// N batch, C channels. Residual blocks are in ResidualBlock.swift.

import Backends
import Tensors

/// Makes parameters and buffers and remembers them in order.
struct ParameterFactory {
  private(set) var parameters: [Parameter] = []
  private(set) var buffers: [Parameter] = []
  let seed: Int
  let backend: any Backend

  init(seed: Int, backend: any Backend) {
    self.seed = seed
    self.backend = backend
  }

  /// A learnable tensor of one value.
  mutating func constant(
    _ name: String, alias: String? = nil, count: Int, value: Float
  ) -> Parameter {
    add(name, alias, Tensor(NDArray(shape: [count], repeating: value), pool: backend.pool))
  }

  /// A tensor of one value that belongs to the state and is not learnt.
  mutating func buffer(_ name: String, alias: String? = nil, shape: [Int], value: Float) -> Parameter {
    let buffer = Parameter(
      name: name, value: Tensor(NDArray(shape: shape, repeating: value), pool: backend.pool),
      positionalName: alias, isConstant: true)
    buffers.append(buffer)
    return buffer
  }

  /// A tensor of one value in a learnable one's place.
  func fixed(_ name: String, count: Int, value: Float) -> Parameter {
    Parameter(
      name: name, value: Tensor(NDArray(shape: [count], repeating: value), pool: backend.pool),
      isConstant: true)
  }

  /// Kaiming normal for leaky ReLU of slope 0.01: deviation sqrt(2 / (1 + 1e-4) / fan-in), fan-in = shape[1] * kernel.
  mutating func kaiming(_ name: String, alias: String? = nil, shape: [Int]) -> Parameter {
    // Where nothing is written there is nothing to draw random numbers for.
    if backend.pool.isVirtual { return add(name, alias, Tensor(uninitialized: shape, pool: backend.pool)) }
    let fanIn = shape.dropFirst().reduce(1, *)
    let deviation = (2 / (1 + 1e-4) / Double(fanIn)).squareRoot()
    var random = RandomSource(key: [seed, parameters.count])
    let count = shape.reduce(1, *)
    let values = (0..<count).map { _ in Float(random.normal() * deviation) }
    return add(name, alias, Tensor(NDArray(shape: shape, elements: values), pool: backend.pool))
  }

  private mutating func add(_ name: String, _ alias: String?, _ value: Tensor) -> Parameter {
    let parameter = Parameter(name: name, value: value, positionalName: alias)
    parameters.append(parameter)
    return parameter
  }
}

/// A norm with its parameters and running statistics.
struct NormalizationLayer {
  let spec: NormalizationSpec
  let scale: Parameter
  let shift: Parameter
  let running: RunningStatistics?

  /// - Parameters:
  ///   - names: The layer's name, and the one by position.
  ///   - channelCount: Channels.
  ///   - spec: What kind of norm.
  ///   - startsAtZero: Whether the factors start at 0.
  ///   - factory: Makes the parameters.
  init(
    _ names: (own: String, positional: String?), channelCount: Int, spec: NormalizationSpec,
    startsAtZero: Bool = false, factory: inout ParameterFactory
  ) {
    self.spec = spec
    let (own, positional) = names
    func alias(_ part: String) -> String? { positional.map { "\($0).\(part)" } }
    let start: Float = startsAtZero ? 0 : 1
    scale =
      spec.hasScale
      ? factory.constant("\(own).weight", alias: alias("weight"), count: channelCount, value: start)
      : factory.fixed("\(own).weight", count: channelCount, value: 1)
    shift =
      spec.hasShift
      ? factory.constant("\(own).bias", alias: alias("bias"), count: channelCount, value: 0)
      : factory.fixed("\(own).bias", count: channelCount, value: 0)
    guard spec.tracksStatistics else {
      running = nil
      return
    }
    let mean = factory.buffer(
      "\(own).running_mean", alias: alias("running_mean"), shape: [channelCount], value: 0)
    let variance = factory.buffer(
      "\(own).running_var", alias: alias("running_var"), shape: [channelCount], value: 1)
    let batchCount = factory.buffer(
      "\(own).num_batches_tracked", alias: alias("num_batches_tracked"), shape: [], value: 0)
    running = RunningStatistics(
      mean: mean, variance: variance, batchCount: spec.kind == .batch ? batchCount : nil,
      momentum: spec.momentum)
  }

  /// Whether the norm subtracts the mean of what comes in, whatever it is.
  func centers(on tape: Tape) -> Bool { running == nil || tape.isTraining }

  /// The norm followed by leaky ReLU; slope 1 leaves that out.
  func forward(_ x: Variable, slope: Float = 1, on tape: Tape) throws -> Variable {
    try tape.normalize(
      x, scale: scale, shift: shift,
      settings: NormalizationSettings(
        epsilon: Float(spec.epsilon), negativeSlope: slope, extent: spec.kind == .batch ? .batch : .sample,
        keepsVariance: running != nil), running: running)
  }
}

/// An activation with its slope, if that is learnt.
struct ActivationLayer {
  let spec: ActivationSpec
  let slope: Parameter?

  init(_ names: (own: String, positional: String?), spec: ActivationSpec, factory: inout ParameterFactory) {
    self.spec = spec
    if case .parametricReLU(let initialSlope) = spec {
      slope = factory.constant(
        "\(names.own).weight", alias: names.positional.map { "\($0).weight" }, count: 1,
        value: Float(initialSlope))
    } else {
      slope = nil
    }
  }

  func forward(_ x: Variable, on tape: Tape) -> Variable {
    if let slope { return tape.parametricReLU(x, slope: slope) }
    guard case .function(let function) = spec else { return x }
    return tape.activate(x, function)
  }
}

/// Convolution, dropout, norm, activation: nnU-Net's `ConvDropoutNormReLU`, of which all but the first may be missing.
///
/// A bias that the norm behind it subtracts again is never added. Its gradient is exactly zero, so it only decays.
struct ConvolutionBlock {
  let weight: Parameter
  let bias: Parameter?
  let norm: NormalizationLayer?
  let activation: ActivationLayer?
  let geometry: ConvolutionGeometry
  let spec: BlockSpec

  init(
    _ name: String, inputChannelCount: Int, outputChannelCount: Int, geometry: ConvolutionGeometry,
    spec: BlockSpec, startsAtZero: Bool = false, factory: inout ParameterFactory
  ) {
    // nnU-Net lists the layers of a block a second time, by position.
    func positional(_ position: Int) -> String { "\(name).all_modules.\(position)" }
    let swaps = spec.activationIsFirst && spec.norm != nil && spec.activation != nil
    var position = spec.dropout == nil ? 1 : 2
    weight = factory.kaiming(
      "\(name).conv.weight", alias: "\(positional(0)).weight",
      shape: [outputChannelCount, inputChannelCount] + geometry.kernel)
    bias =
      spec.hasBias
      ? factory.constant(
        "\(name).conv.bias", alias: "\(positional(0)).bias", count: outputChannelCount, value: 0) : nil
    if let norm = spec.norm {
      self.norm = NormalizationLayer(
        ("\(name).norm", positional(swaps ? position + 1 : position)), channelCount: outputChannelCount,
        spec: norm, startsAtZero: startsAtZero, factory: &factory)
      position += 1
    } else {
      norm = nil
    }
    activation = spec.activation.map {
      ActivationLayer(
        ("\(name).nonlin", positional(swaps ? position - 1 : position)), spec: $0, factory: &factory)
    }
    self.geometry = geometry
    self.spec = spec
  }

  /// The norm directly behind the convolution.
  private var normBehindConvolution: NormalizationLayer? {
    let comesLater = spec.dropout != nil || (spec.activationIsFirst && activation != nil)
    return comesLater ? nil : norm
  }

  private func convolve(_ x: Variable, on tape: Tape) throws -> Variable {
    guard let bias, let norm = normBehindConvolution, norm.centers(on: tape) else {
      return try tape.convolve(x, weight: weight, bias: bias, geometry: geometry)
    }
    // Running means contain the bias, which evaluation adds; other norms never see it.
    let added = norm.running == nil ? nil : bias.withoutGradient
    let y = try tape.convolve(x, weight: weight, bias: added, geometry: geometry)
    tape.record { [backend = tape.backend] in
      let zero = NDArray<Float>(shape: bias.value.shape, repeating: 0)
      bias.receive(Tensor(zero, pool: backend.pool), backend: backend)
    }
    return y
  }

  func forward(_ x: Variable, on tape: Tape) throws -> Variable {
    var y = try convolve(x, on: tape)
    if let dropout = spec.dropout { y = tape.dropout(y, dropout) }
    guard let norm else { return activation?.forward(y, on: tape) ?? y }
    guard let activation else { return try norm.forward(y, on: tape) }
    if spec.activationIsFirst { return try norm.forward(activation.forward(y, on: tape), on: tape) }
    if let slope = activation.spec.leakySlope { return try norm.forward(y, slope: slope, on: tape) }
    return activation.forward(try norm.forward(y, on: tape), on: tape)
  }
}

/// Several convolution blocks in a row; only the first has a stride and changes the channels.
struct ConvolutionStack {
  let blocks: [ConvolutionBlock]

  init(
    _ name: String, count: Int, inputChannelCount: Int, outputChannelCount: Int, kernel: [Int], stride: [Int],
    spec: BlockSpec, factory: inout ParameterFactory
  ) {
    blocks = (0..<count).map { j in
      ConvolutionBlock(
        "\(name).convs.\(j)", inputChannelCount: j == 0 ? inputChannelCount : outputChannelCount,
        outputChannelCount: outputChannelCount,
        geometry: ConvolutionGeometry(kernel: kernel, stride: j == 0 ? stride : stride.map { _ in 1 }),
        spec: spec, factory: &factory)
    }
  }

  func forward(_ x: Variable, on tape: Tape) throws -> Variable {
    var x = x
    for block in blocks { x = try block.forward(x, on: tape) }
    return x
  }
}

/// A linear layer with weight and perhaps bias: a transposed convolution or an output head.
struct WeightAndBias {
  let weight: Parameter
  /// Zeros that stay so where the layer has no bias.
  let bias: Parameter

  init(
    _ name: String, shape: [Int], biasCount: Int, hasBias: Bool = true, factory: inout ParameterFactory
  ) {
    weight = factory.kaiming("\(name).weight", shape: shape)
    bias =
      hasBias
      ? factory.constant("\(name).bias", count: biasCount, value: 0)
      : factory.fixed("\(name).bias", count: biasCount, value: 0)
  }
}
