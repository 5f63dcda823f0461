// `lunette.network` and `lunette.optimizer`: the engine below the trainer.

import Archives
import Backends
import Foundation
import LuaHost
import Networks
import Reporting
import Tensors

/// A network in scripts.
final class NetworkObject: ScriptObject {
  let network: any SegmentationNetwork
  private let randomKey: [Int]
  /// Passes for training so far, each of which draws its own random numbers.
  private var passCount = 0

  /// - Parameters:
  ///   - network: The network.
  ///   - randomKey: The key of what its passes draw.
  init(_ network: any SegmentationNetwork, randomKey: [Int]) {
    self.network = network
    self.randomKey = randomKey
  }

  private func counted(_ count: Int, _ noun: String) -> String { "\(count) \(noun)\(count == 1 ? "" : "s")" }

  var luaForeignByteCount: Int { 8 * network.parameterCount }
  var luaDescription: String {
    "network of \(counted(network.parameterCount, "parameter")) with \(counted(network.headCount, "head"))"
  }

  func forward(
    _ input: TensorObject, gradients: Bool, training: Bool, precision: Precision
  ) throws -> LuaValue {
    guard input.shape.count == network.dimensionCount + 2, input.shape[1] == network.inputChannelCount else {
      let axes = network.dimensionCount == 2 ? "y, x" : "z, y, x"
      throw Diagnostic(
        "a network of \(network.dimensionCount) dimensions takes a batch of images of "
          + "\(counted(network.inputChannelCount, "channel"))",
        expected: "[N, \(network.inputChannelCount), \(axes)]", found: "\(input.shape)",
        remedy: "give it such images, or make the network with other input_channels and dimensions")
    }
    let backend = network.backend
    if training { passCount += 1 }
    let tape = Tape(
      backend: backend, isRecording: gradients,
      mode: training ? .training(key: randomKey + [passCount]) : .evaluation)
    let images = backend.converted(input.tensor(on: backend), to: precision)
    let heads = try network.forward(images, heads: network.headCount, on: tape)
    // What a pass keeps is not known here; about a hundred feature maps per input voxel are usual.
    let kept = gradients ? 400 * input.count : 0
    return .array(
      heads.enumerated().map { index, head in
        .object(TensorObject(tape.plain(head), on: tape, extraByteCount: index == 0 ? kept : 0))
      })
  }

