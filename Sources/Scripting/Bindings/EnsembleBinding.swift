// `lunette.ensemble`: several models whose probabilities are averaged.

import Archives
import Datasets
import Foundation
import LuaHost
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// Several models as one, in scripts.
final class EnsembleObject: ScriptObject {
  private let models: [ModelObject]
  private let weights: [Double]
  /// The function that replaces the average, if one was given.
  private let combine: LuaValue

  init(_ models: [ModelObject], weights: [Double], combine: LuaValue) {
    self.models = models
    self.weights = weights
    self.combine = combine
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
          parameters: [
            .required(
              "input", .path, "an image CASE_0000.ending, whose other channels lie beside it, or a folder"),
            ParameterSchema("output", .path, "a folder to write to; needed for a folder of images"),
          ] + ModelObject.predictionParameters, positional: 0,
          returns: "a prediction; for a folder, a list of them",
          example: "local p = lunette.ensemble{ model_a, model_b }:predict{ input=\"case_0000.nii.gz\" }")
      ) { (it: EnsembleObject, arguments) in
        let ending = it.models[0].description.fileEnding
        return try PredictionJob(fileEnding: ending, arguments).run { input, output in
          try it.predict(from: input, to: output, ending: ending, arguments)
        }
      }
    ])

  private func predict(from input: URL, to output: URL, ending: String, _ arguments: Arguments) throws {
    let scratch = try ScratchFolder()
    let folders = models.indices.map { scratch.url.appending(path: "\($0)") }
    for (model, folder) in zip(models, folders) {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try model.predict(from: input, to: folder, probabilities: true, arguments)
    }
    let labels = models[0].description.labels
    for testCase in try findCases(in: input, fileEnding: ending) {
      try arguments.state.cancellation.check()
      let maps = try folders.map { folder -> NDArray<Float> in
        guard let map = try readNPZ(folder.appending(path: testCase.identifier + ".npz"))["probabilities"]
        else {
          throw Diagnostic("a model kept no probabilities", at: testCase.identifier)
        }
        return map.floats()
      }
      let combined = try combined(maps, case: testCase.identifier, in: arguments.state)
      let template = try readLabels(folders[0].appending(path: testCase.identifier + ending))
      try writeLabels(
        Volume(voxels: labels.decide(combined), geometry: template.geometry),
        to: output.appending(path: testCase.identifier + ending), maximumLabel: labels.allLabels.max() ?? 0)
    }
  }

  /// The weighted mean of the maps, or what the given function makes of them.
  private func combined(
    _ maps: [NDArray<Float>], case identifier: String, in state: LuaState
  ) throws -> NDArray<Float> {
    for map in maps where map.shape != maps[0].shape {
      throw Diagnostic(
        "the models' probabilities do not fit each other", at: identifier, expected: "\(maps[0].shape)",
        found: "\(map.shape)", remedy: "combine models of the same labels")
    }
    guard let function = combine.function else { return average(maps) }
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
    let factors = weights.map { Float($0 / total) }
    var sum = maps[0].elements.map { $0 * factors[0] }
    for (map, factor) in zip(maps, factors).dropFirst() {
      for index in sum.indices { sum[index] += map.elements[index] * factor }
    }
    return NDArray(shape: maps[0].shape, elements: sum)
  }
}

extension LabelScheme {
  /// The label map of probabilities `[K, Z, Y, X]`: the largest class, or the regions above one half in their order.
  fileprivate func decide(_ map: NDArray<Float>) -> NDArray<Int16> {
    let count = map.shape.dropFirst().reduce(1, *)
    var result = [Int16](repeating: 0, count: count)
    if let order = regionsClassOrder, hasRegions {
      for (channel, label) in order.enumerated() {
        for voxel in 0..<count where map.elements[channel * count + voxel] > 0.5 {
          result[voxel] = Int16(label)
        }
      }
    } else {
      var best = Array(map.elements.prefix(count))
      for (channel, label) in allLabels.enumerated().dropFirst() {
        for voxel in 0..<count where map.elements[channel * count + voxel] > best[voxel] {
          best[voxel] = map.elements[channel * count + voxel]
          result[voxel] = Int16(label)
        }
      }
    }
    return NDArray(shape: Array(map.shape.dropFirst()), elements: result)
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
    return [.object(EnsembleObject(models, weights: weights, combine: arguments["combine"]))]
  }
}
