// dataset_fingerprint.json as a value. Measuring it is FingerprintExtractor's.

package import Archives
package import Foundation
package import Reporting

/// What planning needs to know of a dataset's images.
package struct DatasetFingerprint: Sendable, Equatable {
  package static let fileName = "dataset_fingerprint.json"

  /// Per case, in the axis order of the files.
  ///
  /// - Units: mm
  package var spacings: [[Double]]
  /// Per case, after cropping to nonzero.
  ///
  /// - Units: voxels
  package var shapesAfterCrop: [[Int]]
  /// Per channel.
  package var foregroundIntensities: [IntensityStatistics]
  /// The median over cases of the share of voxels that cropping keeps.
  package var medianRelativeSizeAfterCropping: Double
  /// The intensity statistics as they stand in the file, which plans copy.
  package private(set) var intensitiesJSON: JSON

  package init(
    spacings: [[Double]], shapesAfterCrop: [[Int]], foregroundIntensities: [IntensityStatistics],
    medianRelativeSizeAfterCropping: Double
  ) {
    self.spacings = spacings
    self.shapesAfterCrop = shapesAfterCrop
    self.foregroundIntensities = foregroundIntensities
    self.medianRelativeSizeAfterCropping = medianRelativeSizeAfterCropping
    let channels = foregroundIntensities.enumerated().map { ("\($0)", $1.json) }
    intensitiesJSON = .object(JSONObject(channels.sorted { precedes($0.0, $1.0) }))
  }

  /// Reads a `dataset_fingerprint.json`.
  package init(contentsOf url: URL) throws(Diagnostic) {
    try self.init(json: JSON(contentsOf: url), source: url.path)
  }

  /// Checks a parsed fingerprint; `source` names it in errors.
  package init(json: JSON, source: String) throws(Diagnostic) {
    func unusable(_ expected: String, _ found: String) -> Diagnostic {
      Diagnostic(
        "the fingerprint is not usable", at: source, expected: expected, found: found,
        remedy: "extract it again with extract_fingerprint --clean")
    }
    guard let spacings = json["spacings"]?.array?.compactMap(\.doubles), !spacings.isEmpty,
      spacings.count == json["spacings"]?.array?.count,
      spacings.allSatisfy({ $0.count == 3 && $0.allSatisfy { $0 > 0 && $0.isFinite } })
    else {
      throw unusable("\"spacings\": three positive numbers per case", json["spacings"]?.kind ?? "no such key")
    }
    guard let shapes = json["shapes_after_crop"]?.array?.compactMap(\.integers),
      shapes.count == spacings.count,
      shapes.allSatisfy({ $0.count == 3 && $0.allSatisfy { $0 > 0 } })
    else {
      throw unusable(
        "\"shapes_after_crop\": three whole numbers for each of \(spacings.count) cases",
        json["shapes_after_crop"]?.kind ?? "no such key")
    }
    guard let relativeSize = json["median_relative_size_after_cropping"]?.double else {
      throw unusable(
        "\"median_relative_size_after_cropping\": a number",
        json["median_relative_size_after_cropping"]?.kind ?? "no such key")
    }
    let intensities = json["foreground_intensity_properties_per_channel"]
    foregroundIntensities = try IntensityStatistics.channels(intensities, place: source)
    intensitiesJSON = intensities ?? .null
    self.spacings = spacings
    shapesAfterCrop = shapes
    medianRelativeSizeAfterCropping = relativeSize
  }

  package var json: JSON {
    [
      "foreground_intensity_properties_per_channel": intensitiesJSON,
      "median_relative_size_after_cropping": .number(medianRelativeSizeAfterCropping),
      "shapes_after_crop": .array(shapesAfterCrop.map { JSON($0) }),
      "spacings": .array(spacings.map { JSON($0) }),
    ]
  }

  /// Writes the file with sorted keys, as nnU-Net does.
  package func write(to url: URL) throws(Diagnostic) { try json.write(to: url, sortedKeys: true) }
}

/// Order of JSON keys in files with sorted keys.
private func precedes(_ a: String, _ b: String) -> Bool { a.utf8.lexicographicallyPrecedes(b.utf8) }
