// A preprocessed case on disk: patches are read from the mapped file without loading the case.
// C channels, Z Y X array axes (slowest first)

import Archives
import Foundation
import Reporting
package import Tensors
package import Volumes

/// An open preprocessed case; patches may be read from several threads.
package struct PreprocessedCase: Sendable {
  package let identifier: String
  /// Extents of image and segmentation.
  ///
  /// - Shape: `[Z, Y, X]`
  package let shape: [Int]
  package let channelCount: Int
  package let properties: CaseProperties
  package let foregroundLocations: ForegroundLocations
  /// How the case was made.
  package let settings: String
  private let data: MappedTensor
  private let segmentation: MappedTensor

  static let format = "lunette preprocessed 1"

  enum MetadataKey {
    static let format = "format"
    static let properties = "properties"
    static let locationKeys = "location_keys"
    static let settings = "settings"
  }

  static func locationsName(_ index: Int) -> String { "locations.\(index)" }

  init(identifier: String, file: SafetensorsFile) throws(Diagnostic) {
    func unusable(_ expected: String, _ found: String) -> Diagnostic {
      Diagnostic(
        "a preprocessed case is not usable", at: file.path, expected: expected, found: found,
        remedy: "delete the file and preprocess again")
    }
    guard file.metadata[MetadataKey.format] == Self.format else {
      throw unusable("format \"\(Self.format)\"", file.metadata[MetadataKey.format] ?? "no format")
    }
    data = try file.tensor(named: "data")
    segmentation = try file.tensor(named: "seg")
    guard data.dataType == .float32, data.shape.count == 4, segmentation.dataType == .int16,
      Array(data.shape.dropFirst()) == segmentation.shape
    else {
      throw unusable(
        "float32 data [C, Z, Y, X] and int16 seg [Z, Y, X]",
        "\(data.dataType) \(data.shape) and \(segmentation.dataType) \(segmentation.shape)")
    }
    self.identifier = identifier
    shape = segmentation.shape
    channelCount = data.shape[0]
    settings = file.metadata[MetadataKey.settings] ?? ""
    properties = try CaseProperties(
      json: JSON(parsing: file.metadata[MetadataKey.properties] ?? "", source: file.path), source: file.path)
    let keys =
      try JSON(parsing: file.metadata[MetadataKey.locationKeys] ?? "[]", source: file.path).array ?? []
    var entries: [(key: ForegroundKey, locations: NDArray<Int32>)] = []
    for (index, json) in keys.enumerated() {
      let tensor = try file.tensor(named: Self.locationsName(index))
      let locations = try tensor.integers(Int32.self)
      guard let key = ForegroundKey(json: json), locations.shape.count == 2, locations.shape[1] == 3 else {
        throw unusable("locations [n, 3]", "\(tensor.name) \(tensor.shape) for key \(json.text(indent: nil))")
      }
      entries.append((key, locations))
    }
    foregroundLocations = ForegroundLocations(entries)
  }

  /// The image inside a box, which may reach beyond the case.
  ///
  /// - Shape: `[C] + box.shape`
  package func readImage(box: BoundingBox, fill: Float = 0) -> NDArray<Float> {
    data.read(box: box, of: shape, channelCount: channelCount, fill: fill)
  }

  /// The segmentation inside a box, which may reach beyond the case.
  ///
  /// - Shape: `box.shape`
  package func readSegmentation(box: BoundingBox, fill: Int16 = -1) -> NDArray<Int16> {
    segmentation.read(box: box, of: shape, channelCount: 1, fill: fill).reshaped(box.shape)
  }

  /// The whole image, `[C, Z, Y, X]`.
  package func wholeImage() -> NDArray<Float> { readImage(box: BoundingBox(lower: [0, 0, 0], upper: shape)) }

  /// The whole segmentation, `[Z, Y, X]`.
  package func wholeSegmentation() -> NDArray<Int16> {
    readSegmentation(box: BoundingBox(lower: [0, 0, 0], upper: shape))
  }
}

extension ForegroundKey {
  var json: JSON {
    switch self {
    case .label(let label): .integer(label)
    case .region(let labels): JSON(labels)
    case .annotated: "annotated"
    }
  }

  init?(json: JSON) {
    if let label = json.integer {
      self = .label(label)
    } else if let labels = json.integers {
      self = .region(labels)
    } else if json.string == "annotated" {
      self = .annotated
    } else {
      return nil
    }
  }
}
