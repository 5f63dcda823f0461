// Tokens of Lua source text.

import Scripting
import Testing

@Suite("LuaLexer")
struct LexerTests {
  @Test(
    "Tokens come with kind, text and depth",
    arguments: [
      ("x=1", ["x", "=", "1"]), ("a.b:c'd'", ["a", ".", "b", ":", "c", "'d'"]),
      ("1e-5+0x1p-2", ["1e-5", "+", "0x1p-2"]),
      ("a--c\nb", ["a", "b"]), ("[[x]]--[==[y]]]==]z", ["[[x]]", "z"]),
      ("a//b..c...", ["a", "//", "b", "..", "c", "..."]),
      ("'a\\'b' \"c\"", ["'a\\'b'", "\"c\""]), ("x<=y~=z", ["x", "<=", "y", "~=", "z"]), ("3..2", ["3..2"]),
    ])
  func texts(source: String, expected: [String]) {
    #expect(LuaLexer.tokens(of: source).map(\.text) == expected)
  }

  @Test("Blocks and brackets have a depth; if and loops close once")
  func depth() {
    let tokens = LuaLexer.tokens(of: "if a then for i = 1, 2 do f(x) end elseif b then else end y")
    #expect(tokens.last?.depth == 0)
    #expect(tokens.first { $0.text == "x" }?.depth == 3)
    #expect(LuaLexer.tokens(of: "repeat local a until a b").last?.depth == 0)
  }

  @Test("What the text's end cuts off is unfinished")
  func unfinished() {
    #expect(LuaLexer.tokens(of: "x = 'ab").last?.kind == .unfinished)
    #expect(LuaLexer.tokens(of: "x = [==[ab]]").last?.kind == .unfinished)
    #expect(LuaLexer.tokens(of: "--[[ a").last?.kind == .unfinished)
  }
}
