// The tokens of Lua source text: enough for completion, for finding the last statement of an input and for its locals.

/// A token and where it lies, in UTF-8 offsets.
package struct LuaToken: Equatable, Sendable {
  package enum Kind: Sendable {
    case name
    case keyword
    case number
    case string
    case symbol
    /// A string or long comment that the text's end cuts off.
    case unfinished
  }

  package let kind: Kind
  package let text: String
  package let range: Range<Int>
  /// Brackets and blocks that are open before this token.
  package let depth: Int
}

/// Splits source text into tokens; comments and space fall away.
package struct LuaLexer {
  package static let keywords: Set<String> = [
    "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "goto", "if", "in", "local",
    "nil",
    "not", "or", "repeat", "return", "then", "true", "until", "while",
  ]
  private static let openers: Set<String> = ["(", "{", "[", "function", "do", "if", "repeat"]
  private static let closers: Set<String> = [")", "}", "]", "end", "until"]
  private static let symbols: [String] = [
    "...", "<<", ">>", "//", "==", "~=", "<=", ">=", "::", "..",
  ]

  private let bytes: [UInt8]
  private var at = 0
  private var depth = 0
  private var tokens: [LuaToken] = []

  private init(_ source: String) { bytes = Array(source.utf8) }

  package static func tokens(of source: String) -> [LuaToken] {
    var lexer = LuaLexer(source)
    lexer.scan()
    return lexer.tokens
  }

  private func byte(_ offset: Int = 0) -> UInt8 { at + offset < bytes.count ? bytes[at + offset] : 0 }

  private mutating func scan() {
    while at < bytes.count {
      let start = at
      let character = byte()
      if character == UInt8(ascii: " ") || (9...13).contains(character) {
        at += 1
      } else if character == UInt8(ascii: "-") && byte(1) == UInt8(ascii: "-") {
        skipComment(start)
      } else if isNameStart(character) {
        while isNameStart(byte()) || isDigit(byte()) { at += 1 }
        let text = self.text(start)
        add(Self.keywords.contains(text) ? .keyword : .name, start)
      } else if isDigit(character) || (character == UInt8(ascii: ".") && isDigit(byte(1))) {
        scanNumber(start)
      } else if character == UInt8(ascii: "\"") || character == UInt8(ascii: "'") {
        scanString(start, quote: character)
      } else if character == UInt8(ascii: "["), let level = longBracketLevel() {
        add(skipLongBracket(level) ? .string : .unfinished, start)
      } else {
        let rest = bytes[at..<min(at + 3, bytes.count)]
        at += Self.symbols.first { rest.starts(with: $0.utf8) }?.utf8.count ?? 1
        add(.symbol, start)
      }
    }
  }

  private func text(_ start: Int) -> String { String(decoding: bytes[start..<at], as: UTF8.self) }

  private mutating func add(_ kind: LuaToken.Kind, _ start: Int) {
    let text = self.text(start)
    let isSyntax = kind == .keyword || kind == .symbol
    if isSyntax && Self.closers.contains(text) { depth -= 1 }
    tokens.append(LuaToken(kind: kind, text: text, range: start..<at, depth: depth))
    if isSyntax && Self.openers.contains(text) { depth += 1 }
  }

  private func isNameStart(_ character: UInt8) -> Bool {
    (character | 0x20 >= UInt8(ascii: "a") && character | 0x20 <= UInt8(ascii: "z"))
      || character == UInt8(ascii: "_")
  }

  private func isDigit(_ character: UInt8) -> Bool {
    character >= UInt8(ascii: "0") && character <= UInt8(ascii: "9")
  }

  private mutating func scanNumber(_ start: Int) {
    let isHexadecimal = byte() == UInt8(ascii: "0") && byte(1) | 0x20 == UInt8(ascii: "x")
    let exponent = isHexadecimal ? UInt8(ascii: "p") : UInt8(ascii: "e")
    while isNameStart(byte()) || isDigit(byte()) || byte() == UInt8(ascii: ".") {
      let isExponent = byte() | 0x20 == exponent
      at += 1
      if isExponent && (byte() == UInt8(ascii: "+") || byte() == UInt8(ascii: "-")) { at += 1 }
    }
    add(.number, start)
  }

  private mutating func scanString(_ start: Int, quote: UInt8) {
    at += 1
    while at < bytes.count && byte() != quote && byte() != UInt8(ascii: "\n") {
      at += byte() == UInt8(ascii: "\\") ? 2 : 1
    }
    at = min(at, bytes.count)
    if byte() == quote {
      at += 1
      add(.string, start)
    } else {
      add(.unfinished, start)
    }
  }

  /// The number of equals signs of a long bracket that opens here.
  private func longBracketLevel() -> Int? {
    var level = 0
    while byte(1 + level) == UInt8(ascii: "=") { level += 1 }
    return byte(1 + level) == UInt8(ascii: "[") ? level : nil
  }

  /// Moves behind the bracket's end; false when the text ends before.
  private mutating func skipLongBracket(_ level: Int) -> Bool {
    at += level + 2
    while at < bytes.count {
      if byte() == UInt8(ascii: "]") {
        var signs = 0
        while byte(1 + signs) == UInt8(ascii: "=") { signs += 1 }
        if signs == level && byte(1 + signs) == UInt8(ascii: "]") {
          at += level + 2
          return true
        }
      }
      at += 1
    }
    return false
  }

  private mutating func skipComment(_ start: Int) {
    at += 2
    if byte() == UInt8(ascii: "["), let level = longBracketLevel() {
      if !skipLongBracket(level) { add(.unfinished, start) }
      return
    }
    while at < bytes.count && byte() != UInt8(ascii: "\n") { at += 1 }
  }
}
