// The folder of preprocessed cases, one safetensors file each. Reading patches is PreprocessedCase's business.

import Archives
import Datasets
package import Foundation
package import Planning
package import Reporting
import Tensors

/// Preprocessed cases of one data identifier, in the folder `{data_identifier}.lunette` beside nnU-Net's own.
package struct PreprocessedStore: Sendable {
  package let folder: URL

  /// What ends the name of every store's folder.
  package static let folderEnding = ".lunette"
  private static let fileEnding = ".safetensors"

  package init(folder: URL) { self.folder = folder }

  /// The store of a configuration below a dataset's preprocessed folder.
  package init(datasetFolder: URL, configuration: PlannedConfiguration) {
    self.init(folder: datasetFolder.appending(path: configuration.dataIdentifier + Self.folderEnding))
  }

  /// The file of a case.
  package func url(of identifier: String) -> URL { folder.appending(path: identifier + Self.fileEnding) }

  /// The cases present, sorted by code points; none if there is no folder yet.
  package func identifiers() -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(Self.fileEnding) && !$0.hasPrefix(".") }
      .map { String($0.dropLast(Self.fileEnding.count)) }.sorted(by: precedesByCodePoint)
  }

  /// Writes a case atomically; equal content gives equal bytes.
  ///
  /// `settings` say how the case was made; a case made with others is made again.
  package func write(
    _ arrays: PreprocessedArrays, identifier: String, settings: String
  ) throws(Diagnostic) {
    var entries = [SafetensorsEntry("data", arrays.data), SafetensorsEntry("seg", arrays.segmentation)]
    var keys: [JSON] = []
    if let locations = arrays.foregroundLocations {
      for (index, key) in locations.keys.enumerated() {
        keys.append(key.json)
        entries.append(SafetensorsEntry(PreprocessedCase.locationsName(index), locations[key]))
      }
    }
    try SafetensorsFile.write(
      entries,
      metadata: [
        (PreprocessedCase.MetadataKey.format, PreprocessedCase.format),
        (PreprocessedCase.MetadataKey.properties, arrays.properties.json.text(indent: nil)),
        (PreprocessedCase.MetadataKey.locationKeys, JSON.array(keys).text(indent: nil)),
        (PreprocessedCase.MetadataKey.settings, settings),
      ], to: url(of: identifier))
  }

  /// Opens a case without reading its arrays.
  package func open(_ identifier: String) throws(Diagnostic) -> PreprocessedCase {
    let url = url(of: identifier)
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw Diagnostic(
        "case \(identifier) is not preprocessed", at: url.path, expected: "a file written by preprocessing",
        found: nearestName(to: identifier, in: identifiers()).map { "no such file, the closest is \($0)" }
          ?? "no such file", remedy: "run lunette preprocess for this dataset and configuration")
    }
    return try PreprocessedCase(identifier: identifier, file: SafetensorsFile.open(url))
  }

  /// Whether a case is there, was made with these settings, and is newer than the files it is made from.
  package func isUpToDate(_ identifier: String, settings: String, sources: [URL]) -> Bool {
    guard let written = modificationDate(of: url(of: identifier)), let stored = try? open(identifier),
      stored.settings == settings
    else { return false }
    return sources.allSatisfy { source in modificationDate(of: source).map { $0 <= written } ?? false }
  }

  /// Deletes a case that the dataset no longer has.
  package func remove(_ identifier: String) throws(Diagnostic) {
    do { try FileManager.default.removeItem(at: url(of: identifier)) } catch {
      throw Diagnostic(
        "cannot remove a case that is no longer in the dataset", at: url(of: identifier).path,
        found: error.localizedDescription, remedy: "remove the file by hand")
    }
  }
}

/// When a file was last written, if it exists.
func modificationDate(of url: URL) -> Date? {
  let attributes = try? FileManager.default.attributesOfItem(atPath: url.path)
  return attributes?[.modificationDate] as? Date
}
