// Predictions of scripts: one case or many, kept in a folder or for as long as the object lives.

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

/// What a script asks to predict, and where to.
struct PredictionJob {
  private let input: PredictionInput
  private let cases: [TestCase]
  private let output: URL?
  private let fileEnding: String
  /// Whether one image was named, whose prediction needs no folder.
  private let isSingle: Bool

  init(_ model: ModelObject, _ arguments: Arguments) throws {
    let given = arguments["input"]
    let paths = try given.table?.array.compactMap(\.string) ?? [arguments.string("input")]
    input = PredictionInput(paths.map { fileURL($0) })
    output = arguments["output"].string.map { fileURL($0) }
    fileEnding = model.description.fileEnding
    isSingle = given.table == nil && paths[0].hasSuffix(fileEnding)
    guard isSingle || output != nil else {
      throw Diagnostic("more than one image needs an output folder", remedy: "output=\"DIR\"")
    }
    cases = try input.cases(
      fileEnding: fileEnding, reader: ImageReader(rawValue: model.plans.readerWriter))
  }

  /// Runs `predict` and gives the predictions as objects.
  func run(_ predict: (PredictionInput, URL) throws -> Void) throws -> LuaValue {
    let scratch = output == nil ? try ScratchFolder() : nil
    guard let folder = output ?? scratch?.url else { preconditionFailure("one of both is there") }
    try predict(input, folder)
    let objects = cases.map {
      LuaValue.object(PredictionObject($0, in: folder, ending: fileEnding, scratch: scratch))
    }
    return isSingle ? objects[0] : .array(objects)
  }
}

/// A predicted case in scripts.
final class PredictionObject: ScriptObject {
  private let identifier: String
  private let image: URL?
  let file: URL
  private let probabilityFile: URL
  private let ending: String
  /// Holds the folder of a prediction that was not asked to be kept.
  private let scratch: ScratchFolder?

  init(_ testCase: TestCase, in folder: URL, ending: String, scratch: ScratchFolder?) {
    identifier = testCase.identifier
    image = testCase.images.first
    self.ending = ending
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
          "prediction:save", "Writes the label map to a file; the ending decides the format.",
          parameters: [.required("path", .path, "the file, such as out.nii.gz or out.nrrd")],
          returns: "the path",
          example: "model:predict{ input=\"case_0000.nii.gz\" }:save(\"out.nii.gz\")")
      ) { (it: PredictionObject, arguments) in
        let url = fileURL(try arguments.string("path"))
        if url.lastPathComponent.hasSuffix(it.ending) {
          try copyAtomically(it.file, to: url, as: "the prediction")
        } else {
          let labels = try readLabels(it.file)
          try writeLabels(labels, to: url, maximumLabel: Int(labels.voxels.elements.max() ?? 0))
        }
        return arguments["path"]
      },
      .method(
        FunctionSchema(
          "prediction:show", "Draws the labels over the image.",
          parameters: [.required("path", .path, "the picture: .png or .svg")], returns: "the picture's path",
          example: "model:predict{ input=\"case_0000.nii.gz\" }:show(\"overlay.png\")")
      ) { (it: PredictionObject, arguments) in
        let url = fileURL(try arguments.string("path"))
        try it.draw(to: url)
        return .string(url.path)
      },
    ])
}

extension PredictionObject: DrawableObject {
  var figureEnding: String { "png" }

  func draw(to url: URL) throws {
    guard let image else { throw Diagnostic("the prediction has no image to draw on") }
    let labels = try readLabels(file).voxels
    try drawOverlay(
      readImage(image), labels: OverlayLabels(prediction: labels), title: identifier, to: url)
  }
}
