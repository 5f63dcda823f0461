// A strict JSON parser, lenient only where Python's is: NaN and Infinity are numbers.

package import Reporting

extension JSON {
  /// Parses a text; `source` names it in errors.
  package init(parsing text: String, source: String) throws(Diagnostic) {
    try self.init(parsing: Array(text.utf8), source: source)
  }

  /// Parses UTF-8 bytes; `source` names them in errors.
  package init(parsing bytes: [UInt8], source: String) throws(Diagnostic) {
    var parser = JSONParser(bytes: bytes, source: source)
    self = try parser.parseDocument()
  }

  /// Parses a text that somebody wrote by hand: comments (`#` or `//` to the end of the line) and commas before a closing
  /// bracket are passed over.
  ///
  /// - Returns: the value, and for each thing passed over its line and what it is.
  package static func parsingLeniently(
    _ bytes: [UInt8], source: String
  ) throws(Diagnostic) -> (JSON, [(line: Int, what: String)]) {
    var parser = JSONParser(bytes: bytes, source: source)
    parser.isLenient = true
    let value = try parser.parseDocument()
    return (value, parser.passedOver)
  }
}

private struct JSONParser {
  let bytes: [UInt8]
  let source: String
  var position = 0
  var depth = 0
  var isLenient = false
  /// What a lenient parser has passed over.
  var passedOver: [(line: Int, what: String)] = []

  init(bytes: [UInt8], source: String) {
    self.bytes = bytes
    self.source = source
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
  }

  mutating func parseDocument() throws(Diagnostic) -> JSON {
    let value = try parseValue()
    skipSpace()
    if position < bytes.count { throw error("the end of the text") }
    return value
  }

  func error(_ expected: String) -> Diagnostic {
    let end = min(position, bytes.count)
    let column = end - (bytes[..<end].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0) + 1
    let found =
      position < bytes.count
      ? "'\(String(decoding: bytes[position..<min(position + 12, bytes.count)], as: UTF8.self))'"
      : "the end of the file"
    return Diagnostic(
      "cannot read JSON", at: "\(source), line \(line), column \(column)", expected: expected, found: found,
      remedy: "correct the file at that place (a missing comma or quote is the usual cause)")
  }

  /// The line of the present position, from 1.
  var line: Int { bytes[..<min(position, bytes.count)].count { $0 == 0x0A } + 1 }

  mutating func skipSpace() {
    while position < bytes.count {
      if [0x20, 0x0A, 0x0D, 0x09].contains(bytes[position]) {
        position += 1
      } else if isLenient,
        bytes[position...].starts(with: [0x23]) || bytes[position...].starts(with: [0x2F, 0x2F])
      {
        passedOver.append((line, "a comment"))
        position = bytes[position...].firstIndex(of: 0x0A) ?? bytes.count
      } else {
        return
      }
    }
  }

  /// Whether a list ends here although a comma came before.
  mutating func endsAfterComma(_ bracket: String) -> Bool {
    guard isLenient else { return false }
    skipSpace()
    guard take(bracket) else { return false }
    passedOver.append((line, "a comma before '\(bracket)'"))
    return true
  }

  mutating func take(_ literal: String) -> Bool {
    guard bytes[position...].starts(with: literal.utf8) else { return false }
    position += literal.utf8.count
    return true
  }

  mutating func parseValue() throws(Diagnostic) -> JSON {
    skipSpace()
    guard position < bytes.count else { throw error("a value") }
    switch bytes[position] {
    case UInt8(ascii: "{"): return try parseObject()
    case UInt8(ascii: "["): return try parseArray()
    case UInt8(ascii: "\""): return .string(try parseString())
    case UInt8(ascii: "t") where take("true"): return .bool(true)
    case UInt8(ascii: "f") where take("false"): return .bool(false)
    case UInt8(ascii: "n") where take("null"): return .null
    case UInt8(ascii: "N") where take("NaN"): return .number(.nan)
    case UInt8(ascii: "I") where take("Infinity"): return .number(.infinity)
    case UInt8(ascii: "-") where take("-Infinity"): return .number(-.infinity)
    default: return try parseNumber()
    }
  }