  static let schema = ObjectSchema(
    "network", "A segmentation network with its weights.",
    example: "local net = lunette.network{ architecture=\"golden.json\", weights=\"weights.pth\",\n"
      + "  input_channels=2, output_channels=4 }\nlocal heads = net:forward(lunette.tensor.load(\"input.npy\"))",
    properties: [
      .field("parameter_count", .integer, "how many numbers it learns") { (it: NetworkObject) in
        .integer(it.network.parameterCount)
      },
      .field("head_count", .integer, "at how many resolutions it answers") { (it: NetworkObject) in
        .integer(it.network.headCount)
      },
      .field("parameter_names", .list(.string), "the names of the learnable tensors") { (it: NetworkObject) in
        .array(it.network.parameters.map(\.name))
      },
      .field("buffer_names", .list(.string), "the names of running statistics, which training moves") {
        (it: NetworkObject) in .array(it.network.buffers.map(\.name))
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "network:forward", "Computes the logits of every resolution, finest first.",
          details:
            "A pass for training drops what dropout drops, and moves running statistics in place of using them.",
          parameters: [
            .required("input", .object("tensor"), "a batch of images: [N, C, spatial...]"),
            ParameterSchema("gradients", .boolean, default: true, "keeps what a loss needs to go backwards"),
            ParameterSchema(
              "training", .boolean, "a pass for training; unless given, where gradients are kept"),
            ParameterSchema(
              "precision", .choice(["fp32", "bf16"]), default: "fp32", "how activations are stored"),
          ], returns: "a list of tensors",
          example: "local heads = net:forward(lunette.tensor.load(\"input.npy\"))")
      ) { (it: NetworkObject, arguments) in
        let input: TensorObject = try arguments.object("input")
        let gradients = try arguments.boolean("gradients")
        return try it.forward(
          input, gradients: gradients,
          training: arguments.has("training") ? arguments.boolean("training") : gradients,
          precision: Precision(name: arguments.string("precision")) ?? .float32)
      },
      .method(
        FunctionSchema(
          "network:parameters", "The learnable tensors, for an optimizer.", returns: "parameters",
          example: "local sgd = lunette.optimizer.sgd{ parameters=net:parameters() }")
      ) { (it: NetworkObject, _) in .object(ParametersObject(it.network)) },
      .method(
        FunctionSchema(
          "network:parameter", "One learnable tensor by name: the network's own, not a copy.",
          parameters: [.required("name", .string, "the name, as in net.parameter_names")],
          returns: "a tensor",
          example: "print(net:parameter(net.parameter_names[1]).shape[1])")
      ) { (it: NetworkObject, arguments) in
        let name = try arguments.string("name")
        guard let parameter = it.network.parameters.first(where: { $0.name == name }) else {
          throw Diagnostic(
            "there is no parameter '\(name)'",
            remedy: nearestName(to: name, in: it.network.parameters.map(\.name)).map {
              "did you mean '\($0)'?"
            })
        }
        return .object(TensorObject(parameter))
      },
      .method(
        FunctionSchema(
          "network:buffer", "The present numbers of a running statistic, by name.",
          parameters: [.required("name", .string, "the name, as in net.buffer_names")], returns: "a tensor",
          example:
            "for _, name in ipairs(net.buffer_names) do print(name, net:buffer(name):mean():item()) end")
      ) { (it: NetworkObject, arguments) in
        let name = try arguments.string("name")
        guard let buffer = it.network.buffers.first(where: { $0.name == name }) else {
          throw Diagnostic(
            "there is no buffer '\(name)'",
            remedy: nearestName(to: name, in: it.network.buffers.map(\.name)).map { "did you mean '\($0)'?" }
              ?? "only networks with running statistics have any")
        }
        return .object(TensorObject(buffer.value.hostArray))
      },
    ])
}

/// A network's parameters on their way to an optimizer.
final class ParametersObject: ScriptObject {
  let parameters: [Parameter]
  let backend: any Backend

  init(_ network: any SegmentationNetwork) {
    parameters = network.parameters
    backend = network.backend
  }

  init(_ parameters: [Parameter], backend: any Backend) {
    self.parameters = parameters
    self.backend = backend
  }

  var luaDescription: String { "\(parameters.count) parameters" }
  func luaLength() throws -> LuaValue { .integer(parameters.count) }

  /// What an optimizer is given: a network's parameters, or a list of learnable tensors.
  static func given(_ arguments: Arguments) throws -> ParametersObject {
    if let parameters = arguments["parameters"].object as? ParametersObject { return parameters }
    let tensors = arguments["parameters"].table?.array.compactMap { $0.object as? TensorObject } ?? []
    let parameters = tensors.compactMap(\.parameter)
    guard !parameters.isEmpty, parameters.count == tensors.count else {
      throw Diagnostic(
        "an optimizer changes learnable tensors",
        expected: "net:parameters(), or tensors that require gradients",
        remedy: "call requires_grad() on each")
    }
    return ParametersObject(parameters, backend: try ScriptRegistry.of(arguments.state).backend())
  }

  static let schema = ObjectSchema(
    "parameters", "The learnable tensors of a network.",
    example: "local sgd = lunette.optimizer.sgd{ parameters=net:parameters() }")
}

/// An optimizer in scripts.
final class OptimizerObject: ScriptObject {
  let optimizer: Optimizer

  init(_ optimizer: Optimizer) { self.optimizer = optimizer }

