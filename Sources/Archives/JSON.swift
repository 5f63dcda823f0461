// JSON as nnU-Net's files need it: keys keep their order, integers and floats stay apart, NaN may appear.
// Parsing and printing; reading typed values with good errors is in JSON+Access.swift.

/// A JSON value that keeps key order and tells integers from floats.
package enum JSON: Sendable, Equatable {
  case null
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case array([JSON])
  case object(JSONObject)
}

/// Key-value pairs in the order of the file.
package struct JSONObject: Sendable, Equatable, ExpressibleByDictionaryLiteral {
  package private(set) var keys: [String] = []
  private var values: [String: JSON] = [:]

  package init() {}

  package init(dictionaryLiteral elements: (String, JSON)...) {
    for (key, value) in elements { self[key] = value }
  }

  package init(_ pairs: some Sequence<(String, JSON)>) {
    for (key, value) in pairs { self[key] = value }
  }

  package var isEmpty: Bool { keys.isEmpty }
  package var count: Int { keys.count }
  package var pairs: [(key: String, value: JSON)] { keys.map { ($0, values[$0] ?? .null) } }

  /// The value of a key; setting `nil` removes it, setting a known key keeps its place.
  package subscript(key: String) -> JSON? {
    get { values[key] }
    set {
      if let newValue {
        if values.updateValue(newValue, forKey: key) == nil { keys.append(key) }
      } else if values.removeValue(forKey: key) != nil {
        keys.removeAll { $0 == key }
      }
    }
  }

  /// Equal content; the order of keys does not count.
  package static func == (a: JSONObject, b: JSONObject) -> Bool { a.values == b.values }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral
{
  package init(stringLiteral value: String) { self = .string(value) }
  package init(integerLiteral value: Int) { self = .integer(value) }
  package init(floatLiteral value: Double) { self = .number(value) }
  package init(booleanLiteral value: Bool) { self = .bool(value) }
  package init(arrayLiteral elements: JSON...) { self = .array(elements) }
  package init(dictionaryLiteral elements: (String, JSON)...) { self = .object(JSONObject(elements)) }

  package init(_ values: [Int]) { self = .array(values.map(JSON.integer)) }
  package init(_ values: [Double]) { self = .array(values.map(JSON.number)) }
  package init(_ values: [String]) { self = .array(values.map(JSON.string)) }
  package init(_ values: [Bool]) { self = .array(values.map(JSON.bool)) }
}

// MARK: - Printing

extension JSON {
  /// The text Python's `json.dumps` would write with the same indent.
  package func text(indent: Int? = 4, sortedKeys: Bool = false) -> String {
    var out = ""
    write(to: &out, indent: indent, level: 0, sortedKeys: sortedKeys)
    return out
  }

  private func write(to out: inout String, indent: Int?, level: Int, sortedKeys: Bool) {
    switch self {
    case .null: out += "null"
    case .bool(let value): out += value ? "true" : "false"
    case .integer(let value): out += String(value)
    case .number(let value): out += Self.pythonText(value)
    case .string(let value): Self.writeQuoted(value, to: &out)
    case .array(let values):
      Self.writeList(values, "[", "]", to: &out, indent: indent, level: level) { value, out in
        value.write(to: &out, indent: indent, level: level + 1, sortedKeys: sortedKeys)
      }
    case .object(let object):
      let pairs = sortedKeys ? object.pairs.sorted { $0.key < $1.key } : object.pairs
      Self.writeList(pairs, "{", "}", to: &out, indent: indent, level: level) { pair, out in
        Self.writeQuoted(pair.key, to: &out)
        out += ": "
        pair.value.write(to: &out, indent: indent, level: level + 1, sortedKeys: sortedKeys)
      }
    }
  }

  private static func writeList<T>(
    _ items: [T], _ open: String, _ close: String, to out: inout String, indent: Int?, level: Int,
    item write: (T, inout String) -> Void
  ) {
    out += open
    for (i, item) in items.enumerated() {
      if i > 0 { out += indent == nil ? ", " : "," }
      if let indent { out += "\n" + String(repeating: " ", count: indent * (level + 1)) }
      write(item, &out)
    }
    if let indent, !items.isEmpty { out += "\n" + String(repeating: " ", count: indent * level) }
    out += close
  }

  /// A double as Python's `repr` prints it.
  package static func pythonText(_ value: Double) -> String {
    if value.isNaN { return "NaN" }
    if value.isInfinite { return value < 0 ? "-Infinity" : "Infinity" }
    if value == value.rounded(), abs(value) < 1e16 {
      return "\(value < 0 || value.sign == .minus ? "-" : "")\(Int(abs(value))).0"
    }
    return "\(value)"
  }

  private static func writeQuoted(_ text: String, to out: inout String) {
    out += "\""
    for unit in text.utf16 {
      switch unit {
      case 0x22: out += "\\\""
      case 0x5C: out += "\\\\"
      case 0x0A: out += "\\n"
      case 0x0D: out += "\\r"
      case 0x09: out += "\\t"
      case 0x08: out += "\\b"
      case 0x0C: out += "\\f"
      case 0x20...0x7E: out.unicodeScalars.append(Unicode.Scalar(UInt8(unit)))
      default:
        let hex = String(unit, radix: 16)
        out += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
      }
    }
    out += "\""
  }
}
