// Networks of layers: built from their description, run on a tape. N batch, C channels.

import Archives
package import Backends
package import Reporting
package import Tensors

/// What passes between layers: channels, and by how much each axis is coarser than the input.
private struct LayerShape: Equatable {
  var channels: Int
  var scale: [Int]
}

/// One forward pass: the heads that are wanted, by their position.
private final class LayerPass {
  let tape: Tape
  var heads: [Variable?]

  init(tape: Tape, count: Int) {
    self.tape = tape
    heads = Array(repeating: nil, count: count)
  }
}

/// A layer with its parameters.
private typealias BuiltLayer = (Variable, LayerPass) throws -> Variable

/// A network made of layers.
package final class LayerNetwork: SegmentationNetwork {
  package let backend: any Backend
  package let parameters: [Parameter]
  package let buffers: [Parameter]
  package let inputChannelCount: Int
  package let dimensionCount: Int
  /// By how much each head is coarser than the input, finest first.
  package let headScales: [[Int]]
  private let root: BuiltLayer
  private let positions: HeadPositions

  package var headCount: Int { headScales.count }

  /// Builds the network with random weights.
  /// - Throws: ``Diagnostic`` naming the layer that does not fit what comes into it.
  package init(
    _ spec: LayerNetworkSpec, inputChannelCount: Int, outputChannelCount: Int, seed: Int, backend: any Backend
  ) throws(Diagnostic) {
    self.backend = backend
    self.inputChannelCount = inputChannelCount
    dimensionCount = spec.dimensionCount
    var builder = LayerBuilder(
      rank: spec.dimensionCount, outputChannelCount: outputChannelCount,
      factory: ParameterFactory(seed: seed, backend: backend))
    let input = LayerShape(
      channels: inputChannelCount, scale: Array(repeating: 1, count: spec.dimensionCount))
    root = try builder.build(spec.root, "layers", input).layer
    parameters = builder.factory.parameters
    buffers = builder.factory.buffers
    // Decoders meet their coarsest head first; of equals the later one is the finer.
    let order = builder.headScales.indices.reversed().sorted {
      builder.headScales[$0].reduce(1, *) < builder.headScales[$1].reduce(1, *)
    }
    headScales = order.map { builder.headScales[$0] }
    positions = builder.positions
    for (position, head) in order.enumerated() { positions.ofHead[head] = position }
    guard headScales.first?.allSatisfy({ $0 == 1 }) == true else {
      throw Diagnostic(
        "a network of layers has no output at full resolution", expected: "a head where nothing is coarser",
        found: headScales.isEmpty ? "no head" : "heads that are coarser by \(headScales)",
        remedy: "put lunette.layer.head{} behind the last layer")
    }
    let names = parameters.map(\.name)
    if let twice = Dictionary(grouping: names, by: { $0 }).first(where: { $0.value.count > 1 }) {
      throw Diagnostic(
        "two parameters have one name", at: twice.key, remedy: "give each layer a name of its own with :named"
      )
    }
  }

  package func forward(_ input: Tensor, heads wanted: Int, on tape: Tape) throws -> [Variable] {
    let pass = LayerPass(tape: tape, count: headCount)
    positions.wanted = wanted
    _ = try root(Variable(input, needsGradient: false), pass)
    return pass.heads.prefix(wanted).compactMap(\.self)
  }
}

/// Where each head stands among the outputs, known once all are built.
private final class HeadPositions {
  var ofHead: [Int: Int] = [:]
  var wanted = 0
}

/// Builds layers from their description.
private struct LayerBuilder {
  let rank: Int
  let outputChannelCount: Int
  var factory: ParameterFactory
  var headScales: [[Int]] = []
  let positions = HeadPositions()

  init(rank: Int, outputChannelCount: Int, factory: ParameterFactory) {
    self.rank = rank
    self.outputChannelCount = outputChannelCount
    self.factory = factory
  }

  typealias Result = (layer: BuiltLayer, shape: LayerShape)

  private func fail(_ place: String, _ what: String, expected: String? = nil, found: String? = nil)
    -> Diagnostic
  {
    Diagnostic(what, at: place, expected: expected, found: found, remedy: "change the network's layers")
  }

  /// One number per axis.
  private func extents(_ values: [Int], _ place: String) throws(Diagnostic) -> [Int] {
    if values.count == 1 { return Array(repeating: values[0], count: rank) }
    guard values.count == rank else {
      throw fail(
        place, "a layer has the wrong number of axes", expected: "1 or \(rank) numbers", found: "\(values)")
    }
    return values
  }

