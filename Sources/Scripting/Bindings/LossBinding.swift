// `lunette.loss`: segmentation losses as values with operators, and their numbers that can go backwards.

import Backends
import LuaHost
import Networks
import Reporting
import Tensors

/// A loss in scripts: weighted terms, perhaps spread over the resolutions of deep supervision.
final class LossObject: ScriptObject {
  let loss: SegmentationLoss
  /// One weight per resolution; nil for a loss of the finest one alone.
  let weights: [Double]?

  init(_ loss: SegmentationLoss, weights: [Double]? = nil) {
    self.loss = loss
    self.weights = weights
  }

  var luaDescription: String {
    let terms = loss.terms.map { weighted in
      let name: String
      switch weighted.term {
      case .overlap(let ratio):
        let kind = ratio.falsePositiveWeight == 0.5 && ratio.falseNegativeWeight == 0.5 ? "dice" : "tversky"
        name = ratio.batch == true ? "batch \(kind)" : kind
      case .crossEntropy(let smoothing):
        name = smoothing == 0 ? "cross-entropy" : "cross-entropy (label smoothing \(smoothing))"
      case .topK(let fraction, _): name = "top \(100 * fraction) % cross-entropy"
      case .focal(let gamma): name = "focal (gamma \(gamma))"
      }
      return weighted.weight == 1 ? name : "\(weighted.weight) × \(name)"
    }
    return "loss " + terms.joined(separator: " + ") + (weights.map { " with deep supervision \($0)" } ?? "")
  }

  func luaOperate(
    _ operation: LuaOperator, _ left: LuaValue, _ right: LuaValue, in state: LuaState
  ) throws -> LuaValue? {
    let a = left.object as? LossObject
    let b = right.object as? LossObject
    guard a?.weights == nil, b?.weights == nil else {
      throw Diagnostic("losses are combined before they are given to deep_supervision")
    }
    switch operation {
    case .add:
      guard let a, let b else { return nil }
      return .object(LossObject(a.loss + b.loss))
    case .multiply:
      if let factor = left.number, let b { return .object(LossObject(factor * b.loss)) }
      if let factor = right.number, let a { return .object(LossObject(factor * a.loss)) }
      return nil
    default: return nil
    }
  }

  /// `loss(heads, targets)`: the value, able to go backwards when the heads come from a network.
  func luaCall(_ arguments: [LuaValue], in state: LuaState) throws -> [LuaValue] {
    let heads = try Self.tensors(arguments.first ?? .nil, "heads")
    let targets = try Self.tensors(arguments.count > 1 ? arguments[1] : .nil, "targets")
    let weights = weights ?? [1]
    let supervision = DeepSupervisionLoss(loss: loss, weights: weights)
    let needed = supervision.neededHeadCount
    guard heads.count >= needed, targets.count >= needed else {
      throw Diagnostic(
        "the loss needs more resolutions", expected: "\(needed) heads and targets",
        found: "\(heads.count) heads, \(targets.count) targets")
    }
    guard let output = heads[0].origin, heads.prefix(needed).allSatisfy({ $0.origin?.pass === output.pass })
    else {
      throw Diagnostic("a loss is computed on what network:forward gave", found: "tensors from elsewhere")
    }
    let prepared = try zip(heads, targets).prefix(needed).map { try Self.target($1.array, for: $0.array) }
    return [.object(LossValueObject(pass: output.pass, loss: supervision, targets: prepared))]
  }

  /// One tensor, or a list of them.
  private static func tensors(_ value: LuaValue, _ name: String) throws -> [TensorObject] {
    if let tensor = value.object as? TensorObject { return [tensor] }
    let tensors = value.table?.array.compactMap { $0.object as? TensorObject } ?? []
    guard !tensors.isEmpty, tensors.count == value.table?.array.count else {
      throw Diagnostic(
        "a loss is called as loss(heads, targets)", expected: "\(name): a tensor or a list of tensors",
        found: "a \(value.typeName)")
    }
    return tensors
  }

  /// Labels `[N, 1, ...]`, or region maps `[N, R, ...]` when there is one per output.
  private static func target(_ target: NDArray<Float>, for logits: NDArray<Float>) throws
    -> SegmentationTarget
  {
    let values = target.elements.map { Int16($0) }
    let spatial = logits.shape.dropFirst(2)
    guard target.shape.count == logits.shape.count, target.shape.first == logits.shape.first,
      target.shape.dropFirst(2) == spatial, [1, logits.shape[1]].contains(target.shape[1])
    else {
      throw Diagnostic(
        "a target does not fit its logits",
        expected: "[\(logits.shape[0]), 1 or \(logits.shape[1]), \(spatial)]",
        found: "\(target.shape)")
    }
    return target.shape[1] == 1 ? .labels(values, ignored: nil) : .regions(values, hasIgnoreMap: false)
  }

  static let schema = ObjectSchema(
    "loss", "A segmentation loss; losses add, and numbers scale them.",
    example: "local loss = lunette.loss.dice{} + 0.5 * lunette.loss.cross_entropy{}\n"
      + "local value = loss(heads, targets)")
}

/// The number that a loss came to, and the way back.
final class LossValueObject: ScriptObject {
  private let pass: NetworkPass
  private let loss: DeepSupervisionLoss
  private let targets: [SegmentationTarget]
  private let value: Double

  init(pass: NetworkPass, loss: DeepSupervisionLoss, targets: [SegmentationTarget]) {
    self.pass = pass
    self.loss = loss
    self.targets = targets
    value = loss(pass.heads, targets, on: Tape(backend: pass.tape.backend, isRecording: false))
  }

  var luaDescription: String { "\(value)" }

