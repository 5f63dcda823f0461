// `lunette.model`: a trained model's folder, and what it predicts.

import Datasets
import Foundation
import LuaHost
import Pipelines
import Planning
import Reporting
import Tensors

/// A trained model in scripts: a folder TRAINER__PLANS__CONFIGURATION with its folds.
final class ModelObject: ScriptObject {
  let folder: URL
  let plans: Plans
  let description: DatasetDescription
  private let name: ModelReference

  init(folder: URL) throws {
    self.folder = folder.standardizedFileURL
    name = try ModelReference(folderName: self.folder.lastPathComponent)
    plans = try Plans(contentsOf: folder.appending(path: "plans.json"))
    description = try DatasetDescription(contentsOf: folder.appending(path: "dataset.json"))
  }

  var configuration: String { name.configuration }
  var luaDescription: String { "model \(folder.lastPathComponent), folds \(folds.joined(separator: ", "))" }

  /// The folds that lie in the folder.
  var folds: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
      .filter { $0.hasPrefix("fold_") }.map { String($0.dropFirst("fold_".count)) }.sorted()
  }

  /// The arguments that every way to predict takes.
  static let predictionParameters = [
    ParameterSchema(
      "folds", .list(.any), "the folds whose networks are averaged; all that are there by default"),
    ParameterSchema(
      "checkpoint", .choice(["final", "best", "latest"]), default: "final", "which checkpoint of each fold"),
    ParameterSchema("precision", .choice(["fp32", "bf16"]), default: "fp32", "how activations are stored"),
    ParameterSchema("mirror", .boolean, default: true, "averages over mirrored images too"),
    ParameterSchema("step", .number, default: 0.5, in: 0.01...1, "the window's step as a share of the patch"),
    ParameterSchema("probabilities", .boolean, default: false, "keeps the probabilities too"),
    ParameterSchema(
      "region_order", .list(.integer),
      "the label painted for each region, later ones over earlier ones; the model's own by default"),
    ParameterSchema(
      "previous_stage", .path,
      "what a cascade's first stage predicted of the same images; needed for its second stage"),
  ]

  /// What is predicted and where it goes.
  static let inputParameters: [ParameterSchema] = [
    .required(
      "input", .either([.path, .list(.path)]),
      "an image CASE_0000.ending, whose other channels lie beside it; or a folder, a .json list of cases or a list "
        + "of images"),
    ParameterSchema("output", .path, "a folder to write to; needed for more than one image"),
  ]

  /// Predicts into a folder.
  func predict(
    _ input: PredictionInput, to output: URL, savesProbabilities: Bool, _ arguments: Arguments
  ) throws {
    let given = arguments["folds"].table?.array.map { $0.string ?? $0.integer.map(String.init) ?? "" }
    var request = PredictionRequest(
      model: .folder(folder),
      folds: try (given ?? folds.filter { folds.count == 1 || $0 != "all" }).map { try Fold(parsing: $0) },
      checkpoint: try CheckpointName(parsing: arguments.string("checkpoint")))
    request.stepFraction = try arguments.number("step")
    request.usesMirroring = try arguments.boolean("mirror")
    request.savesProbabilities = savesProbabilities
    request.precision = Precision(name: try arguments.string("precision")) ?? .float32
    request.regionOrder = try arguments.regionOrder()
    request.keepsExisting = arguments["keep"].boolean ?? false
    // An ensemble hands it to all its models; those that are no second stage have no use for it.
    if try plans.configuration(named: configuration).previousStage != nil {
      request.previousStage = arguments["previous_stage"].string.map { fileURL($0) }
    }
    try ScriptRegistry.pipeline(of: arguments.state).predict(input, to: output, request)
  }

  static let schema = ObjectSchema(
    "model", "A trained model: its plan, its labels and its folds.",
    example:
      "local model = lunette.model(\"results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres\")\n"
      + "local p = model:predict{ input=\"case_0000.nii.gz\", folds={0} }",
    properties: [
      .field("folder", .path, "where it lies") { (it: ModelObject) in .string(it.folder.path) },
      .field("configuration", .string, "the configuration's name") { (it: ModelObject) in
        .string(it.configuration)
      },
      .field("folds", .list(.string), "the folds that are there") { (it: ModelObject) in .array(it.folds) },
      .field("plan", .object("plan"), "the plan it was trained with") { (it: ModelObject) in
        .object(PlanObject(it.plans, dataset: nil))
      },
      .field("labels", .list(.integer), "the label values it knows") { (it: ModelObject) in
        .array(it.description.labels.allLabels)
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "model:predict", "Predicts one case, or every case of a folder.",
          parameters: inputParameters + predictionParameters + [
            ParameterSchema(
              "keep", .boolean, default: false, "leaves predictions alone that are in the output folder")
          ], positional: 0,
          returns: "a prediction; a list of them for a folder or a list",
          example:
            "local p = model:predict{ input=\"case_0000.nii.gz\", folds={0}, mirror=true, step=0.5 }\np:save(\"out.nii.gz\")"
        )
      ) { (it: ModelObject, arguments) in
        try PredictionJob(it, arguments).run { input, output in
          try it.predict(
            input, to: output, savesProbabilities: arguments.boolean("probabilities"), arguments)
        }
      }
    ])
}

extension Binding {
  static let model = Binding(
    FunctionSchema(
      "lunette.model", "Opens a trained model's folder, of this program or of nnU-Net.",
      parameters: [.required("folder", .path, "a folder TRAINER__PLANS__CONFIGURATION")],
      returns: "a model; nil and a message when the folder is not there",
      example:
        "local model = assert(lunette.model(\"results/Dataset004_Hippocampus/nnUNetTrainer__nnUNetPlans__3d_fullres\"))"
    )
  ) { arguments in
    let url = fileURL(try arguments.string("folder"))
    guard fileExists(url) else { return absence("there is no folder \(url.path)") }
    return [.object(try ModelObject(folder: url))]
  }
}

extension Arguments {
  /// The labels of the argument `region_order`, if it was given.
  func regionOrder() throws -> [Int]? {
    guard let table = self["region_order"].table else { return nil }
    return table.array.compactMap(\.integer)
  }
}
