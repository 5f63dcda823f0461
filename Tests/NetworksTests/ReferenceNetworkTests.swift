// Networks of every kind of layer against what the reference computes; Scripts/make-reference-networks wrote the files.

import Archives
import Backends
import Foundation
import Networks
import Tensors
import TestSupport
import Testing

/// The reference computes in float32 too: both round sums of a few hundred products.
private let outputTolerance = 1e-5
/// A mean over hundreds of voxels in float32.
private let lossTolerance = 1e-5
/// Relative, of a parameter's gradient in the first step.
private let gradientTolerance = 1e-3
/// Three steps amplify the rounding of the first.
private let stepTolerance = 1e-4

@Suite(.serialized) struct ReferenceNetworkTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  static let names = [
    "batch-norm-2d", "batch-norm-3d", "batch-norm-plain-2d", "batch-norm-untracked-2d", "no-norm-2d",
    "no-activation-3d", "activation-first-2d", "tracked-instance-norm-2d", "dropout-2d", "bottleneck-3d",
    "residual-batch-norm-2d", "residual-even-kernel-2d", "squeeze-excitation-2d", "squeeze-excitation-3d",
  ]

  private func relativeError(_ a: NDArray<Float>, _ b: NDArray<Float>) -> Double {
    guard a.shape == b.shape else { return .infinity }
    var (difference, norm) = (0.0, 0.0)
    for (x, y) in zip(a.elements, b.elements) {
      difference += Double(x - y) * Double(x - y)
      norm += Double(y) * Double(y)
    }
    return (difference / max(norm, 1e-30)).squareRoot()
  }

  @Test("Names, outputs, losses, gradients and running statistics are the reference's", arguments: names)
  func network(_ name: String) throws {
    let folder = Goldens.repository.appending(path: "Tests/NetworksTests/Fixtures")
    let record = try JSON(contentsOf: folder.appending(path: "\(name).json"))
    let file = try PyTorchCheckpoint.read(folder.appending(path: "\(name).pth"))
    func array(_ key: String) throws -> NDArray<Float> {
      try file.values(of: #require(file.root[key]?.tensor, "\(key)"))
    }
    let spec = try ArchitectureSpec(record["architecture"] ?? .null, source: name)
    let network = makeNetwork(
      spec, inputChannelCount: try #require(record["input_channels"]?.integer),
      outputChannelCount: try #require(record["output_channels"]?.integer), seed: 0, backend: backend)
    #expect(network.parameters.map(\.name) == record["parameters"]?.strings)
    let names = (network.parameters + network.buffers).map(\.name)
    #expect(
      Set(names + names.flatMap { network.aliases(of: $0) }) == Set(try #require(record["state"]?.strings)))
    #expect(network.stateEntries.map(\.name) == record["state"]?.strings)
    let state = try file.stateDictionary()
    try network.loadStrictly(state, source: name)

    let input = Tensor(try array("input"), pool: backend.pool)
    let weights = try #require(record["head_weights"]?.doubles)
    let heads = try network.forward(
      input, heads: network.headCount, on: Tape(backend: backend, isRecording: false))
    #expect(heads.count == weights.count)
    for (i, head) in heads.enumerated() {
      let error = try relativeError(backend.plain(head.value).hostArray, array("output_\(i)"))
      #expect(error < outputTolerance, "head \(i)")
    }

    let targets = try weights.indices.map {
      SegmentationTarget.labels(try array("target_\($0)").elements.map { Int16($0) }, ignored: nil)
    }
    let loss = DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: false), weights: weights)
    let optimizer = Optimizer(parameters: network.parameters, backend: backend)
    let norms = try #require(record["gradient_norms"]?.doubles)
    for (step, expected) in try #require(record["losses"]?.doubles).enumerated() {
      let tape = Tape(backend: backend, isRecording: true)
      let heads = try network.forward(input, heads: loss.neededHeadCount, on: tape)
      let value = loss(heads, targets, on: tape)
      #expect(abs(value - expected) < (step == 0 ? lossTolerance : stepTolerance), "loss of step \(step)")
      try tape.backward()
      if step == 0 { checkGradients(of: network, record) }
      #expect(abs(optimizer.clip(12) / norms[step] - 1) < gradientTolerance, "gradient of step \(step)")
      optimizer.step()
    }
    #expect(relativeError(try network.predict(input).hostArray, try array("output_after")) < stepTolerance)
    for buffer in network.buffers {
      let expected = try file.values(of: #require(file.root["buffers_after"]?[buffer.name]?.tensor))
      #expect(relativeError(buffer.value.hostArray, expected) < stepTolerance, "\(buffer.name)")
    }
  }

  private func checkGradients(of network: any SegmentationNetwork, _ record: JSON) {
    for parameter in network.parameters {
      guard let expected = record["parameter_gradient_norms"]?[parameter.name]?.double else {
        #expect(parameter.gradient == nil, "\(parameter.name) has a gradient the reference lacks")
        continue
      }
      let norm = parameter.gradient.map { backend.norm(of: [$0]) } ?? 0
      // The reference's gradients of biases before a norm are rounding noise around zero.
      #expect(
        abs(norm - expected) < gradientTolerance * expected + 1e-7,
        "\(parameter.name): \(norm) against \(expected)")
    }
  }
}