  /// Sends the gradients to the network's parameters; once per forward pass.
  func backward() throws {
    try pass.spend()
    _ = loss(pass.heads, targets, on: pass.tape)
    try pass.tape.backward()
  }

  static let schema = ObjectSchema(
    "loss_value", "The number that a loss came to.",
    example: "local value = loss(net:forward(input), targets)\nvalue:backward()\nprint(value:item())",
    methods: [
      .method(
        FunctionSchema(
          "loss_value:item", "The number itself.", returns: "a number", example: "print(value:item())")
      ) { (it: LossValueObject, _) in .number(it.value) },
      .method(
        FunctionSchema(
          "loss_value:backward", "Sends gradients back to the network's parameters.",
          details: "The network's forward pass can go backwards once.", returns: "nothing",
          example: "value:backward()")
      ) { (it: LossValueObject, _) in
        try it.backward()
        return .nil
      },
    ])
}

extension Binding {
  static let dice = Binding(
    FunctionSchema(
      "lunette.loss.dice", "Soft Dice over the classes.",
      parameters: [
        ParameterSchema(
          "batch", .boolean, "sums over the batch before the ratio; a trainer asks the plan by default"),
        ParameterSchema("background", .boolean, default: false, "counts the first class too"),
        ParameterSchema("smoothing", .number, default: 1e-5, in: 0...1, "added to numerator and denominator"),
      ], positional: 0, returns: "a loss", example: "local loss = lunette.loss.dice{ batch=false }")
  ) { arguments in
    [
      single(
        .dice(
          batch: arguments.has("batch") ? try arguments.boolean("batch") : nil,
          includesBackground: try arguments.boolean("background"),
          smoothing: try arguments.number("smoothing")))
    ]
  }

  private static func single(_ term: LossTerm) -> LuaValue {
    .object(LossObject(SegmentationLoss([WeightedLossTerm(1, term)])))
  }

  private static let labelSmoothing = ParameterSchema(
    "label_smoothing", .number, default: 0.0, in: 0...1, "the share of the reference spread over all labels")

  static let tversky = Binding(
    FunctionSchema(
      "lunette.loss.tversky",
      "Tversky's overlap: Dice with weights of its own for what is predicted too much and too little.",
      parameters: [
        ParameterSchema(
          "alpha", .number, default: 0.3, in: 0...100, "weight of false positives; 0.5 in Dice"),
        ParameterSchema("beta", .number, default: 0.7, in: 0...100, "weight of false negatives; 0.5 in Dice"),
        ParameterSchema(
          "batch", .boolean, "sums over the batch before the ratio; a trainer asks the plan by default"),
        ParameterSchema("background", .boolean, default: false, "counts the first class too"),
        ParameterSchema("smoothing", .number, default: 1e-5, in: 0...1, "added to numerator and denominator"),
      ], positional: 0, returns: "a loss",
      example: "local loss = lunette.loss.tversky{ alpha=0.3, beta=0.7 } + lunette.loss.cross_entropy{}")
  ) { arguments in
    [
      single(
        .overlap(
          OverlapRatio(
            falsePositiveWeight: try arguments.number("alpha"),
            falseNegativeWeight: try arguments.number("beta"),
            batch: arguments.has("batch") ? try arguments.boolean("batch") : nil,
            includesBackground: try arguments.boolean("background"),
            smoothing: try arguments.number("smoothing"))))
    ]
  }

  static let crossEntropy = Binding(
    FunctionSchema(
      "lunette.loss.cross_entropy", "Cross-entropy over labels, or binary cross-entropy over regions.",
      parameters: [labelSmoothing], positional: 0, returns: "a loss",
      example: "local loss = lunette.loss.dice{} + lunette.loss.cross_entropy{}")
  ) { arguments in [single(.crossEntropy(labelSmoothing: try arguments.number("label_smoothing")))] }

  static let topK = Binding(
    FunctionSchema(
      "lunette.loss.top_k", "Cross-entropy over the voxels where it is largest; labels only.",
      parameters: [
        ParameterSchema("percent", .number, default: 10.0, in: 0.001...100, "the share of voxels that count"),
        labelSmoothing,
      ], positional: 0, returns: "a loss", example: "local loss = lunette.loss.top_k{ percent=10 }")
  ) { arguments in
    [
      single(
        .topK(
          fraction: try arguments.number("percent") / 100,
          labelSmoothing: try arguments.number("label_smoothing")))
    ]
  }

  static let focal = Binding(
    FunctionSchema(
      "lunette.loss.focal",
      "Cross-entropy that counts less where the prediction is already right; labels only.",
      parameters: [
        ParameterSchema("gamma", .number, default: 2.0, in: 0...100, "how much less; 0 is cross-entropy")
      ], positional: 0, returns: "a loss",
      example: "local loss = lunette.loss.dice{} + 0.5 * lunette.loss.focal{ gamma=2 }")
  ) { arguments in [single(.focal(gamma: try arguments.number("gamma")))] }

  static let deepSupervision = Binding(
    FunctionSchema(
      "lunette.loss.deep_supervision", "Spreads a loss over the resolutions of a network.",
      parameters: [
        .required("loss", .object("loss"), "the loss of one resolution"),
        .required("weights", .list(.number), "one weight per resolution, finest first; 0 leaves one out"),
      ], positional: 2, returns: "a loss that takes lists of heads and targets",
      example:
        "local loss = lunette.loss.deep_supervision(lunette.loss.dice{} + lunette.loss.cross_entropy{},\n"
        + "  { 2/3, 1/3, 0 })")
  ) { arguments in
    let base: LossObject = try arguments.object("loss")
    return [.object(LossObject(base.loss, weights: try arguments.numbers("weights")))]
  }
}
