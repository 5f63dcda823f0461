// New plans from old ones: keys replaced, what no longer fits repaired, each change explained. And what differs between two.

package import Archives
import Foundation
import Reporting

extension Plans {
  /// These plans with some keys of their configurations replaced, under a name of their own.
  ///
  /// Keys of the network (`features_per_stage`, `strides`, `kernel_sizes`, ...) may be named directly. Patches are
  /// enlarged to what the strides divide by, the median size follows the spacing, and a configuration whose
  /// preprocessing changes gets a data folder of its own. A new configuration needs `inherits_from`.
  /// - Parameters:
  ///   - name: The new plans' name.
  ///   - changes: Keys and values by configuration.
  ///   - origin: What asks for it, for the explanations.
  package func deriving(
    name: String, changes: [String: JSONObject], by origin: String = "derive"
  ) throws -> Plans {
    var json = self.json
    json["plans_name"] = .string(name)
    var explanations = explanations
    for (configuration, change) in changes.sorted(by: { $0.key < $1.key }) {
      var configurations = json["configurations"]?.object ?? JSONObject()
      if configurations[configuration] == nil, let parent = change["inherits_from"]?.string {
        configurations[configuration] = ["inherits_from": .string(parent)]
        json["configurations"] = .object(configurations)
      }
      var derivation = try Derivation(
        of: Plans(json: .object(json), source: source), configuration: configuration, origin: origin)
      try derivation.apply(change, plansName: name)
      configurations[configuration] = .object(derivation.object)
      json["configurations"] = .object(configurations)
      let made = derivation.explanations
      explanations.removeAll { old in made.contains { $0.path == old.path } }
      explanations += made
    }
    var derived = try Plans(json: .object(json), source: "plans \(name)")
    for configuration in changes.keys { _ = try derived.configuration(named: configuration) }
    derived.explanations = explanations
    derived.regionOrder = regionOrder
    return derived
  }

  /// One place in which two plans differ, with both values.
  package struct Difference: Sendable, Equatable {
    package var path: String
    package var mine: JSON?
    package var theirs: JSON?
  }

  /// The places in which other plans differ from these.
  package func differences(from other: Plans) -> [Difference] {
    Self.differences(.object(json), .object(other.json), at: "")
  }

  private static func differences(_ a: JSON, _ b: JSON, at path: String) -> [Difference] {
    guard case .object(let left) = a, case .object(let right) = b else {
      return a.hasValue(of: b) ? [] : [Difference(path: path, mine: a, theirs: b)]
    }
    let keys = left.keys + right.keys.filter { left[$0] == nil }
    return keys.flatMap { key -> [Difference] in
      let place = path.isEmpty ? key : "\(path).\(key)"
      guard let x = left[key], let y = right[key] else {
        return [Difference(path: place, mine: left[key], theirs: right[key])]
      }
      return differences(x, y, at: place)
    }
  }
}

extension JSON {
  /// Equality in which 1 and 1.0 are the same number.
  package func hasValue(of other: JSON) -> Bool {
    if let a = double, let b = other.double { return a == b }
    if case .array(let a) = self, case .array(let b) = other {
      return a.count == b.count && zip(a, b).allSatisfy { $0.hasValue(of: $1) }
    }
    return self == other
  }

  /// Whether a value may stand where the other one does: both numbers, both texts, both lists, ...
  fileprivate func isOfKind(of other: JSON) -> Bool {
    switch (self, other) {
    case (.integer, .integer), (.integer, .number), (.number, .number), (.string, .string), (.bool, .bool),
      (.array, .array), (.object, .object), (_, .null), (.null, _):
      true
    case (.number(let value), .integer): value == value.rounded()
    default: false
    }
  }

  /// The value written as an integer where it stands for one.
  fileprivate func written(like other: JSON) -> JSON {
    switch (self, other) {
    case (.number(let value), .integer): .integer(Int(value))
    case (.integer(let value), .number): .number(Double(value))
    case (.array(let values), .array(let others)):
      .array(
        values.enumerated().map {
          $1.written(like: others.indices.contains($0) ? others[$0] : others.last ?? $1)
        })
    default: self
    }
  }
}

