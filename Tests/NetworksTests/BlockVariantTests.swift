// Whole networks of every kind of block: gradients by finite differences, dropout's keys, biases, running statistics.

import Archives
import Backends
import Networks
import Reporting
import Tensors
import Testing

private let dropout: [String: JSON] = [
  "dropout_op": "torch.nn.Dropout2d", "dropout_op_kwargs": ["p": 0.3],
]

@Suite(.serialized) struct BlockVariantTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  private func network(residual: Bool = false, rank: Int = 2, _ changes: [String: JSON]) throws
    -> any SegmentationNetwork
  {
    let spec = try ArchitectureSpec(
      smallArchitecture(residual: residual, rank: rank, changes), source: "test")
    let network = makeNetwork(spec, inputChannelCount: 2, outputChannelCount: 3, seed: 1, backend: backend)
    var random = RandomSource(key: [9])
    // Norms that start at zero would hide what is before them, biases of zero what is added.
    for parameter in network.parameters where parameter.value.shape.count == 1 {
      parameter.assign(parameter.value.hostArray.map { 0.8 * $0 + Float(random.uniform(0.1, 0.4)) })
    }
    return network
  }

  private func images(rank: Int, count: Int = 2) -> NDArray<Float> {
    var random = RandomSource(key: [3])
    let shape = [count, 2] + [8, 12, 6].prefix(rank)
    return NDArray(shape: shape, elements: (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
  }

  private static let variants: [(Bool, Int, [String: JSON])] = [
    (false, 2, ["norm_op": .null, "norm_op_kwargs": .null, "nonlin": "torch.nn.SiLU"]),
    (false, 3, ["norm_op": "torch.nn.BatchNorm3d", "nonlin": "torch.nn.GELU", "nonlin_kwargs": .null]),
    (
      false, 2,
      ["nonlin_first": true, "nonlin": "torch.nn.Tanh", "nonlin_kwargs": .null]
    ),
    (
      false, 2,
      dropout.merging(["nonlin": "torch.nn.PReLU", "nonlin_kwargs": .null, "conv_bias": false]) { $1 }
    ),
    (
      false, 2,
      ["dropout_op": "torch.nn.Dropout", "norm_op": "torch.nn.BatchNorm2d", "nonlin": "torch.nn.Mish"]
    ),
    (
      true, 3,
      [
        "stochastic_depth_p": 0.2, "squeeze_excitation": true, "n_blocks_per_stage": 2,
        "nonlin": "torch.nn.ELU",
      ]
    ),
    (
      true, 2,
      [
        "block": "x.BottleneckD", "bottleneck_channels": 5, "norm_op": "torch.nn.BatchNorm2d",
        "nonlin": "torch.nn.SiLU",
      ]
    ),
  ]

  @Test("The gradient of every parameter agrees with central differences", arguments: variants)
  func gradients(_ residual: Bool, _ rank: Int, _ changes: [String: JSON]) throws {
    let network = try network(residual: residual, rank: rank, changes)
    // Three samples, so that stochastic depth drops some and not all.
    let input = images(rank: rank, count: 3)
    let target = SegmentationTarget.labels(
      (0..<input.count / 2).map { Int16($0 * 7 % 3) }, ignored: nil)
    let loss = DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: false), weights: [1])
    // The same key: the same is dropped in every pass.
    func value(recording: Bool) throws -> (Double, Tape) {
      let tape = Tape(backend: backend, isRecording: recording, mode: .training(key: [5]))
      let heads = try network.forward(Tensor(input, pool: backend.pool), heads: 1, on: tape)
      return (loss(heads, [target], on: tape), tape)
    }
    try value(recording: true).1.backward()
    for parameter in network.parameters {
      let gradient = try #require(parameter.gradient, "no gradient for \(parameter.name)").hostArray
      let norm = gradient.elements.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      // Behind some of the biases there is a norm that cancels them.
      if parameter.name.hasSuffix(".conv.bias"), norm < 1e-6 { continue }
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
      #expect(norm > 1e-6, "no gradient arrives at \(parameter.name)")
      #expect(abs(numeric - norm) < 0.04 * norm + 2e-4, "\(parameter.name): \(numeric) against \(norm)")
    }
  }

  @Test("A convolution's bias is added and learnt unless a norm cancels it")
  func biases() throws {
    func outcome(_ changes: [String: JSON]) throws -> (changesOutput: Bool, hasGradient: Bool) {
      let network = try network(changes)
      let input = Tensor(images(rank: 2), pool: backend.pool)
      let tape = Tape(backend: backend, isRecording: true)
      let heads = try network.forward(input, heads: 1, on: tape)
      let loss = DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: false), weights: [1])
      _ = loss(heads, [.labels(Array(repeating: 1, count: 192), ignored: nil)], on: tape)
      try tape.backward()
      let bias = try #require(network.parameters.first { $0.name.hasSuffix(".conv.bias") })
      let before = try network.predict(input).hostArray
      bias.assign(bias.value.hostArray.map { $0 + 1 })
      let after = try network.predict(input).hostArray
      return (before != after, bias.gradient?.hostArray.elements.contains { $0 != 0 } == true)
    }
    #expect(try outcome([:]) == (false, false))
    #expect(try outcome(["norm_op": .null, "norm_op_kwargs": .null]) == (true, true))
    #expect(try outcome(["nonlin_first": true]) == (true, true))
    #expect(try outcome(dropout) == (true, true))
    // Running means of other biases: evaluation sees the difference, training does not.
    #expect(try outcome(["norm_op": "torch.nn.BatchNorm2d"]) == (true, false))
    let untracked: JSON = ["track_running_stats": false]
    #expect(
      try outcome(["norm_op": "torch.nn.BatchNorm2d", "norm_op_kwargs": untracked]) == (false, false))
  }

  @Test("Dropout follows its key in training and is off in evaluation")
  func dropoutKeys() throws {
    let network = try network(dropout)
    let input = Tensor(images(rank: 2), pool: backend.pool)
    func output(_ mode: ForwardMode) throws -> NDArray<Float> {
      let tape = Tape(backend: backend, isRecording: false, mode: mode)
      return backend.plain(try network.forward(input, heads: 1, on: tape)[0].value).hostArray
    }
    #expect(try output(.training(key: [1, 2])) == output(.training(key: [1, 2])))
    #expect(try output(.training(key: [1, 2])) != output(.training(key: [1, 3])))
    #expect(try output(.training(key: [1, 2])) != output(.evaluation))
    #expect(try output(.evaluation) == network.predict(input).hostArray)
  }

  @Test("Stochastic depth of 1 leaves the shortcuts, and evaluation has every branch")
  func stochasticDepth() throws {
    let network = try network(residual: true, ["stochastic_depth_p": 1])
    let input = Tensor(images(rank: 2), pool: backend.pool)
    func output(_ mode: ForwardMode) throws -> NDArray<Float> {
      let tape = Tape(backend: backend, isRecording: false, mode: mode)
      return backend.plain(try network.forward(input, heads: 1, on: tape)[0].value).hostArray
    }
    let (training, evaluation) = (try output(.training(key: [1])), try output(.evaluation))
    let weights = network.parameters.filter {
      $0.name.contains(".blocks.") && $0.name.hasSuffix("conv2.conv.weight")
    }
    #expect(!weights.isEmpty)
    for weight in weights { weight.assign(weight.value.hostArray.map { -$0 }) }
    #expect(try output(.training(key: [1])) == training)
    #expect(try output(.evaluation) != evaluation)
  }

  @Test("Running statistics move in training alone, and travel with the weights")
  func runningStatistics() throws {
    let changes: [String: JSON] = ["norm_op": "torch.nn.BatchNorm2d"]
    let network = try network(changes)
    let input = Tensor(images(rank: 2), pool: backend.pool)
    #expect(network.buffers.count == 3 * 3)
    func state() -> [String: NDArray<Float>] {
      Dictionary(uniqueKeysWithValues: network.stateDictionary().map { ($0.name, $0.values) })
    }
    let start = state()
    _ = try network.predict(input)
    #expect(state() == start)
    _ = try network.forward(input, heads: 1, on: Tape(backend: backend, isRecording: true))
    let moved = state()
    for buffer in network.buffers { #expect(moved[buffer.name] != start[buffer.name], "\(buffer.name)") }
    #expect(moved["encoder.stages.0.0.convs.0.norm.num_batches_tracked"]?.elements == [1])

    let other = try self.network(changes)
    #expect(try other.predict(input).hostArray != network.predict(input).hostArray)
    try other.load(moved, source: "the first")
    #expect(try other.predict(input).hostArray == network.predict(input).hostArray)
    var incomplete = moved
    incomplete["encoder.stages.0.0.convs.0.norm.num_batches_tracked"] = nil
    try other.load(incomplete, source: "an old file")
    incomplete["encoder.stages.0.0.convs.0.norm.running_var"] = nil
    let error = #expect(throws: Diagnostic.self) { try other.load(incomplete, source: "no statistics") }
    #expect(error?.description.contains("running_var") == true)
  }

  @Test("Batch norm of one value per channel is an error, not a division by zero")
  func singleValue() throws {
    let network = try network(["norm_op": "torch.nn.BatchNorm2d"])
    let input = Tensor(NDArray(shape: [1, 2, 2, 2], repeating: 1), pool: backend.pool)
    let error = #expect(throws: Diagnostic.self) {
      try network.forward(input, heads: 1, on: Tape(backend: backend, isRecording: true))
    }
    #expect(error?.description.contains("more than one value") == true)
    #expect(try network.predict(input).hostArray.elements.allSatisfy(\.isFinite))
  }

  @Test("Activations that are computed again on the way back change no bit")
  func recomputation() throws {
    let network = try network(
      ["norm_op": "torch.nn.BatchNorm2d", "nonlin": "torch.nn.SiLU"])
    let input = Tensor(images(rank: 2), pool: backend.pool)
    var results: [[NDArray<Float>]] = []
    for byteCount in [1, Tape.standardRecomputeByteCount] {
      let tape = Tape(backend: backend, isRecording: true, recomputeByteCount: byteCount)
      let heads = try network.forward(input, heads: 1, on: tape)
      let loss = DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: false), weights: [1])
      _ = loss(heads, [.labels(Array(repeating: 1, count: 192), ignored: nil)], on: tape)
      try tape.backward()
      results.append(network.parameters.compactMap { $0.gradient?.hostArray })
      for parameter in network.parameters { parameter.gradient = nil }
    }
    #expect(results[0] == results[1])
  }
}
