// convolution, norm, loss and tile: single operations on random data, each with its way back.

import Archives
import ArgumentParser
import Backends
import Networks
import Tensors

/// What the benchmarks of single operations have in common.
struct OperationOptions: ParsableArguments {
  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Batch, channels and two or three extents of what comes in.", valueName: "number"))
  var source: [Int] = [9, 32, 40, 56, 40]

  @Option(help: ArgumentHelp("How activations are stored: fp32 or bf16.", valueName: "type"))
  var precision = "fp32"

  @Option(help: ArgumentHelp("Threads; 0 for every core.", valueName: "count"))
  var threads = 0

  @Option(
    help: ArgumentHelp("Runs that are timed, after one that is not; the median counts.", valueName: "count"))
  var runs = 5

  @Flag(help: "Accepted; the result is JSON always.")
  var json = false

  func validate() throws {
    try requirePositive(["--runs": runs])
    guard source.count == 4 || source.count == 5, source.allSatisfy({ $0 > 0 }) else {
      throw ValidationError("--source takes four or five positive numbers")
    }
    guard Precision(name: precision) != nil else {
      throw ValidationError("--precision takes fp32 or bf16, not `\(precision)`")
    }
    guard runs > 0 else { throw ValidationError("--runs takes a positive number") }
  }

  /// The type of the activations; fp32 where the text is no name, which `validate` refuses.
  var type: Precision { Precision(name: precision) ?? .float32 }

  /// Random numbers in the backend's own layout.
  func activation(_ shape: [Int], seed: Int, on backend: CPUBackend) -> Tensor {
    backend.activation(plain(shape, seed: seed, on: backend), precision: type)
  }

  func plain(_ shape: [Int], seed: Int, on backend: CPUBackend) -> Tensor {
    var random = RandomSource(key: [seed])
    let numbers = (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) }
    return Tensor(NDArray(shape: shape, elements: numbers), pool: backend.pool)
  }

  /// The median time of what is done after one run for the caches and the memory.
  func time(_ body: () throws -> Void) throws -> Double {
    try body()
    return median(try (0..<runs).map { _ in try seconds(body) })
  }
}

/// Prints one line of JSON.
func printLine(_ fields: [(String, JSON)]) { print(JSON.object(JSONObject(fields)).text(indent: nil)) }

/// Seconds and rates of a convolution and its two gradients.
struct ConvolutionBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "convolution", abstract: "Time a convolution, forward, by source and by weight.",
    discussion: "LUNETTE_CONVOLUTIONS=direct times the plain form.")

  @OptionGroup var options: OperationOptions

  @Option(help: ArgumentHelp("Output channels.", valueName: "count"))
  var outputs = 32

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("Kernel, one number or one per axis.", valueName: "extent"))
  var kernel: [Int] = [3]

  @Option(
    parsing: .upToNextOption, help: ArgumentHelp("Stride, one number or one per axis.", valueName: "extent"))
  var stride: [Int] = [1]

  func run() throws {
    let rank = options.source.count - 2
    func axes(_ values: [Int], _ name: String) throws -> [Int] {
      guard values.count == 1 || values.count == rank, values.allSatisfy({ $0 > 0 }) else {
        throw ValidationError("--\(name) takes one positive number or \(rank)")
      }
      return values.count == 1 ? Array(repeating: values[0], count: rank) : values
    }
    let geometry = ConvolutionGeometry(kernel: try axes(kernel, "kernel"), stride: try axes(stride, "stride"))
    let backend = try CPUBackend(threadCount: options.threads)
    let source = options.activation(options.source, seed: 0, on: backend)
    let weight = options.plain([outputs, options.source[1]] + geometry.kernel, seed: 1, on: backend)
    let extents = geometry.outputShape(for: Array(options.source.dropFirst(2)))
    let gradient = options.activation([options.source[0], outputs] + extents, seed: 2, on: backend)
    let products = ([options.source[0]] + extents).reduce(1, *) * weight.count
    var fields: [(String, JSON)] = [
      ("source", JSON(options.source)), ("outputs", .integer(outputs)), ("kernel", JSON(geometry.kernel)),
      ("stride", JSON(geometry.stride)), ("precision", .string(options.type.shortName)),
    ]
    func measure(_ name: String, _ body: () throws -> Void) throws {
      let duration = try options.time(body)
      fields.append(("\(name)_s", .number(duration)))
      fields.append(("\(name)_gflop_per_s", .number((2 * Double(products) / duration / 1e8).rounded() / 10)))
    }
    try measure("result") {
      _ = try backend.convolve(source, weight: weight, bias: nil, geometry: geometry)
    }
    try measure("source_gradient") {
      _ = try backend.convolutionSourceGradient(
        gradient, weight: weight, sourceShape: options.source, geometry: geometry)
    }
    try measure("weight_gradient") {
      _ = try backend.convolutionWeightGradient(
        gradient, source: source, weightShape: weight.shape, geometry: geometry, wantsBias: false)
    }
    printLine(fields + [("backend", .string(backend.name))])
  }
}

