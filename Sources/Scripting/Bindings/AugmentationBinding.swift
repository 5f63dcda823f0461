// `lunette.augmentation`: the default pipeline of a configuration as an object that can be edited and tried.

import Archives
import Augmentation
import Foundation
import LuaHost
import Pipelines
import Planning
import Reporting
import Tensors

/// An augmentation pipeline in scripts; a description that is never changed in place.
final class AugmentationObject: ScriptObject {
  let pipeline: AugmentationPipeline
  /// Where its cases lie, unless it was made by a training.
  private let source: (plans: Plans, configuration: String)?

  init(_ pipeline: AugmentationPipeline, source: (plans: Plans, configuration: String)? = nil) {
    self.pipeline = pipeline
    self.source = source
  }

  /// The pipeline after a change.
  private func changed(_ change: (inout AugmentationPipeline) throws -> Void) rethrows -> LuaValue {
    var copy = pipeline
    try change(&copy)
    return .object(AugmentationObject(copy, source: source))
  }

  var luaDescription: String { "augmentation (\(pipeline.steps.map(\.name).joined(separator: ", ")))" }
  func luaLength() throws -> LuaValue { .integer(pipeline.steps.count) }
  var dynamicFieldNames: [String] { pipeline.steps.map(\.name) }

  func dynamicField(_ name: String) throws -> LuaValue? {
    pipeline.step(named: name).map { LuaValue(.object($0.parameters.values)) }
  }

