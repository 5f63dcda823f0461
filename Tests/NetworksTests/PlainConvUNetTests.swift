// The plain U-Net: names, counts, aliases, gradients by finite differences, and learning.

import Archives
import Backends
import Networks
import Tensors
import Testing

@Suite(.serialized) struct PlainConvUNetTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  static func architecture(features: [Int], rank: Int) -> JSON {
    let ones = Array(repeating: 1, count: rank)
    let twos = Array(repeating: 2, count: rank)
    let threes = JSON(Array(repeating: 3, count: rank))
    let count = features.count
    return [
      "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
      "arch_kwargs": [
        "n_stages": .integer(count), "features_per_stage": JSON(features),
        "kernel_sizes": .array(Array(repeating: threes, count: count)),
        "strides": .array([JSON(ones)] + Array(repeating: JSON(twos), count: count - 1)),
        "n_conv_per_stage": JSON(Array(repeating: 2, count: count)),
        "n_conv_per_stage_decoder": JSON(Array(repeating: 2, count: count - 1)),
        "conv_bias": true, "norm_op": .string("torch.nn.modules.instancenorm.InstanceNorm\(rank)d"),
        "norm_op_kwargs": ["eps": 1e-5, "affine": true], "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": ["inplace": true],
      ],
    ]
  }

  private func network(features: [Int], rank: Int, channels: Int = 1, classes: Int = 3) throws
    -> any SegmentationNetwork
  {
    let spec = try ArchitectureSpec(Self.architecture(features: features, rank: rank), source: "test")
    return makeNetwork(
      spec, inputChannelCount: channels, outputChannelCount: classes, seed: 1, backend: backend)
  }

  @Test("The 3D network of a common plan has the reference's number of parameters")
  func parameterCount() throws {
    let network = try network(features: [32, 64, 128, 256, 320, 320], rank: 3)
    #expect(network.parameterCount == 31_196_399)
    #expect(network.headCount == 5)
  }

  @Test("Names and aliases are those of nnU-Net's state dictionary")
  func names() throws {
    let network = try network(features: [8, 16, 24], rank: 3)
    let names = network.parameters.map(\.name)
    #expect(names.count == 48)
    #expect(names.first == "encoder.stages.0.0.convs.0.conv.weight")
    #expect(names.last == "decoder.seg_layers.1.bias")
    #expect(names.reduce(0) { $0 + 1 + network.aliases(of: $1).count } == 136)
    #expect(
      network.aliases(of: "encoder.stages.1.0.convs.1.norm.weight") == [
        "encoder.stages.1.0.convs.1.all_modules.1.weight", "decoder.encoder.stages.1.0.convs.1.norm.weight",
        "decoder.encoder.stages.1.0.convs.1.all_modules.1.weight",
      ])
    #expect(network.aliases(of: "decoder.seg_layers.0.weight").isEmpty)
  }

  @Test("Same seed, same weights; another seed, other weights")
  func seeds() throws {
    let spec = try ArchitectureSpec(Self.architecture(features: [8, 16], rank: 2), source: "test")
    func weights(_ seed: Int) -> NDArray<Float> {
      makeNetwork(spec, inputChannelCount: 1, outputChannelCount: 2, seed: seed, backend: backend).parameters[
        0
      ].value
        .hostArray
    }
    #expect(weights(1) == weights(1))
    #expect(weights(1) != weights(2))
  }

  @Test("The gradient of every kind of parameter agrees with central differences")
  func gradients() throws {
    let network = try network(features: [8, 16, 16], rank: 3, channels: 2)
    var random = RandomSource(key: [7])
    let shape = [2, 2, 8, 8, 8]
    let input = NDArray<Float>(
      shape: shape, elements: (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
    let targets = [8, 4].map { extent in
      SegmentationTarget.labels(
        (0..<2 * extent * extent * extent).map { _ in Int16(random.integer(below: 3)) }, ignored: nil)
    }
    let loss = DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: false), weights: [0.6, 0.4])
    func value(recording: Bool) throws -> (Double, Tape) {
      let tape = Tape(backend: backend, isRecording: recording)
      let heads = try network.forward(Tensor(input, pool: backend.pool), heads: 2, on: tape)
      return (loss(heads, targets, on: tape), tape)
    }
    try value(recording: true).1.backward()
    for parameter in network.parameters where !parameter.name.hasSuffix(".conv.bias") {
      let gradient = try #require(parameter.gradient, "no gradient for \(parameter.name)").hostArray
      // Along the gradient's own direction the derivative is its norm: the largest signal against rounding.
      let norm = gradient.elements.reduce(0.0) { $0 + Double($1) * Double($1) }.squareRoot()
      let original = parameter.value.hostArray
      // Small enough that few voxels cross the kink of leaky ReLU.
      let h = 0.005 / max(1, norm)
      func moved(_ factor: Double) -> NDArray<Float> {
        var values = original
        for i in values.elements.indices {
          values.elements[i] += Float(factor * Double(gradient.elements[i]) / norm)
        }
        return values
      }
      parameter.assign(moved(h))
      let up = try value(recording: false).0
      parameter.assign(moved(-h))
      let down = try value(recording: false).0
      parameter.assign(original)
      let numeric = (up - down) / (2 * h)
      #expect(norm > 1e-5, "no gradient arrives at \(parameter.name)")
      #expect(abs(numeric - norm) < 0.04 * norm + 2e-4, "\(parameter.name): \(numeric) against \(norm)")
    }
  }

  @Test("A convolution's bias before a norm gets a zero gradient, so that it only decays")
  func biasBeforeNorm() throws {
    let network = try network(features: [8, 16], rank: 2)
    let tape = Tape(backend: backend, isRecording: true)
    let input = Tensor(NDArray<Float>(shape: [1, 1, 8, 8], repeating: 1), pool: backend.pool)
    let heads = try network.forward(input, heads: 1, on: tape)
    let loss = DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: false), weights: [1])
    _ = loss(heads, [.labels(Array(repeating: 1, count: 64), ignored: nil)], on: tape)
    try tape.backward()
    let bias = try #require(network.parameters.first { $0.name.hasSuffix("conv.bias") })
    #expect(bias.gradient?.hostArray.elements.allSatisfy { $0 == 0 } == true)
  }

  @Test("Supervision weights halve per resolution and leave out the last")
  func supervisionWeights() {
    let weights = DeepSupervisionLoss.standardWeights(headCount: 5)
    let expected = [0.5333333, 0.2666667, 0.1333333, 0.0666667, 0]
    #expect(zip(weights, expected).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(
      DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: true), weights: weights).neededHeadCount == 4)
    #expect(DeepSupervisionLoss.standardWeights(headCount: 1) == [1])
  }

  @Test("An architecture this version cannot build is refused by name")
  func refusesUnknownArchitectures() {
    var json = Self.architecture(features: [8, 16], rank: 2)
    if case .object(var object) = json {
      object["network_class_name"] = "somewhere.SwinUNETR"
      json = .object(object)
    }
    #expect { try ArchitectureSpec(json, source: "plans.json") } throws: {
      "\($0)".contains("somewhere.SwinUNETR")
    }
  }
}
