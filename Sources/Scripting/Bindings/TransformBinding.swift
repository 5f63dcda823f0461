// `lunette.transform`: augmentation transforms to insert into a pipeline, each with its parameters.

import Archives
import Augmentation
import LuaHost
import Reporting

/// A transform with its parameters in scripts; it becomes a step when a pipeline takes it.
final class TransformObject: ScriptObject {
  let kind: String
  let parameters: JSONObject

  init(kind: String, parameters: JSONObject) {
    self.kind = kind
    self.parameters = parameters
  }

  var luaDescription: String { "transform \(kind) \(JSON.object(parameters).text(indent: nil))" }
  var dynamicFieldNames: [String] { parameters.keys }
  func dynamicField(_ name: String) throws -> LuaValue? { parameters[name].map { LuaValue($0) } }

  static let schema = ObjectSchema(
    "transform", "An augmentation transform; its other fields are its parameters.",
    example:
      "local sharper = lunette.transform.sharpening{ probability=0.3 }\nprint(sharper.strength_range[2])",
    properties: [
      .field("name", .string, "which transform it is, and the step's name unless another is given") {
        (it: TransformObject) in .string(it.kind)
      }
    ])
}

extension Binding {
  /// One function for every transform of the library.
  static let transforms: [Binding] = TransformLibrary.entries.map { entry in
    let defaults = (try? TransformLibrary.make(entry.kind, patchSize: [1, 1, 1]))?.defaults ?? [:]
    return Binding(
      FunctionSchema(
        "lunette.transform.\(entry.kind)", entry.summary,
        parameters: defaults.pairs.map { key, value in
          ParameterSchema(key, type(of: value, key), default: ScriptLiteral(value), help(on: key))
        }, positional: 0, returns: "a transform",
        example: "local aug = lunette.augmentation(plan, \"3d_fullres\")\n"
          + "aug = aug:insert_after(\"gamma\", lunette.transform.\(entry.kind){})")
    ) { arguments in
      var parameters = AugmentationParameters(defaults)
      for key in defaults.keys where arguments.has(key) {
        try parameters.set(key, to: arguments[key].json(at: key), step: entry.kind)
      }
      return [.object(TransformObject(kind: entry.kind, parameters: parameters.values))]
    }
  }

  private static func type(of value: JSON, _ key: String) -> ParameterType {
    switch value {
    case .bool: .boolean
    case .string: .string
    case .array where ["regions", "strides", "size_limits"].contains(key): .list(.list(.integer))
    case .array where key.hasSuffix("range") || key.hasSuffix("degrees"): .list(.number)
    case .array: .list(.integer)
    default: .number
    }
  }

  /// What a parameter means, by how its name ends.
  private static func help(on key: String) -> String {
    let meanings = [
      ("rotation_axis_probability", "how often an angle is kept, when it rotates"),
      ("axis_probability", "how often each axis is flipped"),
      ("channel_probability", "how often a channel is changed, when the step acts"),
      ("label_probability", "how often a label is changed, when the step acts"),
      ("probability", "how often it acts on a sample"), ("degrees", "the smallest and largest angle"),
      ("zoom_range", "the smallest and largest factor of the resolution"),
      ("center_range", "where the middle lies, as shares of the extent"),
      ("size_range", "the smallest and largest extent in voxels"),
      ("radius_range", "the smallest and largest radius in voxels"),
      ("count_range", "the smallest and largest number"), ("range", "the smallest and largest value"),
      ("size_limits", "per axis, the smallest and largest extent; a tenth to a third of the patch if empty"),
      ("per_axis", "whether every axis has a factor of its own"),
      ("synchronizes_axes", "whether all axes have the same width"),
      ("dummy_2d", "whether the first axis is neither turned nor scaled"),
      ("image_order", "1 interpolates linearly, 0 takes the nearest voxel"),
      ("label_order", "1 lets the neighbours vote, 0 takes the nearest voxel"),
      ("smallest_zoom", "the zoom that the patch which is read leaves room for"),
      ("clips", "whether values stay in the range that they had"),
      ("inverts", "whether the image is turned around"),
      ("ignored_axes", "axes that keep their resolution, 0 for the first"),
      ("axes", "the axes, 0 for the first"), ("channels", "the channels, 0 for the first"),
      ("mean", "the mean of the numbers"), ("standard_deviation", "the standard deviation of the numbers"),
      ("largest_share", "the share of the patch from which on a component is kept"),
      ("label_count", "how many channels at the end hold a previous stage's labels"),
      ("labels", "the labels that become channels"), ("label", "the label that goes"),
      ("replacement", "the label that comes in its place"),
      ("regions", "the labels of every region"), ("strides", "the strides of every stage"),
    ]
    return meanings.first { key.hasSuffix($0.0) }?.1 ?? "a number of the transform"
  }
}