/// The change of one configuration.
private struct Derivation {
  let name: String
  let origin: String
  let old: PlannedConfiguration
  /// The configuration as the file will have it.
  private(set) var object: JSONObject
  private(set) var explanations: [PlanExplanation] = []

  /// Keys whose change makes the preprocessed data of the old plans unusable.
  private static let preprocessingKeys: Set<String> = [
    "spacing", "normalization_schemes", "use_mask_for_norm", "resampling_fn_data", "resampling_fn_seg",
    "resampling_fn_data_kwargs", "resampling_fn_seg_kwargs", "preprocessor_name",
  ]
  /// Keys that older or other programs may leave out and that may be set nevertheless.
  private static let optionalKeys: Set<String> = ["inherits_from", "next_stage", "previous_stage"]

  init(of plans: Plans, configuration name: String, origin: String) throws {
    self.name = name
    self.origin = origin
    object = plans.json["configurations"]?[name]?.object ?? JSONObject()
    old = try plans.configuration(named: name)
  }

  /// Puts values in place and repairs what depends on them.
  mutating func apply(_ change: JSONObject, plansName: String) throws(Diagnostic) {
    var network = JSONObject()
    for (key, value) in change.pairs {
      if let known = old.json[key] ?? (Self.optionalKeys.contains(key) ? .null : nil) {
        object[key] = try checked(value, key, like: known)
        if key != "inherits_from" { explain(key, object[key] ?? value, "set by \(origin)", before: known) }
      } else if let known = old.architecture["arch_kwargs"]?[key] {
        network[key] = try checked(value, key, like: known)
      } else {
        let names = old.json.keys + (old.architecture["arch_kwargs"]?.object?.keys ?? [])
        throw Diagnostic(
          "a configuration has no key '\(key)'", at: name,
          expected: "a key of nnUNetPlans.json, such as patch_size or features_per_stage",
          remedy: nearestName(to: key, in: names).map { "did you mean '\($0)'?" })
      }
    }
    if !network.isEmpty { try changeNetwork(network) }
    if let key = change.keys.first(where: Self.preprocessingKeys.contains), change["data_identifier"] == nil {
      object["data_identifier"] = .string("\(plansName)_\(name)")
      explain(
        "data_identifier", object["data_identifier"] ?? .null, "\(key) changes what preprocessing makes",
        before: .string(old.dataIdentifier))
    }
    if change["median_image_size_in_voxels"] == nil { followSpacing() }
    try repairPatch()
  }

  private func checked(_ value: JSON, _ key: String, like known: JSON) throws(Diagnostic) -> JSON {
    guard value.isOfKind(of: known) else {
      throw Diagnostic(
        "'\(name).\(key)' has the wrong type",
        expected: "\(known.kind), such as \(PlanExplanation.short(known))",
        found: value.kind)
    }
    return value.written(like: known)
  }

  /// The median size in voxels at another spacing, in millimetres the same.
  private mutating func followSpacing() {
    guard let spacing = object["spacing"]?.doubles, spacing != old.spacing,
      spacing.count == old.spacing.count, spacing.allSatisfy({ $0 > 0 })
    else { return }
    let size = spacing.indices.map { axis in
      (old.spacing[axis] / spacing[axis] * old.medianImageSize[axis]).rounded(.toNearestOrEven)
    }
    object["median_image_size_in_voxels"] = JSON(size)
    explain(
      "median_image_size_in_voxels", JSON(size), "the old median size at the new spacing",
      before: JSON(old.medianImageSize))
  }

