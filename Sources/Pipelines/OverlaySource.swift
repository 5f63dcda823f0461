// Where the pictures of overlays come from: raw files with or without predictions, or preprocessed cases.

import Datasets
import Evaluation
import Figures
import Foundation
import Planning
import Preprocessing
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// Cases that can be drawn, one at a time.
protocol OverlaySource: Sendable {
  var identifiers: [String] { get }
  /// Bytes that reading and drawing a case takes.
  func predictedBytes(of index: Int) -> Int
  func figure(of index: Int) throws -> OverlayFigure
}

/// Training cases as their files have them.
struct RawOverlays: OverlaySource {
  let cases: [RawCase]
  let description: DatasetDescription
  let datasetName: String
  /// The channel to show; `nil` shows colours where there are some, else the first.
  let channel: Int?
  /// Where predictions lie, named as the label files.
  let predictions: URL?

  var identifiers: [String] { cases.map(\.identifier) }

  func predictedBytes(of index: Int) -> Int {
    guard let file = cases[index].images.first, let information = try? readImageInformation(file) else {
      return 0
    }
    // Floats and their decoding, two label maps and theirs.
    return information.shape.reduce(16 * information.channelCount + 16, *)
  }

  func figure(of index: Int) throws -> OverlayFigure {
    let item = cases[index]
    let (channels, geometry, name) = try image(of: item)
    let reference = try readLabels(item.label, as: item.reader)
    let prediction = try predictions.map {
      try readLabels($0.appending(path: item.identifier + description.fileEnding), as: item.reader)
    }
    let files = [(item.label, reference)] + (prediction.map { [(predictions ?? item.label, $0)] } ?? [])
    for (file, map) in files where map.shape != channels[0].shape {
      throw Diagnostic(
        "image and label map of case \(item.identifier) differ in size", at: file.path,
        expected: "\(channels[0].shape) voxels (z, y, x) as in the image", found: "\(map.shape)",
        remedy: "resample the label map onto the image, or replace it by the right file")
    }
    let window =
      name.lowercased() == "ct"
      ? DisplayWindow(ct: channels[0], labels: reference.voxels) : DisplayWindow(joint: channels)
    var figure = OverlayFigure(
      channels: channels, geometry: geometry, window: window,
      labels: overlayLabels(
        description.labels, reference: reference.voxels, prediction: prediction?.voxels),
      title: item.identifier)
    figure.subtitle = overlaySubtitle(
      [datasetName, name] + (predictions.map { ["predictions of \($0.lastPathComponent)"] } ?? []), figure)
    return figure
  }

  /// The channels to show and their name.
  private func image(of item: RawCase) throws -> ([NDArray<Float>], ImageGeometry, String) {
    let count = description.channelNames.count
    if let index = channel ?? (description.hasColors ? nil : 0) {
      let name =
        description.channelNames.indices.contains(index) ? description.channelNames[index] : "\(index)"
      // Files of one channel each need not all be read.
      if item.images.count == count {
        let volume = try readImage(item.images[index], as: item.reader)
        return ([volume.voxels], volume.geometry, name)
      }
      let loaded = try readCase(
        TestCase(identifier: item.identifier, images: item.images, reader: item.reader), channelCount: count)
      return ([loaded.channels[index].voxels], loaded.geometry, name)
    }
    let loaded = try readCase(
      TestCase(identifier: item.identifier, images: item.images, reader: item.reader), channelCount: count)
    return (loaded.channels.map(\.voxels), loaded.geometry, "colours")
  }
}

/// Cases as a configuration of the plans has preprocessed them.
struct PreprocessedOverlays: OverlaySource {
  let store: PreprocessedStore
  let identifiers: [String]
  let plans: Plans
  let configuration: PlannedConfiguration
  let description: DatasetDescription
  let channel: Int?

  func predictedBytes(of index: Int) -> Int {
    guard let item = try? store.open(identifiers[index]) else { return 0 }
    return item.shape.reduce(8 * item.channelCount + 8, *)
  }

