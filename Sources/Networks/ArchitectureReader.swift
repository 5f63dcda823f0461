// Reads `arch_kwargs` key by key, with errors that name the key and what is possible.

import Archives
import Backends
import Reporting

/// Typed values of the arguments of nnU-Net's networks.
struct ArchitectureReader {
  let arguments: JSON
  let source: String

  func fail(_ key: String, _ expected: String, found: String? = nil) -> Diagnostic {
    Diagnostic(
      "architecture is not usable", at: "\(source), key \"\(key)\"", expected: expected,
      found: found ?? arguments[key]?.kind ?? "no such key",
      remedy: "correct the key, or make the plans again with `lunette plan_experiment`")
  }

  /// A value that is there and not null.
  private func value(_ key: String) -> JSON? {
    guard let value = arguments[key], !value.isNull else { return nil }
    return value
  }

  func requireKnownKeys(_ known: [String], of family: String) throws(Diagnostic) {
    for key in arguments.object?.keys ?? [] where !known.contains(key) {
      throw Diagnostic(
        "\(family) has no argument \"\(key)\"", at: "\(source), arch_kwargs",
        expected: known.joined(separator: ", "), found: key,
        remedy: nearestName(to: key, in: known).map { "did you mean \"\($0)\"?" } ?? "leave it out")
    }
  }

  // MARK: - Numbers

  /// How many stages there are, by `n_stages` or else by the lists.
  func stageCount() throws(Diagnostic) -> Int {
    let key = arguments["n_stages"] == nil ? "features_per_stage" : "n_stages"
    let count = arguments["n_stages"]?.integer ?? arguments["features_per_stage"]?.array?.count
    guard let count, (2...64).contains(count) else {
      throw fail(key, "a number of stages from 2", found: count.map { "\($0)" })
    }
    return count
  }

  /// 2 or 3, by `conv_op` or else by the kernels.
  func rank() throws(Diagnostic) -> Int {
    if let name = value("conv_op") {
      switch lastName(name) {
      case "Conv2d": return 2
      case "Conv3d": return 3
      default: throw fail("conv_op", "torch.nn.modules.conv.Conv2d or Conv3d")
      }
    }
    guard let rank = arguments["kernel_sizes"]?.array?.first?.array?.count, (2...3).contains(rank) else {
      throw fail("conv_op", "torch.nn.modules.conv.Conv2d or Conv3d")
    }
    return rank
  }

  /// Whole numbers from 1, one per stage; one number stands for all stages.
  func counts(_ key: String, count: Int) throws(Diagnostic) -> [Int] {
    let values =
      arguments[key]?.integer.map { Array(repeating: $0, count: count) } ?? arguments[key]?.integers
    guard let values, values.count == count, values.allSatisfy({ $0 >= 1 }) else {
      throw fail(key, "\(count) whole numbers from 1, or one for all stages")
    }
    return values
  }

  func optionalCount(_ key: String) throws(Diagnostic) -> Int? {
    guard let value = value(key) else { return nil }
    guard let count = value.integer, count >= 1 else { throw fail(key, "a whole number from 1, or null") }
    return count
  }

  /// One number per stage and axis; one stands for all axes, or for all of everything.
  func extents(_ key: String, count: Int, rank: Int) throws(Diagnostic) -> [[Int]] {
    func all(_ number: Int) -> [Int] { Array(repeating: number, count: rank) }
    let lists =
      arguments[key]?.integer.map { Array(repeating: all($0), count: count) }
      ?? arguments[key]?.array?.compactMap { $0.integer.map(all) ?? $0.integers }
    guard let lists, lists.count == count, lists.allSatisfy({ $0.count == rank }),
      lists.joined().allSatisfy({ (1...1000).contains($0) })
    else { throw fail(key, "\(count) lists of \(rank) whole numbers from 1") }
    return lists
  }

