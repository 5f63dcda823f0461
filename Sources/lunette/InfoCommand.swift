// info: what an image file says about itself, and what is odd about it.

import Archives
import ArgumentParser
import Foundation
import VolumeFormats

/// Describes image files.
struct InfoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "info",
    abstract: "Show an image's format, shape, spacing, position, values and oddities.",
    discussion: """
      Reads NIfTI, NRRD, MetaImage, GIPL, PNG, BMP, JPEG, TIFF and NumPy files, by the ending of the name. The \
      whole file is decoded, so that a damaged one is found.
      """)

  @Argument(help: ArgumentHelp("Image files.", valueName: "file"))
  var files: [String]

  @Flag(help: "Print JSON: an object, or a list of them for several files.")
  var json = false

  func validate() throws {
    if files.isEmpty { throw ValidationError("FILE is missing") }
  }

  func run() throws {
    let reports = try files.map { try ImageReport(of: URL(filePath: $0)) }
    if json {
      let objects = reports.map(\.json)
      Console.print((objects.count == 1 ? objects[0] : .array(objects)).text())
    } else {
      for report in reports { Console.print(report.text) }
    }
  }
}
