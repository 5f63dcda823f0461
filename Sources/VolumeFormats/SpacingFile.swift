// The JSON file that gives the spacing of formats which have none: `{"spacing": [z, y, x]}` beside the image.

import Archives
import Foundation
import Reporting

/// nnU-Net's spacing file: `CASE.json` for the images `CASE_0000.tif` and for the label map `CASE.tif`.
enum SpacingFile {
  /// The spacing of an image, if the file is there.
  static func read(besides image: URL, isLabelMap: Bool) throws -> [Double]? {
    let url = location(of: image, isLabelMap: isLabelMap)
    guard FileManager.default.fileExists(atPath: url.path) else { return nil }
    let json = try JSON(contentsOf: url)
    guard let spacing = json["spacing"]?.doubles, spacing.count == 3,
      spacing.allSatisfy({ $0 > 0 && $0.isFinite })
    else {
      throw ImageFileError.badHeader(
        url.path, field: "spacing", expected: "three positive numbers: z, y, x",
        found: json["spacing"]?.text(indent: nil) ?? "no such key")
    }
    return spacing
  }

  /// Writes the spacing of a label map, unless a file that says the same is there.
  static func write(_ spacing: [Double], besides image: URL) throws {
    let url = location(of: image, isLabelMap: true)
    if let there = try? read(besides: image, isLabelMap: true), there == spacing { return }
    try JSON.object(["spacing": JSON(spacing)]).write(to: url)
  }

  private static func location(of image: URL, isLabelMap: Bool) -> URL {
    var name = image.lastPathComponent[...]
    name = name.dropLast(ImageFormat.ending(of: String(name))?.count ?? 0)
    let digits = name.utf8.suffix(5)
    let hasChannel =
      digits.first == UInt8(ascii: "_") && digits.dropFirst().allSatisfy { (0x30...0x39).contains($0) }
    if !isLabelMap, hasChannel, digits.count == 5 { name = name.dropLast(5) }
    return image.deletingLastPathComponent().appending(path: name + ".json")
  }
}
