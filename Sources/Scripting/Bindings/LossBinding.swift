// `lunette.loss`: segmentation losses as values with operators: built-in terms, and functions of differentiable tensors.

import Archives
import Backends
import LuaHost
import Networks
import Reporting
import Tensors

/// A loss in scripts: weighted terms and functions, perhaps spread over the resolutions of deep supervision.
final class LossObject: ScriptObject {
  /// A function of scripts with its factor.
  struct WeightedFunction {
    var weight: Double
    let function: LuaFunction
  }

  let loss: SegmentationLoss
  let functions: [WeightedFunction]
  /// One weight per resolution; nil for a loss of the finest one alone.
  let weights: [Double]?
  /// A loss that a trainer put together, whose functions are Swift's already.
  private let made: DeepSupervisionLoss?
  /// The label that does not count, when the caller names none.
  private let standardIgnoredLabel: Int?

  init(_ loss: SegmentationLoss, functions: [WeightedFunction] = [], weights: [Double]? = nil) {
    self.loss = loss
    self.functions = functions
    self.weights = weights
    made = nil
    standardIgnoredLabel = nil
  }

  init(_ made: DeepSupervisionLoss, ignoredLabel: Int?) {
    loss = made.loss
    functions = []
    weights = made.weights
    self.made = made
    standardIgnoredLabel = ignoredLabel
  }

  var luaAnchors: [LuaValue] { functions.map { .function($0.function) } }

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
    let own = (functions.map(\.weight) + (made?.functions.map(\.weight) ?? [])).map {
      $0 == 1 ? "a function" : "\($0) × a function"
    }
    return "loss " + (terms + own).joined(separator: " + ")
      + (weights.map { " with deep supervision \($0)" } ?? "")
  }

  /// What distinguishes the loss from others in a run's identity.
  func identity(in state: LuaState) throws -> JSON {
    // Every constant of every term; the description leaves some out.
    let terms = JSON.array(loss.terms.map { ["weight": .number($0.weight), "term": .string("\($0.term)")] })
    let own = try functions.map { weighted -> JSON in
      [
        "weight": .number(weighted.weight),
        "function": try FunctionIdentity(of: weighted.function, in: state).json,
      ]
    }
    return own.isEmpty ? .string(luaDescription) : ["terms": terms, "functions": .array(own)]
  }

  // MARK: - Operators

  /// A loss, or a function that becomes one.
  private static func loss(_ value: LuaValue) throws -> LossObject? {
    if let function = value.function {
      return LossObject(SegmentationLoss([]), functions: [WeightedFunction(weight: 1, function: function)])
    }
    let loss = value.object as? LossObject
    guard loss?.weights == nil else {
      throw Diagnostic("losses are combined before they are given to deep_supervision")
    }
    return loss
  }

  private func scaled(_ factor: Double) -> LossObject {
    LossObject(
      factor * loss,
      functions: functions.map { WeightedFunction(weight: factor * $0.weight, function: $0.function) })
  }

  func luaOperate(
    _ operation: LuaOperator, _ left: LuaValue, _ right: LuaValue, in state: LuaState
  ) throws -> LuaValue? {
    let (a, b) = (try Self.loss(left), try Self.loss(right))
    switch operation {
    case .add:
      guard let a, let b else { return nil }
      return .object(LossObject(a.loss + b.loss, functions: a.functions + b.functions))
    case .multiply:
      if let factor = left.number, let b { return .object(b.scaled(factor)) }
      if let factor = right.number, let a { return .object(a.scaled(factor)) }
      return nil
    default: return nil
    }
  }

  // MARK: - Calls

  /// The functions as the engine calls them.
  func engineFunctions(in state: LuaState) -> [WeightedLossFunction] {
    functions.map { WeightedLossFunction($0.weight, Self.engineFunction($0.function, in: state)) }
  }

  /// A function of scripts as the engine calls it, on the thread of the state.
  static func engineFunction(_ function: LuaFunction, in state: LuaState) -> LossFunction {
    LossFunction { input in
      // The tensors of the last call hold memory that Lua's collector is in no hurry to free.
      try state.collectGarbage()
      var context: [String: LuaValue] = ["level": .integer(input.level + 1)]
      if case .labels(_, let ignored?) = input.target { context["ignore_label"] = .integer(ignored) }
      let target = TensorObject(input.target.array(for: input.output.value.shape))
      let answer =
        try function.call(
          [.object(TensorObject(input.output, on: input.tape)), .object(target), .fields(context)], in: state
        ).first ?? .nil
      return try result(answer, of: input)
    }
  }

  private static func result(_ answer: LuaValue, of input: LossFunction.Input) throws -> Variable {
    let backend = input.tape.backend
    if let number = answer.number, !input.output.isWatched {
      return Variable(
        Tensor(NDArray(shape: [], elements: [Float(number)]), pool: backend.pool), needsGradient: false)
    }
    guard let tensor = answer.object as? TensorObject, tensor.count == 1 else {
      throw Diagnostic(
        "a loss function returned what it cannot", expected: "a tensor that holds one number",
        found: (answer.object as? TensorObject).map { "a tensor \($0.shape)" } ?? "a \(answer.typeName)",
        remedy: "end the loss in :sum() or :mean()")
    }
    guard !input.output.isWatched || tensor.tape === input.tape.current else {
      throw Diagnostic(
        "a loss function returned a number that does not depend on its output",
        remedy:
          "compute the loss from output with operations on tensors; item() and detach() cut the way back")
    }
    return tensor.variable(on: input.tape.current)
  }

  /// `loss(heads, targets)`: the value, able to go backwards when the heads come from a network.
  func luaCall(_ arguments: [LuaValue], in state: LuaState) throws -> [LuaValue] {
    let heads = try Self.tensors(arguments.first ?? .nil, "heads")
    let targets = try Self.tensors(arguments.count > 1 ? arguments[1] : .nil, "targets")
    let ignored = try Self.ignoredLabel(arguments.count > 2 ? arguments[2] : .nil) ?? standardIgnoredLabel
    let supervision =
      made
      ?? DeepSupervisionLoss(loss: loss, functions: engineFunctions(in: state), weights: weights ?? [1])
    let needed = supervision.neededHeadCount
    guard heads.count >= needed, targets.count >= needed else {
      throw Diagnostic(
        "the loss needs more resolutions", expected: "\(needed) heads and targets",
        found: "\(heads.count) heads, \(targets.count) targets")
    }
    let prepared = try zip(heads, targets).prefix(needed).map {
      try Self.target($1, for: $0.shape, ignored: ignored)
    }
    guard !loss.needsLabels || !prepared.contains(where: \.isRegional) else {
      throw Diagnostic(
        "the loss knows labels only", expected: "targets with one channel of labels", found: "region maps",
        remedy: "use Dice, Tversky and plain cross-entropy for regions")
    }
    return [
      .object(
        try TensorObject.apply(Array(heads.prefix(needed)), in: state) { tape, heads in
          try supervision.variable(heads, prepared, on: tape)
        })
    ]
  }

  private static func ignoredLabel(_ value: LuaValue) throws -> Int? {
    if value.isNil { return nil }
    guard let table = value.table, table.fields.keys.allSatisfy({ $0 == "ignore_label" }),
      table.array.isEmpty,
      let label = table["ignore_label"].integer
    else {
      throw Diagnostic(
        "a loss is called as loss(heads, targets)", expected: "nothing more, or { ignore_label=3 }",
        found: "a \(value.typeName)")
    }
    return label
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

  /// Labels `[N, 1, ...]`, or region maps `[N, R, ...]`: one per output, and perhaps one of what does not count.
  private static func target(_ target: TensorObject, for logits: [Int], ignored: Int?) throws
    -> SegmentationTarget
  {
    let shape = target.shape
    guard logits.count >= 3, shape.count == logits.count, shape[0] == logits[0],
      shape.dropFirst(2) == logits.dropFirst(2), [1, logits[1], logits[1] + 1].contains(shape[1])
    else {
      throw Diagnostic(
        "a target does not fit its logits",
        expected: "[\(logits.first ?? 0), 1 or \(logits.dropFirst().first ?? 0), ...] like \(logits)",
        found: "\(shape)")
    }
    let array = target.array
    guard array.elements.allSatisfy({ $0 >= -32768 && $0 <= 32767 }) else {
      throw Diagnostic("a target holds labels", expected: "whole numbers to 32767", found: "larger numbers")
    }
    let values = array.elements.map { Int16($0) }
    return shape[1] == 1
      ? .labels(values, ignored: ignored) : .regions(values, hasIgnoreMap: shape[1] == logits[1] + 1)
  }

  static let schema = ObjectSchema(
    "loss",
    "A segmentation loss; losses and functions add, and numbers scale them. loss(heads, targets) gives a tensor.",
    example: "local loss = lunette.loss.dice{} + 0.5 * lunette.loss.cross_entropy{}\n"
      + "local value = loss(heads, targets)\nlocal ignoring = loss(heads, targets, { ignore_label=3 })")
}

