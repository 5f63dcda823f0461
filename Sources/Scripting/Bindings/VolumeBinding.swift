// `lunette.volume`: an image or label map with its geometry.

import Figures
import Foundation
import LuaHost
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// A volume in scripts.
final class VolumeObject: ScriptObject {
  let volume: Volume<Float>
  let path: String

  init(_ volume: Volume<Float>, path: String) {
    self.volume = volume
    self.path = path
  }

  var luaForeignByteCount: Int { 4 * volume.voxels.count }
  var luaDescription: String {
    func text(_ values: [some CustomStringConvertible]) -> String {
      values.map(\.description).joined(separator: "×")
    }
    return "volume \(text(volume.shape)) voxels of \(text(volume.geometry.spacing)) mm"
  }

  static let schema = ObjectSchema(
    "volume", "An image or label map with its place in the world; axes are z, y, x.",
    example:
      "local v = assert(lunette.volume(\"image.nii.gz\"))\nprint(v.shape[1], v.spacing[1], v:stats().mean)",
    properties: [
      .field("path", .path, "the file it came from") { (it: VolumeObject) in .string(it.path) },
      .field("shape", .list(.integer), "voxels along z, y, x") { (it: VolumeObject) in .array(it.volume.shape)
      },
      .field("spacing", .list(.number), "millimetres between voxels along z, y, x") { (it: VolumeObject) in
        .array(it.volume.geometry.spacing)
      },
      .field("origin", .list(.number), "the first voxel's place: x, y, z in millimetres, LPS") {
        (it: VolumeObject) in .array(it.volume.geometry.origin)
      },
      .field("direction", .list(.number), "direction cosines, row by row, LPS") { (it: VolumeObject) in
        .array(it.volume.geometry.direction)
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "volume:stats", "Measures the voxels.",
          returns: "a table with min, max, mean, std, nonzero (a share) and, for few whole values, labels",
          example: "print(assert(lunette.volume(\"image.nii.gz\")):stats().mean)")
      ) { (it: VolumeObject, _) in statistics(of: it.volume.voxels.elements) },
      .method(
        FunctionSchema(
          "volume:slice", "Takes one slice.",
          parameters: [
            ParameterSchema("axis", .integer, default: 1, in: 1...3, "1 for z, 2 for y, 3 for x"),
            .required("index", .integer, "which slice, counted from 1"),
          ], positional: 0, returns: "a tensor of two axes",
          example: "local s = assert(lunette.volume(\"image.nii.gz\")):slice{ axis=1, index=20 }")
      ) { (it: VolumeObject, arguments) in try slice(it.volume.voxels, arguments) },
      .method(
        FunctionSchema(
          "volume:tensor", "The voxels as a tensor.", returns: "a tensor of three axes",
          example: "local t = assert(lunette.volume(\"image.nii.gz\")):tensor()")
      ) { (it: VolumeObject, _) in .object(TensorObject(it.volume.voxels)) },
      .method(
        FunctionSchema(
          "volume:show", "Draws slices as a picture, with label maps over them when given.",
          parameters: [
            .required("path", .path, "the picture: .png or .svg"),
            ParameterSchema("overlay", .object("volume"), "a label map drawn over the image"),
            ParameterSchema("reference", .object("volume"), "a second label map, to compare with"),
            ParameterSchema("title", .string, "the picture's title"),
          ], returns: "the picture's path",
          example: "assert(lunette.volume(\"image.nii.gz\")):show{ path=\"image.png\" }")
      ) { (it: VolumeObject, arguments) in try show(it, arguments) },
      .method(
        FunctionSchema(
          "volume:save", "Writes the volume to an image file; the ending decides the format.",
          parameters: [.required("path", .path, "the file, such as copy.nii.gz or copy.nrrd")],
          returns: "the path",
          example: "assert(lunette.volume(\"image.nii.gz\")):save(\"copy.nii.gz\")")
      ) { (it: VolumeObject, arguments) in
        try writeImage(it.volume, to: fileURL(arguments.string("path")))
        return arguments["path"]
      },
    ])

  private static func statistics(of voxels: [Float]) -> LuaValue {
    var (low, high, sum, squares, nonzero) = (Float.infinity, -Float.infinity, 0.0, 0.0, 0)
    var values: Set<Float> = []
    for voxel in voxels {
      low = min(low, voxel)
      high = max(high, voxel)
      sum += Double(voxel)
      squares += Double(voxel) * Double(voxel)
      if voxel != 0 { nonzero += 1 }
      if values.count <= 32 { values.insert(voxel) }
    }
    let count = Double(max(voxels.count, 1))
    let mean = sum / count
    var result: [String: LuaValue] = [
      "min": .number(Double(low)), "max": .number(Double(high)), "mean": .number(mean),
      "std": .number(max(0, squares / count - mean * mean).squareRoot()),
      "nonzero": .number(Double(nonzero) / count),
    ]
    if values.count <= 32, values.allSatisfy({ $0 == $0.rounded() }) {
      result["labels"] = .array(values.sorted().map { Int($0) })
    }
    return .fields(result)
  }

  private static func slice(_ voxels: NDArray<Float>, _ arguments: Arguments) throws -> LuaValue {
    let axis = try arguments.integer("axis") - 1
    let index = try arguments.integer("index") - 1
    guard voxels.shape.indices.contains(axis), index >= 0, index < voxels.shape[axis] else {
      throw Diagnostic(
        "there is no such slice", expected: "an index from 1 to \(voxels.shape[axis])", found: "\(index + 1)")
    }
    let others = voxels.shape.indices.filter { $0 != axis }
    let (rows, columns) = (voxels.shape[others[0]], voxels.shape[others[1]])
    let strides = voxels.strides
    var elements: [Float] = []
    elements.reserveCapacity(rows * columns)
    for row in 0..<rows {
      let start = index * strides[axis] + row * strides[others[0]]
      for column in 0..<columns { elements.append(voxels.elements[start + column * strides[others[1]]]) }
    }
    return .object(TensorObject(NDArray(shape: [rows, columns], elements: elements)))
  }

  private static func show(_ volume: VolumeObject, _ arguments: Arguments) throws -> LuaValue {
    func labels(_ name: String) -> NDArray<Int16>? {
      (arguments[name].object as? VolumeObject)?.volume.voxels.map { Int16(clamping: Int($0.rounded())) }
    }
    let overlay = OverlayLabels(reference: labels("reference"), prediction: labels("overlay"))
    let url = fileURL(try arguments.string("path"))
    let title = arguments["title"].string ?? URL(filePath: volume.path).lastPathComponent
    try drawOverlay(volume.volume, labels: overlay, title: title, to: url)
    return .string(url.path)
  }
}

extension VolumeObject: DrawableObject {
  var figureEnding: String { "png" }

  func draw(to url: URL) throws {
    try drawOverlay(volume, labels: OverlayLabels(), title: URL(filePath: path).lastPathComponent, to: url)
  }
}

extension Binding {
  static let volume = Binding(
    FunctionSchema(
      "lunette.volume", "Reads an image or label map.",
      parameters: [.required("path", .path, "an image file of one channel: NIfTI, NRRD, PNG, ...")],
      returns: "a volume; nil and a message when the file is not there",
      example: "local v = assert(lunette.volume(\"image.nii.gz\"))")
  ) { arguments in
    let url = fileURL(try arguments.string("path"))
    guard fileExists(url) else { return absence("there is no file \(url.path)") }
    return [.object(VolumeObject(try readImage(url), path: url.path))]
  }
}
