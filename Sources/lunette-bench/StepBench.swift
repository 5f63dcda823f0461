// step: a training step and an inference tile of one configuration of a plans file, on random data.

import Archives
import ArgumentParser
import Backends
import Foundation
import Networks
import Reporting
import Tensors

/// Seconds per training step and per tile, with the peak of the memory.
struct StepBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "step",
    abstract: "Time a training step (forward, loss, backward, clipping, SGD) and an inference tile.")

  @Option(help: ArgumentHelp("Plans file.", valueName: "file"))
  var plans: String

  @Option(name: .customLong("configuration"), help: ArgumentHelp("Configuration in it.", valueName: "name"))
  var configurationName: String

  @Option(help: ArgumentHelp("Image channels.", valueName: "count"))
  var channels = 1

  @Option(help: ArgumentHelp("Output channels.", valueName: "count"))
  var classes = 3

  @Option(help: ArgumentHelp("How activations are stored: fp32 or bf16.", valueName: "type"))
  var precision = "fp32"

  @Option(help: ArgumentHelp("Batch size; the planned one if left out.", valueName: "count"))
  var batch: Int?

  @Option(help: ArgumentHelp("Threads; 0 for every core.", valueName: "count"))
  var threads = 0

  @Option(
    help: ArgumentHelp("Steps that are timed, after one that is not; the median counts.", valueName: "count"))
  var runs = 3

  func validate() throws {
    try requirePositive(["--channels": channels, "--classes": classes, "--runs": runs, "--batch": batch ?? 1])
  }

  @Flag(help: "Only the tile.")
  var inferenceOnly = false

  @Option(
    help: ArgumentHelp(
      "Activations of this size and above are computed again on the way back in place of being kept.",
      valueName: "MiB"))
  var recomputeAbove = Tape.standardRecomputeByteCount >> 20

  @Flag(help: "Name the implementation of every convolution, on standard error.")
  var implementations = false

  @Flag(help: "Accepted; the result is JSON always.")
  var json = false

  func run() throws {
    guard let precision = Precision(name: precision) else {
      throw ValidationError("--precision takes fp32 or bf16, not `\(self.precision)`")
    }
    let backend = try CPUBackend(threadCount: threads)
    let subject = try Subject(self, precision: precision, backend: backend)
    var report = JSONObject([
      ("precision", .string(precision.shortName)), ("batch", .integer(subject.batch)),
      ("patch", JSON(subject.patch)), ("parameters", .integer(subject.network.parameterCount)),
    ])
    if !inferenceOnly {
      let loss = try subject.step()
      report["train_step_s"] = .number(
        median(try (0..<runs).map { _ in try seconds { _ = try subject.step() } }))
      report["loss"] = .number(loss)
    }
    try subject.predictTile()
    report["inference_tile_s"] = .number(
      median(try (0..<max(runs, 3)).map { _ in try seconds(subject.predictTile) }))
    report["peak_rss_mib"] = .integer(peakResidentMemory())
    report["peak_tensor_mib"] = .integer(backend.pool.usage.peak >> 20)
    report["reached_tensor_mib"] = .integer(backend.pool.reachedByteCount >> 20)
    report["backend"] = .string(backend.name)
    if implementations {
      for line in backend.implementationReport() { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
    }
    print(JSON.object(report).text(indent: nil))
  }
}

/// A network with everything a step needs.
final class Subject {
  let network: any SegmentationNetwork
  let batch: Int
  let patch: [Int]
  private let backend: any Backend
  private let optimizer: Optimizer
  private let loss: DeepSupervisionLoss
  private let input: NDArray<Float>
  private let targets: [SegmentationTarget]
  private let tile: Tensor
  private let precision: Precision
  private let recomputeByteCount: Int

  init(_ options: StepBench, precision: Precision, backend: any Backend) throws {
    let plans = try JSON(contentsOf: URL(filePath: options.plans))
    var configuration = plans["configurations"]?[options.configurationName] ?? .null
    if let parent = configuration["inherits_from"]?.string {
      configuration = plans["configurations"]?[parent] ?? .null
    }
    guard let patch = configuration["patch_size"]?.integers else {
      throw Diagnostic(
        "there is no configuration \(options.configurationName)", at: options.plans, expected: "a patch size",
        found: "none", remedy: "choose one of the configurations in the file")
    }
    let batch = options.batch ?? configuration["batch_size"]?.integer ?? 2
    let spec = try ArchitectureSpec(configuration["architecture"] ?? .null, source: options.plans)
    network = makeNetwork(
      spec, inputChannelCount: options.channels, outputChannelCount: options.classes, seed: 0,
      backend: backend)
    optimizer = Optimizer(parameters: network.parameters, backend: backend)
    loss = DeepSupervisionLoss(
      loss: .diceAndCrossEntropy(batchDice: configuration["batch_dice"]?.bool ?? false),
      weights: DeepSupervisionLoss.standardWeights(headCount: network.headCount))
    var random = RandomSource(key: [0])
    let shape = [batch, options.channels] + patch
    input = NDArray<Float>(
      shape: shape, elements: (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
    var scale = Array(repeating: 1, count: patch.count)
    targets = spec.strides.dropLast().map { stride in
      scale = zip(scale, stride).map { $0 * $1 }
      let count = batch * zip(patch, scale).map { $0 / $1 }.reduce(1, *)
      return .labels((0..<count).map { _ in Int16(random.integer(below: options.classes)) }, ignored: nil)
    }
    let tileShape = [1] + shape.dropFirst()
    tile = backend.converted(
      Tensor(
        NDArray(shape: tileShape, elements: Array(input.elements.prefix(tileShape.reduce(1, *)))),
        pool: backend.pool), to: precision)
    self.batch = batch
    self.patch = patch
    self.backend = backend
    self.precision = precision
    recomputeByteCount = options.recomputeAbove << 20
  }

  /// One training step; the loss before it.
  func step() throws -> Double { try backend.pool.cycle("training", learn) }

  private func learn() throws -> Double {
    let tape = Tape(backend: backend, isRecording: true, recomputeByteCount: recomputeByteCount)
    let heads = try network.forward(
      backend.converted(Tensor(input, pool: backend.pool), to: precision), heads: loss.neededHeadCount,
      on: tape)
    let value = loss(heads, targets, on: tape)
    try tape.backward()
    optimizer.clip(12)
    optimizer.step()
    return value
  }

  func predictTile() throws { _ = try backend.pool.cycle("tile") { try network.predict(tile) } }
}
