// From a fingerprint to plans, with images at hand or without.

import Archives
package import Datasets
package import Foundation
package import Planning
import Reporting

extension Pipeline {
  /// Plans a dataset, and saves the plans beside its fingerprint.
  @discardableResult
  package func planExperiment(
    for dataset: RawDataset, _ fingerprint: DatasetFingerprint, _ request: PlanningRequest = PlanningRequest()
  ) throws -> Plans {
    let planner = try planner(for: request)
    let folder = try roots.preprocessedFolder(of: dataset.name)
    try CrossValidationSplits.adopt(fromRaw: dataset.folder, into: folder)
    let plans = try planner.plan(
      dataset: dataset.description, datasetName: dataset.name, fingerprint: fingerprint)
    try dataset.description.json.write(to: folder.appending(path: "dataset.json"))
    let saved = try plans.save(in: folder)
    progress.note("plans: \(folder.appending(path: "\(plans.plansName).json").path)")
    try describe(saved)
    return saved
  }

  /// Plans from the two JSON files alone; no image is read.
  package func planExperiment(
    fingerprint: URL, datasetJSON: URL, datasetName: String? = nil, _ request: PlanningRequest, to output: URL
  ) throws {
    let planner = try planner(for: request)
    let description = try DatasetDescription(contentsOf: datasetJSON)
    let plans = try planner.plan(
      dataset: description, datasetName: datasetName ?? Self.datasetName(of: description, at: datasetJSON),
      fingerprint: DatasetFingerprint(contentsOf: fingerprint))
    try plans.write(to: output)
    progress.note("plans: \(output.path)")
    try describe(plans)
  }

  /// The plans of a preprocessed dataset.
  package func readPlans(named name: String, of dataset: String) throws -> Plans {
    let folder = try roots.preprocessedFolder(of: dataset)
    let url = folder.appending(path: "\(name).json")
    guard FileManager.default.fileExists(atPath: url.path) else {
      let others = ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [])
        .filter { $0.hasSuffix("lans.json") || $0.hasPrefix("nnUNet") && $0.hasSuffix(".json") }
        .map { String($0.dropLast(".json".count)) }.sorted()
      throw Diagnostic(
        "there are no plans \(name) for \(dataset)", at: url.path, expected: "a plans file",
        found: others.isEmpty ? "no plans at all" : others.joined(separator: ", "),
        remedy: nearestName(to: name, in: others).map { "did you mean -p \($0)?" }
          ?? "plan first: lunette plan_and_preprocess -d \(dataset)")
    }
    return try Plans(contentsOf: url)
  }

  private func planner(for request: PlanningRequest) throws -> ExperimentPlanner {
    let planner = try ExperimentPlanner(
      constants: .named(request.planner),
      options: PlannerOptions(
        gpuMemoryTarget: request.memoryTarget, overwriteTargetSpacing: request.targetSpacing,
        plansName: request.plansName),
      rules: request.rules)
    planner.notices.forEach(progress.note)
    return planner
  }

  /// One line for each configuration.
  private func describe(_ plans: Plans) throws {
    for name in plans.configurationNames {
      let configuration = try plans.configuration(named: name)
      let patch = configuration.patchSize.map(String.init).joined(separator: "×")
      let spacing = configuration.spacing.map { "\(($0 * 1000).rounded() / 1000)" }.joined(separator: "×")
      progress.note("  \(name): patch \(patch), batch \(configuration.batchSize), spacing \(spacing) mm")
    }
  }

  /// A name for a dataset of which only the dataset.json is at hand.
  private static func datasetName(of description: DatasetDescription, at url: URL) -> String {
    let folder = url.absoluteURL.deletingLastPathComponent().lastPathComponent
    if folder.hasPrefix("Dataset") { return folder }
    return description.json["name"]?.string ?? folder
  }
}
