// New plans from old ones: keys replaced, the patch repaired to what the network divides by, each change explained.

import Archives
import Planning
import Reporting

enum PlanDerivation {
  /// Keys whose change makes the preprocessed data of the old plans unusable.
  private static let preprocessingKeys: Set<String> = [
    "spacing", "normalization_schemes", "use_mask_for_norm", "resampling_fn_data", "resampling_fn_seg",
    "resampling_fn_data_kwargs", "resampling_fn_seg_kwargs", "preprocessor_name",
  ]

  /// The plans with `changes`, by configuration, under a name of their own.
  static func derive(_ plans: Plans, name: String, changes: [String: JSONObject]) throws -> Plans {
    var json = plans.json
    json["plans_name"] = .string(name)
    var configurations = json["configurations"]?.object ?? JSONObject()
    var explanations = plans.explanations
    for (configurationName, change) in changes.sorted(by: { $0.key < $1.key }) {
      let old = try plans.configuration(named: configurationName)
      var object = configurations[configurationName]?.object ?? JSONObject()
      for (key, value) in change.pairs {
        guard let known = old.json[key] else {
          throw Diagnostic(
            "a configuration has no key '\(key)'", at: configurationName,
            remedy: nearestName(to: key, in: old.json.keys).map { "did you mean '\($0)'?" })
        }
        guard value.kind == known.kind || (value.double != nil && known.double != nil) else {
          throw Diagnostic(
            "'\(configurationName).\(key)' has the wrong type", expected: known.kind, found: value.kind)
        }
        object[key] = value
        explain("\(configurationName).\(key)", value, "set by derive", &explanations)
      }
      if change.keys.contains(where: preprocessingKeys.contains) {
        object["data_identifier"] = .string("\(name)_\(configurationName)")
      }
      if let patch = change["patch_size"]?.integers {
        let repaired = try repair(patch, for: old)
        if repaired != patch {
          object["patch_size"] = JSON(repaired)
          explain(
            "\(configurationName).patch_size", JSON(repaired),
            "derive asked for \(patch); enlarged to multiples of what the strides divide by", &explanations)
        }
      }
      configurations[configurationName] = .object(object)
    }
    json["configurations"] = .object(configurations)
    var derived = try Plans(json: .object(json), source: "plans \(name)")
    for configurationName in changes.keys { _ = try derived.configuration(named: configurationName) }
    derived.explanations = explanations
    derived.regionOrder = plans.regionOrder
    return derived
  }

  /// The patch with every axis enlarged to a multiple of the product of its strides.
  private static func repair(_ patch: [Int], for configuration: PlannedConfiguration) throws -> [Int] {
    guard patch.count == configuration.patchSize.count, patch.allSatisfy({ $0 > 0 }) else {
      throw Diagnostic(
        "'\(configuration.name).patch_size' is not usable",
        expected: "\(configuration.patchSize.count) positive sizes",
        found: "\(patch)")
    }
    let strides = configuration.architecture["arch_kwargs"]?["strides"]?.array?.compactMap(\.integers) ?? []
    return patch.indices.map { axis in
      let divisor = strides.reduce(1) { $0 * ($1.indices.contains(axis) ? $1[axis] : 1) }
      return (patch[axis] + divisor - 1) / divisor * divisor
    }
  }

  private static func explain(
    _ path: String, _ value: JSON, _ reason: String, _ explanations: inout [PlanExplanation]
  ) {
    // Plans read from a file explain nothing, and so do those derived from them.
    guard var explanation = explanations.first(where: { $0.path == path }) ?? explanations.first else {
      return
    }
    explanation.path = path
    explanation.value = value
    explanation.rule = "derive"
    explanation.isOverridden = true
    explanation.inputs = []
    explanation.reason = reason
    explanations.removeAll { $0.path == path }
    explanations.append(explanation)
  }

  /// The places in which two plans differ, with both values.
  static func differences(_ a: JSON, _ b: JSON, at path: String = "") -> [(path: String, a: JSON?, b: JSON?)]
  {
    guard case .object(let left) = a, case .object(let right) = b else {
      return a == b ? [] : [(path, a, b)]
    }
    let keys = left.keys + right.keys.filter { left[$0] == nil }
    return keys.flatMap { key -> [(path: String, a: JSON?, b: JSON?)] in
      let place = path.isEmpty ? key : "\(path).\(key)"
      guard let x = left[key], let y = right[key] else { return [(place, left[key], right[key])] }
      return differences(x, y, at: place)
    }
  }
}
