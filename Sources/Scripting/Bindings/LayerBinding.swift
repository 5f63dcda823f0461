// `lunette.layer`: networks put together from layers; what comes out is data, which a checkpoint keeps.

import Archives
import LuaHost
import Networks
import Reporting

/// A layer, or layers put together, in scripts; a description without weights.
final class LayerObject: ScriptObject {
  let spec: LayerSpec

  init(_ spec: LayerSpec) { self.spec = spec }

  var luaDescription: String { "layer \(spec.json.text(indent: nil))" }

  func luaOperate(
    _ operation: LuaOperator, _ left: LuaValue, _ right: LuaValue, in state: LuaState
  ) throws -> LuaValue? {
    guard let a = (left.object as? LayerObject)?.spec, let b = (right.object as? LayerObject)?.spec else {
      return nil
    }
    switch operation {
    case .concatenate:
      // `a .. b .. c` is one sequence, so that names count through.
      var layers = [a]
      if case .sequence(let first) = a { layers = first }
      if case .sequence(let second) = b { layers += second } else { layers.append(b) }
      return .object(LayerObject(.sequence(layers)))
    case .add: return .object(LayerObject(.sum([a, b], slope: 1)))
    case .multiply: return .object(LayerObject(.product([a, b])))
    default: return nil
    }
  }

  static let schema = ObjectSchema(
    "layer",
    "A layer of a network, or several: a .. b is one after the other, a + b and a * b are branches over one input.",
    example:
      "local layer = lunette.layer\nlocal stage = layer.block{ channels=32 } .. layer.block{ channels=32 }\n"
      + "local unet = stage .. layer.skip(layer.block{ channels=64, stride=2 } .. layer.upsample{ channels=32, stride=2 })\n"
      + "  .. layer.block{ channels=32 } .. layer.head{}",
    methods: [
      .method(
        FunctionSchema(
          "layer:named", "The same layer, whose parameters' names begin with the given name.",
          parameters: [.required("name", .string, "such as encoder.stages.0")], returns: "a layer",
          example: "local stage = lunette.layer.block{ channels=32 }:named(\"encoder.stages.0.0.convs.0\")")
      ) { (it: LayerObject, arguments) in .object(LayerObject(.named(try arguments.string("name"), it.spec)))
      },
      .method(
        FunctionSchema(
          "layer:table", "The layer as a table, as a checkpoint keeps it.", returns: "a table",
          example: "print(lunette.layer.head{}:table().layer)")
      ) { (it: LayerObject, _) in LuaValue(it.spec.json) },
    ])
}

extension Binding {
  private static let extentType = ParameterType.either([.integer, .list(.integer)])
  private static let channelsKey = ParameterSchema.required(
    "channels", .integer, in: 1...1_000_000, "how many channels come out")
  private static let kernelKey = ParameterSchema(
    "kernel", extentType, default: 3, "the kernel's extent, one number or one per axis")
  private static let strideKey = ParameterSchema(
    "stride", extentType, default: 1, "by how much it becomes coarser, one number or one per axis")
  private static let biasKey = ParameterSchema(
    "bias", .boolean, default: true, "has a number to add per channel")
  private static let normType = ParameterType.choice(LayerNorm.allCases.map(\.rawValue))
  private static let epsilonKey = ParameterSchema(
    "epsilon", .number, default: 1e-5, in: 1e-12...1, "added to the variance")

  private static func extents(_ arguments: Arguments, _ name: String) throws -> [Int] {
    let values = try arguments[name].integer.map { [$0] } ?? arguments.integers(name)
    guard (1...3).contains(values.count), values.allSatisfy({ (1...1000).contains($0) }) else {
      throw Diagnostic(
        "argument '\(name)' is not usable", expected: "one whole number from 1, or one per axis",
        found: "\(values)")
    }
    return values
  }

  private static func layer(
    _ name: String, _ summary: String, _ parameters: [ParameterSchema], example: String,
    _ make: @escaping @Sendable (Arguments) throws -> LayerSpec
  ) -> Binding {
    Binding(
      FunctionSchema(
        "lunette.layer.\(name)", summary, parameters: parameters, positional: 0, returns: "a layer",
        example: "local layer = lunette.layer.\(name)\(example)")
    ) { [.object(LayerObject(try make($0)))] }
  }

  private static func branches(
    _ name: String, _ summary: String, extra: [ParameterSchema] = [], example: String,
    _ make: @escaping @Sendable ([LayerSpec], Arguments) throws -> LayerSpec
  ) -> Binding {
    Binding(
      FunctionSchema(
        "lunette.layer.\(name)", summary,
        parameters: [
          .required(
            "layers", .either([.object("layer"), .list(.object("layer"))]), "a layer, or a list of them")
        ] + extra, positional: 1,
        items: "layers", returns: "a layer",
        example:
          "local conv = lunette.layer.block{ channels=8 }\nlocal layer = lunette.layer.\(name)\(example)")
    ) { arguments in
      let given = arguments["layers"].table?.array ?? [arguments["layers"]]
      let layers = given.compactMap { ($0.object as? LayerObject)?.spec }
      guard !layers.isEmpty else { throw Diagnostic("there are no layers", expected: "at least one") }
      return [.object(LayerObject(try make(layers, arguments)))]
    }
  }