  var luaDescription: String {
    let name: String
    switch optimizer.rule {
    case .sgd(let momentum, _): name = "sgd (momentum \(momentum)"
    case .adam(_, _, _, let decoupledDecay, let amsgrad):
      name = "\(decoupledDecay ? "adamw" : "adam") (amsgrad \(amsgrad)"
    case .adan: name = "adan (three moments"
    }
    return "\(name), lr \(optimizer.learningRate), weight decay \(optimizer.weightDecay))"
  }

  func luaSet(_ key: LuaValue, to value: LuaValue, in state: LuaState) throws {
    guard key.string == "lr", let rate = value.number, rate.isFinite, rate >= 0 else {
      throw Diagnostic("only lr of an optimizer can be set, to a number from 0")
    }
    optimizer.learningRate = rate
  }

  static let schema = ObjectSchema(
    "optimizer", "Changes parameters along their gradients; lr can be set.",
    example: "local sgd = lunette.optimizer.sgd{ parameters=net:parameters(), lr=0.01 }\n"
      + "value:backward()\nsgd:clip(12)\nsgd:step()",
    properties: [
      .field("lr", .number, "the learning rate") { (it: OptimizerObject) in .number(it.optimizer.learningRate)
      }
    ],
    methods: [
      .method(
        FunctionSchema(
          "optimizer:clip", "Limits the norm over all gradients in the next step.",
          parameters: [ParameterSchema("limit", .number, default: 12.0, in: 0...1e30, "the largest norm")],
          returns: "the norm before", example: "print(sgd:clip(12))")
      ) { (it: OptimizerObject, arguments) in .number(it.optimizer.clip(try arguments.number("limit"))) },
      .method(
        FunctionSchema(
          "optimizer:zero_grad", "Forgets the gradients gathered since the last step.",
          details: "A step clears them by itself; this is for gradients that are not to be used.",
          returns: "nothing", example: "sgd:zero_grad()")
      ) { (it: OptimizerObject, _) in
        for parameter in it.optimizer.parameters { parameter.gradient = nil }
        return .nil
      },
      .method(
        FunctionSchema(
          "optimizer:step", "Changes every parameter along its gradient, and clears the gradients.",
          returns: "nothing", example: "sgd:step()")
      ) { (it: OptimizerObject, _) in
        it.optimizer.step()
        return .nil
      },
    ])
}

extension Binding {
  static let network = Binding(
    FunctionSchema(
      "lunette.network", "Builds a network, with random weights or those of a file.",
      parameters: [
        .required(
          "architecture", .either([.path, .object("layer"), .map(.any)]),
          "a layer, or network_class_name and arch_kwargs as in plans: a table, or a JSON file with them or with "
            + "`architecture`"
        ),
        ParameterSchema(
          "dimensions", .integer, default: 3, in: 2...3, "the spatial axes of a network of layers"),
        ParameterSchema("weights", .path, "a .pth checkpoint or state dictionary"),
        .required("input_channels", .integer, in: 1...10_000, "the channels of the images"),
        .required("output_channels", .integer, in: 1...10_000, "labels with background, or regions"),
        ParameterSchema("seed", .integer, default: 0, "the key of random weights"),
      ], positional: 0, returns: "a network",
      example: "local net = lunette.network{ architecture=\"golden.json\", weights=\"weights.pth\",\n"
        + "  input_channels=2, output_channels=4 }")
  ) { arguments in
    let source: String
    var json: JSON
    if let layer = arguments["architecture"].object as? LayerObject {
      source = "architecture"
      json = LayerNetworkSpec(layer.spec, dimensionCount: try arguments.integer("dimensions")).json
    } else if let path = arguments["architecture"].string {
      source = path
      json = try JSON(contentsOf: fileURL(path))
    } else {
      source = "architecture"
      json = try arguments["architecture"].json(at: "architecture")
    }
    if let inner = json["architecture"] { json = inner }
    let network = try NetworkSpec(json, source: source).makeNetwork(
      inputChannelCount: try arguments.integer("input_channels"),
      outputChannelCount: try arguments.integer("output_channels"), seed: try arguments.integer("seed"),
      backend: try ScriptRegistry.of(arguments.state).backend())
    if arguments.has("weights") {
      let url = fileURL(try arguments.string("weights"))
      try network.loadStrictly(try PyTorchCheckpoint.stateDictionary(of: url), source: url.path)
    }
    return [.object(NetworkObject(network, randomKey: [try arguments.integer("seed")]))]
  }

