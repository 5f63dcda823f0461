// What makes two trainings the same: everything that decides their result, and nothing else.

package import Archives
package import Foundation
package import Planning
package import Reporting
package import Tensors
import Training

/// The content of a run's `run.json`.
package struct RunIdentity: Sendable, Equatable {
  package static let fileName = "run.json"
  /// The seed of a run that says nothing about it.
  package static let defaultSeed: UInt64 = 0

  /// Hashes and settings by name.
  package let json: JSONObject

  /// Gathers what decides the result of a training.
  package init(
    plans: Plans, configuration: PlannedConfiguration, fingerprint: JSON, split: JSON,
    definition: TrainerDefinition, seed: UInt64, precision: Precision
  ) {
    let plan: JSON = [
      "configuration": .object(configuration.json), "transpose_forward": JSON(plans.transposeForward),
      "intensities": plans.json["foreground_intensity_properties_per_channel"] ?? .null,
    ]
    json = [
      "fingerprint": .string(ContentHash(fingerprint).description),
      "plan": .string(ContentHash(plan).description),
      "split": .string(ContentHash(split).description),
      "trainer": definition.settings.json,
      "overrides": .object(
        JSONObject(definition.overrides.sorted { $0.key < $1.key }.map { ($0.key, .string($0.value)) })),
      "seed": .integer(Int(truncatingIfNeeded: seed)), "precision": .string(precision.rawValue),
      "device": "cpu",
    ]
  }

  /// A folder name's suffix for a run that is not its trainer's default one; empty for the default one.
  ///
  /// The split has no part in it, so that all folds of a model lie in one folder, and neither has what computed it, so
  /// that a run can be found again on another machine.
  package var folderSuffix: String {
    if json["seed"]?.integer == Int(truncatingIfNeeded: Self.defaultSeed) { return "" }
    var model = json
    for key in ["split", "precision", "device"] { model[key] = nil }
    if var overrides = model["overrides"]?.object {
      overrides[Self.pretrainedKey] = nil
      model["overrides"] = .object(overrides)
    }
    return "-\(ContentHash(.object(model)).short)"
  }

  /// The key, among the overrides, of the hash of the file that a training took its first weights from.
  package static let pretrainedKey = "pretrained_weights"

  /// That hash, of the run that a folder holds.
  package static func pretrainedWeights(in folder: URL) -> String? {
    let json = try? JSON(contentsOf: folder.appending(path: fileName))
    return json?["overrides"]?[pretrainedKey]?.string
  }

  /// The precision of the run that a folder holds, if it holds one.
  package static func precision(in folder: URL) -> Precision? {
    let json = try? JSON(contentsOf: folder.appending(path: fileName))
    return json?["precision"]?.string.flatMap { Precision(rawValue: $0) }
  }

  package func write(to folder: URL) throws(Diagnostic) {
    try JSON.object(json).write(to: folder.appending(path: Self.fileName))
  }

  /// Stops if a folder holds a run that is not this one, or checkpoints of another program.
  package func check(folder: URL) throws(Diagnostic) {
    let url = folder.appending(path: Self.fileName)
    guard FileManager.default.fileExists(atPath: url.path) else { return }
    guard let other = try JSON(contentsOf: url).object else {
      throw Diagnostic(
        "a run's description cannot be read", at: url.path, expected: "an object", found: "something else",
        remedy: "train with --overwrite, which moves the old folder aside")
    }
    let differing = json.keys.flatMap { key -> [String] in
      guard json[key] != other[key] else { return [] }
      guard let mine = json[key]?.object, var theirs = other[key]?.object else { return [key] }
      // A run of an older version knows fewer trainer keys: it trained as their defaults say.
      if key == "trainer" {
        for (name, value) in TrainerSettings().json.object?.pairs ?? [] where theirs[name] == nil {
          theirs[name] = value
        }
      }
      return Set(mine.keys + theirs.keys).filter { mine[$0] != theirs[$0] }.sorted().map { "\(key).\($0)" }
    }
    guard !differing.isEmpty else { return }
    throw Diagnostic(
      "the folder holds another training", at: folder.path,
      expected: differing.map { "\($0) = \(Self.value(of: $0, in: json))" }.joined(separator: ", "),
      found: differing.map { "\($0) = \(Self.value(of: $0, in: other))" }.joined(separator: ", "),
      remedy:
        "give the trainer another name, restore the old settings, or train with --overwrite, which moves the old "
        + "folder aside")
  }

  private static func value(of path: String, in object: JSONObject) -> String {
    let value = path.split(separator: ".", maxSplits: 1).reduce(JSON.object(object)) {
      $0[String($1)] ?? .null
    }
    if value.isNull { return "none" }
    let text = value.string ?? value.text(indent: nil)
    return text.count > 20 ? "\(text.prefix(12))..." : text
  }

  /// Stops if a model folder holds checkpoints that this program did not write.
  package static func refuseForeignCheckpoints(in modelFolder: URL) throws(Diagnostic) {
    let manager = FileManager.default
    for fold in (try? manager.contentsOfDirectory(atPath: modelFolder.path)) ?? []
    where fold.hasPrefix("fold_") {
      let files = (try? manager.contentsOfDirectory(atPath: modelFolder.appending(path: fold).path)) ?? []
      if let foreign = files.sorted().first(where: { $0.hasSuffix(".pth") }) {
        throw Diagnostic(
          "the folder holds checkpoints of nnU-Net",
          at: modelFolder.appending(path: "\(fold)/\(foreign)").path,
          expected: "a folder of this program", found: foreign,
          remedy: "leave it as it is: train under another trainer name, other plans (-p) or another --root")
      }
    }
  }
}