  mutating func build(_ spec: LayerSpec, _ name: String, _ input: LayerShape) throws(Diagnostic) -> Result {
    switch spec {
    case .block, .convolution, .upsampling, .head: return try convolutional(spec, name, input)
    case .norm(let kind, let epsilon):
      guard let spec = normalization(kind, epsilon) else { return ({ x, _ in x }, input) }
      let norm = NormalizationLayer(
        (name, nil), channelCount: input.channels, spec: spec, factory: &factory)
      return ({ try norm.forward(blocked($0, $1), on: $1.tape) }, input)
    case .dropout(let unit, let probability):
      let settings = dropout(unit, probability)
      return ({ $1.tape.dropout(blocked($0, $1), settings) }, input)
    case .activation(let kind, let slope): return (activation(kind, Float(slope)), input)
    case .pooling(let kernel):
      let kernel = try extents(kernel, name)
      let shape = LayerShape(channels: input.channels, scale: zip(input.scale, kernel).map { $0 * $1 })
      return (
        { x, pass in
          guard zip(x.value.spatialShape, kernel).allSatisfy({ $0 % $1 == 0 }) else {
            throw misfit(name, "extents that \(kernel) divides", x.value.shape)
          }
          return pass.tape.averagePool(blocked(x, pass), kernel: kernel)
        }, shape
      )
    case .sequence(let layers):
      var (steps, shape): ([BuiltLayer], LayerShape) = ([], input)
      for (i, layer) in layers.enumerated() {
        let built = try build(layer, "\(name).\(i)", shape)
        steps.append(built.layer)
        shape = built.shape
      }
      return ({ [steps] x, pass in try steps.reduce(x) { try $1($0, pass) } }, shape)
    case .sum(let layers, let slope): return try sum(layers, Float(slope), name, input)
    case .product(let layers): return try product(layers, name, input)
    case .concatenation(let layers):
      let branches = try branches(layers, name, input)
      var shape = branches[0].shape
      shape.channels = branches.reduce(0) { $0 + $1.shape.channels }
      return (
        { x, pass in
          let parts = try results(of: branches.map(\.layer), x, pass, name)
          return parts.dropFirst().reduce(blocked(parts[0], pass)) {
            pass.tape.concatenate($0, blocked($1, pass))
          }
        }, shape
      )
    case .identity: return ({ x, _ in x }, input)
    case .named(let name, let layer): return try build(layer, name, input)
    }
  }

  private mutating func convolutional(
    _ spec: LayerSpec, _ name: String, _ input: LayerShape
  ) throws(Diagnostic) -> Result {
    switch spec {
    case .block(
      let channels, let kernel, let stride, let bias, let norm, let epsilon, let slope, let probability,
      let zero):
      let geometry = ConvolutionGeometry(kernel: try extents(kernel, name), stride: try extents(stride, name))
      let block = ConvolutionBlock(
        name, inputChannelCount: input.channels, outputChannelCount: channels, geometry: geometry,
        spec: BlockSpec(
          hasBias: bias, dropout: probability > 0 ? dropout(.channels, probability) : nil,
          norm: normalization(norm, epsilon), activation: .function(.leakyReLU(slope: Float(slope)))),
        startsAtZero: zero, factory: &factory)
      return ({ try block.forward($0, on: $1.tape) }, coarser(input, channels, geometry.stride))
    case .convolution(let channels, let kernel, let stride, let bias):
      let geometry = ConvolutionGeometry(kernel: try extents(kernel, name), stride: try extents(stride, name))
      return (
        convolution(name, input.channels, channels, geometry, bias: bias),
        coarser(input, channels, geometry.stride)
      )
    case .upsampling(let channels, let stride):
      let stride = try extents(stride, name)
      guard zip(input.scale, stride).allSatisfy({ $0 % $1 == 0 }) else {
        throw fail(
          name, "a layer would be finer than the input", expected: "a stride that divides \(input.scale)",
          found: "\(stride)")
      }
      let weights = WeightAndBias(
        name, shape: [input.channels, channels] + stride, biasCount: channels, factory: &factory)
      return (
        {
          try $1.tape.upsample(blocked($0, $1), weight: weights.weight, bias: weights.bias, stride: stride)
        }, LayerShape(channels: channels, scale: zip(input.scale, stride).map { $0 / $1 })
      )
    default:
      let ones = Array(repeating: 1, count: rank)
      let number = headScales.count
      headScales.append(input.scale)
      let weights = WeightAndBias(
        name, shape: [outputChannelCount, input.channels] + ones, biasCount: outputChannelCount,
        factory: &factory)
      return (
        { [positions] x, pass in
          if let position = positions.ofHead[number], position < positions.wanted {
            pass.heads[position] = try pass.tape.logits(x, weight: weights.weight, bias: weights.bias)
          }
          return x
        }, input
      )
    }
  }

  private mutating func convolution(
    _ name: String, _ inputCount: Int, _ outputCount: Int, _ geometry: ConvolutionGeometry, bias: Bool
  ) -> BuiltLayer {
    let weight = factory.kaiming("\(name).weight", shape: [outputCount, inputCount] + geometry.kernel)
    let bias = bias ? factory.constant("\(name).bias", count: outputCount, value: 0) : nil
    return { try $1.tape.convolve($0, weight: weight, bias: bias, geometry: geometry) }
  }

  private func coarser(_ input: LayerShape, _ channels: Int, _ stride: [Int]) -> LayerShape {
    LayerShape(channels: channels, scale: zip(input.scale, stride).map { $0 * $1 })
  }

