// `lunette.dataset`: a raw dataset as an object.

import Archives
import Datasets
import Foundation
import LuaHost
import Pipelines
import Planning
import Reporting

/// A raw dataset in scripts.
final class DatasetObject: ScriptObject {
  let dataset: RawDataset

  init(_ dataset: RawDataset) { self.dataset = dataset }

  var luaDescription: String {
    "dataset \(dataset.name) (\(dataset.description.channelNames.count) channels, "
      + "\(dataset.description.labels.foregroundTargets.count) targets)"
  }

  func luaEquals(_ other: any LuaObject) -> Bool {
    (other as? DatasetObject).map { $0.dataset.folder == dataset.folder } ?? false
  }

  static let schema = ObjectSchema(
    "dataset", "A dataset in nnU-Net's raw layout.",
    example: "local ds = lunette.dataset(4)\nprint(ds.name, #ds.cases, ds.channels[1])",
    properties: [
      .field("name", .string, "the full name, such as Dataset004_Hippocampus") { (it: DatasetObject) in
        .string(it.dataset.name)
      },
      .field("folder", .path, "where it lies") { (it: DatasetObject) in .string(it.dataset.folder.path) },
      .field("channels", .list(.string), "the channel names in file order") { (it: DatasetObject) in
        .array(it.dataset.description.channelNames)
      },
      .field("labels", .map(.any), "label names with their value, or list of values for a region") {
        (it: DatasetObject) in labelTable(it.dataset.description.labels)
      },
      .field("region_order", .list(.integer), "the value painted for each region, in declaration order") {
        (it: DatasetObject) in it.dataset.description.labels.regionsClassOrder.map { .array($0) } ?? .nil
      },
      .field("file_ending", .string, "the ending of image files") { (it: DatasetObject) in
        .string(it.dataset.description.fileEnding)
      },
      .field("cases", .list(.string), "the identifiers of the training cases") { (it: DatasetObject) in
        .array(try it.dataset.cases().map(\.identifier))
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "dataset:verify", "Checks every image and label file of the dataset.",
          returns: "true; findings that matter are an error", example: "lunette.dataset(4):verify()")
      ) { (it: DatasetObject, arguments) in
        try ScriptRegistry.pipeline(of: arguments.state).verify(it.dataset)
        return true
      },
      .method(
        FunctionSchema(
          "dataset:fingerprint",
          "Reads the dataset's fingerprint, or computes and saves it when there is none.",
          parameters: [
            ParameterSchema("again", .boolean, default: false, "computes it even when there is one")
          ],
          returns: "a fingerprint", example: "local fp = lunette.dataset(4):fingerprint()")
      ) { (it: DatasetObject, arguments) in
        let fingerprint = try ScriptRegistry.pipeline(of: arguments.state)
          .extractFingerprint(of: it.dataset, again: arguments.boolean("again"))
        return .object(FingerprintObject(fingerprint))
      },
      .method(
        FunctionSchema(
          "dataset:case", "The files of one training case.",
          parameters: [.required("identifier", .string, "the case's identifier, as in ds.cases")],
          returns: "a table with images (a list of paths) and label",
          example: "local ds = lunette.dataset(4)\nprint(ds:case(ds.cases[1]).label)")
      ) { (it: DatasetObject, arguments) in
        let identifier = try arguments.string("identifier")
        let cases = try it.dataset.cases()
        guard let found = cases.first(where: { $0.identifier == identifier }) else {
          throw Diagnostic(
            "there is no case '\(identifier)'", at: it.dataset.name,
            remedy: nearestName(to: identifier, in: cases.map(\.identifier)).map { "did you mean '\($0)'?" })
        }
        return .fields([
          "images": .array(found.images.map(\.path)), "label": .string(found.label.path),
        ])
      },
      splitsMethod,
    ])
}

/// Names with a value, or with a list of values for regions.
private func labelTable(_ labels: LabelScheme) -> LuaValue {
  .fields(
    Dictionary(
      labels.entries.map { entry in
        switch entry.value {
        case .label(let value): (entry.name, LuaValue.integer(value))
        case .region(let values): (entry.name, LuaValue.array(values))
        }
      }, uniquingKeysWith: { $1 }))
}

extension Binding {
  static let dataset = Binding(
    FunctionSchema(
      "lunette.dataset", "Opens a dataset in nnU-Net's raw layout.",
      parameters: [
        .required(
          "name", .either([.integer, .string]), "its number, its full name, or the path of its folder")
      ], returns: "a dataset", example: "local ds = lunette.dataset(4)")
  ) { arguments in
    let name = arguments["name"].integer.map(String.init) ?? arguments["name"].string ?? ""
    if name.contains("/"), fileExists(fileURL(name)) {
      return [.object(DatasetObject(try RawDataset(folder: fileURL(name))))]
    }
    return [.object(DatasetObject(try ScriptRegistry.pipeline(of: arguments.state).openDataset(name)))]
  }

  static let phantom = Binding(
    FunctionSchema(
      "lunette.phantom", "Opens the built-in phantom dataset, and makes it first when it is not there.",
      details:
        "The images are computed: ellipsoids with a core among hollow spheres and rods of the same brightness. "
        + "It goes into the folder of raw datasets.",
      parameters: [
        ParameterSchema("cases", .integer, default: 12, in: 5...1000, "how many training cases to make")
      ], positional: 0, returns: "a dataset", example: "local ds = lunette.phantom()")
  ) { arguments in
    let registry = ScriptRegistry.of(arguments.state)
    let folder = try registry.roots.raw().appending(path: phantomDatasetName)
    if !fileExists(folder.appending(path: "dataset.json")) {
      var options = PhantomOptions()
      options.trainingCaseCount = try arguments.integer("cases")
      try makePhantomDataset(at: folder, options: options, progress: registry.progress)
    }
    return [.object(DatasetObject(try RawDataset(folder: folder)))]
  }
}
