// view: slices of an image with labels over them, as a picture or in the terminal.

import ArgumentParser
import Datasets
import Figures
import Foundation
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// Shows slices of one image.
struct ViewCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "view",
    abstract: "Show slices of an image, with labels over them, in the terminal or as a PNG.",
    discussion: """
      Without -o the slices are shown in the terminal: as a picture where it says that it can show one (kitty's \
      protocol or sixel), else in blocks of 24-bit colours. Slices are spread over the image, or over the part that \
      has labels, in true proportions and as radiologists look at them. Labels have their names from the \
      dataset.json beside their folder, if there is one.
      """)

  @Argument(help: ArgumentHelp("Image, of any format that `lunette info` knows.", valueName: "file"))
  var file: String

  @Option(help: ArgumentHelp("Label map to draw over the image.", valueName: "labels"))
  var overlay: String?

  @Option(
    name: .customShort("o"),
    help: ArgumentHelp("Write a .png or .svg in place of showing.", valueName: "file"))
  var output: String?

  @Option(
    help: ArgumentHelp(
      "Across which axis: axial, coronal or sagittal, or the array's z, y or x.", valueName: "axis"))
  var axis = "axial"

  @Option(help: ArgumentHelp("How many slices: 12 in a file, 6 in the terminal.", valueName: "count"))
  var slices: Int?

  @Option(help: ArgumentHelp("Channel of a file with several, counted from 0.", valueName: "number"))
  var channel: Int?

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp(
      "Two intensities: what is black and what is white. If left out, what the image needs.",
      valueName: "value"))
  var window: [Float] = []

  @Option(help: ArgumentHelp("How to show: kitty, sixel or blocks. If left out, what the terminal can."))
  var graphics: String?

  func validate() throws {
    guard (slices ?? 1) > 0 else { throw ValidationError("--slices takes a whole number from 1") }
    guard window.isEmpty || window.count == 2 && window[0] < window[1] else {
      throw ValidationError("--window takes two numbers, the lower first; after `--` if they are negative")
    }
    guard graphics.map({ TerminalGraphics(rawValue: $0) != nil }) ?? true else {
      throw ValidationError("--graphics takes kitty, sixel or blocks, not `\(graphics ?? "")`")
    }
  }

  func run() throws {
    let sheet = try makeSheet()
    if let output {
      try sheet.draw(to: URL(filePath: output))
      Console.print(output)
      return
    }
    let size = Console.size(of: .standardOutput)
    let chosen = graphics.flatMap(TerminalGraphics.init(rawValue:)) ?? TerminalQuery.graphics()
    FileHandle.standardOutput.write(
      Data(
        try sheet.text(for: chosen, columns: size?.columns ?? 80, pixelWidth: size?.pixelWidth).utf8))
  }

  private func makeSheet() throws -> Sheet {
    let url = URL(filePath: file)
    let image = try readChannels(url)
    let shape = Array(image.shape.dropFirst())
    let labels = try readOverlay(shape: shape)
    let channels = try chosenChannels(of: image, shape: shape)
    guard
      let axis = SliceOrientation.axis(named: image.geometry.axisCount == 2 ? "z" : axis, of: image.geometry)
    else {
      throw Diagnostic(
        "there is no axis `\(axis)`", expected: "axial, coronal, sagittal, z, y or x", found: axis,
        remedy: nearestName(to: axis, in: ["axial", "coronal", "sagittal"]).map { "did you mean \($0)?" }
          ?? "leave --axis away")
    }
    let spacing = image.geometry.spacing.map { String(format: "%.4g", $0) }.joined(separator: " × ")
    var sheet = try Sheet(
      of: channels, geometry: image.geometry, labels: labels, axis: axis,
      count: slices ?? (output == nil ? 6 : 12), title: url.lastPathComponent,
      subtitle: image.geometry.axisCount == 2
        ? "" : "\(shape.map(String.init).joined(separator: " × ")) voxels of \(spacing) mm")
    if window.count == 2 {
      sheet.window = DisplayWindow(lower: window[0], upper: window[1])
    } else if channels.count == 1, DisplayWindow.looksLikeTomography(channels[0]) {
      sheet.window = DisplayWindow(ct: channels[0], labels: labels.reference)
    }
    return sheet
  }

  /// Colours of a picture, or one channel.
  private func chosenChannels(of image: Volume<Float>, shape: [Int]) throws -> [NDArray<Float>] {
    let count = shape.reduce(1, *)
    func single(_ index: Int) -> NDArray<Float> {
      NDArray(shape: shape, elements: Array(image.voxels.elements[index * count..<(index + 1) * count]))
    }
    if channel == nil, image.shape[0] == 3, image.geometry.axisCount == 2 { return (0..<3).map(single) }
    guard channel ?? 0 < image.shape[0], channel ?? 0 >= 0 else {
      throw Diagnostic(
        "there is no channel \(channel ?? 0)", at: file, expected: "0 to \(image.shape[0] - 1)",
        found: "\(channel ?? 0)", remedy: "choose another --channel")
    }
    return [single(channel ?? 0)]
  }

  private func readOverlay(shape: [Int]) throws -> OverlayLabels {
    guard let overlay else { return OverlayLabels(entries: []) }
    let url = URL(filePath: overlay)
    let map = try readLabels(url).voxels
    guard map.shape == shape else {
      throw Diagnostic(
        "the labels do not lie on the image", at: overlay,
        expected: "\(shape) voxels (z, y, x) as in \(URL(filePath: file).lastPathComponent)",
        found: "\(map.shape)", remedy: "give the label map of this image")
    }
    let folder = url.absoluteURL.deletingLastPathComponent()
    let descriptions = [folder, folder.deletingLastPathComponent()].map { $0.appending(path: "dataset.json") }
    guard let found = descriptions.first(where: { FileManager.default.fileExists(atPath: $0.path) }),
      let scheme = try? DatasetDescription(contentsOf: found).labels
    else { return OverlayLabels(reference: map) }
    var entries = scheme.foregroundTargets.map {
      OverlayEntry(labels: $0.labels, text: scheme.name(of: $0))
    }
    if let ignored = scheme.ignoreLabel {
      entries.append(OverlayEntry(labels: [ignored], text: "ignore", isIgnored: true))
    }
    return OverlayLabels(reference: map, entries: entries)
  }
}