  private mutating func branches(
    _ layers: [LayerSpec], _ name: String, _ input: LayerShape
  ) throws(Diagnostic) -> [Result] {
    var branches: [Result] = []
    for (i, layer) in layers.enumerated() { branches.append(try build(layer, "\(name).\(i)", input)) }
    let scales = branches.map(\.shape.scale)
    guard Set(scales).count == 1 else {
      throw fail(name, "branches differ in resolution", expected: "equal strides", found: "\(scales)")
    }
    return branches
  }

  private mutating func sum(
    _ layers: [LayerSpec], _ slope: Float, _ name: String, _ input: LayerShape
  ) throws(Diagnostic) -> Result {
    let branches = try branches(layers, name, input)
    guard Set(branches.map(\.shape.channels)).count == 1, slope == 1 || branches.count == 2 else {
      throw fail(
        name, "branches cannot be added", expected: "equal channels, and two branches where a slope is given",
        found: "\(branches.map(\.shape.channels)) channels")
    }
    return (
      { x, pass in
        let parts = try results(of: branches.map(\.layer), x, pass, name)
        return parts.dropFirst().reduce(blocked(parts[0], pass)) {
          pass.tape.addActivated($0, blocked($1, pass), negativeSlope: slope)
        }
      }, branches[0].shape
    )
  }

  private mutating func product(
    _ layers: [LayerSpec], _ name: String, _ input: LayerShape
  ) throws(Diagnostic) -> Result {
    let branches = try branches(layers, name, input)
    let counts = branches.map(\.shape.channels)
    let channels = counts.max() ?? 1
    guard counts.allSatisfy({ $0 == channels || $0 == 1 }) else {
      throw fail(name, "branches cannot be multiplied", expected: "equal channels, or 1", found: "\(counts)")
    }
    var shape = branches[0].shape
    shape.channels = channels
    return (
      { x, pass in
        let parts = try results(of: branches.map(\.layer), x, pass, name)
        let precision = parts[0].value.precision
        let plain = parts.map(pass.tape.plain)
        return pass.tape.activation(
          plain.dropFirst().reduce(plain[0]) { pass.tape.combine($0, $1, .multiply) }, precision: precision)
      }, shape
    )
  }

  private func normalization(_ kind: LayerNorm, _ epsilon: Double) -> NormalizationSpec? {
    switch kind {
    case .instance: NormalizationSpec(kind: .instance, epsilon: epsilon)
    case .batch: NormalizationSpec(kind: .batch, epsilon: epsilon, tracksStatistics: true)
    case .absent: nil
    }
  }

  private func dropout(_ unit: LayerDropoutUnit, _ probability: Double) -> DropoutSettings {
    let units: [LayerDropoutUnit: DropoutSettings.Unit] = [
      .numbers: .element, .channels: .channel, .samples: .sample,
    ]
    return DropoutSettings(units[unit] ?? .element, probability: probability)
  }

  private func activation(_ kind: LayerActivation, _ slope: Float) -> BuiltLayer {
    func function(_ function: ActivationFunction) -> BuiltLayer {
      { $1.tape.activate(blocked($0, $1), function) }
    }
    func plain(_ function: @escaping (Tape, Variable) -> Variable) -> BuiltLayer {
      { x, pass in
        pass.tape.activation(function(pass.tape, pass.tape.plain(x)), precision: x.value.precision)
      }
    }
    return switch kind {
    case .leakyReLU: function(.leakyReLU(slope: slope))
    case .relu: function(.leakyReLU(slope: 0))
    case .tanh: function(.hyperbolicTangent)
    case .relu6: function(.relu6)
    case .elu: function(.elu(alpha: 1))
    case .celu: function(.celu(alpha: 1))
    case .selu: function(.selu)
    case .gelu: function(.gelu(isApproximate: false))
    case .silu: function(.silu)
    case .mish: function(.mish)
    case .hardswish: function(.hardswish)
    case .sigmoid: plain { $0.map($1, .sigmoid) }
    case .softplus: plain { $0.map($1, .softplus) }
    case .softmax: plain { $0.softmax($1, axis: 1) }
    }
  }
}

/// The values in the layout that norms, sums and concatenations take.
private func blocked(_ x: Variable, _ pass: LayerPass) -> Variable {
  pass.tape.activation(x, precision: x.value.precision)
}

/// What the branches make of one input; their extents must be equal.
private func results(
  of branches: [BuiltLayer], _ x: Variable, _ pass: LayerPass, _ name: String
) throws -> [Variable] {
  let parts = try branches.map { try $0(x, pass) }
  for part in parts where part.value.spatialShape != parts[0].value.spatialShape {
    throw misfit(name, "branches of extents \(parts[0].value.spatialShape)", part.value.shape)
  }
  return parts
}

private func misfit(_ name: String, _ expected: String, _ found: [Int]) -> Diagnostic {
  Diagnostic(
    "the images do not fit the network's layers", at: name, expected: expected, found: "\(found)",
    remedy: "take a patch size that every stride divides")
}
