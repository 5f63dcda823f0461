// `lunette.model`: a trained model's folder, and the predictions made with it.

import Archives
import Datasets
import Figures
import Foundation
import LuaHost
import Pipelines
import Planning
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// A folder that goes with the object that holds it.
final class ScratchFolder {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "lunette-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }
}

/// A trained model in scripts: a folder TRAINER__PLANS__CONFIGURATION with its folds.
final class ModelObject: ScriptObject {
  let folder: URL
  let plans: Plans
  let description: DatasetDescription
  private let parts: [String]

  init(folder: URL) throws {
    self.folder = folder.standardizedFileURL
    parts = folder.lastPathComponent.components(separatedBy: "__")
    guard parts.count == 3 else {
      throw Diagnostic(
        "this is no model's folder", at: folder.path, expected: "a folder named TRAINER__PLANS__CONFIGURATION"
      )
    }
    plans = try Plans(contentsOf: folder.appending(path: "plans.json"))
    description = try DatasetDescription(contentsOf: folder.appending(path: "dataset.json"))
  }

  var configuration: String { parts[2] }
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
  ]

  /// Predicts a folder of images into another.
  func predict(from input: URL, to output: URL, probabilities: Bool, _ arguments: Arguments) throws {
    var pipeline = ScriptRegistry.pipeline(of: arguments.state)
    let dataset = folder.deletingLastPathComponent()
    pipeline.roots = DatasetRoots(
      raw: pipeline.roots[.raw], preprocessed: pipeline.roots[.preprocessed],
      results: dataset.deletingLastPathComponent())
    let given = arguments["folds"].table?.array.map { $0.string ?? $0.integer.map(String.init) ?? "" }
    var request = PredictionRequest(
      dataset: dataset.lastPathComponent, configuration: parts[2], trainerName: parts[0], plans: parts[1],
      folds: try (given ?? folds.filter { folds.count == 1 || $0 != "all" }).map { try Fold(parsing: $0) },
      checkpoint: try CheckpointName(parsing: arguments.string("checkpoint")))
    request.stepFraction = try arguments.number("step")
    request.usesMirroring = try arguments.boolean("mirror")
    request.savesProbabilities = probabilities
    request.precision = Precision(name: try arguments.string("precision")) ?? .float32
    try pipeline.predict(folder: input, to: output, request)
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
          parameters: [
            .required(
              "input", .path, "an image CASE_0000.ending, whose other channels lie beside it, or a folder"),
            ParameterSchema("output", .path, "a folder to write to; needed for a folder of images"),
            ParameterSchema("probabilities", .boolean, default: false, "keeps the probabilities too"),
          ] + predictionParameters, positional: 0,
          returns: "a prediction; for a folder, a list of them",
          example:
            "local p = model:predict{ input=\"case_0000.nii.gz\", folds={0}, mirror=true, step=0.5 }\np:save(\"out.nii.gz\")"
        )
      ) { (it: ModelObject, arguments) in
        try PredictionJob(fileEnding: it.description.fileEnding, arguments).run { input, output in
          try it.predict(
            from: input, to: output, probabilities: arguments.boolean("probabilities"), arguments)
        }
      }
    ])
}

/// The files around a prediction: one case or a folder in, label maps out.
struct PredictionJob {
  let fileEnding: String
  private let input: URL
  private let output: URL?

  init(fileEnding: String, _ arguments: Arguments) throws {
    self.fileEnding = fileEnding
    input = fileURL(try arguments.string("input"))
    output = arguments["output"].string.map { fileURL($0) }
    guard fileExists(input) else { throw Diagnostic("there is nothing to predict", at: input.path) }
  }

