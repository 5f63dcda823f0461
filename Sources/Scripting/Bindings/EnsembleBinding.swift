// `lunette.ensemble`: several models whose probabilities are averaged.

import Datasets
import Foundation
import LuaHost
import Pipelines
import Reporting
import Tensors

/// Several models as one, in scripts.
final class EnsembleObject: ScriptObject {
  private let models: [ModelObject]
  private let weights: [Double]
  /// The function that replaces the average, if one was given.
  private let combine: LuaValue
  private let regionOrder: [Int]?

  init(_ models: [ModelObject], weights: [Double], combine: LuaValue, regionOrder: [Int]? = nil) {
    self.models = models
    self.weights = weights
    self.combine = combine
    self.regionOrder = regionOrder
  }

  var luaAnchors: [LuaValue] { models.map { .object($0) } + (combine.isNil ? [] : [combine]) }
  var luaDescription: String {
    "ensemble of \(models.map { $0.folder.lastPathComponent }.joined(separator: " and "))"
  }

  static let schema = ObjectSchema(
    "ensemble", "Several models whose probabilities are combined.",
    example: "local duo = lunette.ensemble{ model_a, model_b, weights={1, 1} }\n"
      + "local p = duo:predict{ input=\"case_0000.nii.gz\" }",
    methods: [
      .method(
        FunctionSchema(
          "ensemble:predict", "Predicts one case, or every case of a folder, with all models.",
          parameters: ModelObject.inputParameters + ModelObject.predictionParameters, positional: 0,
          returns: "a prediction; a list of them for a folder or a list",
          example: "local p = lunette.ensemble{ model_a, model_b }:predict{ input=\"case_0000.nii.gz\" }")
      ) { (it: EnsembleObject, arguments) in
        try PredictionJob(it.models[0], arguments).run { input, output in
          try it.predict(input, to: output, arguments)
        }
      }
    ])

  private func predict(_ input: PredictionInput, to output: URL, _ arguments: Arguments) throws {
    let scratch = try ScratchFolder()
    let folders = models.indices.map { scratch.url.appending(path: "\($0)") }
    for (model, folder) in zip(models, folders) {
      try model.predict(input, to: folder, savesProbabilities: true, arguments)
    }
    var request = EnsembleRequest(inputs: folders, output: output)
    // Equal weights are nnU-Net's plain mean to the last bit.
    request.weights = Set(weights).count == 1 ? nil : weights
    request.savesProbabilities = try arguments.boolean("probabilities")
    request.regionOrder = try arguments.regionOrder() ?? regionOrder
    if let function = combine.function {
      request.combine = { try self.combined($1, case: $0, by: function, in: arguments.state) }
    }
    try ScriptRegistry.pipeline(of: arguments.state).ensemble(request)
  }

  /// What the given function makes of a case's maps.
  private func combined(
    _ maps: [NDArray<Float>], case identifier: String, by function: LuaFunction, in state: LuaState
  ) throws -> NDArray<Float> {
    let fallback = LuaNativeFunction("default of combine") { [self] _ in
      [.object(TensorObject(average(maps)))]
    }
    let context: LuaValue = .fields([
      "case": .string(identifier), "weights": .array(weights),
      "probabilities": .array(maps.map { .object(TensorObject($0)) }),
    ])
    let answer = try function.call([context, .function(LuaFunction(fallback))], in: state).first ?? .nil
    if answer.isNil { return average(maps) }
    guard let tensor = answer.object as? TensorObject, tensor.shape == maps[0].shape else {
      throw Diagnostic(
        "combine returned what it cannot",
        expected: "a tensor of shape \(maps[0].shape), or nil for the average",
        found: "a \(answer.typeName)")
    }
    return tensor.array
  }

  private func average(_ maps: [NDArray<Float>]) -> NDArray<Float> {
    let total = weights.reduce(0, +)
    var sum = [Float](repeating: 0, count: maps[0].count)
    for (map, weight) in zip(maps, weights) {
      let factor = Float(weight / total)
      for index in sum.indices { sum[index] += map.elements[index] * factor }
    }
    return NDArray(shape: maps[0].shape, elements: sum)
  }
}

extension Binding {
  static let ensemble = Binding(
    FunctionSchema(
      "lunette.ensemble", "Combines several models by their probabilities.",
      parameters: [
        .required("models", .list(.object("model")), "the models; in a table they need no name"),
        ParameterSchema("weights", .list(.number), "one weight per model; equal by default"),
        ParameterSchema(
          "combine", .override("(ctx, default)"),
          "gives one tensor of probabilities from ctx.probabilities; nil keeps the weighted mean"),
        ParameterSchema(
          "region_order", .list(.integer),
          "the label painted for each region, later ones over earlier ones; the models' own by default"),
      ], positional: 0, items: "models", returns: "an ensemble",
      example: "local duo = lunette.ensemble{ model_a, model_b, weights={1, 1} }")
  ) { arguments in
    let models = try arguments.table("models").array.compactMap { $0.object as? ModelObject }
    guard let first = models.first else { throw Diagnostic("an ensemble has at least one model") }
    for model in models where model.description.labels != first.description.labels {
      throw Diagnostic(
        "the models of an ensemble know the same labels", at: model.folder.path,
        expected: "\(first.description.labels.allLabels)", found: "\(model.description.labels.allLabels)")
    }
    let weights = arguments.has("weights") ? try arguments.numbers("weights") : models.map { _ in 1.0 }
    guard weights.count == models.count, weights.allSatisfy({ $0 >= 0 }), weights.contains(where: { $0 > 0 })
    else {
      throw Diagnostic("an ensemble has one weight from 0 per model", found: "\(weights.count) weights")
    }
    return [
      try .object(
        EnsembleObject(
          models, weights: weights, combine: arguments["combine"], regionOrder: arguments.regionOrder()))
    ]
  }
}
