// Networks of layers: the plain U-Net rebuilt, gradients, and what is refused.

import Archives
import Backends
import Networks
import Reporting
import Tensors
import Testing

private func block(_ name: String, _ channels: Int, stride: Int = 1) -> LayerSpec {
  .named(
    name,
    .block(
      channels: channels, kernel: [3], stride: [stride], bias: true, norm: .instance, epsilon: 1e-5,
      slope: 0.01,
      dropout: 0, zero: false))
}

/// The PlainConvUNet of `features` with two blocks per stage, recursion from the finest stage down.
private func unet(_ features: [Int], stage: Int = 0) -> LayerSpec {
  let name = "encoder.stages.\(stage).0.convs"
  let encoder = [
    block("\(name).0", features[stage], stride: stage == 0 ? 1 : 2), block("\(name).1", features[stage]),
  ]
  let deepest = features.count - 1
  if stage == deepest { return .sequence(encoder) }
  // nnU-Net counts its decoder's stages from the deepest.
  let j = deepest - 1 - stage
  let below = LayerSpec.sequence([
    unet(features, stage: stage + 1),
    .named("decoder.transpconvs.\(j)", .upsampling(channels: features[stage], stride: [2])),
  ])
  return .sequence(
    encoder + [
      .concatenation([below, .identity]), block("decoder.stages.\(j).convs.0", features[stage]),
      block("decoder.stages.\(j).convs.1", features[stage]), .named("decoder.seg_layers.\(j)", .head),
    ])
}