  /// Runs `predict` on a folder of images and gives the predictions as objects.
  func run(_ predict: (URL, URL) throws -> Void) throws -> LuaValue {
    var isFolder: ObjCBool = false
    _ = FileManager.default.fileExists(atPath: input.path, isDirectory: &isFolder)
    if isFolder.boolValue {
      guard let output else {
        throw Diagnostic("a folder of images needs an output folder", remedy: "output=\"DIR\"")
      }
      try FileManager.default.createDirectory(at: output, withIntermediateDirectories: true)
      try predict(input, output)
      let cases = try findCases(in: input, fileEnding: fileEnding)
      return .array(cases.map { .object(PredictionObject($0, in: output, ending: fileEnding, scratch: nil)) })
    }
    let scratch = try ScratchFolder()
    let testCase = try singleCase(linkedInto: scratch.url.appending(path: "in"))
    let folder = output ?? scratch.url.appending(path: "out")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    try predict(scratch.url.appending(path: "in"), folder)
    return .object(PredictionObject(testCase, in: folder, ending: fileEnding, scratch: scratch))
  }

  /// The case of the one image that was given, its channels linked into a folder of their own.
  private func singleCase(linkedInto folder: URL) throws -> TestCase {
    let cases = try findCases(in: input.deletingLastPathComponent(), fileEnding: fileEnding)
    let name = input.lastPathComponent
    guard let found = cases.first(where: { $0.images.contains { $0.lastPathComponent == name } }) else {
      throw Diagnostic(
        "the image's name does not say case and channel", at: input.path, expected: "CASE_0000\(fileEnding)",
        found: name)
    }
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    for image in found.images {
      try FileManager.default.createSymbolicLink(
        at: folder.appending(path: image.lastPathComponent), withDestinationURL: image.absoluteURL)
    }
    return found
  }
}

/// A predicted case in scripts.
final class PredictionObject: ScriptObject {
  private let identifier: String
  private let image: URL?
  let file: URL
  private let probabilityFile: URL
  /// Holds the folder of a prediction that was not asked to be kept.
  private let scratch: ScratchFolder?

  init(_ testCase: TestCase, in folder: URL, ending: String, scratch: ScratchFolder?) {
    identifier = testCase.identifier
    image = testCase.images.first
    file = folder.appending(path: testCase.identifier + ending)
    probabilityFile = folder.appending(path: testCase.identifier + ".npz")
    self.scratch = scratch
  }

  var luaDescription: String { "prediction of \(identifier)" }

  static let schema = ObjectSchema(
    "prediction", "The predicted labels of one case.",
    example: "local p = model:predict{ input=\"case_0000.nii.gz\" }\nprint(p.labels:stats().labels)",
    properties: [
      .field("case", .string, "the case's identifier") { (it: PredictionObject) in .string(it.identifier) },
      .field("path", .path, "the label map's file") { (it: PredictionObject) in .string(it.file.path) },
      .field("labels", .object("volume"), "the label map") { (it: PredictionObject) in
        .object(VolumeObject(try readImage(it.file), path: it.file.path))
      },
      .field("probabilities", .object("tensor"), "probabilities per class, when they were kept, else nil") {
        (it: PredictionObject) in
        guard fileExists(it.probabilityFile) else { return .nil }
        return try readNPZ(it.probabilityFile)["probabilities"].map { .object(TensorObject($0.floats())) }
          ?? .nil
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "prediction:save", "Copies the label map to a file.",
          parameters: [.required("path", .path, "the file")], returns: "the path",
          example: "model:predict{ input=\"case_0000.nii.gz\" }:save(\"out.nii.gz\")")
      ) { (it: PredictionObject, arguments) in
        let data = try Data(contentsOf: it.file)
        try writeAtomically(data, to: fileURL(arguments.string("path")))
        return arguments["path"]
      },
      .method(
        FunctionSchema(
          "prediction:show", "Draws the labels over the image.",
          parameters: [.required("path", .path, "the picture: .png or .svg")], returns: "the picture's path",
          example: "model:predict{ input=\"case_0000.nii.gz\" }:show(\"overlay.png\")")
      ) { (it: PredictionObject, arguments) in
        guard let image = it.image else { throw Diagnostic("the prediction has no image to draw on") }
        let labels = try readLabels(it.file).voxels
        let url = fileURL(try arguments.string("path"))
        try drawOverlay(
          readImage(image), labels: OverlayLabels(prediction: labels), title: it.identifier, to: url)
        return .string(url.path)
      },
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