  private static let parametersKey = ParameterSchema.required(
    "parameters", .either([.object("parameters"), .list(.object("tensor"))]),
    "what net:parameters() gives, or a list of tensors that require gradients")

  static let sgd = Binding(
    FunctionSchema(
      "lunette.optimizer.sgd", "Stochastic gradient descent with momentum, as nnU-Net uses it.",
      parameters: [
        parametersKey,
        ParameterSchema("lr", .number, default: 0.01, in: 0...1000, "the learning rate"),
        ParameterSchema(
          "momentum", .number, default: 0.99, in: 0...1, "the share of the last direction kept"),
        ParameterSchema("nesterov", .boolean, default: true, "looks ahead along the direction"),
        ParameterSchema("weight_decay", .number, default: 3e-5, in: 0...1, "pulls every parameter to zero"),
      ], positional: 0, returns: "an optimizer",
      example: "local sgd = lunette.optimizer.sgd{ parameters=net:parameters(), lr=0.01 }")
  ) { arguments in
    let parameters = try ParametersObject.given(arguments)
    return [
      .object(
        OptimizerObject(
          Optimizer(
            .sgd(
              momentum: try arguments.number("momentum"), nesterov: try arguments.boolean("nesterov")),
            parameters: parameters.parameters, backend: parameters.backend,
            learningRate: try arguments.number("lr"), weightDecay: try arguments.number("weight_decay"))))
    ]
  }

  static let adam = adaptive(
    "adam", "Adam, with decay added to the gradient.", weightDecay: 0, hasAMSGrad: true
  ) { .adam(decoupledDecay: false, amsgrad: $0) }

  static let adamw = adaptive(
    "adamw", "Adam with decoupled decay.", weightDecay: 1e-2, hasAMSGrad: true
  ) { .adam(decoupledDecay: true, amsgrad: $0) }

  static let adan = adaptive(
    "adan", "Adan: Nesterov momentum from gradient differences.", weightDecay: 0, hasAMSGrad: false
  ) { _ in .adan }

  private static func adaptive(
    _ name: String, _ summary: String, weightDecay: Double, hasAMSGrad: Bool,
    rule: @escaping @Sendable (_ amsgrad: Bool) -> OptimizerRule
  ) -> Binding {
    let amsgrad = ParameterSchema(
      "amsgrad", .boolean, default: false, "divides by the largest second moment so far")
    return Binding(
      FunctionSchema(
        "lunette.optimizer.\(name)", summary,
        parameters: [
          parametersKey,
          ParameterSchema("lr", .number, default: 0.001, in: 0...1000, "the learning rate"),
          ParameterSchema(
            "weight_decay", .number, default: .number(weightDecay), in: 0...1,
            "pulls every parameter to zero"),
        ] + (hasAMSGrad ? [amsgrad] : []), positional: 0, returns: "an optimizer",
        example: "local optimizer = lunette.optimizer.\(name){ parameters=net:parameters(), lr=0.001 }")
    ) { arguments in
      let parameters = try ParametersObject.given(arguments)
      return [
        .object(
          OptimizerObject(
            Optimizer(
              rule(hasAMSGrad ? try arguments.boolean("amsgrad") : false),
              parameters: parameters.parameters, backend: parameters.backend,
              learningRate: try arguments.number("lr"), weightDecay: try arguments.number("weight_decay"))))
      ]
    }
  }
}