  mutating func enter() throws(Diagnostic) {
    depth += 1
    if depth > 512 { throw error("at most 512 nested levels") }
    position += 1
    skipSpace()
  }

  mutating func parseArray() throws(Diagnostic) -> JSON {
    try enter()
    defer { depth -= 1 }
    var values: [JSON] = []
    if take("]") { return .array(values) }
    while true {
      values.append(try parseValue())
      skipSpace()
      if take("]") { return .array(values) }
      if !take(",") { throw error("',' or ']'") }
      if endsAfterComma("]") { return .array(values) }
    }
  }

  mutating func parseObject() throws(Diagnostic) -> JSON {
    try enter()
    defer { depth -= 1 }
    var object = JSONObject()
    if take("}") { return .object(object) }
    while true {
      skipSpace()
      guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else {
        throw error("a key in quotes")
      }
      let key = try parseString()
      skipSpace()
      if !take(":") { throw error("':'") }
      object[key] = try parseValue()
      skipSpace()
      if take("}") { return .object(object) }
      if !take(",") { throw error("',' or '}'") }
      if endsAfterComma("}") { return .object(object) }
    }
  }

  private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

  mutating func parseNumber() throws(Diagnostic) -> JSON {
    var end = position
    while end < bytes.count, "+-.eE0123456789".utf8.contains(bytes[end]) { end += 1 }
    let text = String(decoding: bytes[position..<end], as: UTF8.self)
    let digits = text.utf8.drop { $0 == UInt8(ascii: "-") }
    if digits.count > 1, digits.first == UInt8(ascii: "0"), digits.dropFirst().first.map(Self.isDigit) == true
    {
      throw error("a number without leading zeros")
    }
    if let integer = Int(text), !text.hasPrefix("+") {
      position = end
      return .integer(integer)
    }
    guard let first = text.utf8.first, first == UInt8(ascii: "-") || (0x30...0x39).contains(first),
      let number = Double(text)
    else { throw error("a value") }
    position = end
    return .number(number)
  }

  mutating func parseString() throws(Diagnostic) -> String {
    position += 1
    var units: [UInt8] = []
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") {
        position += 1
        return String(decoding: units, as: UTF8.self)
      }
      if byte < 0x20 { throw error("no raw control character inside a string") }
      position += 1
      if byte != UInt8(ascii: "\\") {
        units.append(byte)
        continue
      }
      guard position < bytes.count else { break }
      let escape = bytes[position]
      position += 1
      switch escape {
      case UInt8(ascii: "n"): units.append(0x0A)
      case UInt8(ascii: "t"): units.append(0x09)
      case UInt8(ascii: "r"): units.append(0x0D)
      case UInt8(ascii: "b"): units.append(0x08)
      case UInt8(ascii: "f"): units.append(0x0C)
      case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): units.append(escape)
      case UInt8(ascii: "u"): units.append(contentsOf: String(try parseEscapedScalar()).utf8)
      default: throw error("a known escape after '\\'")
      }
    }
    throw error("a closing quote")
  }

  mutating func parseHex() throws(Diagnostic) -> UInt32 {
    guard position + 4 <= bytes.count,
      let unit = UInt32(String(decoding: bytes[position..<position + 4], as: UTF8.self), radix: 16)
    else { throw error("four hexadecimal digits") }
    position += 4
    return unit
  }

  mutating func parseEscapedScalar() throws(Diagnostic) -> Unicode.Scalar {
    let high = try parseHex()
    if (0xD800..<0xDC00).contains(high), take("\\u") {
      let low = try parseHex()
      if (0xDC00..<0xE000).contains(low),
        let scalar = Unicode.Scalar(0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00))
      {
        return scalar
      }
    }
    return Unicode.Scalar(high) ?? "\u{FFFD}"
  }
}
