// nnUNetPlans.json: reading, resolving inheritance, merging, writing. Deciding what is in it is ExperimentPlanner's.

package import Archives
package import Datasets
package import Foundation
package import Reporting

/// A plans file: what was decided for a dataset, per configuration.
///
/// The JSON is kept whole, so that keys of other programs survive a round trip.
package struct Plans: Sendable, Equatable {
  package static let defaultName = "nnUNetPlans"

  package let datasetName: String
  package let plansName: String
  /// nnU-Net's name of the reader and writer of the dataset's files.
  package let readerWriter: String
  /// Axis `i` of transposed arrays is axis `transposeForward[i]` of the file's.
  package let transposeForward: [Int]
  /// The inverse of ``transposeForward``.
  package let transposeBackward: [Int]
  /// Per channel.
  package let foregroundIntensities: [IntensityStatistics]
  /// The planner that made the plans.
  package let plannerName: String
  /// The whole file.
  package let json: JSONObject
  /// Where it came from, for error texts.
  package private(set) var source: String
  /// Why each value is what it is; empty for plans read from a file.
  package var explanations: [PlanExplanation] = []
  /// The painting order of regions that a rule decided, if one did; it belongs into `dataset.json`.
  package var regionOrder: [Int]?

  /// Reads a plans file.
  package init(contentsOf url: URL) throws(Diagnostic) {
    try self.init(json: JSON(contentsOf: url), source: url.path)
  }

  /// Checks parsed plans; `source` names them in errors.
  package init(json: JSON, source: String) throws(Diagnostic) {
    let object = json.object ?? JSONObject()
    let reader = PlanReader(object: object, place: source)
    self.json = object
    self.source = source
    datasetName = try reader.value("dataset_name", "a text", \.string)
    plansName = try reader.value("plans_name", "a text", \.string)
    readerWriter = object["image_reader_writer"]?.string ?? "SimpleITKIO"
    let forward = try reader.value("transpose_forward", "three axis numbers", \.integers)
    let backward = try reader.value("transpose_backward", "three axis numbers", \.integers)
    guard forward.sorted() == [0, 1, 2], backward.count == 3, forward.map({ backward[$0] }) == [0, 1, 2]
    else {
      throw reader.unusable(
        "\"transpose_forward\" a permutation of 0, 1, 2 and \"transpose_backward\" its inverse",
        "\(forward) and \(backward)")
    }
    transposeForward = forward
    transposeBackward = backward
    plannerName = object["experiment_planner_used"]?.string ?? "unknown"
    let intensities =
      object["foreground_intensity_properties_per_channel"]
      ?? object["foreground_intensity_properties_by_modality"]
    foregroundIntensities = try IntensityStatistics.channels(intensities, place: source)
    _ = try reader.value("configurations", "an object", \.object)
  }

  /// The names of all configurations, in the order of the file.
  package var configurationNames: [String] { json["configurations"]?.object?.keys ?? [] }

  /// A configuration with inheritance resolved.
  package func configuration(named name: String) throws(Diagnostic) -> PlannedConfiguration {
    try PlannedConfiguration(name: name, resolved: resolved(name, path: []), source: source)
  }

  /// The same plans with another network for one configuration.
  package func replacingArchitecture(of name: String, by architecture: JSON) throws(Diagnostic) -> Plans {
    var (object, configurations) = (json, json["configurations"]?.object ?? JSONObject())
    var configuration = configurations[name]?.object ?? JSONObject()
    configuration["architecture"] = architecture
    configurations[name] = .object(configuration)
    object["configurations"] = .object(configurations)
    return try Plans(json: .object(object), source: source)
  }

  private func resolved(_ name: String, path: [String]) throws(Diagnostic) -> JSONObject {
    guard let object = json["configurations"]?[name]?.object else {
      throw Diagnostic(
        path.isEmpty ? "there is no configuration \(name)" : "configuration \(path[0]) inherits from none",
        at: source, expected: "one of \(configurationNames.joined(separator: ", "))", found: name,
        remedy: nearestName(to: name, in: configurationNames).map { "did you mean \($0)?" }
          ?? "choose a configuration of these plans, or plan again")
    }
    guard let parent = object["inherits_from"]?.string else { return object }
    let path = path + [name]
    if path.contains(parent) {
      throw Diagnostic(
        "configurations inherit in a circle", at: source, expected: "\"inherits_from\" that ends somewhere",
        found: (path + [parent]).joined(separator: " -> "),
        remedy: "remove one \"inherits_from\" from the plans")
    }
    var result = try resolved(parent, path: path)
    for (key, value) in object.pairs where key != "inherits_from" { result[key] = value }
    return result
  }

  /// These plans, followed by the configurations of `older` that they do not have.
  package func keepingForeignConfigurations(of older: Plans) throws(Diagnostic) -> Plans {
    var configurations = json["configurations"]?.object ?? JSONObject()
    for (name, value) in (older.json["configurations"]?.object ?? JSONObject()).pairs
    where configurations[name] == nil {
      configurations[name] = value
    }
    var object = json
    object["configurations"] = .object(configurations)
    var merged = try Plans(json: .object(object), source: source)
    merged.explanations = explanations
    merged.regionOrder = regionOrder
    return merged
  }

  /// What belongs beside the plans as `dataset.json`: the description, with the painting order that a rule decided.
  package func datasetJSON(_ description: DatasetDescription) -> JSON {
    guard let regionOrder, var object = description.json.object else { return description.json }
    object["regions_class_order"] = JSON(regionOrder)
    return .object(object)
  }

  /// Writes `{plansName}.json` exactly as nnU-Net prints it.
  package func write(to url: URL) throws(Diagnostic) { try JSON.object(json).write(to: url) }

  /// Saves to `{plansName}.json` in a dataset's preprocessed folder, keeping configurations that others put there.
  @discardableResult
  package func save(in preprocessedFolder: URL) throws(Diagnostic) -> Plans {
    let url = preprocessedFolder.appending(path: "\(plansName).json")
    guard FileManager.default.fileExists(atPath: url.path) else {
      try write(to: url)
      return saved(at: url)
    }
    let merged = try keepingForeignConfigurations(of: Plans(contentsOf: url))
    try merged.write(to: url)
    return merged.saved(at: url)
  }

  private func saved(at url: URL) -> Plans {
    var plans = self
    plans.source = url.path
    return plans
  }
}
