// dataset.json as a value: channels, labels, number of cases, file ending. Which files exist is RawDataset's business.

package import Archives
package import Foundation
package import Reporting

/// What a `dataset.json` says.
package struct DatasetDescription: Sendable, Equatable {
  /// Channel names in the order of the file; their texts select the normalisation.
  package let channelNames: [String]
  package let labels: LabelScheme
  /// `numTraining`: how many training cases the dataset claims to have.
  package let trainingCaseCount: Int
  /// With the leading dot, such as `.nii.gz`.
  package let fileEnding: String
  /// The reader and writer class that the dataset insists on, if any.
  package let readerWriter: String?
  /// The explicit case list of the `dataset` key; replaces the folder scan.
  package let listedCases: [ListedCase]?
  /// The whole file, keys that mean nothing here included.
  package let json: JSON
  /// Where it came from, for error texts.
  package let source: String

  /// One entry of the `dataset` key, with paths as written.
  package struct ListedCase: Sendable, Equatable {
    package let identifier: String
    package let images: [String]
    package let label: String
  }

  /// Reads and checks a `dataset.json`.
  package init(contentsOf url: URL) throws(Diagnostic) {
    try self.init(json: JSON(contentsOf: url), source: url.path)
  }

  /// Checks a parsed `dataset.json`; `source` names it in errors.
  package init(json: JSON, source: String) throws(Diagnostic) {
    guard json.object != nil else {
      throw Self.malformed(
        source, "an object at the top level", json.kind, "start from another dataset's dataset.json")
    }
    self.json = json
    self.source = source
    channelNames = try Self.channelNames(json, source)
    labels = try Self.labels(json, source)
    guard let count = json["numTraining"]?.integer, count >= 0 else {
      throw Self.malformed(
        source, "\"numTraining\": the number of training cases",
        json["numTraining"]?.kind ?? "no such key",
        "set \"numTraining\" to the number of cases in imagesTr")
    }
    trainingCaseCount = count
    guard let ending = json["file_ending"]?.string, ending.hasPrefix("."),
      !ending.contains(where: \.isWhitespace)
    else {
      throw Self.malformed(
        source, "\"file_ending\" with its leading dot and no spaces, such as \".nii.gz\"",
        json["file_ending"]?.text(indent: nil) ?? "no such key", "set \"file_ending\": \".nii.gz\"")
    }
    fileEnding = ending
    let reader = json["overwrite_image_reader_writer"]?.string
    readerWriter = reader == "None" ? nil : reader
    listedCases = try Self.listedCases(json, source)
  }

  /// The same dataset with other labels painted for its regions; itself for `nil`.
  package func paintingRegions(in order: [Int]?) throws(Diagnostic) -> DatasetDescription {
    guard let order else { return self }
    guard labels.hasRegions else {
      throw Diagnostic(
        "the model predicts labels, not regions", at: source, expected: "no order of regions",
        found: "\(order)", remedy: "leave the order away")
    }
    let count = labels.foregroundRegions.count
    guard order.count == count, order.allSatisfy({ (1...255).contains($0) }), Set(order).count == count else {
      throw Diagnostic(
        "this is no order of the model's regions",
        expected: "\(count) different labels from 1 to 255, one for each of "
          + labels.foregroundRegions.map(labels.name).joined(separator: ", "),
        found: order.map(String.init).joined(separator: " "),
        remedy: "give a label for each region, later ones are painted over earlier ones")
    }
    var object = json.object ?? JSONObject()
    object["regions_class_order"] = JSON(order)
    return try DatasetDescription(json: .object(object), source: source)
  }

  /// The description of maps in which the regions of this one were painted in its order.
  ///
  /// Where the painted labels are not the dataset's own, a region is what its own and the regions within it were painted
  /// with.
  package func describingPaintedMaps() throws(Diagnostic) -> DatasetDescription {
    guard let order = labels.regionsClassOrder, labels.hasRegions else { return self }
    let regions = labels.foregroundRegions.map { Set($0.labels) }
    guard zip(regions, order).contains(where: { !$0.contains($1) }) else { return self }
    var painted: [LabelValue: JSON] = [:]
    for (region, labels) in zip(labels.foregroundRegions, regions) {
      painted[region] = JSON(zip(regions, order).filter { $0.0.isSubset(of: labels) }.map(\.1))
    }
    var object = json.object ?? JSONObject()
    object["labels"] = .object(
      // No map that was predicted has the ignore label.
      JSONObject(
        labels.entries.filter { $0.name != "ignore" }.map { ($0.name, painted[$0.value] ?? .integer(0)) }))
    return try DatasetDescription(json: .object(object), source: source)
  }

  private static func malformed(
    _ source: String, _ expected: String, _ found: String, _ remedy: String
  ) -> Diagnostic {
    Diagnostic("dataset.json is not usable", at: source, expected: expected, found: found, remedy: remedy)
  }

  private static func channelNames(_ json: JSON, _ source: String) throws(Diagnostic) -> [String] {
    let key = json["channel_names"] == nil && json["modality"] != nil ? "modality" : "channel_names"
    guard let object = json[key]?.object, !object.isEmpty else {
      throw malformed(
        source, "\"channel_names\": {\"0\": \"CT\", ...}", json[key]?.kind ?? "no such key",
        "add \"channel_names\" with one entry per input channel")
    }
    var names: [String] = []
    for (channel, value) in object.pairs {
      guard let name = value.string else {
        throw malformed(
          source, "a text for channel \"\(channel)\"", value.kind,
          "name the channel, such as \"CT\" or \"T1\"")
      }
      names.append(name)
    }
    return names
  }

  private static func labels(_ json: JSON, _ source: String) throws(Diagnostic) -> LabelScheme {
    guard let object = json["labels"]?.object, !object.isEmpty else {
      throw malformed(
        source, "\"labels\": {\"background\": 0, ...}", json["labels"]?.kind ?? "no such key",
        "add \"labels\" with a number per label")
    }
    var entries: [LabelScheme.Entry] = []
    for (name, value) in object.pairs {
      if let label = value.integer {
        entries.append(.init(name: name, value: .label(label)))
      } else if let region = value.integers, !region.isEmpty {
        entries.append(.init(name: name, value: .region(region)))
      } else {
        let swapped = Int(name) != nil && value.string != nil
        throw malformed(
          source, "a whole number or a list of them for the label \"\(name)\"", value.kind,
          swapped ? "swap keys and values: \"\(value.string ?? "")\": \(name)" : "correct the value")
      }
    }
    let order = json["regions_class_order"]
    if let order, !order.isNull, order.integers == nil {
      throw malformed(
        source, "\"regions_class_order\": a list of label values", order.kind,
        "list one label per foreground region")
    }
    return try LabelScheme(entries: entries, regionsClassOrder: order?.integers, source: source)
  }

  private static func listedCases(_ json: JSON, _ source: String) throws(Diagnostic) -> [ListedCase]? {
    guard let value = json["dataset"], !value.isNull else { return nil }
    guard let object = value.object else {
      throw malformed(
        source, "\"dataset\": {case: {\"images\": [...], \"label\": ...}}", value.kind,
        "correct the list, or remove it to scan imagesTr")
    }
    var cases: [ListedCase] = []
    for (identifier, entry) in object.pairs {
      guard let images = entry["images"]?.strings, !images.isEmpty,
        let label = entry["label"]?.string
      else {
        throw malformed(
          source, "\"images\" (a list of paths) and \"label\" (a path) for the case \"\(identifier)\"",
          entry.kind,
          "correct the entry under \"dataset\"")
      }
      cases.append(ListedCase(identifier: identifier, images: images, label: label))
    }
    return cases
  }
}
