// One case with all its channels read and checked against each other. C channels, Z Y X array axes.

import Foundation
import Reporting
import Tensors
import VolumeFormats
package import Volumes

/// A case in memory, in the axis order of its files.
package struct LoadedCase: Sendable {
  package let identifier: String
  /// Each channel as an image of its own.
  ///
  /// - Shape: each `[Z, Y, X]`
  package var channels: [Volume<Float>]
  /// The geometry of the first channel.
  package var geometry: ImageGeometry
  /// - Shape: `[Z, Y, X]`
  package var labels: Volume<Int16>?

  /// - Shape: of every channel and the labels, `[Z, Y, X]`
  package var shape: [Int] { channels[0].shape }

  package init(
    identifier: String, channels: [Volume<Float>], geometry: ImageGeometry, labels: Volume<Int16>?
  ) {
    self.identifier = identifier
    self.channels = channels
    self.geometry = geometry
    self.labels = labels
  }
}

/// Reads a training case; channels and label must have the same size.
package func readCase(_ raw: RawCase, channelCount: Int) throws -> LoadedCase {
  var loaded = try readCase(
    TestCase(identifier: raw.identifier, images: raw.images, reader: raw.reader), channelCount: channelCount)
  guard FileManager.default.fileExists(atPath: raw.label.path) else {
    throw Diagnostic(
      "case \(raw.identifier) has no label file", at: raw.label.path, expected: "a label map",
      found: "no such file",
      remedy: "add the file, or remove the case's images and lower \"numTraining\"")
  }
  let labels = try readLabels(raw.label, as: raw.reader)
  let shape = loaded.shape
  guard labels.shape == shape else {
    throw Diagnostic(
      "image and label of case \(raw.identifier) differ in size", at: raw.label.path,
      expected: "\(shape) voxels (z, y, x) as in the image", found: "\(labels.shape)",
      remedy: "resample the label map onto the image, or replace it by the right file")
  }
  loaded.labels = labels
  return loaded
}

/// Reads the channels of a case; all must have the same size and spacing.
///
/// A file may hold several.
package func readCase(_ raw: TestCase, channelCount: Int) throws -> LoadedCase {
  guard let first = raw.images.first, raw.images.count <= channelCount else {
    throw wrongChannelCount(raw, expected: channelCount, found: raw.images.count)
  }
  let reference = try readChannels(first, as: raw.reader)
  let shape = Array(reference.shape.dropFirst())
  var channels = split(reference)
  for url in raw.images.dropFirst() {
    let image = try readChannels(url, as: raw.reader)
    guard image.shape.dropFirst().elementsEqual(shape),
      areClose(image.geometry.spacing, reference.geometry.spacing)
    else {
      throw Diagnostic(
        "channels of case \(raw.identifier) do not match", at: url.path,
        expected:
          "\(shape) voxels (z, y, x) of \(reference.geometry.spacing) mm as in \(first.lastPathComponent)",
        found: "\(Array(image.shape.dropFirst())) voxels of \(image.geometry.spacing) mm",
        remedy: "resample all channels of the case onto one grid")
    }
    channels += split(image)
  }
  guard channels.count == channelCount else {
    throw wrongChannelCount(raw, expected: channelCount, found: channels.count)
  }
  return LoadedCase(
    identifier: raw.identifier, channels: channels, geometry: reference.geometry, labels: nil)
}

/// The channels of one file as images of their own.
private func split(_ image: Volume<Float>) -> [Volume<Float>] {
  let shape = Array(image.shape.dropFirst())
  if image.shape[0] == 1 { return [Volume(voxels: image.voxels.reshaped(shape), geometry: image.geometry)] }
  let count = shape.reduce(1, *)
  return (0..<image.shape[0]).map {
    let voxels = NDArray(shape: shape, elements: Array(image.voxels.elements[$0 * count..<($0 + 1) * count]))
    return Volume(voxels: voxels, geometry: image.geometry)
  }
}

private func wrongChannelCount(_ raw: TestCase, expected: Int, found: Int) -> Diagnostic {
  Diagnostic(
    "case \(raw.identifier) has the wrong number of channels", at: raw.images.first?.path ?? raw.identifier,
    expected: "\(expected), one per entry of \"channel_names\"",
    found: "\(found): \(raw.images.map(\.lastPathComponent).joined(separator: ", "))",
    remedy: "add the missing channels, or correct \"channel_names\" in dataset.json")
}

/// Whether two vectors agree up to rounding, with NumPy's default tolerances.
package func areClose(_ a: [Double], _ b: [Double]) -> Bool {
  let relative = 1e-5
  let absolute = 1e-8
  return a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= absolute + relative * abs($1) }
}
