// A network as data: layers that are put together by a small algebra, as checkpoints and plans keep them.
// Building and running them is LayerNetwork's business.

package import Archives
package import Reporting

/// A layer, or layers put together.
package indirect enum LayerSpec: Sendable, Equatable {
  /// Convolution, dropout of whole channels, norm and leaky ReLU in one; `dropout` 0 and `slope` 1 leave theirs out.
  case block(
    channels: Int, kernel: [Int], stride: [Int], bias: Bool, norm: LayerNorm, epsilon: Double, slope: Double,
    dropout: Double, zero: Bool)
  case convolution(channels: Int, kernel: [Int], stride: [Int], bias: Bool)
  /// A norm with affine parameters.
  case norm(LayerNorm, epsilon: Double)
  /// Drops whole units by chance while training, and scales up the others.
  case dropout(LayerDropoutUnit, probability: Double)
  case activation(LayerActivation, slope: Double)
  /// Transposed convolution with kernel = stride.
  case upsampling(channels: Int, stride: [Int])
  /// Means over windows that do not overlap.
  case pooling(kernel: [Int])
  case sequence([LayerSpec])
  /// The sum of branches over one input; two of them with leaky ReLU of `slope`, which 1 leaves out.
  case sum([LayerSpec], slope: Double)
  /// The product of branches over one input; a branch of one channel scales all channels.
  case product([LayerSpec])
  /// The channels of branches over one input, one after the other.
  case concatenation([LayerSpec])
  /// Logits by a pointwise convolution, beside the way on: what comes in goes out.
  case head
  case identity
  /// A layer whose parameters' names begin with the given name.
  case named(String, LayerSpec)
}

/// The activations that layers know.
package enum LayerActivation: String, Sendable, CaseIterable {
  case leakyReLU = "leaky_relu"
  case relu, sigmoid, tanh, softplus
  case softmax
  case relu6, elu, celu, selu, gelu, silu, mish, hardswish
}

/// The norms that layers know.
package enum LayerNorm: String, Sendable, CaseIterable {
  /// Over each channel of each sample.
  case instance
  /// Over each channel of a batch; evaluation takes running statistics.
  case batch
  case absent = "none"
}

/// What dropout keeps or drops as a whole.
package enum LayerDropoutUnit: String, Sendable, CaseIterable {
  case numbers, channels, samples
}

/// A network of layers, as an `architecture` entry of plans.
package struct LayerNetworkSpec: Sendable, Equatable {
  /// What `network_class_name` says of such a network.
  package static let className = "lunette.layers"

  package var root: LayerSpec
  /// 2 or 3.
  package var dimensionCount: Int

  package init(_ root: LayerSpec, dimensionCount: Int) {
    self.root = root
    self.dimensionCount = dimensionCount
  }

  package var json: JSON {
    [
      "network_class_name": .string(Self.className), "dimensions": .integer(dimensionCount),
      "layers": root.json,
    ]
  }

  /// Reads the entry; `source` names the file in errors.
  package init(_ json: JSON, source: String) throws(Diagnostic) {
    guard let count = json["dimensions"]?.integer, [2, 3].contains(count), let layers = json["layers"] else {
      throw Diagnostic(
        "a network of layers is not complete", at: source,
        expected: "\"dimensions\" of 2 or 3, and \"layers\"",
        found: "\(json["dimensions"]?.kind ?? "nothing") and \(json["layers"]?.kind ?? "nothing")",
        remedy: "make it again with lunette.layer")
    }
    dimensionCount = count
    root = try LayerSpec(layers, at: "\(source), layers")
  }
}

// MARK: - JSON

extension LayerSpec {
  package var json: JSON {
    switch self {
    case .block(
      let channels, let kernel, let stride, let bias, let norm, let epsilon, let slope, let dropout, let zero):
      [
        "layer": "block", "channels": .integer(channels), "kernel": JSON(kernel), "stride": JSON(stride),
        "bias": .bool(bias), "norm": .string(norm.rawValue), "epsilon": .number(epsilon),
        "slope": .number(slope),
        "dropout": .number(dropout), "zero": .bool(zero),
      ]
    case .convolution(let channels, let kernel, let stride, let bias):
      [
        "layer": "conv", "channels": .integer(channels), "kernel": JSON(kernel), "stride": JSON(stride),
        "bias": .bool(bias),
      ]
    case .norm(let kind, let epsilon):
      ["layer": "norm", "kind": .string(kind.rawValue), "epsilon": .number(epsilon)]
    case .dropout(let unit, let probability):
      ["layer": "dropout", "unit": .string(unit.rawValue), "probability": .number(probability)]
    case .activation(let kind, let slope):
      ["layer": "activation", "kind": .string(kind.rawValue), "slope": .number(slope)]
    case .upsampling(let channels, let stride):
      ["layer": "upsample", "channels": .integer(channels), "stride": JSON(stride)]
    case .pooling(let kernel): ["layer": "pool", "kernel": JSON(kernel)]
    case .sequence(let layers): ["layer": "sequence", "layers": .array(layers.map(\.json))]
    case .sum(let layers, let slope):
      ["layer": "sum", "layers": .array(layers.map(\.json)), "slope": .number(slope)]
    case .product(let layers): ["layer": "product", "layers": .array(layers.map(\.json))]
    case .concatenation(let layers): ["layer": "concat", "layers": .array(layers.map(\.json))]
    case .head: ["layer": "head"]
    case .identity: ["layer": "identity"]
    case .named(let name, let layer): ["layer": "named", "name": .string(name), "of": layer.json]
    }
  }