extension SegmentationTarget {
  fileprivate var isRegional: Bool { if case .regions = self { true } else { false } }

  /// The numbers as scripts see them: `[N, 1, ...]` labels, or `[N, R, ...]` maps, the last of which may be what does not
  /// count.
  func array(for logits: [Int]) -> NDArray<Float> {
    let (values, channels) =
      switch self {
      case .labels(let labels, _): (labels, 1)
      case .regions(let maps, let hasIgnoreMap): (maps, logits[1] + (hasIgnoreMap ? 1 : 0))
      }
    return NDArray(shape: [logits[0], channels] + logits.dropFirst(2), elements: values.map(Float.init))
  }
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

  static let customLoss = Binding(
    FunctionSchema(
      "lunette.loss.custom",
      "A function of differentiable tensors as a loss, to be scaled and added to others.",
      parameters: [
        .required(
          "loss", .override("(output, target, ctx)"),
          "gives one number from logits [N, K, ...] and labels [N, 1, ...] or region maps [N, R, ...] of one "
            + "resolution; ctx.level counts resolutions from 1, ctx.ignore_label is the label that does not count"
        )
      ], returns: "a loss",
      example: "local brier = lunette.loss.custom(function(output, target)\n"
        + "  return (output:softmax() - target:one_hot(output.shape[2])):pow(2):mean()\nend)\n"
        + "local loss = lunette.loss.dice{} + 0.5 * brier")
  ) { arguments in
    [
      .object(
        LossObject(
          SegmentationLoss([]),
          functions: [LossObject.WeightedFunction(weight: 1, function: try arguments.function("loss"))]))
    ]
  }

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
    guard base.weights == nil else { throw Diagnostic("the loss is spread over resolutions already") }
    return [
      .object(LossObject(base.loss, functions: base.functions, weights: try arguments.numbers("weights")))
    ]
  }
}
