// The one shape of every error text: what failed, where, expected and found, what to do next.

/// A failure in words that a user can act on.
package struct Diagnostic: Error, CustomStringConvertible, Sendable, Equatable {
  /// What failed, as a sentence without a full stop.
  package var failure: String
  /// The file, case, key or line concerned.
  package var location: String?
  package var expected: String?
  package var found: String?
  /// What to do next.
  package var remedy: String?

  package init(
    _ failure: String, at location: String? = nil, expected: String? = nil, found: String? = nil,
    remedy: String? = nil
  ) {
    self.failure = failure
    self.location = location
    self.expected = expected
    self.found = found
    self.remedy = remedy
  }

  /// The same with a location, unless it has one.
  package func located(at location: String) -> Diagnostic {
    var copy = self
    copy.location = self.location ?? location
    return copy
  }

  package var description: String {
    var text = failure
    if let location { text += "\n  where:    \(location)" }
    if let expected { text += "\n  expected: \(expected)" }
    if let found { text += "\n  found:    \(found)" }
    if let remedy { text += "\n  try:      \(remedy)" }
    return text
  }
}

/// An error of one of this project's targets, which can say itself as a ``Diagnostic``.
package protocol DiagnosableError: Error, CustomStringConvertible {
  var diagnostic: Diagnostic { get }
}

extension DiagnosableError {
  package var description: String { diagnostic.description }
}
