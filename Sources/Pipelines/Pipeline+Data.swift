// The steps that look at raw data: finding a dataset, checking its files, measuring it, preprocessing it.

package import Datasets
package import Foundation
package import Planning
import Preprocessing
import Reporting

extension Pipeline {
  /// The raw dataset that a number or name means.
  package func openDataset(_ idOrName: String) throws -> RawDataset {
    try RawDataset(folder: datasetFolder(idOrName))
  }

  /// The folder of a raw dataset, which may not be usable yet.
  private func datasetFolder(_ idOrName: String) throws -> URL {
    try roots.rawFolder(of: roots.resolveName(idOrName))
  }

  /// Checks every file of a dataset; prints what is suspicious and throws what is wrong.
  package func verify(_ idOrName: String) throws { try verify(folder: datasetFolder(idOrName)) }

  /// Checks every file of an open dataset.
  package func verify(_ dataset: RawDataset) throws { try verify(folder: dataset.folder) }

  private func verify(folder: URL) throws {
    let findings = try verification(of: folder)
    for warning in findings.warnings { progress.note("warning: \(warning)") }
    try findings.throwIfUnusable()
    progress.note(findings.summary)
  }

  /// Checks every file of a dataset, prints all that is found, and writes a copy in which it is mended as far as that
  /// takes no judgement, below `target`.
  package func repair(_ idOrName: String, into target: URL) throws {
    let source = try datasetFolder(idOrName)
    let findings = try verification(of: source)
    for finding in findings.findings { progress.note("\(finding.severity.rawValue): \(finding.diagnostic)") }
    let left = findings.findings.filter { $0.repair == nil }
    guard left.count < findings.findings.count else {
      progress.note(
        "\(source.lastPathComponent): there is nothing that can be mended without you; no copy was written")
      return try requireNoErrors(left)
    }
    let dataset = try RawDataset(folder: source, correcting: true)
    let folder = target.appending(path: dataset.name)
    let done = try DatasetRepair(dataset: dataset, findings: findings).write(to: folder, progress: progress)
    done.forEach(progress.note)
    progress.note(
      "\(folder.path): a copy of \(dataset.name) with \(done.count) repairs; \(left.count) findings are left for you"
    )
    try requireNoErrors(left)
  }

  private func requireNoErrors(_ left: [DatasetFinding]) throws {
    let count = left.count { $0.severity == .error }
    guard count > 0 else { return }
    throw Diagnostic(
      "\(count) \(count == 1 ? "error is" : "errors are") left that only you can mend",
      remedy: "see what is said about each above")
  }

  private func verification(of folder: URL) throws -> DatasetFindings {
    try DatasetVerifier(folder: folder).verify(progress: progress, cancellation: cancellation)
  }

  /// Measures a dataset, or reads what was measured before unless `again` is set.
  package func extractFingerprint(of dataset: RawDataset, again: Bool = false) throws -> DatasetFingerprint {
    try FingerprintExtractor(dataset: dataset).extract(
      into: roots.preprocessedFolder(of: dataset.name), clean: again, progress: progress,
      cancellation: cancellation)
  }

  /// The fingerprint that was measured before.
  package func readFingerprint(of dataset: RawDataset) throws -> DatasetFingerprint {
    let url = try roots.preprocessedFolder(of: dataset.name).appending(path: DatasetFingerprint.fileName)
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw Diagnostic(
        "\(dataset.name) has no fingerprint", at: url.path, expected: "a file that extract_fingerprint wrote",
        found: "no such file", remedy: "lunette extract_fingerprint -d \(dataset.name)")
    }
    return try DatasetFingerprint(contentsOf: url)
  }

  /// Preprocesses the training cases for every named configuration that the plans have.
  ///
  /// Cases that are there already, made with the same settings from the same files, are kept.
  ///
  /// No more than `memoryCap` bytes are taken, or what the machine has available.
  package func preprocess(
    _ dataset: RawDataset, by plans: Plans, configurations: [String], memoryCap: Int? = nil
  ) throws {
    for name in configurations {
      guard plans.configurationNames.contains(name) else {
        // The usual names are asked for by default; any other must be meant.
        guard Self.usualConfigurations.contains(name) else {
          _ = try plans.configuration(named: name)
          continue
        }
        progress.note("\(plans.plansName) has no configuration \(name); skipped")
        continue
      }
      try plans.configuration(named: name).requireKnownPreprocessor()
      let report = try preprocessDataset(
        dataset: dataset, plans: plans, configuration: name, roots: roots, memoryCap: memoryCap,
        progress: progress, cancellation: cancellation)
      progress.note("\(name): \(report.writtenCount) cases preprocessed, \(report.keptCount) kept")
    }
  }

  private static let usualConfigurations = ["2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"]
}