  /// Reads a layer and those within; `place` names it in errors.
  package init(_ json: JSON, at place: String) throws(Diagnostic) {
    let reader = LayerReader(json: json, place: place)
    let kind = try reader.text("layer")
    switch kind {
    case "block":
      self = .block(
        channels: try reader.positive("channels"), kernel: try reader.extents("kernel"),
        stride: try reader.extents("stride"), bias: try reader.flag("bias"),
        norm: try reader.choice("norm", default: LayerNorm.instance), epsilon: try reader.number("epsilon"),
        slope: try reader.number("slope"), dropout: try reader.probability("dropout", default: 0),
        zero: try reader.flag("zero"))
    case "conv":
      self = .convolution(
        channels: try reader.positive("channels"), kernel: try reader.extents("kernel"),
        stride: try reader.extents("stride"), bias: try reader.flag("bias"))
    case "norm":
      self = .norm(
        try reader.choice("kind", default: LayerNorm.instance), epsilon: try reader.number("epsilon"))
    case "dropout":
      self = .dropout(try reader.choice("unit"), probability: try reader.probability("probability"))
    case "activation": self = .activation(try reader.choice("kind"), slope: try reader.number("slope"))
    case "upsample":
      self = .upsampling(channels: try reader.positive("channels"), stride: try reader.extents("stride"))
    case "pool": self = .pooling(kernel: try reader.extents("kernel"))
    case "sequence": self = .sequence(try reader.layers())
    case "sum": self = .sum(try reader.layers(), slope: try reader.number("slope"))
    case "product": self = .product(try reader.layers())
    case "concat": self = .concatenation(try reader.layers())
    case "head": self = .head
    case "identity": self = .identity
    case "named":
      self = .named(try reader.text("name"), try LayerSpec(json["of"] ?? .null, at: "\(place).of"))
    default: throw reader.fail("layer", "a layer of lunette.layer", kind)
    }
  }
}

/// Reads the fields of a layer with errors that name them.
private struct LayerReader {
  let json: JSON
  let place: String

  func fail(_ key: String, _ expected: String, _ found: String?) -> Diagnostic {
    Diagnostic(
      "a layer is not usable", at: "\(place), key \"\(key)\"", expected: expected,
      found: found ?? json[key]?.kind ?? "no such key", remedy: "make the network again with lunette.layer")
  }

  func text(_ key: String) throws(Diagnostic) -> String {
    guard let text = json[key]?.string else { throw fail(key, "a text", nil) }
    return text
  }

  func number(_ key: String) throws(Diagnostic) -> Double {
    guard let number = json[key]?.double, number.isFinite else { throw fail(key, "a number", nil) }
    return number
  }

  /// One of the names that a type has; without a default it must be there.
  func choice<Choice: RawRepresentable<String> & CaseIterable>(
    _ key: String, default standard: Choice? = nil
  ) throws(Diagnostic) -> Choice {
    if let standard, json[key] == nil { return standard }
    let name = try text(key)
    guard let choice = Choice(rawValue: name) else {
      throw fail(key, Choice.allCases.map(\.rawValue).joined(separator: ", "), name)
    }
    return choice
  }

  func probability(_ key: String, default standard: Double? = nil) throws(Diagnostic) -> Double {
    if let standard, json[key] == nil { return standard }
    let value = try number(key)
    guard (0...1).contains(value) else { throw fail(key, "a number from 0 to 1", "\(value)") }
    return value
  }

  func flag(_ key: String) throws(Diagnostic) -> Bool {
    guard let flag = json[key]?.bool else { throw fail(key, "true or false", nil) }
    return flag
  }

  func positive(_ key: String) throws(Diagnostic) -> Int {
    guard let number = json[key]?.integer, (1...1_000_000).contains(number) else {
      throw fail(key, "a whole number from 1", nil)
    }
    return number
  }

  func extents(_ key: String) throws(Diagnostic) -> [Int] {
    guard let values = json[key]?.integers, (1...3).contains(values.count),
      values.allSatisfy({ (1...1000).contains($0) })
    else { throw fail(key, "one whole number from 1, or one per axis", nil) }
    return values
  }

  func layers() throws(Diagnostic) -> [LayerSpec] {
    guard let list = json["layers"]?.array, !list.isEmpty else {
      throw fail("layers", "at least one layer", nil)
    }
    var layers: [LayerSpec] = []
    for (i, layer) in list.enumerated() { layers.append(try LayerSpec(layer, at: "\(place)[\(i)]")) }
    return layers
  }
}
