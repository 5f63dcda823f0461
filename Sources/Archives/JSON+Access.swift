// Typed reading of JSON values, and files of JSON.

package import Foundation
package import Reporting

extension JSON {
  package subscript(key: String) -> JSON? {
    if case .object(let object) = self { return object[key] }
    return nil
  }

  package subscript(index: Int) -> JSON? {
    if case .array(let values) = self, values.indices.contains(index) { return values[index] }
    return nil
  }

  package var string: String? { if case .string(let value) = self { value } else { nil } }
  package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  package var array: [JSON]? { if case .array(let value) = self { value } else { nil } }
  package var object: JSONObject? { if case .object(let value) = self { value } else { nil } }
  package var isNull: Bool { self == .null }

  /// The value as an integer; a float with an integral value counts.
  package var integer: Int? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }

  /// The value as a double; an integer counts.
  package var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  /// The elements of an array of numbers.
  package var doubles: [Double]? { elements(\.double) }
  /// The elements of an array of integers.
  package var integers: [Int]? { elements(\.integer) }
  package var strings: [String]? { elements(\.string) }
  package var bools: [Bool]? { elements(\.bool) }

  private func elements<T>(_ read: (JSON) -> T?) -> [T]? {
    guard let array else { return nil }
    let values = array.compactMap(read)
    return values.count == array.count ? values : nil
  }

  /// What kind of value this is, for error texts.
  package var kind: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .integer: "an integer"
    case .number: "a number"
    case .string(let text): "the text \"\(text)\""
    case .array: "a list"
    case .object: "an object"
    }
  }
}

extension JSON {
  /// The same with null for every number that strict JSON cannot hold: NaN and the infinities.
  package var withNullForNonFinite: JSON {
    switch self {
    case .number(let value): value.isFinite ? self : .null
    case .array(let values): .array(values.map(\.withNullForNonFinite))
    case .object(let object):
      .object(JSONObject(object.pairs.map { ($0.key, $0.value.withNullForNonFinite) }))
    default: self
    }
  }

  /// Reads a file of JSON.
  package init(contentsOf url: URL) throws(Diagnostic) {
    let data: Data
    do { data = try Data(contentsOf: url) } catch {
      let exists = FileManager.default.fileExists(atPath: url.path)
      throw Diagnostic(
        "cannot read \(url.lastPathComponent)", at: url.path, expected: "a readable JSON file",
        found: exists ? "\(error.localizedDescription)" : "no such file",
        remedy: exists ? "check the file's permissions" : "create the file or correct the path")
    }
    try self.init(parsing: Array(data), source: url.path)
  }

  /// Writes the text atomically, without a final newline, as Python's `json.dump` does.
  package func write(to url: URL, indent: Int? = 4, sortedKeys: Bool = false) throws(Diagnostic) {
    try writeAtomically(Data(text(indent: indent, sortedKeys: sortedKeys).utf8), to: url)
  }
}
