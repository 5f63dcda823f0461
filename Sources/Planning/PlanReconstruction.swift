// Why plans read from a file are what they are: planned again from the fingerprint, and compared value by value.

import Archives
package import Datasets
import Foundation
import Reporting

extension Plans {
  /// These plans with explanations, made by planning again from the fingerprint and `dataset.json` beside the file.
  ///
  /// - Throws: A ``Diagnostic`` when one of the two is not there, or the planner is not known.
  package func explained() throws -> Plans {
    if !explanations.isEmpty { return self }
    let folder = URL(filePath: source).deletingLastPathComponent()
    let fingerprint = folder.appending(path: DatasetFingerprint.fileName)
    let dataset = folder.appending(path: "dataset.json")
    for url in [fingerprint, dataset] where !FileManager.default.fileExists(atPath: url.path) {
      throw Diagnostic(
        "plans read from a file do not say why", at: source,
        expected: "\(url.lastPathComponent) beside the plans, to plan again from", found: "no such file",
        remedy: "put the plans into the dataset's preprocessed folder, or plan the dataset again")
    }
    return try explained(
      dataset: DatasetDescription(contentsOf: dataset),
      fingerprint: DatasetFingerprint(contentsOf: fingerprint))
  }

  /// These plans with explanations, made by planning again.
  ///
  /// Target spacing and memory target are not in the file: where the planner's own do not give the file's values, the
  /// ones that do are searched for. Values that the planner does not give at all are said to be so.
  package func explained(dataset: DatasetDescription, fingerprint: DatasetFingerprint) throws -> Plans {
    let constants = try PlannerConstants.named(plannerName)
    var options = PlannerOptions(
      plansName: plansName,
      preprocessorName: (try? configuration(named: configurationNames.first ?? ""))?.preprocessorName
        ?? "DefaultPreprocessor")
    func plan(_ options: PlannerOptions) throws -> Plans {
      try ExperimentPlanner(constants: constants, options: options)
        .plan(dataset: dataset, datasetName: datasetName, fingerprint: fingerprint)
    }
    var best = try plan(options)
    var notes: [String: String] = [:]
    if let spacing = foreignTargetSpacing(besides: best) {
      options.overwriteTargetSpacing = spacing
      best = try plan(options)
      notes["target_spacing"] =
        "the planner's own would differ, so it was given by -overwrite_target_spacing or a rule"
    }
    if let found = try memoryTarget(constants, options, best, plan) {
      best = found.plans
      notes["memory_gb"] =
        "the memory target is not in the file; \(brief(found.target)) GB gives these values, the default "
        + "\(brief(constants.gpuMemoryTarget)) GB does not"
    }
    var result = self
    result.explanations = best.explanations.compactMap { explanation in
      matched(explanation, notes)
    }
    return result
  }

  /// How many decided values the file shares with plans made anew.
  private func agreement(with other: Plans) -> (same: Int, count: Int) {
    let checked = other.explanations.compactMap { entry in fileValue(entry.path).map { ($0, entry.value) } }
    return (checked.filter { $0.0.isClose(to: $0.1) }.count, checked.count)
  }

  /// The target spacing in file order, if it is not the planner's.
  private func foreignTargetSpacing(besides plans: Plans) -> [Double]? {
    let name = configurationNames.contains("3d_fullres") ? "3d_fullres" : "2d"
    guard let mine = try? configuration(named: name).spacing,
      let theirs = try? plans.configuration(named: name).spacing,
      !JSON(mine).isClose(to: JSON(theirs))
    else { return nil }
    // Slices say nothing of the first axis, which is the coarsest.
    let all =
      mine.count == 3
      ? mine
      : [max((json["original_median_spacing_after_transp"]?.doubles?.first ?? 1), mine.max() ?? 1)] + mine
    return transposeBackward.map { all[$0] }
  }

  /// A memory target that gives more of the file's values than the default one.
  private func memoryTarget(
    _ constants: PlannerConstants, _ options: PlannerOptions, _ standard: Plans,
    _ plan: (PlannerOptions) throws -> Plans
  ) throws -> (target: Double, plans: Plans)? {
    var best = agreement(with: standard).same
    if best == agreement(with: standard).count { return nil }
    var found: (target: Double, plans: Plans)?
    for target in Self.likelyMemoryTargets {
      var options = options
      options.gpuMemoryTarget = target
      guard let plans = try? plan(options) else { continue }
      let (same, count) = agreement(with: plans)
      if same > best { (best, found) = (same, (target, plans)) }
      if same == count { break }
    }
    return found
  }

  /// What GPUs have, then every whole number, then small values that only tests plan for.
  ///
  /// - Units: GB
  private static let likelyMemoryTargets: [Double] =
    [4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80] + (1...96).map(Double.init)
    + (1...39).map { Double($0) / 20 }

  /// An explanation if the file says the same, else one that says that it does not.
  private func matched(_ explanation: PlanExplanation, _ notes: [String: String]) -> PlanExplanation? {
    var explanation = explanation
    if let value = fileValue(explanation.path), !value.isClose(to: explanation.value) {
      explanation.inputs = [.init(name: "the planner's value", value: explanation.value)]
      explanation.value = value
      explanation.isOverridden = true
      explanation.reason =
        "the file says so; \(explanation.rule) would give another value, so it was derived, edited or made by a rule"
      return explanation
    }
    // What the file does not have, it does not explain.
    let configuration = explanation.path.split(separator: ".").first.map(String.init) ?? ""
    if explanation.path.contains("."), !configurationNames.contains(configuration) { return nil }
    for (name, note) in notes.sorted(by: { $0.key < $1.key })
    where explanation.path == name || explanation.inputs.contains(where: { $0.name == name }) {
      explanation.reason += " (\(note))"
    }
    return explanation
  }

  /// What the file says where an explanation says why.
  private func fileValue(_ path: String) -> JSON? {
    let parts = path.split(separator: ".", maxSplits: 1).map(String.init)
    guard parts.count == 2 else { return sharedFileValue(path) }
    guard let object = try? configuration(named: parts[0]).json else { return nil }
    let arguments = object["architecture"]?["arch_kwargs"]
    switch parts[1] {
    case "topology":
      return ["strides": arguments?["strides"] ?? .null, "kernel_sizes": arguments?["kernel_sizes"] ?? .null]
    case "features": return arguments?["features_per_stage"]
    default: return object[parts[1]]
    }
  }

  private func sharedFileValue(_ key: String) -> JSON? {
    guard let first = configurationNames.first, let object = try? configuration(named: first).json else {
      return nil
    }
    switch key {
    case "normalization_schemes":
      return [
        "normalization_schemes": object["normalization_schemes"] ?? .null,
        "use_mask_for_norm": object["use_mask_for_norm"] ?? .null,
      ]
    case "resampling": return object["resampling_fn_data"]
    case "wants_lowres": return .bool(configurationNames.contains("3d_lowres"))
    default: return json[key]
    }
  }
}

extension JSON {
  /// Equality up to the last digits of numbers.
  fileprivate func isClose(to other: JSON) -> Bool {
    if let a = double, let b = other.double { return abs(a - b) <= 1e-9 * max(abs(a), abs(b)) }
    switch (self, other) {
    case (.array(let a), .array(let b)):
      return a.count == b.count && zip(a, b).allSatisfy { $0.isClose(to: $1) }
    case (.object(let a), .object(let b)):
      return a.count == b.count && a.pairs.allSatisfy { key, value in b[key].map(value.isClose) ?? false }
    default: return self == other
    }
  }
}