  static let schema = ObjectSchema(
    "augmentation", "A list of named transforms with their parameters; the other fields are the transforms.",
    example: "local aug = lunette.augmentation(lunette.plan(lunette.dataset(4)), \"3d_fullres\")\n"
      + "print(aug.gaussian_noise.probability)\n"
      + "local calmer = aug:without(\"mirror\"):set(\"gaussian_noise\", { probability=0.3 })",
    properties: [
      .field("patch_size", .list(.integer), "the patch that the network sees") { (it: AugmentationObject) in
        .array(it.pipeline.patchSize)
      },
      .field(
        "initial_patch_size", .list(.integer), "the larger patch that is read before rotation and scaling"
      ) {
        (it: AugmentationObject) in .array(it.pipeline.initialPatchSize)
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "augmentation:list", "Lists the transforms in order, with their parameters.",
          returns: "a list of tables with name, transform and parameters",
          example:
            "local aug = lunette.augmentation(plan, \"2d\")\nfor _, t in ipairs(aug:list()) do print(t.name) end"
        )
      ) { (it: AugmentationObject, _) in
        .array(
          it.pipeline.steps.map { step in
            .fields([
              "name": .string(step.name), "transform": .string(step.transform.kind),
              "parameters": LuaValue(.object(step.parameters.values)),
            ])
          })
      },
      .method(
        FunctionSchema(
          "augmentation:without", "Gives the pipeline without one transform.",
          parameters: [.required("name", .string, "the transform's name, as in aug:list()")],
          returns: "an augmentation",
          example: "local calm = lunette.augmentation(plan, \"2d\"):without(\"mirror\")")
      ) { (it: AugmentationObject, arguments) in
        try it.changed { $0 = try $0.without(arguments.string("name")) }
      },
      .method(
        FunctionSchema(
          "augmentation:has", "Says whether there is a transform of a name.",
          parameters: [.required("name", .string, "the name to look for")], returns: "true or false",
          example: "local flips = lunette.augmentation(plan, \"2d\"):has(\"mirror\")")
      ) { (it: AugmentationObject, arguments) in
        .boolean(it.pipeline.step(named: try arguments.string("name")) != nil)
      },
      insertion(after: true), insertion(after: false),
      .method(
        FunctionSchema(
          "augmentation:set", "Gives the pipeline with some parameters of a transform changed.",
          details: "The names rotation and scaling mean the two halves of the spatial transform.",
          parameters: [
            .required("name", .string, "the transform's name, as in aug:list()"),
            .required("parameters", .map(.any), "the parameters to change, as in aug[name]"),
          ], positional: 2, returns: "an augmentation",
          example:
            "local aug = lunette.augmentation(plan, \"2d\"):set(\"gaussian_noise\", { probability=0.3 })")
      ) { (it: AugmentationObject, arguments) in
        let given = try arguments["parameters"].json(at: "parameters").object ?? JSONObject()
        let (name, parameters) = spatialAlias(try arguments.string("name"), given)
        return try it.changed { try $0.set(name, parameters) }
      },
      .method(
        FunctionSchema(
          "augmentation:draw", "Draws every random number of one sample.",
          parameters: [
            ParameterSchema("seed", .integer, default: 0, "the key of the random numbers"),
            ParameterSchema(
              "channels", .integer, default: 1, in: 1...1000, "how many channels the image has"),
          ], positional: 2, returns: "a draw that aug:apply takes, any number of times",
          example: "local draw = lunette.augmentation(plan, \"3d_fullres\"):draw(1)")
      ) { (it: AugmentationObject, arguments) in
        var random = RandomSource(key: [try arguments.integer("seed")])
        let draw = try it.pipeline.draw(using: &random, channelCount: arguments.integer("channels"))
        return .object(AugmentationDrawObject(draw))
      },
      .method(
        FunctionSchema(
          "augmentation:apply", "Applies a draw to a preprocessed case, or to an image and its labels.",
          details: "aug:apply(case, draw) reads the patch around a foreground voxel of the case; "
            + "aug:apply(image, segmentation, draw) takes tensors.",
          parameters: [
            .required(
              "image", .either([.object("tensor"), .string]),
              "channels and voxels of the initial patch, or the name of a case"),
            .required(
              "segmentation", .either([.object("tensor"), .object("draw")]),
              "label maps of the same extents; the draw where the first is a case"),
            ParameterSchema("draw", .object("draw"), "what aug:draw gave"),
          ], positional: 3, returns: "a table with image and segmentation",
          example: "local aug = lunette.augmentation(plan, \"3d_fullres\")\n"
            + "local sample = aug:apply(image, labels, aug:draw(1))")
      ) { (it: AugmentationObject, arguments) in try it.apply(arguments) },
      .method(
        FunctionSchema(
          "augmentation:preview", "Draws a sheet of a case and of what the pipeline makes of it.",
          details: "Writes one picture per channel, and the draws as JSON, for cases that are preprocessed.",
          parameters: [
            ParameterSchema("case", .string, "the case; the first one by default"),
            ParameterSchema("count", .integer, default: 9, in: 1...100, "how many draws to show"),
            ParameterSchema("seed", .integer, default: 0, "the key of the random numbers"),
            ParameterSchema("output", .path, default: ".", "the folder for the pictures"),
          ], positional: 0, returns: "the paths of the pictures",
          example: "local aug = lunette.augmentation(plan, \"3d_fullres\")\n"
            + "local paths = aug:preview{ case=\"hippocampus_001\", count=9 }")
      ) { (it: AugmentationObject, arguments) in try it.preview(arguments) },
    ])

  private static func insertion(after: Bool) -> Binding {
    let place = after ? "after" : "before"
    return .method(
      FunctionSchema(
        "augmentation:insert_\(place)", "Gives the pipeline with a transform inserted \(place) another one.",
        parameters: [
          .required("place", .string, "the name of the transform it stands \(place), as in aug:list()"),
          .required("transform", .object("transform"), "one of lunette.transform"),
          ParameterSchema("name", .string, "its name in the pipeline; the transform's own by default"),
        ], positional: 3, returns: "an augmentation",
        example: "local aug = lunette.augmentation(plan, \"2d\")\n"
          + "aug = aug:insert_\(place)(\"gamma\", lunette.transform.sharpening{ probability=0.2 })")
    ) { (it: AugmentationObject, arguments) in
      let transform: TransformObject = try arguments.object("transform")
      let name = arguments.has("name") ? try arguments.string("name") : transform.kind
      let place = try arguments.string("place")
      return try it.changed { pipeline in
        let neighbour = after ? place : try pipeline.name(before: place)
        try pipeline.insert(
          TransformLibrary.make(transform.kind, patchSize: pipeline.patchSize), named: name, after: neighbour)
        try pipeline.set(name, transform.parameters)
      }
    }
  }

  /// The spatial transform under the names of its halves.
  private static func spatialAlias(_ name: String, _ parameters: JSONObject) -> (String, JSONObject) {
    guard name == "rotation" || name == "scaling" else { return (name, parameters) }
    return (
      AugmentationPipeline.Names.spatial, JSONObject(parameters.pairs.map { ("\(name)_\($0.key)", $0.value) })
    )
  }

  private func apply(_ arguments: Arguments) throws -> LuaValue {
    let sample: AugmentationSample
    if let identifier = arguments["image"].string {
      guard
        let draw = arguments["segmentation"].object as? AugmentationDrawObject ?? arguments["draw"].object
          as? AugmentationDrawObject
      else { throw Diagnostic("a case is augmented as aug:apply(case, draw)", expected: "a draw") }
      let source = try patches(arguments, case: identifier)
      sample = try source.sample(draw.draw, through: pipeline, seed: 0)
    } else {
      let image: TensorObject = try arguments.object("image")
      let labels: TensorObject = try arguments.object("segmentation")
      let draw: AugmentationDrawObject = try arguments.object("draw")
      sample = try pipeline.apply(
        draw.draw, image: image.array, segmentation: labels.array.map { Int16($0) })
    }
    return .fields([
      "image": .object(TensorObject(sample.image)),
      "segmentation": .object(TensorObject(sample.segmentation.map(Float.init))),
    ])
  }

  private func preview(_ arguments: Arguments) throws -> LuaValue {
    let source = try patches(arguments, case: arguments.has("case") ? arguments.string("case") : nil)
    let preview = AugmentationPreview(
      source: source, pipeline: pipeline, count: try arguments.integer("count"),
      seed: try arguments.integer("seed"))
    return .array(try preview.write(to: fileURL(arguments.string("output"))).map(\.path))
  }

  /// A case of the plan's dataset, to read patches from.
  private func patches(_ arguments: Arguments, case identifier: String?) throws -> AugmentationPatches {
    guard let source else {
      throw Diagnostic(
        "this augmentation has no plan to read cases of", expected: "one of lunette.augmentation(plan, ...)",
        found: "the pipeline of a training", remedy: "pass an image and its labels as tensors")
    }
    return try ScriptRegistry.pipeline(of: arguments.state).augmentationPatches(
      of: source.plans, configuration: source.configuration, case: identifier)
  }
}

