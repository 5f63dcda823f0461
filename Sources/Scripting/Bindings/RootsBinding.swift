// `lunette.roots`: where datasets, preprocessed data and results live.

import Datasets
import Foundation
import LuaHost

extension Binding {
  static let roots = Binding(
    FunctionSchema(
      "lunette.roots", "Shows or sets the folders of raw data, preprocessed data and results.",
      details:
        "Without arguments nothing changes. The start values come from nnUNet_raw, nnUNet_preprocessed and "
        + "nnUNet_results.",
      parameters: [
        ParameterSchema("root", .path, "a folder that holds raw, preprocessed and results"),
        ParameterSchema("raw", .path, "the folder of raw datasets"),
        ParameterSchema("preprocessed", .path, "the folder of preprocessed datasets"),
        ParameterSchema("results", .path, "the folder of trained models"),
      ], returns: "a table with raw, preprocessed and results; nil where a folder is not known",
      example: "lunette.roots{ root=\"/data/nnunet\" }")
  ) { arguments in
    let registry = ScriptRegistry.of(arguments.state)
    if arguments.has("root") { registry.roots = DatasetRoots(root: fileURL(try arguments.string("root"))) }
    func folder(_ name: String, _ kind: DatasetRoots.Kind) throws -> URL? {
      arguments.has(name) ? fileURL(try arguments.string(name)) : registry.roots[kind]
    }
    registry.roots = DatasetRoots(
      raw: try folder("raw", .raw), preprocessed: try folder("preprocessed", .preprocessed),
      results: try folder("results", .results))
    return [
      .fields(
        Dictionary(
          uniqueKeysWithValues: DatasetRoots.Kind.allCases.map {
            ($0.rawValue, registry.roots[$0].map { LuaValue.string($0.path) } ?? .nil)
          }))
    ]
  }
}
