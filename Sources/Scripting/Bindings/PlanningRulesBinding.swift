// The planning heuristics that scripts may replace, each a function of what the planner knows and of the default.

import Archives
import Datasets
import LuaHost
import Planning
import Reporting

enum PlanningRulesBinding {
  private static let help = [
    "target_spacing": "the spacing of 3d_fullres: three millimetres in the axis order of the files",
    "transpose": "the axis order of transposed arrays: three axis numbers from 0",
    "normalization": "a table with schemes and use_mask, one entry per channel",
    "resampling": "a table with data, seg and probabilities, each with function and kwargs",
    "patch_size": "the patch of a configuration, enlarged to what its topology needs",
    "topology": "a table with strides and kernel_sizes, one list per stage",
    "features": "the feature maps of each stage",
    "batch_size": "the batch size of a configuration",
    "wants_lowres": "whether 3d_lowres and the cascade are made",
    "region_order": "the value to paint for each region, in declaration order",
  ]

  /// The schema of the argument `rules`.
  static let parameter = ParameterSchema(
    "rules",
    .table(
      PlanningRules.names.map { ParameterSchema($0, .override("(ctx, default)"), help[$0] ?? "a heuristic") }),
    "heuristics to replace; each gets what is known so far and may call default(), nil keeps the default")

  /// The planner's closures around the functions of a checked `rules` table.
  static func rules(from table: LuaTable?, in state: LuaState) -> PlanningRules {
    var rules = PlanningRules()
    guard let table else { return rules }
    func rule<Value>(
      _ name: String, to lua: @escaping (Value) -> LuaValue, from swift: @escaping (LuaValue) throws -> Value?
    ) -> PlanningRules.Rule<Value>? {
      guard let function = table[name].function else { return nil }
      if let information = try? state.information(on: function) {
        rules.sources[name] = "\(information.shortSource):\(information.firstLine)"
      }
      return { context, makeDefault in
        try call(
          function, name: name, context: context, makeDefault: makeDefault, to: lua, from: swift, in: state)
      }
    }
    let doubles: (LuaValue) -> [Double]? = { numbers($0.table, \.number) }
    let integers: (LuaValue) -> [Int]? = { numbers($0.table, \.integer) }
    rules.targetSpacing = rule("target_spacing", to: { .array($0) }, from: doubles)
    rules.transpose = rule("transpose", to: { .array($0) }, from: integers)
    rules.normalization = rule("normalization", to: normalizationTable, from: normalization)
    rules.resampling = rule("resampling", to: resamplingTable, from: resampling)
    rules.patchSize = rule("patch_size", to: { .array($0) }, from: integers)
    rules.topology = rule("topology", to: topologyTable, from: topology)
    rules.features = rule("features", to: { .array($0) }, from: integers)
    rules.batchSize = rule("batch_size", to: { .integer($0) }, from: { $0.integer })
    rules.wantsLowres = rule("wants_lowres", to: { .boolean($0) }, from: { $0.boolean })
    rules.regionOrder = rule("region_order", to: { .array($0) }, from: integers)
    return rules
  }

  private static func call<Value>(
    _ function: LuaFunction, name: String, context: PlanningContext, makeDefault: () throws -> Value,
    to lua: @escaping (Value) -> LuaValue, from swift: (LuaValue) throws -> Value?, in state: LuaState
  ) throws -> Value {
    // The planner's default is valid during this call alone; Lua may keep the function that wraps it.
    try withoutActuallyEscaping(makeDefault) { makeDefault in
      let box = DefaultBox(makeDefault)
      defer { box.body = nil }
      let fallback = LuaNativeFunction("default of \(name)") { _ in
        guard let body = box.body else {
          throw LuaBridgeError("default() can only be called while its rule runs")
        }
        return [lua(try body())]
      }
      let arguments = [contextTable(context), .function(LuaFunction(fallback))]
      let answer = try function.call(arguments, in: state).first ?? .nil
      if answer.isNil { return try makeDefault() }
      guard let value = try swift(answer) else {
        throw Diagnostic(
          "rule \(name) returned what it cannot", expected: help[name], found: "a \(answer.typeName)",
          remedy: "return a value like default()'s, or nil to keep the default")
      }
      return value
    }
  }

  /// Holds a default as long as its rule runs.
  private final class DefaultBox<Value> {
    var body: (() throws -> Value)?
    init(_ body: @escaping () throws -> Value) { self.body = body }
  }

  /// A list of numbers without gaps or names.
  private static func numbers<Number>(_ table: LuaTable?, _ read: (LuaValue) -> Number?) -> [Number]? {
    guard let table, table.fields.isEmpty, table.others.isEmpty else { return nil }
    let values = table.array.compactMap(read)
    return values.count == table.array.count ? values : nil
  }

  // MARK: what a rule sees