  func flag(_ key: String, default standard: Bool) throws(Diagnostic) -> Bool {
    guard let value = value(key) else { return standard }
    guard let flag = value.bool else { throw fail(key, "true or false") }
    return flag
  }

  private func number(
    _ key: String, default standard: Double, in range: ClosedRange<Double>
  ) throws(Diagnostic) -> Double {
    guard let value = value(key) else { return standard }
    guard let number = value.double, range.contains(number) else {
      throw fail(key, "a number from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  // MARK: - Blocks

  /// The class's own name of a path such as `torch.nn.modules.batchnorm.BatchNorm3d`.
  private func lastName(_ value: JSON) -> String? {
    value.string?.split(separator: ".").last.map(String.init)
  }

  /// The arguments of a layer, of which only the named ones may be there.
  private func layerArguments(_ key: String, known: [String]) throws(Diagnostic) -> LayerArguments {
    // An empty table of Lua is an empty list.
    let isEmpty = value(key) == nil || value(key)?.array?.isEmpty == true
    guard let object = isEmpty ? JSONObject() : arguments[key]?.object else {
      throw fail(key, "an object of arguments, or null")
    }
    for name in object.keys where !known.contains(name) {
      throw fail(key, known.isEmpty ? "no arguments" : known.joined(separator: ", "), found: name)
    }
    return LayerArguments(reader: self, key: key, values: object)
  }

  func block(rank: Int) throws(Diagnostic) -> BlockSpec {
    BlockSpec(
      hasBias: try flag("conv_bias", default: false), dropout: try dropout(rank: rank),
      norm: try norm(rank: rank), activation: try activation(),
      activationIsFirst: try flag("nonlin_first", default: false))
  }

  private func norm(rank: Int) throws(Diagnostic) -> NormalizationSpec? {
    guard let name = value("norm_op") else { return nil }
    let isBatch: Bool
    switch lastName(name) {
    case "InstanceNorm\(rank)d": isBatch = false
    case "BatchNorm\(rank)d": isBatch = true
    default: throw fail("norm_op", "InstanceNorm\(rank)d, BatchNorm\(rank)d of torch.nn, or null for no norm")
    }
    let given = try layerArguments(
      "norm_op_kwargs", known: ["eps", "momentum", "affine", "track_running_stats", "bias"])
    // The defaults of the two classes differ.
    let isAffine = try given.flag("affine", default: isBatch)
    return NormalizationSpec(
      kind: isBatch ? .batch : .instance, epsilon: try given.number("eps", default: 1e-5, in: 0...1),
      hasScale: isAffine, hasShift: try given.flag("bias", default: true) && isAffine,
      tracksStatistics: try given.flag("track_running_stats", default: isBatch),
      momentum: given.isNull("momentum") ? nil : try given.number("momentum", default: 0.1, in: 0...1))
  }

  private func dropout(rank: Int) throws(Diagnostic) -> DropoutSettings? {
    guard let name = value("dropout_op") else { return nil }
    let unit: DropoutSettings.Unit
    switch lastName(name) {
    case "Dropout": unit = .element
    case "Dropout2d": unit = .channel
    // The reference takes a batch of images for one volume whose channels are the images.
    case "Dropout3d": unit = rank == 3 ? .channel : .sample
    default: throw fail("dropout_op", "Dropout, Dropout2d or Dropout3d of torch.nn, or null for none")
    }
    let given = try layerArguments("dropout_op_kwargs", known: ["p", "inplace"])
    return DropoutSettings(unit, probability: try given.number("p", default: 0.5, in: 0...1))
  }

  private func activation() throws(Diagnostic) -> ActivationSpec? {
    guard let name = value("nonlin") else { return nil }
    let key = "nonlin_kwargs"
    func plain(_ function: ActivationFunction) throws(Diagnostic) -> ActivationSpec {
      _ = try layerArguments(key, known: ["inplace"])
      return .function(function)
    }
    func alpha() throws(Diagnostic) -> Float {
      Float(
        try layerArguments(key, known: ["alpha", "inplace"]).number("alpha", default: 1, in: 1e-6...1e6))
    }
    switch lastName(name) {
    case "LeakyReLU":
      let given = try layerArguments(key, known: ["negative_slope", "inplace"])
      let slope = try given.number("negative_slope", default: 0.01, in: -10...10)
      return .function(.leakyReLU(slope: Float(slope)))
    case "ReLU": return try plain(.leakyReLU(slope: 0))
    case "Identity": return try plain(.leakyReLU(slope: 1))
    case "ReLU6": return try plain(.relu6)
    case "ELU": return .function(.elu(alpha: try alpha()))
    case "CELU": return .function(.celu(alpha: try alpha()))
    case "SELU": return try plain(.selu)
    case "SiLU": return try plain(.silu)
    case "Mish": return try plain(.mish)
    case "Hardswish": return try plain(.hardswish)
    case "Tanh": return try plain(.hyperbolicTangent)
    case "GELU":
      let given = try layerArguments(key, known: ["approximate"])
      switch given.text("approximate") ?? "none" {
      case "none": return .function(.gelu(isApproximate: false))
      case "tanh": return .function(.gelu(isApproximate: true))
      default: throw fail(key, "\"approximate\" of \"none\" or \"tanh\"", found: given.text("approximate"))
      }
    case "PReLU":
      let given = try layerArguments(key, known: ["num_parameters", "init"])
      guard try given.number("num_parameters", default: 1, in: 1...1e6) == 1 else {
        throw fail(key, "\"num_parameters\" of 1, one slope for all channels")
      }
      return .parametricReLU(initialSlope: try given.number("init", default: 0.25, in: -10...10))
    default:
      throw fail(
        "nonlin",
        "of torch.nn: LeakyReLU, ReLU, ReLU6, PReLU, ELU, CELU, SELU, GELU, SiLU, Mish, Hardswish, "
          + "Tanh, Identity, or null for none")
    }
  }

  /// The residual blocks of every stage.
  func residualBlocks(count: Int) throws(Diagnostic) -> [ResidualSpec] {
    let isBottleneck: Bool
    switch value("block").map(lastName) {
    case nil, "BasicBlockD": isBottleneck = false
    case "BottleneckD": isBottleneck = true
    default:
      throw fail(
        "block", "BasicBlockD or BottleneckD of dynamic_network_architectures.building_blocks.residual")
    }
    let widths = isBottleneck ? try counts("bottleneck_channels", count: count) : []
    let ratio = try number("squeeze_excitation_reduction_ratio", default: 1.0 / 16, in: 0...16)
    let squeezes = try flag("squeeze_excitation", default: false)
    let depth = try number("stochastic_depth_p", default: 0, in: 0...1)
    return (0..<count).map { stage in
      ResidualSpec(
        bottleneckChannelCount: isBottleneck ? widths[stage] : nil, stochasticDepth: depth,
        squeezeRatio: squeezes ? ratio : nil)
    }
  }
}

/// The arguments of one layer.
private struct LayerArguments {
  let reader: ArchitectureReader
  let key: String
  let values: JSONObject

  func isNull(_ name: String) -> Bool { values[name]?.isNull == true }
  func text(_ name: String) -> String? { values[name]?.string }

  func flag(_ name: String, default standard: Bool) throws(Diagnostic) -> Bool {
    guard let value = values[name], !value.isNull else { return standard }
    guard let flag = value.bool else {
      throw reader.fail(key, "\"\(name)\" of true or false", found: value.kind)
    }
    return flag
  }

  func number(
    _ name: String, default standard: Double, in range: ClosedRange<Double>
  ) throws(Diagnostic) -> Double {
    guard let value = values[name] else { return standard }
    guard let number = value.double, range.contains(number) else {
      throw reader.fail(
        key, "\"\(name)\" from \(range.lowerBound) to \(range.upperBound)",
        found: value.double.map { "\($0)" } ?? value.kind)
    }
    return number
  }
}
