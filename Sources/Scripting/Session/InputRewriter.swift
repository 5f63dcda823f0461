// Turns what a user typed into one chunk whose last expression is its result and whose top-level locals survive.

import LuaHost

/// An input in the form in which it runs.
struct RewrittenInput {
  let source: String
  /// Whether a semicolon at the end asks for silence.
  let isMuted: Bool
}

struct InputRewriter {
  let state: LuaState
  let name: String

  /// Lua finds the function that saves the locals under this name; CLuaShims defines it.
  private static let capture = "__lunette_capture"
  /// Tokens after which a statement can be over.
  private static let enders: Set<String> = [
    "end", "nil", "true", "false", "break", ";", "}", ")", "]", "...", "::",
  ]

  /// - Throws: ``LuaError`` of kind `syntax`.
  func rewrite(_ source: String) throws -> RewrittenInput {
    let tokens = LuaLexer.tokens(of: source)
    let isMuted = tokens.last?.text == ";"
    let plain = withoutConstants(source, tokens)
    let bytes = Array(plain.utf8)
    func text(_ range: Range<Int>) -> String { String(decoding: bytes[range], as: UTF8.self) }
    let end = isMuted ? tokens.last?.range.lowerBound ?? bytes.count : bytes.count
    func split(at token: LuaToken) -> RewrittenInput? {
      guard token.depth == 0, token.range.lowerBound < end else { return nil }
      let head = text(0..<token.range.lowerBound)
      let tail = text(token.range.lowerBound..<end)
      let isHeadWhole = head.allSatisfy(\.isWhitespace) || compiles(head)
      guard isHeadWhole, compiles("return \(tail)\n") else { return nil }
      return RewrittenInput(source: "\(head)return true, \(Self.capture)(\(tail)\n)", isMuted: isMuted)
    }
    for token in tokens where startsExpression(token, in: tokens) {
      if let input = split(at: token) { return input }
    }
    do { try state.compile(plain, named: name) } catch {
      // As it stands it is no Lua, so nothing is lost by reading a bracket after a statement as a new expression.
      for token in tokens { if let input = split(at: token) { return input } }
      throw error
    }
    if let last = tokens.last(where: { $0.text == "return" && $0.kind == .keyword && $0.depth == 0 }) {
      let head = text(0..<last.range.lowerBound)
      let tail = text(last.range.upperBound..<end)
      return RewrittenInput(source: "\(head)return true, \(Self.capture)(\(tail)\n)", isMuted: isMuted)
    }
    return RewrittenInput(source: "\(plain)\nreturn true, \(Self.capture)()", isMuted: isMuted)
  }

  /// Whether the token may start the expressions at an input's end.
  ///
  /// A bracket, a string or a minus after an expression
  /// would belong to that expression, so those start one only where nothing or a semicolon comes before.
  private func startsExpression(_ token: LuaToken, in tokens: [LuaToken]) -> Bool {
    guard token.depth == 0 else { return false }
    guard let index = tokens.firstIndex(of: token), index > 0 else { return true }
    let previous = tokens[index - 1]
    let endsStatement: Bool =
      switch previous.kind {
      case .name, .number, .string: true
      default: Self.enders.contains(previous.text)
      }
    guard endsStatement else { return false }
    switch token.kind {
    case .name, .number: return true
    case .keyword: return ["function", "nil", "true", "false", "not"].contains(token.text)
    case .string: return previous.text == ";"
    case .symbol:
      if token.text == "#" || token.text == "..." { return true }
      return previous.text == ";" && ["(", "{", "-", "~"].contains(token.text)
    case .unfinished: return false
    }
  }

  private func compiles(_ source: String) -> Bool { (try? state.compile(source, named: name)) != nil }

  /// The source with `<const>` of top-level locals blanked out: such constants are not variables that could be saved.
  private func withoutConstants(_ source: String, _ tokens: [LuaToken]) -> String {
    var bytes = Array(source.utf8)
    for index in tokens.indices.dropLast(2) where tokens[index].text == "<" && tokens[index].depth == 0 {
      guard tokens[index + 1].text == "const", tokens[index + 2].text == ">" else { continue }
      for offset in tokens[index].range.lowerBound..<tokens[index + 2].range.upperBound {
        bytes[offset] = UInt8(ascii: " ")
      }
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
