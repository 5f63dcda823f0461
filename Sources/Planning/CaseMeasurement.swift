// What the fingerprint measures of one case, and where it is kept until all cases are measured.

import Archives
import Datasets
import Foundation
import Reporting
import Tensors

/// The fingerprint's measurements of one case.
struct CaseMeasurement: Sendable {
  let spacing: [Double]
  let shapeAfterCrop: [Int]
  let relativeSize: Double
  private let foreground: Foreground

  /// Intensities of the labelled voxels, one list per channel, all of the same length.
  private enum Foreground: Sendable {
    case memory([[Float]])
    case file([MappedTensor])
  }

  init(spacing: [Double], shapeAfterCrop: [Int], relativeSize: Double, foreground: [[Float]]) {
    self.spacing = spacing
    self.shapeAfterCrop = shapeAfterCrop
    self.relativeSize = relativeSize
    self.foreground = .memory(foreground)
  }

  var hasForeground: Bool {
    switch foreground {
    case .memory(let channels): channels.first.map { !$0.isEmpty } ?? false
    case .file(let channels): channels.first.map { $0.count > 0 } ?? false
    }
  }

  /// Lends the intensities of one channel's labelled voxels.
  func withForeground(_ channel: Int, _ body: (UnsafeBufferPointer<Float>) -> Void) {
    switch foreground {
    case .memory(let channels): channels[channel].withUnsafeBufferPointer(body)
    case .file(let channels): channels[channel].withBytes { body($0.bindMemory(to: Float.self)) }
    }
  }
}

/// A folder with one file per measured case, there only while a fingerprint is extracted.
struct CaseMeasurementStore: Sendable {
  static let folderName = "fingerprint.lunette"
  private static let format = "lunette case measurement 1"
  let folder: URL

  /// What a measurement depends on: the files, as they are now, and the declared labels.
  static func stamp(of raw: RawCase, description: DatasetDescription) -> String {
    let files = (raw.images + [raw.label]).map { url -> JSON in
      var status = stat()
      guard stat(url.path, &status) == 0 else { return [.string(url.path), .null] }
      return [
        .string(url.path), .integer(Int(status.st_size)), .integer(Int(status.st_mtim.tv_sec)),
        .integer(Int(status.st_mtim.tv_nsec)), .integer(Int(status.st_ino)),
      ]
    }
    let labels = description.labels
    let stamp: JSON = [
      "format": .string(format), "files": .array(files), "labels": JSON(labels.allLabels),
      "ignore": labels.ignoreLabel.map { .integer($0) } ?? .null,
      "channels": .integer(description.channelNames.count),
      "reader": description.json["overwrite_image_reader_writer"] ?? .null,
    ]
    return stamp.text(indent: nil)
  }

  private func url(of identifier: String) -> URL { folder.appending(path: identifier + ".safetensors") }

  /// A case that was measured from the same files; damaged notes count as none.
  func read(_ identifier: String, stamp: String) -> CaseMeasurement? {
    let url = url(of: identifier)
    guard FileManager.default.fileExists(atPath: url.path), let file = try? SafetensorsFile.open(url),
      file.metadata["stamp"] == stamp,
      let json = try? JSON(parsing: file.metadata["measurement"] ?? "", source: url.path),
      let spacing = json["spacing"]?.doubles, let shape = json["shape_after_crop"]?.integers,
      let relativeSize = json["relative_size"]?.double
    else { return nil }
    return CaseMeasurement(
      spacing: spacing, shapeAfterCrop: shape, relativeSize: relativeSize, channels: file.tensors)
  }

  func write(_ measurement: CaseMeasurement, _ identifier: String, stamp: String) throws {
    let json: JSON = [
      "spacing": JSON(measurement.spacing), "shape_after_crop": JSON(measurement.shapeAfterCrop),
      "relative_size": .number(measurement.relativeSize),
    ]
    try SafetensorsFile.write(
      measurement.entries, metadata: [("stamp", stamp), ("measurement", json.text(indent: nil))],
      to: url(of: identifier), isKept: false)
  }

  func removeAll() { try? FileManager.default.removeItem(at: folder) }
}

extension CaseMeasurement {
  fileprivate init(spacing: [Double], shapeAfterCrop: [Int], relativeSize: Double, channels: [MappedTensor]) {
    self.spacing = spacing
    self.shapeAfterCrop = shapeAfterCrop
    self.relativeSize = relativeSize
    foreground = .file(channels)
  }

  fileprivate var entries: [SafetensorsEntry] {
    guard case .memory(let channels) = foreground else { return [] }
    return channels.enumerated().map {
      SafetensorsEntry("channel.\($0)", NDArray(shape: [$1.count], elements: $1))
    }
  }
}