  /// Enlarges the patch to what the strides divide by.
  private mutating func repairPatch() throws(Diagnostic) {
    let asked = object["patch_size"]?.integers ?? old.patchSize
    guard asked.count == old.patchSize.count, asked.allSatisfy({ $0 > 0 }) else {
      throw Diagnostic(
        "'\(name).patch_size' is not usable", expected: "\(old.patchSize.count) positive sizes",
        found: "\(asked)")
    }
    let strides = (object["architecture"] ?? old.architecture)["arch_kwargs"]?["strides"]?.array ?? []
    let divisors = asked.indices.map { axis in
      strides.reduce(1) { $0 * ($1.integers.map { $0.indices.contains(axis) ? $0[axis] : 1 } ?? 1) }
    }
    let repaired = zip(asked, divisors).map { ($0 + $1 - 1) / $1 * $1 }
    guard repaired != asked else { return }
    object["patch_size"] = JSON(repaired)
    explain(
      "patch_size", JSON(repaired),
      "\(origin) asked for \(brief(asked)); enlarged to multiples of \(brief(divisors)), by which the strides divide",
      before: JSON(old.patchSize))
  }

  // MARK: the network

  /// Puts values into the architecture and makes the other lists as long as the strides.
  private mutating func changeNetwork(_ change: JSONObject) throws(Diagnostic) {
    var architecture = (object["architecture"] ?? old.architecture).object ?? JSONObject()
    let before = architecture["arch_kwargs"] ?? .null
    var arguments = before.object ?? JSONObject()
    for (key, value) in change.pairs { arguments[key] = value }
    let count = arguments["strides"]?.array?.count ?? 0
    arguments["n_stages"] = .integer(count)
    for key in arguments.keys where arguments[key]?.array != nil && key != "strides" {
      let wanted = key == "n_conv_per_stage_decoder" ? count - 1 : count
      let values = arguments[key]?.array ?? []
      if values.count == wanted { continue }
      guard change[key] == nil, !values.isEmpty else {
        throw Diagnostic(
          "'\(name).\(key)' is not as long as the network is deep",
          expected: "\(wanted) entries, as for the strides",
          found: "\(values.count)", remedy: "give 'strides' and 'kernel_sizes' as well, or \(wanted) entries")
      }
      arguments[key] = .array(Self.resized(values, to: wanted))
      if key != "kernel_sizes" {
        explain(key, arguments[key] ?? .null, "as many entries as there are strides", before: before[key])
      }
    }
    try validate(arguments)
    architecture["arch_kwargs"] = .object(arguments)
    object["architecture"] = .object(architecture)
    for key in change.keys {
      let isTopology = ["strides", "kernel_sizes", "n_stages"].contains(key)
      let value: JSON =
        isTopology
        ? ["strides": arguments["strides"] ?? .null, "kernel_sizes": arguments["kernel_sizes"] ?? .null]
        : arguments[key] ?? .null
      explain(isTopology ? "topology" : key, value, "\(key) set by \(origin)", before: before[key])
    }
  }

  /// A list per stage for another number of stages: cut, or its last entry repeated.
  private static func resized(_ values: [JSON], to count: Int) -> [JSON] {
    var values = Array(values.prefix(count))
    while values.count < count, let last = values.last { values.append(last) }
    return values
  }

  private func validate(_ arguments: JSONObject) throws(Diagnostic) {
    let strides = arguments["strides"]?.array?.compactMap(\.integers) ?? []
    let kernels = arguments["kernel_sizes"]?.array?.compactMap(\.integers) ?? []
    try NetworkTopology(strides: strides, kernelSizes: kernels, patch: [])
      .validate(dimensionCount: old.patchSize.count, place: "\(name), by \(origin)")
    guard arguments["features_per_stage"]?.integers?.allSatisfy({ $0 > 0 }) ?? false else {
      throw Diagnostic(
        "'\(name).features_per_stage' is not usable", expected: "positive whole numbers",
        found: PlanExplanation.short(arguments["features_per_stage"] ?? .null))
    }
  }

  // MARK: reasons

  private mutating func explain(_ key: String, _ value: JSON, _ reason: String, before: JSON?) {
    let path = "\(name).\(key == "features_per_stage" ? "features" : key)"
    explanations.removeAll { $0.path == path }
    explanations.append(
      PlanExplanation(
        path: path, value: value, rule: origin, isOverridden: true,
        inputs: before.map { $0.isNull ? [] : [.init(name: "before", value: $0)] } ?? [], reason: reason))
  }
}
