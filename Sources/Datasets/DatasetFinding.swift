// What verification finds in a dataset: severity, words, and whether a corrected copy can do without it.

package import Reporting

/// One thing wrong, or odd, about a dataset.
package struct DatasetFinding: Sendable, Equatable {
  package enum Severity: String, Sendable {
    /// Stops the work.
    case error
    /// Is only said.
    case warning
  }

  /// What a corrected copy does about it.
  package enum Repair: Sendable, Equatable {
    /// The file takes the geometry of the case's first image.
    case copyGeometry(file: String)
    /// NaN becomes 0, infinite values the nearest finite value of the image.
    case replaceValues(file: String)
    /// `dataset.json` is corrected.
    case description
  }

  package var severity: Severity
  package var diagnostic: Diagnostic
  /// `nil` where only a person can decide.
  package var repair: Repair?

  package init(_ severity: Severity, _ diagnostic: Diagnostic, repair: Repair? = nil) {
    self.severity = severity
    self.diagnostic = diagnostic
    self.repair = repair
  }
}

/// Everything found in one dataset.
package struct DatasetFindings: Sendable, Equatable {
  package let datasetName: String
  package let caseCount: Int
  /// Errors first.
  package let findings: [DatasetFinding]

  package init(datasetName: String, caseCount: Int, findings: [DatasetFinding]) {
    self.datasetName = datasetName
    self.caseCount = caseCount
    self.findings = findings.filter { $0.severity == .error } + findings.filter { $0.severity == .warning }
  }

  package var errors: [Diagnostic] { findings.filter { $0.severity == .error }.map(\.diagnostic) }
  package var warnings: [Diagnostic] { findings.filter { $0.severity == .warning }.map(\.diagnostic) }

  /// More findings than these are counted, not shown.
  private static let shownCount = 25

  /// How many errors and warnings there are, in words.
  package var summary: String {
    func count(_ number: Int, _ noun: String) -> String { "\(number) \(noun)\(number == 1 ? "" : "s")" }
    let repairable = findings.count { $0.repair != nil }
    return "\(datasetName): \(count(caseCount, "case")), \(count(errors.count, "error")), "
      + count(warnings.count, "warning")
      + (repairable > 0 ? "; verify_dataset --fix repairs \(repairable) of them in a copy" : "")
  }

  /// Throws one diagnostic that lists all errors, if there are any.
  package func throwIfUnusable() throws(Diagnostic) {
    let errors = errors
    guard let first = errors.first else { return }
    let repairable = findings.count { $0.severity == .error && $0.repair != nil }
    if errors.count == 1 {
      guard repairable == 1 else { throw first }
      var diagnostic = first
      diagnostic.remedy = (first.remedy.map { "\($0); " } ?? "") + "verify_dataset --fix does it in a copy"
      throw diagnostic
    }
    var lines = errors.prefix(Self.shownCount).map { "- \($0)".replacing("\n", with: "\n  ") }
    if errors.count > Self.shownCount { lines.append("- and \(errors.count - Self.shownCount) more") }
    throw Diagnostic(
      "\(datasetName) has \(errors.count) problems:\n" + lines.joined(separator: "\n"),
      remedy: "mend them and verify again; nothing was written"
        + (repairable > 0 ? " (verify_dataset --fix mends \(repairable) of them in a copy)" : ""))
  }
}
