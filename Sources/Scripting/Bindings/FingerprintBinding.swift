// What planning knows of a dataset's images, as an object.

import Archives
import Datasets
import Foundation
import LuaHost
import Pipelines
import Planning

/// A fingerprint in scripts.
final class FingerprintObject: ScriptObject {
  let fingerprint: DatasetFingerprint

  init(_ fingerprint: DatasetFingerprint) { self.fingerprint = fingerprint }

  var luaDescription: String { "fingerprint of \(fingerprint.spacings.count) cases" }

  static let schema = ObjectSchema(
    "fingerprint", "Spacings, shapes and intensities of a dataset's cases.",
    example: "local fp = lunette.dataset(4):fingerprint()\nprint(fp.spacings[1][1])",
    properties: [
      .field("spacings", .list(.list(.number)), "millimetres per case, in the axis order of the files") {
        (it: FingerprintObject) in .array(it.fingerprint.spacings.map { LuaValue.array($0) })
      },
      .field("shapes", .list(.list(.integer)), "voxels per case after cropping to nonzero") {
        (it: FingerprintObject) in .array(it.fingerprint.shapesAfterCrop.map { LuaValue.array($0) })
      },
      .field("intensities", .list(.map(.number)), "foreground statistics per channel: mean, std, percentiles")
      {
        (it: FingerprintObject) in .array(it.fingerprint.foregroundIntensities.map { LuaValue($0.json) })
      },
      .field("relative_size", .number, "the median share of voxels that cropping to nonzero keeps") {
        (it: FingerprintObject) in .number(it.fingerprint.medianRelativeSizeAfterCropping)
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "fingerprint:table", "The whole fingerprint as a table, named as in dataset_fingerprint.json.",
          returns: "a table",
          example: "local fp = lunette.dataset(4):fingerprint()\nprint(fp:table().spacings)")
      ) { (it: FingerprintObject, _) in LuaValue(it.fingerprint.json) }
    ])
}

extension Binding {
  static let fingerprint = Binding(
    FunctionSchema(
      "lunette.fingerprint", "Reads a dataset_fingerprint.json, or the fingerprint of a dataset.",
      parameters: [
        .required("source", .either([.object("dataset"), .path]), "a dataset, or the file's path")
      ],
      returns: "a fingerprint; nil and a message when the file is not there",
      example: "local fp = lunette.fingerprint(\"dataset_fingerprint.json\")")
  ) { arguments in
    if let object = arguments["source"].object as? DatasetObject {
      let fingerprint = try ScriptRegistry.pipeline(of: arguments.state).extractFingerprint(
        of: object.dataset)
      return [.object(FingerprintObject(fingerprint))]
    }
    let url = fileURL(try arguments.string("source"))
    guard fileExists(url) else { return absence("there is no file \(url.path)") }
    return [.object(FingerprintObject(try DatasetFingerprint(contentsOf: url)))]
  }
}