  /// Everything under `lunette.layer`.
  static let layers: [Binding] = [
    layer(
      "block", "Convolution, norm and leaky ReLU, nnU-Net's building block.",
      [
        channelsKey, kernelKey, strideKey, biasKey,
        ParameterSchema("norm", normType, default: "instance", "over what the norm goes, or none"),
        epsilonKey,
        ParameterSchema(
          "dropout", .number, default: 0.0, in: 0...1,
          "the probability with which a channel is dropped before the norm, while training"),
        ParameterSchema(
          "slope", .number, default: 0.01, in: 0...1,
          "the factor on negative numbers; 1 leaves out the activation"),
        ParameterSchema("zero", .boolean, default: false, "starts the norm's factors at 0"),
      ], example: "{ channels=32, kernel=3, stride=2 }"
    ) {
      .block(
        channels: try $0.integer("channels"), kernel: try extents($0, "kernel"),
        stride: try extents($0, "stride"),
        bias: try $0.boolean("bias"), norm: LayerNorm(rawValue: try $0.string("norm")) ?? .instance,
        epsilon: try $0.number("epsilon"), slope: try $0.number("slope"), dropout: try $0.number("dropout"),
        zero: try $0.boolean("zero"))
    },
    layer(
      "conv", "A convolution that keeps the extents at stride 1.",
      [channelsKey, kernelKey, strideKey, biasKey],
      example: "{ channels=32, kernel=1 }"
    ) {
      .convolution(
        channels: try $0.integer("channels"), kernel: try extents($0, "kernel"),
        stride: try extents($0, "stride"),
        bias: try $0.boolean("bias"))
    },
    layer(
      "norm", "A norm with a factor and a number to add per channel.",
      [
        ParameterSchema(
          "kind", normType, default: "instance",
          "instance: over each channel of a sample; batch: of a batch, in evaluation with running statistics"),
        epsilonKey,
      ], example: "{ kind=\"batch\" }"
    ) { .norm(LayerNorm(rawValue: try $0.string("kind")) ?? .instance, epsilon: try $0.number("epsilon")) },
    layer(
      "dropout", "Drops units by chance while training, and scales up what is kept.",
      [
        ParameterSchema("probability", .number, default: 0.5, in: 0...1, "with which a unit is dropped"),
        ParameterSchema(
          "unit", .choice(LayerDropoutUnit.allCases.map(\.rawValue)), default: "channels",
          "what is dropped as a whole: single numbers, channels of a sample, or samples"),
      ], example: "{ probability=0.2 }"
    ) {
      .dropout(
        LayerDropoutUnit(rawValue: try $0.string("unit")) ?? .channels,
        probability: try $0.number("probability"))
    },
    layer(
      "activation", "A function of every number; softmax goes over the channels.",
      [
        ParameterSchema(
          "kind", .choice(LayerActivation.allCases.map(\.rawValue)), default: "leaky_relu", "the function"),
        ParameterSchema(
          "slope", .number, default: 0.01, in: 0...1, "leaky_relu's factor on negative numbers"),
      ], example: "{ kind=\"sigmoid\" }"
    ) {
      .activation(
        LayerActivation(rawValue: try $0.string("kind")) ?? .leakyReLU, slope: try $0.number("slope"))
    },
    layer(
      "upsample", "A transposed convolution whose kernel is its stride.",
      [
        channelsKey,
        ParameterSchema(
          "stride", extentType, default: 2, "by how much it becomes finer, one number or one per axis"),
      ], example: "{ channels=32, stride=2 }"
    ) { .upsampling(channels: try $0.integer("channels"), stride: try extents($0, "stride")) },
    layer(
      "pool", "Means over windows that do not overlap.",
      [ParameterSchema("kernel", extentType, default: 2, "the window's extent, one number or one per axis")],
      example: "{ kernel=2 }"
    ) { .pooling(kernel: try extents($0, "kernel")) },
    branches("sequence", "Layers one after the other, as a .. b.", example: "{ conv, conv }") { layers, _ in
      .sequence(layers)
    },
    branches(
      "add", "The sum of branches over one input, as a + b.",
      extra: [
        ParameterSchema(
          "slope", .number, default: 1.0, in: 0...1,
          "leaky ReLU of the sum of two branches, with this factor on negative numbers; 1 leaves it out")
      ], example: "{ conv, conv }"
    ) { .sum($0, slope: try $1.number("slope")) },
    branches(
      "residual",
      "A layer around which its input passes by, or goes through a shortcut: nnU-Net's residual block.",
      extra: [
        ParameterSchema("slope", .number, default: 0.01, in: 0...1, "leaky ReLU's factor on negative numbers")
      ], example: "{ conv .. conv, lunette.layer.conv{ channels=8, kernel=1 } }"
    ) { layers, arguments in
      guard layers.count <= 2 else { throw Diagnostic("a residual has a body and perhaps a shortcut") }
      return .sum(layers.count == 1 ? layers + [.identity] : layers, slope: try arguments.number("slope"))
    },
    branches(
      "multiply", "The product of branches over one input, as a * b; one channel scales all.",
      example: "{ conv, lunette.layer.conv{ channels=1 } .. lunette.layer.activation{ kind=\"sigmoid\" } }"
    ) { layers, _ in .product(layers) },
    branches(
      "concat", "The channels of branches over one input, one after the other.",
      example: "{ conv, lunette.layer.identity{} }"
    ) { layers, _ in .concatenation(layers) },
    branches(
      "skip", "A layer's channels, then those of its input: the step of a U-Net.", example: "(conv)"
    ) { layers, _ in .concatenation([layers.count == 1 ? layers[0] : .sequence(layers), .identity]) },
    layer("identity", "What comes in.", [], example: "{}") { _ in .identity },
    layer(
      "head", "Logits by a pointwise convolution, beside the way on; what comes in goes out.",
      [], example: "{}"
    ) { _ in .head },
  ]
}