/// Seconds of instance norm with leaky ReLU and its gradients.
struct NormBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "norm", abstract: "Time instance norm with leaky ReLU, forward and backward.")

  @OptionGroup var options: OperationOptions

  func run() throws {
    let backend = try CPUBackend(threadCount: options.threads)
    let source = options.activation(options.source, seed: 0, on: backend)
    let scale = options.plain([options.source[1]], seed: 1, on: backend)
    let shift = options.plain([options.source[1]], seed: 2, on: backend)
    let settings = NormalizationSettings()
    let forward = try options.time {
      _ = backend.normalize(source, scale: scale, shift: shift, settings: settings)
    }
    let statistics = backend.normalize(source, scale: scale, shift: shift, settings: settings).statistics
    // The gradient's buffer takes the result; what becomes of its numbers does not matter here.
    let gradient = options.activation(options.source, seed: 3, on: backend)
    let backward = try options.time {
      _ = backend.normalizationGradients(
        gradient, source: source, scale: scale, shift: shift, statistics: statistics, settings: settings)
    }
    let bytes = Double(source.storedByteCount)
    // Forward reads the source twice and writes once; backward reads both twice and writes once.
    func rate(_ passes: Double, _ duration: Double) -> JSON {
      .number((passes * bytes / duration / 1e8).rounded() / 10)
    }
    printLine([
      ("source", JSON(options.source)), ("precision", .string(options.type.shortName)),
      ("result_s", .number(forward)), ("result_gb_per_s", rate(3, forward)),
      ("gradients_s", .number(backward)), ("gradients_gb_per_s", rate(5, backward)),
      ("backend", .string(backend.name)),
    ])
  }
}

/// Seconds of Dice plus cross-entropy with the gradient by the logits.
struct LossBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "loss", abstract: "Time Dice plus cross-entropy of logits, with and without the gradient.",
    discussion: "The channels of --source are the classes; logits are float32 in either precision.")

  @OptionGroup var options: OperationOptions

  func run() throws {
    let backend = try CPUBackend(threadCount: options.threads)
    let logits = options.plain(options.source, seed: 0, on: backend)
    var random = RandomSource(key: [1])
    let labels = (0..<logits.count / options.source[1]).map { _ in
      Int16(random.integer(below: options.source[1]))
    }
    let loss = DeepSupervisionLoss(loss: .diceAndCrossEntropy(batchDice: false), weights: [1])
    func evaluate(recording: Bool) throws {
      let tape = Tape(backend: backend, isRecording: recording)
      _ = try loss.evaluate([Variable(logits)], [.labels(labels, ignored: nil)], on: tape)
    }
    printLine([
      ("source", JSON(options.source)),
      ("value_s", .number(try options.time { try evaluate(recording: false) })),
      ("value_and_gradient_s", .number(try options.time { try evaluate(recording: true) })),
      ("backend", .string(backend.name)),
    ])
  }
}

/// Seconds of an inference tile alone.
struct TileBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tile", abstract: "Time an inference tile.", discussion: "Takes the options of `step`.")

  @OptionGroup var step: StepBench

  func run() throws {
    var only = step
    only.inferenceOnly = true
    try only.run()
  }
}