  private static func contextTable(_ context: PlanningContext) -> LuaValue {
    var fields: [String: LuaValue] = [
      "dataset": .string(context.datasetName), "channels": .array(context.dataset.channelNames),
      "spacings": .array(context.fingerprint.spacings.map { LuaValue.array($0) }),
      "shapes": .array(context.fingerprint.shapesAfterCrop.map { LuaValue.array($0) }),
      "intensities": .array(context.fingerprint.foregroundIntensities.map { LuaValue($0.json) }),
      "labels": .integer(context.dataset.labels.entries.count),
      "cases": .integer(context.dataset.trainingCaseCount),
      "relative_size": .number(context.fingerprint.medianRelativeSizeAfterCropping),
      "planner": .string(context.constants.className), "memory_gb": .number(context.gpuMemoryTarget),
      "approximate_voxels": .number(context.approximateVoxelCount),
    ]
    if let configuration = context.configuration { fields["configuration"] = .string(configuration) }
    if !context.spacing.isEmpty { fields["spacing"] = .array(context.spacing) }
    if !context.medianShape.isEmpty { fields["median_shape"] = .array(context.medianShape) }
    if !context.patchSize.isEmpty { fields["patch_size"] = .array(context.patchSize) }
    if let topology = context.topology { fields["topology"] = topologyTable(topology) }
    if !context.features.isEmpty { fields["features"] = .array(context.features) }
    if let estimate = context.estimate { fields["estimate"] = .integer(estimate.elementCount) }
    if context.memoryReference > 0 { fields["memory_reference"] = .number(context.memoryReference) }
    return .fields(fields)
  }

  // MARK: structured values

  private static func normalizationTable(_ choice: NormalizationChoice) -> LuaValue {
    .fields([
      "schemes": .array(choice.schemes), "use_mask": .array(choice.usesMask.map { LuaValue.boolean($0) }),
    ])
  }

  private static func normalization(_ value: LuaValue) -> NormalizationChoice? {
    guard let schemes = value.table?["schemes"].table?.array.map(\.string),
      let masks = value.table?["use_mask"].table?.array.map(\.boolean)
    else { return nil }
    return NormalizationChoice(schemes: schemes.compactMap(\.self), usesMask: masks.compactMap(\.self))
  }

  private static func topologyTable(_ topology: NetworkTopology) -> LuaValue {
    .fields([
      "strides": .array(topology.strides.map { LuaValue.array($0) }),
      "kernel_sizes": .array(topology.kernelSizes.map { LuaValue.array($0) }),
      "patch_size": .array(topology.patchSize),
    ])
  }

  private static func topology(_ value: LuaValue) -> NetworkTopology? {
    func lists(_ name: String) -> [[Int]]? {
      value.table?[name].table?.array.map { numbers($0.table, \.integer) ?? [] }
    }
    guard let strides = lists("strides"), let kernels = lists("kernel_sizes"), !strides.isEmpty,
      strides.count == kernels.count, let patch = numbers(value.table?["patch_size"].table, \.number),
      strides.allSatisfy({ $0.count == patch.count && $0.allSatisfy { $0 > 0 } }),
      kernels.allSatisfy({ $0.count == patch.count })
    else { return nil }
    return NetworkTopology(strides: strides, kernelSizes: kernels, patch: patch)
  }

  private static func resamplingTable(_ specs: ResamplingSpecs) -> LuaValue {
    func table(_ spec: ResamplingSpec) -> LuaValue {
      .fields(["function": .string(spec.functionName), "kwargs": LuaValue(.object(spec.arguments))])
    }
    return .fields([
      "data": table(specs.images), "seg": table(specs.segmentations),
      "probabilities": table(specs.probabilities),
    ])
  }

  private static func resampling(_ value: LuaValue) throws -> ResamplingSpecs? {
    func spec(_ name: String) throws -> ResamplingSpec? {
      guard let entry = value.table?[name].table, let function = entry["function"].string else { return nil }
      guard ResamplingSpec.knownFunctions.contains(function) else {
        throw Diagnostic(
          "rule resampling names an unknown function", at: name,
          expected: ResamplingSpec.knownFunctions.joined(separator: ", "), found: function)
      }
      var arguments = try entry["kwargs"].json(at: "kwargs").object ?? JSONObject()
      // nnU-Net's null, which lets the spacing decide, is nothing in a table; without the key nnU-Net takes false.
      if arguments["force_separate_z"] == nil { arguments["force_separate_z"] = .null }
      return ResamplingSpec(functionName: function, arguments: arguments)
    }
    guard let images = try spec("data"), let labels = try spec("seg"),
      let probabilities = try spec("probabilities")
    else { return nil }
    return ResamplingSpecs(images: images, segmentations: labels, probabilities: probabilities)
  }
}