  func figure(of index: Int) throws -> OverlayFigure {
    let item = try store.open(identifiers[index])
    let hasColors = channel == nil && description.hasColors && item.channelCount == 3
    let shown = hasColors ? Array(0..<3) : [channel ?? 0]
    guard shown.allSatisfy({ $0 < item.channelCount }) else {
      throw Diagnostic(
        "there is no channel \(channel ?? 0)", expected: "0 to \(item.channelCount - 1)",
        found: "\(channel ?? 0)", remedy: "choose another -channel_idx")
    }
    let segmentation = item.wholeSegmentation()
    let image = item.wholeImage()
    let count = item.shape.reduce(1, *)
    let channels = shown.map { channel in
      // What lay outside the image's nonzero part is no tissue: it is black.
      let voxels = zip(image.elements[channel * count..<(channel + 1) * count], segmentation.elements).map {
        $1 < 0 ? -Float.infinity : $0
      }
      return NDArray(shape: item.shape, elements: voxels)
    }
    var figure = OverlayFigure(
      channels: channels, geometry: geometry(of: item),
      labels: overlayLabels(description.labels, reference: segmentation.map { max(0, $0) }, prediction: nil),
      title: item.identifier)
    let name = hasColors ? "colours" : description.channelNames.dropFirst(shown[0]).first ?? "\(shown[0])"
    figure.subtitle = overlaySubtitle(
      [plans.datasetName, name, "preprocessed for \(configuration.name)"], figure)
    return figure
  }

  /// The file's directions in the axis order of the plans, with the spacing of the configuration.
  private func geometry(of item: PreprocessedCase) -> ImageGeometry {
    let file = item.properties.geometry
    let order = plans.transposeForward
    let own = order.map { item.properties.spacing[$0] }
    let spacing = configuration.spacing.count < 3 ? [own[0]] + configuration.spacing : configuration.spacing
    var direction = file.direction
    for (axis, source) in order.enumerated() {
      for row in 0..<3 { direction[3 * row + 2 - axis] = file.direction[3 * row + 2 - source] }
    }
    return ImageGeometry(
      spacing: spacing, origin: file.origin, direction: direction, nifti: file.nifti,
      axisCount: file.axisCount)
  }
}

extension DatasetDescription {
  /// Whether the channels are the three colours of pictures.
  var hasColors: Bool {
    let names = channelNames.map { $0.lowercased() }
    return names == ["r", "g", "b"] || names == ["red", "green", "blue"]
  }
}

/// The labels of a scheme, each with its Dice where there is a prediction.
private func overlayLabels(
  _ scheme: LabelScheme, reference: NDArray<Int16>, prediction: NDArray<Int16>?
) -> OverlayLabels {
  let targets = scheme.foregroundTargets
  let scores = prediction.map {
    ConfusionCounts.count(
      of: targets, reference: reference, prediction: $0, ignoreLabel: scheme.ignoreLabel
    ).map(\.dice)
  }
  var entries = targets.enumerated().map { index, target in
    let score = scores.map { $0[index].isFinite ? ": Dice \(JobReport.figure($0[index]))" : ": in neither" }
    return OverlayEntry(labels: target.labels, text: scheme.name(of: target) + (score ?? ""))
  }
  if let ignored = scheme.ignoreLabel {
    entries.append(OverlayEntry(labels: [ignored], text: "ignore", isIgnored: true))
  }
  return OverlayLabels(reference: reference, prediction: prediction, entries: entries)
}

private func overlaySubtitle(_ parts: [String], _ figure: OverlayFigure) -> String {
  let shape = figure.channels[0].shape
  let size =
    figure.geometry.axisCount == 2
    ? "\(shape[2]) × \(shape[1]) pixels"
    : "\(shape.map(String.init).joined(separator: " × ")) voxels of "
      + figure.geometry.spacing.map { String(format: "%.4g", $0) }.joined(separator: " × ") + " mm"
  return (parts + [size]).joined(separator: "  ·  ")
}
