// Checks a raw dataset before any work is spent on it, and reports everything that is wrong at once.

import Archives
package import Foundation
package import Reporting
import Synchronization
import Tensors
import VolumeFormats
import Volumes

/// One thing wrong, or odd, about a dataset.
package struct DatasetFinding: Sendable, Equatable {
  package enum Severity: String, Sendable {
    /// Stops the work.
    case error
    /// Is only said.
    case warning
  }

  package var severity: Severity
  package var diagnostic: Diagnostic

  package init(_ severity: Severity, _ diagnostic: Diagnostic) {
    self.severity = severity
    self.diagnostic = diagnostic
  }
}

/// Everything found in one dataset.
package struct DatasetFindings: Sendable, Equatable {
  package let datasetName: String
  package let caseCount: Int
  package let findings: [DatasetFinding]

  package var errors: [Diagnostic] { findings.filter { $0.severity == .error }.map(\.diagnostic) }
  package var warnings: [Diagnostic] { findings.filter { $0.severity == .warning }.map(\.diagnostic) }

  /// More findings than these are counted, not shown.
  private static let shownCount = 25

  /// Throws one diagnostic that lists all errors, if there are any.
  package func throwIfUnusable() throws(Diagnostic) {
    let errors = errors
    guard let first = errors.first else { return }
    if errors.count == 1 { throw first }
    var lines = errors.prefix(Self.shownCount).map { "- \($0)".replacing("\n", with: "\n  ") }
    if errors.count > Self.shownCount { lines.append("- and \(errors.count - Self.shownCount) more") }
    throw Diagnostic(
      "\(datasetName) has \(errors.count) problems:\n" + lines.joined(separator: "\n"),
      remedy: "mend them and verify again; nothing was written")
  }
}