@Suite(.serialized) struct LayerNetworkTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  private func values(_ shape: [Int], seed: Int) -> NDArray<Float> {
    var random = RandomSource(key: [seed])
    return NDArray(shape: shape, elements: (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
  }

  private func logits(_ network: any SegmentationNetwork, _ input: NDArray<Float>) throws -> [NDArray<Float>]
  {
    let heads = try network.forward(
      Tensor(input, pool: backend.pool), heads: network.headCount,
      on: Tape(backend: backend, isRecording: false))
    return heads.map { backend.plain($0.value).hostArray }
  }

  @Test("The plain U-Net made of layers gives the same bits from the same weights", arguments: [2, 3])
  func plainUNet(_ rank: Int) throws {
    let features = [8, 16, 24]
    let spec = try ArchitectureSpec(
      PlainConvUNetTests.architecture(features: features, rank: rank), source: "test")
    let original = makeNetwork(spec, inputChannelCount: 2, outputChannelCount: 4, seed: 1, backend: backend)
    let json = LayerNetworkSpec(unet(features), dimensionCount: rank).json
    // By way of text, as a checkpoint keeps it.
    let read = try NetworkSpec(JSON(parsing: json.text(indent: nil), source: "text"), source: "text")
    let rebuilt = try read.makeNetwork(inputChannelCount: 2, outputChannelCount: 4, seed: 2, backend: backend)
    #expect(Set(rebuilt.parameters.map(\.name)) == Set(original.parameters.map(\.name)))
    #expect(rebuilt.parameterCount == original.parameterCount)
    #expect(read.supervisionStrides(of: rebuilt).count == original.headCount + 1)
    let state = original.stateDictionary()
    try rebuilt.load(
      Dictionary(uniqueKeysWithValues: state.map { ($0.name, $0.values) }), source: "the original")
    let input = values([2, 2] + Array(repeating: 8, count: rank), seed: 3)
    let (expected, found) = (try logits(original, input), try logits(rebuilt, input))
    #expect(found.count == 2)
    #expect(found == expected)

    // One training step, with gradients in another order of the notes, changes the weights alike.
    let targets = [8, 4].map { extent -> SegmentationTarget in
      let count = 2 * Array(repeating: extent, count: rank).reduce(1, *)
      return .labels((0..<count).map { Int16($0 * 7 % 4) }, ignored: nil)
    }
    for network in [original, rebuilt] {
      let tape = Tape(backend: backend, isRecording: true)
      let heads = try network.forward(Tensor(input, pool: backend.pool), heads: 2, on: tape)
      let loss = DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: false), weights: [0.6, 0.4])
      _ = try loss.evaluate(heads, targets, on: tape)
      try tape.backward()
      let optimizer = Optimizer(parameters: network.parameters, backend: backend)
      optimizer.step()
    }
    for (a, b) in zip(try logits(original, input), try logits(rebuilt, input)) {
      let difference = zip(a.elements, b.elements).map { abs($0 - $1) }.max() ?? .infinity
      #expect(difference < 1e-4)
    }
  }

  /// No skip connections but a gate: what passes by is scaled by a map of one channel.
  private static let gated = LayerSpec.sequence([
    block("first", 8),
    .sum(
      [
        .sequence([.pooling(kernel: [2]), block("deep", 12), .head, .upsampling(channels: 8, stride: [2])]),
        .product([
          .identity,
          .sequence([
            .convolution(channels: 1, kernel: [1], stride: [1], bias: true), .activation(.sigmoid, slope: 0),
          ]),
        ]),
      ], slope: 0.01),
    .convolution(channels: 6, kernel: [3], stride: [1], bias: true), .norm(.instance, epsilon: 1e-5),
    .activation(.softplus, slope: 0), .head,
  ])

  @Test("Gradients of a gated network agree with central differences, and its heads come finest first")
  func gradients() throws {
    let network = try LayerNetwork(
      LayerNetworkSpec(Self.gated, dimensionCount: 2), inputChannelCount: 1, outputChannelCount: 3, seed: 4,
      backend: backend)
    #expect(network.headScales == [[1, 1], [2, 2]])
    let input = values([2, 1, 8, 8], seed: 5)
    let targets: [SegmentationTarget] = [64, 16].map { count in
      .labels((0..<2 * count).map { Int16($0 * 5 % 3) }, ignored: nil)
    }
    let loss = DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: false), weights: [0.6, 0.4])
    func value(recording: Bool) throws -> (Double, Tape) {
      let tape = Tape(backend: backend, isRecording: recording)
      let heads = try network.forward(Tensor(input, pool: backend.pool), heads: 2, on: tape)
      #expect(heads.map(\.value.spatialShape) == [[8, 8], [4, 4]])
      return (try loss.evaluate(heads, targets, on: tape), tape)
    }
    try value(recording: true).1.backward()
    // Biases that a norm behind them cancels have no gradient to measure.
    for parameter in network.parameters
    where !["first.conv.bias", "deep.conv.bias", "layers.2.bias"].contains(parameter.name) {
      let gradient = try #require(parameter.gradient, "\(parameter.name)").hostArray
      let norm = gradient.elements.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      #expect(norm > 1e-5, "no gradient arrives at \(parameter.name)")
      let original = parameter.value.hostArray
      let h = 0.005 / max(1, norm)
      func moved(_ factor: Double) -> NDArray<Float> {
        NDArray(
          shape: original.shape,
          elements: zip(original.elements, gradient.elements).map { $0 + Float(factor * Double($1) / norm) })
      }
      parameter.assign(moved(h))
      let up = try value(recording: false).0
      parameter.assign(moved(-h))
      let down = try value(recording: false).0
      parameter.assign(original)
      let numeric = (up - down) / (2 * h)
      #expect(abs(numeric - norm) < 0.04 * norm + 2e-4, "\(parameter.name): \(numeric) against \(norm)")
    }
  }

  @Test("Batch norm and dropout train with a batch's statistics and evaluate with those gathered")
  func statistics() throws {
    let spec = LayerNetworkSpec(
      .sequence([
        .block(
          channels: 8, kernel: [3], stride: [1], bias: true, norm: .batch, epsilon: 1e-5, slope: 0.01,
          dropout: 0.5, zero: false),
        .dropout(.numbers, probability: 0.5), .activation(.gelu, slope: 0), .norm(.batch, epsilon: 1e-3),
        .head,
      ]), dimensionCount: 2)
    let read = try LayerNetworkSpec(
      JSON(parsing: spec.json.text(indent: nil), source: "text"), source: "text")
    #expect(read == spec)
    let network = try LayerNetwork(
      read, inputChannelCount: 1, outputChannelCount: 2, seed: 1, backend: backend)
    #expect(
      network.buffers.map(\.name) == [
        "layers.0.norm.running_mean", "layers.0.norm.running_var", "layers.0.norm.num_batches_tracked",
        "layers.3.running_mean", "layers.3.running_var", "layers.3.num_batches_tracked",
      ])
    let input = values([3, 1, 8, 8], seed: 2)
    let before = try logits(network, input)
    #expect(try logits(network, input) == before, "an evaluation drops nothing")
    let tape = Tape(backend: backend, isRecording: true)
    _ = try network.forward(Tensor(input, pool: backend.pool), heads: 1, on: tape)
    #expect(network.buffers.filter { $0.name.hasSuffix("tracked") }.allSatisfy { $0.value.floats[0] == 1 })
    #expect(try logits(network, input) != before, "statistics have been gathered")
  }

  @Test("Layers of text from before there were norms to choose have nnU-Net's")
  func olderText() throws {
    let older: JSON = [
      "layer": "block", "channels": 8, "kernel": [3], "stride": [1], "bias": true, "epsilon": 1e-5,
      "slope": 0.01, "zero": false,
    ]
    #expect(
      try LayerSpec(older, at: "text")
        == .block(
          channels: 8, kernel: [3], stride: [1], bias: true, norm: .instance, epsilon: 1e-5, slope: 0.01,
          dropout: 0, zero: false))
    #expect(try LayerSpec(["layer": "norm", "epsilon": 1e-5], at: "text") == .norm(.instance, epsilon: 1e-5))
    #expect(throws: Diagnostic.self) { try LayerSpec(["layer": "dropout", "unit": "channels"], at: "text") }
    #expect(throws: Diagnostic.self) {
      try LayerSpec(["layer": "norm", "kind": "layer", "epsilon": 1e-5], at: "text")
    }
  }

  @Test("Only the heads that are wanted are computed")
  func wantedHeads() throws {
    let network = try LayerNetwork(
      LayerNetworkSpec(Self.gated, dimensionCount: 3), inputChannelCount: 2, outputChannelCount: 2, seed: 4,
      backend: backend)
    let input = Tensor(values([1, 2, 4, 4, 4], seed: 6), pool: backend.pool)
    #expect(try network.forward(input, heads: 1, on: Tape(backend: backend, isRecording: false)).count == 1)
    #expect(try network.predict(input).shape == [1, 2, 4, 4, 4])
  }

  @Test("Layers that do not fit are refused by name")
  func refusals() throws {
    func failure(_ spec: LayerSpec) -> String? {
      do {
        _ = try LayerNetwork(
          LayerNetworkSpec(spec, dimensionCount: 2), inputChannelCount: 1, outputChannelCount: 2, seed: 0,
          backend: backend)
        return nil
      } catch { return "\(error)" }
    }
    #expect(failure(.sequence([block("a", 8)]))?.contains("full resolution") == true)
    #expect(failure(.sequence([block("a", 8), block("a", 8), .head]))?.contains("one name") == true)
    #expect(failure(.upsampling(channels: 8, stride: [2]))?.contains("finer than the input") == true)
    #expect(failure(.concatenation([.pooling(kernel: [2]), .identity]))?.contains("resolution") == true)
    #expect(failure(.sum([block("a", 8), .identity], slope: 1))?.contains("added") == true)
    #expect(failure(.pooling(kernel: [2, 2, 2]))?.contains("number of axes") == true)
    let odd = try LayerNetwork(
      LayerNetworkSpec(Self.gated, dimensionCount: 2), inputChannelCount: 1, outputChannelCount: 2, seed: 0,
      backend: backend)
    #expect(throws: Diagnostic.self) {
      try odd.predict(Tensor(values([1, 1, 7, 8], seed: 1), pool: backend.pool))
    }
    #expect(throws: Diagnostic.self) {
      try NetworkSpec(
        ["network_class_name": "lunette.layers", "dimensions": 2, "layers": ["layer": "blok"]],
        source: "plans")
    }
  }
}
