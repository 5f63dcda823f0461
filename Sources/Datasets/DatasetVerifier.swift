// Checks a raw dataset before any work is spent on it, and reports everything that is wrong at once.

import Archives
package import Foundation
package import Reporting
import Synchronization
import Tensors

/// Verifies the integrity of a raw dataset.
package struct DatasetVerifier: Sendable {
  package let folder: URL

  package init(folder: URL) { self.folder = folder }

  /// Checks everything and collects what is wrong; throws only when stopped on request.
  package func verify(
    progress: any ProgressSink = SilentProgress(), cancellation: CancellationFlag = CancellationFlag()
  ) throws -> DatasetFindings {
    let dataset: RawDataset
    do { dataset = try RawDataset(folder: folder, correcting: true) } catch {
      return report(nil, 0, [DatasetFinding(.error, error)])
    }
    var findings = dataset.correctionFindings + descriptionFindings(dataset)
    let cases: [RawCase]
    do { cases = try dataset.cases() } catch {
      return report(dataset, 0, findings + [DatasetFinding(.error, error)])
    }
    findings += listFindings(dataset, cases)
    progress.begin("verify", total: cases.count)
    let completed = Atomic<Int>(0)
    let perCase = try parallelMap(cases.count) { i in
      try cancellation.check()
      var verifier = CaseVerifier(cases[i], dataset.description)
      let found = verifier.run()
      progress.update(completed: completed.add(1, ordering: .relaxed).newValue, detail: cases[i].identifier)
      return found
    }
    progress.end()
    findings += perCase.flatMap(\.findings)
    findings += duplicateFindings(cases, perCase)
    if !perCase.contains(where: { $0.hasForeground || $0.findings.contains { $0.severity == .error } }) {
      findings.append(
        DatasetFinding(
          .error,
          Diagnostic(
            "no case has any foreground", at: folder.appending(path: "labelsTr").path,
            expected: "labelled voxels in at least one case", found: "only background",
            remedy: "check that labelsTr holds the right files")))
    }
    return report(dataset, cases.count, findings)
  }

  private func report(_ dataset: RawDataset?, _ caseCount: Int, _ findings: [DatasetFinding])
    -> DatasetFindings
  {
    DatasetFindings(
      datasetName: dataset?.name ?? folder.lastPathComponent, caseCount: caseCount, findings: findings)
  }

  /// Cases whose images are the same to the last voxel.
  private func duplicateFindings(_ cases: [RawCase], _ perCase: [CaseFindings]) -> [DatasetFinding] {
    var firstWith: [String: Int] = [:]
    var findings: [DatasetFinding] = []
    for (index, found) in perCase.enumerated() {
      guard let digest = found.imageDigest else { continue }
      guard let other = firstWith[digest] else {
        firstWith[digest] = index
        continue
      }
      let isSameLabel = found.labelDigest == perCase[other].labelDigest
      findings.append(
        DatasetFinding(
          .warning,
          Diagnostic(
            "two cases have the same images", at: cases[index].images.first?.path,
            expected: "every case once",
            found: "\(cases[index].identifier) equals \(cases[other].identifier) in every voxel, "
              + (isSameLabel ? "labels included" : "but their labels differ"),
            remedy: "remove one of them: in different folds it would be trained and validated on")))
    }
    return findings
  }

  /// What dataset.json alone tells.
  private func descriptionFindings(_ dataset: RawDataset) -> [DatasetFinding] {
    var findings: [DatasetFinding] = []
    let description = dataset.description
    if description.json["channel_names"] == nil {
      findings.append(
        DatasetFinding(
          .error,
          Diagnostic(
            "dataset.json names its channels by an old key", at: description.source,
            expected: "\"channel_names\"",
            found: "\"modality\"", remedy: "rename \"modality\" to \"channel_names\""),
          repair: .description))
    }
    let labels = description.labels.allLabels + (description.labels.ignoreLabel.map { [$0] } ?? [])
    if labels != Array(0..<labels.count) {
      findings.append(
        DatasetFinding(
          .error,
          Diagnostic(
            "labels have gaps", at: description.source,
            expected: "the labels 0...\(labels.count - 1) without gaps",
            found: labels.map(String.init).joined(separator: ", "),
            remedy: "renumber the labels, in the label files too")))
    }
    return findings + regionFindings(description)
  }

  /// Regions that their order paints in a way that cannot be meant.
  private func regionFindings(_ description: DatasetDescription) -> [DatasetFinding] {
    guard let order = description.labels.regionsClassOrder, description.labels.hasRegions else { return [] }
    let regions = description.labels.foregroundRegions
    let names = regions.map(description.labels.name)
    func warning(_ expected: String, _ found: String) -> DatasetFinding {
      DatasetFinding(
        .warning,
        Diagnostic(
          "the order of the regions looks wrong", at: description.source, expected: expected, found: found,
          remedy:
            "\"regions_class_order\" lists the label to paint for each region in the order of \"labels\";"
            + " later ones are painted over earlier ones, so larger regions come first"))
    }
    var findings: [DatasetFinding] = []
    for (index, region) in regions.enumerated() where index < order.count {
      if !region.labels.contains(order[index]) {
        findings.append(
          warning("for \"\(names[index])\" one of its labels, \(region.labels)", "\(order[index])"))
      }
      if let earlier = regions[..<index].firstIndex(where: {
        Set($0.labels).isStrictSubset(of: region.labels)
      }) {
        findings.append(
          warning(
            "\"\(names[index])\" before \"\(names[earlier])\", which lies within it",
            "it comes later and covers it"))
      }
    }
    return findings
  }

  /// What the list of files tells.
  private func listFindings(_ dataset: RawDataset, _ cases: [RawCase]) -> [DatasetFinding] {
    guard cases.count != dataset.description.trainingCaseCount else { return [] }
    return [
      DatasetFinding(
        .error,
        Diagnostic(
          "the number of cases is not what dataset.json says", at: dataset.description.source,
          expected: "\"numTraining\": \(dataset.description.trainingCaseCount) cases",
          found: "\(cases.count) in \(dataset.description.listedCases == nil ? "imagesTr" : "\"dataset\"")",
          remedy: "set \"numTraining\" to \(cases.count), or add the missing cases"),
        repair: .description)
    ]
  }
}
