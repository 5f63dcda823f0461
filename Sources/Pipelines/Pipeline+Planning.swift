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
    let folder = try roots.preprocessedFolder(of: dataset.name)
    let plans = try plan(dataset.description, named: dataset.name, fingerprint, request)
    try CrossValidationSplits.adopt(fromRaw: dataset.folder, into: folder)
    try plans.datasetJSON(dataset.description).write(to: folder.appending(path: "dataset.json"))
    let saved = try plans.save(in: folder)
    progress.note("plans: \(folder.appending(path: "\(plans.plansName).json").path)")
    try describe(saved, dataset.description, request)
    return saved
  }

  /// Plans from the two JSON files alone; no image is read.
  package func planExperiment(
    fingerprint: URL, datasetJSON: URL, datasetName: String? = nil, _ request: PlanningRequest, to output: URL
  ) throws {
    let description = try DatasetDescription(contentsOf: datasetJSON)
    let plans = try plan(
      description, named: datasetName ?? Self.datasetName(of: description, at: datasetJSON),
      DatasetFingerprint(contentsOf: fingerprint), request)
    try plans.write(to: output)
    progress.note("plans: \(output.path)")
    try describe(plans, description, request)
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
    let plans = try Plans(contentsOf: url)
    let remarks = Set(
      plans.configurationNames.flatMap { (try? plans.configuration(named: $0).migrationRemarks) ?? [] })
    for remark in remarks.sorted() { progress.note("\(name): \(remark)") }
    return plans
  }

  private func plan(
    _ description: DatasetDescription, named name: String, _ fingerprint: DatasetFingerprint,
    _ request: PlanningRequest
  ) throws -> Plans {
    let planner = try ExperimentPlanner(
      constants: .named(request.planner),
      options: PlannerOptions(
        gpuMemoryTarget: request.memoryTarget, overwriteTargetSpacing: request.targetSpacing,
        plansName: request.plansName, preprocessorName: request.preprocessorName),
      rules: request.rules)
    planner.notices(for: description).forEach(progress.note)
    let plans = try planner.plan(dataset: description, datasetName: name, fingerprint: fingerprint)
    if request.changes.isEmpty { return plans }
    return try plans.deriving(name: plans.plansName, changes: request.changes, by: "--set")
  }

  /// The table of the configurations, and the answers to questions.
  private func describe(
    _ plans: Plans, _ description: DatasetDescription, _ request: PlanningRequest
  ) throws {
    try PlanTable(plans, description).lines.forEach(progress.note)
    for path in request.questions {
      guard let explanation = plans.why(path) else {
        let known = plans.explanations.map(\.path)
        throw Diagnostic(
          "nothing explains '\(path)'", expected: "a value such as 3d_fullres.patch_size", found: path,
          remedy: nearestName(to: path, in: known).map { "did you mean --why \($0)?" })
      }
      progress.note(explanation.text)
    }
  }

  /// A name for a dataset of which only the dataset.json is at hand.
  private static func datasetName(of description: DatasetDescription, at url: URL) -> String {
    let folder = url.absoluteURL.deletingLastPathComponent().lastPathComponent
    if folder.hasPrefix("Dataset") { return folder }
    return description.json["name"]?.string ?? folder
  }
}
