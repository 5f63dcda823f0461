// Times the engine: `lunette-bench step PLANS.json CONFIGURATION [--channels C] [--classes K] [--batch N] [--runs R]`
// prints one JSON line with seconds per training step and per inference tile, for ratios against another program.

import Archives
import Backends
import Foundation
import Networks
import Reporting
import Tensors

/// Options after the positional arguments, `--name value`.
private func option(_ name: String, default value: Int) -> Int {
  guard let i = CommandLine.arguments.firstIndex(of: "--\(name)"), i + 1 < CommandLine.arguments.count else {
    return value
  }
  return Int(CommandLine.arguments[i + 1]) ?? value
}

private func seconds(_ body: () throws -> Void) rethrows -> Double {
  let clock = ContinuousClock()
  return try clock.measure(body) / .seconds(1)
}

private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

private func runStep() throws {
  let plans = try JSON(contentsOf: URL(filePath: CommandLine.arguments[2]))
  var configuration = plans["configurations"]?[CommandLine.arguments[3]] ?? .null
  if let parent = configuration["inherits_from"]?.string {
    configuration = plans["configurations"]?[parent] ?? .null
  }
  let patch = configuration["patch_size"]?.integers ?? []
  let batch = option("batch", default: configuration["batch_size"]?.integer ?? 2)
  let (channels, classes) = (option("channels", default: 1), option("classes", default: 3))
  let backend = try CPUBackend(threadCount: option("threads", default: 0))
  let spec = try ArchitectureSpec(configuration["architecture"] ?? .null, source: CommandLine.arguments[2])
  let network = makeNetwork(
    spec, inputChannelCount: channels, outputChannelCount: classes, seed: 0, backend: backend)
  let optimizer = SGDOptimizer(parameters: network.parameters, backend: backend)
  let loss = DeepSupervisionLoss(
    loss: .diceAndCrossEntropy(batchDice: configuration["batch_dice"]?.bool ?? false),
    weights: DeepSupervisionLoss.standardWeights(headCount: network.headCount))
  var random = RandomSource(key: [0])
  let shape = [batch, channels] + patch
  let input = NDArray<Float>(
    shape: shape, elements: (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
  var scale = Array(repeating: 1, count: patch.count)
  let targets = spec.strides.dropLast().map { stride in
    scale = zip(scale, stride).map { $0 * $1 }
    let count = batch * zip(patch, scale).map { $0 / $1 }.reduce(1, *)
    return SegmentationTarget.labels(
      (0..<count).map { _ in Int16(random.integer(below: classes)) }, ignored: nil)
  }
  var value = 0.0
  func step() throws {
    let tape = Tape(backend: backend, isRecording: true)
    let heads = try network.forward(Tensor(input, pool: backend.pool), heads: loss.neededHeadCount, on: tape)
    value = loss(heads, targets, on: tape)
    try tape.backward()
    optimizer.clip(12)
    optimizer.step()
  }
  let runs = option("runs", default: 3)
  try step()
  let steps = try (0..<runs).map { _ in try seconds(step) }
  let tileShape = [1] + shape.dropFirst()
  let tile = Tensor(
    NDArray(shape: tileShape, elements: Array(input.elements.prefix(tileShape.reduce(1, *)))),
    pool: backend.pool)
  _ = try network.predict(tile)
  let tiles = try (0..<max(runs, 3)).map { _ in try seconds { _ = try network.predict(tile) } }
  if CommandLine.arguments.contains("--implementations") {
    for line in backend.implementationReport() { FileHandle.standardError.write(Data("\(line)\n".utf8)) }
  }
  let report: JSON = [
    "precision": "fp32", "batch": .integer(batch), "patch": JSON(patch),
    "parameters": .integer(network.parameterCount), "train_step_s": .number(median(steps)),
    "inference_tile_s": .number(median(tiles)), "peak_tensor_mib": .integer(backend.pool.usage.peak >> 20),
    "loss": .number(value), "backend": .string(backend.name),
  ]
  print(report.text(indent: nil))
}

shortenThreadSpinning()
do {
  guard CommandLine.arguments.count >= 4, CommandLine.arguments[1] == "step" else {
    throw Diagnostic(
      "cannot tell what to time", at: "lunette-bench", expected: "step PLANS.json CONFIGURATION",
      found: CommandLine.arguments.dropFirst().joined(separator: " "),
      remedy: "lunette-bench step nnUNetPlans.json 3d_fullres --channels 1 --classes 3")
  }
  try runStep()
} catch {
  FileHandle.standardError.write(Data("lunette-bench: \(error)\n".utf8))
  exit(1)
}