/// Verifies the integrity of a raw dataset.
package struct DatasetVerifier: Sendable {
  package let folder: URL

  package init(folder: URL) { self.folder = folder }

  /// Checks everything and collects what is wrong; throws only when stopped on request.
  package func verify(
    progress: any ProgressSink = SilentProgress(), cancellation: CancellationFlag = CancellationFlag()
  ) throws -> DatasetFindings {
    let dataset: RawDataset
    do { dataset = try RawDataset(folder: folder) } catch {
      return report(nil, 0, [DatasetFinding(.error, error)])
    }
    var findings = descriptionFindings(dataset)
    let cases: [RawCase]
    do { cases = try dataset.cases() } catch {
      return report(dataset, 0, findings + [DatasetFinding(.error, error)])
    }
    findings += listFindings(dataset, cases)
    progress.begin("verify", total: cases.count)
    let completed = Atomic<Int>(0)
    let perCase = try parallelMap(cases.count) { i in
      try cancellation.check()
      let found = caseFindings(cases[i], dataset.description)
      progress.update(completed: completed.add(1, ordering: .relaxed).newValue, detail: cases[i].identifier)
      return found
    }
    progress.end()
    findings += perCase.flatMap(\.findings)
    let emptyCount = perCase.count { !$0.hasForeground }
    if emptyCount == cases.count, !perCase.contains(where: { !$0.findings.isEmpty }) {
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
      datasetName: dataset?.name ?? folder.lastPathComponent, caseCount: caseCount,
      findings: findings.filter { $0.severity == .error } + findings.filter { $0.severity == .warning })
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
            found: "\"modality\"", remedy: "rename \"modality\" to \"channel_names\"")))
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
          remedy: "set \"numTraining\" to \(cases.count), or add the missing cases"))
    ]
  }

  private struct CaseFindings: Sendable {
    var findings: [DatasetFinding] = []
    var hasForeground = false

    mutating func error(_ diagnostic: Diagnostic) { findings.append(DatasetFinding(.error, diagnostic)) }
  }

  /// What the files of one case tell.
  private func caseFindings(_ raw: RawCase, _ description: DatasetDescription) -> CaseFindings {
    var result = CaseFindings()
    let channelCount = description.channelNames.count
    for url in raw.images where !FileManager.default.fileExists(atPath: url.path) {
      result.error(
        Diagnostic(
          "case \(raw.identifier) lacks an image file", at: url.path, expected: "an image",
          found: "no such file",
          remedy: "add the file or correct the entry in dataset.json"))
    }
    if !result.findings.isEmpty { return result }
    let loaded: LoadedCase
    do { loaded = try readCase(raw, channelCount: channelCount) } catch {
      result.error(diagnostic(of: error, raw))
      checkUnreadCase(raw, description, &result)
      return result
    }
    checkImages(loaded, raw, &result)
    if let labels = loaded.labels {
      checkLabelValues(labels, raw, description.labels, &result)
      checkGeometry(labels.geometry, loaded.geometry, raw, &result)
    }
    return result
  }

  /// Looks at the label file of a case whose images cannot be used, so that one round finds both.
  private func checkUnreadCase(
    _ raw: RawCase, _ description: DatasetDescription, _ result: inout CaseFindings
  ) {
    guard FileManager.default.fileExists(atPath: raw.label.path),
      let labels = try? readLabels(raw.label, as: raw.reader)
    else { return }
    checkLabelValues(labels, raw, description.labels, &result)
  }

  private func diagnostic(of error: any Error, _ raw: RawCase) -> Diagnostic {
    switch error {
    case let diagnostic as Diagnostic: diagnostic
    case let error as any DiagnosableError: error.diagnostic
    default:
      Diagnostic(
        "case \(raw.identifier) cannot be read", at: raw.images.first?.path, found: "\(error)",
        remedy: "replace the file by an intact one")
    }
  }

  private func checkImages(_ loaded: LoadedCase, _ raw: RawCase, _ result: inout CaseFindings) {
    let voxelCount = loaded.images.shape.dropFirst().reduce(1, *)
    for channel in 0..<loaded.images.shape[0] {
      let url = raw.images[min(channel, raw.images.count - 1)]
      let values = loaded.images.elements[(channel * voxelCount)..<((channel + 1) * voxelCount)]
      let (nanCount, infiniteCount) = values.withUnsafeBufferPointer { values in
        var nans = 0
        var infinities = 0
        for value in values {
          nans &+= value.isNaN ? 1 : 0
          infinities &+= value.isInfinite ? 1 : 0
        }
        return (nans, infinities)
      }
      if nanCount > 0 {
        result.error(
          Diagnostic(
            "an image of case \(raw.identifier) has NaN", at: url.path, expected: "finite intensities",
            found: "\(nanCount) NaN voxels", remedy: "replace NaN in the image, by 0 for example"))
      }
      if infiniteCount > 0 {
        result.findings.append(
          DatasetFinding(
            .warning,
            Diagnostic(
              "an image of case \(raw.identifier) has infinite values", at: url.path,
              expected: "finite intensities",
              found: "\(infiniteCount) infinite voxels", remedy: "replace them in the image")))
      }
    }
  }

  private func checkLabelValues(
    _ labels: Volume<Int16>, _ raw: RawCase, _ scheme: LabelScheme, _ result: inout CaseFindings
  ) {
    let values = labelValues(in: labels)
    result.hasForeground = values.contains { $0 > 0 }
    do { try requireDeclared(values, of: raw, in: scheme) } catch { result.error(error) }
  }

  private func checkGeometry(
    _ label: ImageGeometry, _ image: ImageGeometry, _ raw: RawCase, _ result: inout CaseFindings
  ) {
    if !areClose(label.spacing, image.spacing) {
      result.error(
        Diagnostic(
          "image and label of case \(raw.identifier) differ in spacing", at: raw.label.path,
          expected: "\(image.spacing) mm (z, y, x) as in the image", found: "\(label.spacing)",
          remedy: "correct the header of the file that is wrong"))
    }
    for (name, a, b) in [
      ("origin", label.origin, image.origin), ("direction", label.direction, image.direction),
    ] where !areClose(a, b) {
      result.findings.append(
        DatasetFinding(
          .warning,
          Diagnostic(
            "image and label of case \(raw.identifier) differ in \(name)", at: raw.label.path,
            expected: "\(b)",
            found: "\(a)", remedy: "make sure that they lie on each other; the voxels are taken as they are"))
      )
    }
  }
}