/// The random numbers of one sample in scripts.
final class AugmentationDrawObject: ScriptObject {
  let draw: AugmentationDraw

  init(_ draw: AugmentationDraw) { self.draw = draw }

  var luaDescription: String { "draw of \(draw.steps.keys.joined(separator: ", "))" }
  var dynamicFieldNames: [String] { draw.steps.keys }
  func dynamicField(_ name: String) throws -> LuaValue? { draw.steps[name].map { LuaValue($0) } }

  static let schema = ObjectSchema(
    "draw", "Every random number of one augmented sample; its fields are the transforms that act.",
    example:
      "local draw = lunette.augmentation(plan, \"2d\"):draw(1)\nfor name in pairs(draw) do print(name) end")
}

extension Binding {
  static let augmentation = Binding(
    FunctionSchema(
      "lunette.augmentation", "Gives the default augmentation of a configuration.",
      parameters: [
        .required("plan", .object("plan"), "the plan"),
        .required("configuration", .string, "the configuration's name"),
        ParameterSchema(
          "mirror_axes", .list(.integer), "axes that may be flipped, 0 for the first; all by default"),
      ], positional: 2, returns: "an augmentation",
      example: "local aug = lunette.augmentation(lunette.plan(lunette.dataset(4)), \"3d_fullres\")")
  ) { arguments in
    let plan: PlanObject = try arguments.object("plan")
    let name = try arguments.string("configuration")
    let configuration = try plan.plans.configuration(named: name)
    let axes = arguments.has("mirror_axes") ? try arguments.integers("mirror_axes") : nil
    let pipeline = AugmentationPipeline.standard(
      patchSize: configuration.patchSize, mirrorAxes: axes,
      usesMaskForNormalization: configuration.usesMaskForNormalization)
    return [.object(AugmentationObject(pipeline, source: (plan.plans, name)))]
  }
}
