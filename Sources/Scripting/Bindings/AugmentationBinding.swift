// `lunette.augmentation`: the default pipeline of a configuration as an object that can be edited and tried.

import Archives
import Augmentation
import LuaHost
import Planning
import Reporting
import Tensors

/// An augmentation pipeline in scripts; a description that is never changed in place.
final class AugmentationObject: ScriptObject {
  let pipeline: AugmentationPipeline

  init(_ pipeline: AugmentationPipeline) { self.pipeline = pipeline }

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
          returns: "a list of tables with name and parameters",
          example:
            "local aug = lunette.augmentation(plan, \"2d\")\nfor _, t in ipairs(aug:list()) do print(t.name) end"
        )
      ) { (it: AugmentationObject, _) in
        .array(
          it.pipeline.steps.map { step in
            .fields(["name": .string(step.name), "parameters": LuaValue(.object(step.parameters.values))])
          })
      },
      .method(
        FunctionSchema(
          "augmentation:without", "Gives the pipeline without one transform.",
          parameters: [.required("name", .string, "the transform's name, as in aug:list()")],
          returns: "an augmentation",
          example: "local calm = lunette.augmentation(plan, \"2d\"):without(\"mirror\")")
      ) { (it: AugmentationObject, arguments) in
        .object(AugmentationObject(try it.pipeline.without(arguments.string("name"))))
      },
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
        var pipeline = it.pipeline
        let given = try arguments["parameters"].json(at: "parameters").object ?? JSONObject()
        let (name, parameters) = spatialAlias(try arguments.string("name"), given)
        try pipeline.set(name, parameters)
        return .object(AugmentationObject(pipeline))
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
          "augmentation:apply", "Applies a draw to an image and its labels.",
          parameters: [
            .required("image", .object("tensor"), "channels and voxels of the initial patch"),
            .required("segmentation", .object("tensor"), "label maps of the same extents"),
            .required("draw", .object("draw"), "what aug:draw gave"),
          ], positional: 3, returns: "a table with image and segmentation",
          example: "local aug = lunette.augmentation(plan, \"3d_fullres\")\n"
            + "local sample = aug:apply(image, labels, aug:draw(1))")
      ) { (it: AugmentationObject, arguments) in try apply(it.pipeline, arguments) },
    ])

  /// The spatial transform under the names of its halves.
  private static func spatialAlias(_ name: String, _ parameters: JSONObject) -> (String, JSONObject) {
    guard name == "rotation" || name == "scaling" else { return (name, parameters) }
    return (
      AugmentationPipeline.Names.spatial, JSONObject(parameters.pairs.map { ("\(name)_\($0.key)", $0.value) })
    )
  }

  private static func apply(_ pipeline: AugmentationPipeline, _ arguments: Arguments) throws -> LuaValue {
    let image: TensorObject = try arguments.object("image")
    let labels: TensorObject = try arguments.object("segmentation")
    let draw: AugmentationDrawObject = try arguments.object("draw")
    let sample = try pipeline.apply(
      draw.draw, image: image.array,
      segmentation: labels.array.map { Int16($0) })
    return .fields([
      "image": .object(TensorObject(sample.image)),
      "segmentation": .object(TensorObject(sample.segmentation.map(Float.init))),
    ])
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
    let configuration = try plan.plans.configuration(named: arguments.string("configuration"))
    let axes = arguments.has("mirror_axes") ? try arguments.integers("mirror_axes") : nil
    let pipeline = AugmentationPipeline.standard(
      patchSize: configuration.patchSize, mirrorAxes: axes,
      usesMaskForNormalization: configuration.usesMaskForNormalization)
    return [.object(AugmentationObject(pipeline))]
  }
}
