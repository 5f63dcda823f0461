// The session's own library functions behave as the reference manual says, and sandbox levels hold.

import LuaHost
import Testing

@Suite("Library")
struct LibraryTests {
  /// Expressions that are true in standard Lua 5.4.
  static let truths = [
    "('hello world'):find('wor') == 7", "('a.b'):find('.', 1, true) == 2", "('abc'):find('b', -1) == nil",
    "('abc'):find('', 10) == nil", "('abc'):find('', 4) == 4", "select('#', ('abc'):find('(b)(c)')) == 4",
    "('key = value'):match('^(%w+)%s*=%s*(%w+)$') == 'key'", "('  x '):match('^%s*(.-)%s*$') == 'x'",
    "('2026-11-23'):match('(%d+)-(%d+)') == '2026'", "('f(a(b)c)d'):match('%b()') == '(a(b)c)'",
    "('THE (quick) fox'):find('%((%a+)%)') == 5", "('hello'):match('()ll()') == 3",
    "('THE quick'):gsub('%f[%a]%a+', 'w') == 'w w'", "('abab'):match('(a)(b)%1%2') == 'a'",
    "('hello'):gsub('', '-') == '-h-e-l-l-o-'", "('hello world'):gsub('o', '0', 1) == 'hell0 world'",
    "('abc'):gsub('%w', '%0%0') == 'aabbcc'", "('a b'):gsub('(%w) (%w)', '%2 %1') == 'b a'",
    "('$x $y'):gsub('%$(%w+)', { x = '1' }) == '1 $y'",
    "('abc'):gsub('b', function() return nil end) == 'abc'",
    "('x^2'):gsub('%^', '**') == 'x**2'", "('[a]'):match('%[(.)%]') == 'a'",
    "('a-z'):match('[a%-z]+') == 'a-z'",
    "('x]y'):match('[]]') == ']'", "('x]y'):match('[^]]') == 'x'", "('äö'):len() == 4",
    "('a\\0b'):find('\\0') == 2",
    "('aaa'):match('a-') == ''", "('aaa'):match('a-$') == 'aaa'", "('ab'):match('a?b?c?$') == 'ab'",
    "('abc'):gsub('^a', 'x') == 'xbc'", "('a,b,,c'):gsub(',', ';') == 'a;b;;c'",
    "('x'):rep(3, ',') == 'x,x,x'", "('x'):rep(0) == ''", "('x'):rep(-1) == ''", "('ab'):rep(2) == 'abab'",
    "table.concat({ 1, 2, 3 }, '-') == '1-2-3'", "table.concat({}) == ''",
    "table.concat({ 'a', 'b', 'c' }, ',', 2) == 'b,c'",
    "string.format('%5.2f|%s|%q', 3.14159, {} ~= nil, 'a\"') == ' 3.14|true|\"a\\\\\"\"'",
    "(function() local t = {} for k, v in ('a=1, b=2'):gmatch('(%w+)=(%w+)') do t[k] = v end return t.b end)() == '2'",
    "(function() local n = 0 for w in ('one two'):gmatch('%a*') do n = n + 1 end return n end)() == 2",
    "(function() local t = { 3, 1, 2 } table.sort(t) return table.concat(t) end)() == '123'",
    "(function() local t = { 1, 2, 3 } table.move(t, 1, 3, 2) return table.concat(t) end)() == '1123'",
    "load('return 1 + ...')(2) == 3", "load(function() return nil end) ~= nil",
    "load('return x', 'n', 't', { x = 5 })() == 5",
    "select(2, load('x =')) ~= nil", "load(string.char(27) .. 'Lua') == nil", "string.dump == nil",
    "pcall(error) == false", "select('#', pcall(function() return 1, nil, 3 end)) == 4",
    "select(2, pcall(string.rep)):find('bad argument #1 to') ~= nil",
    "select(2, pcall(string.format, '%d', 'x')):find('number expected') ~= nil",
    "select(2, pcall(string.find, 'a', '[a')):find('malformed pattern') ~= nil",
    "coroutine.wrap(function(...) return select('#', ...) end)(1, nil) == 2",
    "coroutine.close(coroutine.create(print)) == true", "coroutine.isyieldable() == false",
    "getmetatable(setmetatable({}, { __metatable = 'locked' })) == 'locked'",
    "pcall(setmetatable, setmetatable({}, { __metatable = 1 }), {}) == false",
  ]

  @Test("The session's functions agree with the manual", arguments: truths)
  func agreement(expression: String) throws {
    let state = try LuaState()
    #expect(try run("return (\(expression))", in: state)[0].boolean == true)
  }

  @Test("A pattern that nests too deep is refused")
  func deepPattern() throws {
    let state = try LuaState()
    let error = failure(of: "return string.match(string.rep('a', 1000), string.rep('a?', 1000))", in: state)
    #expect(error?.message.contains("too complex") == true)
  }

  @Test("Print goes to the host, with tostring's words")
  func printing() throws {
    let state = try LuaState()
    var text = ""
    state.redirectOutput { text += $0 }
    _ = try run(
      "print(1, 'two', nil, setmetatable({}, { __tostring = function() return 'three' end }))", in: state)
    #expect(text == "1\ttwo\tnil\tthree\n")
  }

  @Test(
    "Code of a model bundle reaches no file, process or loader",
    arguments: [
      "io", "os.execute", "os.remove", "os.getenv", "require", "package", "dofile", "loadfile",
      "debug.getregistry",
      "debug.sethook", "string.dump",
    ])
  func recipeLevel(name: String) throws {
    let state = try LuaState(sandbox: .recipe)
    var path = name.split(separator: ".").map(String.init)
    if path.count == 2 {
      #expect(try run("return \(path[0]).\(path[1]) == nil", in: state)[0].boolean == true)
    } else {
      #expect(try state.global(path.removeFirst()).isNil)
    }
    #expect(try run("return os.time() > 0 and debug.traceback() ~= nil", in: state)[0].boolean == true)
    #expect(failure(of: "getmetatable('').__index.rep = nil", in: state) != nil)
    #expect(failure(of: "collectgarbage('stop')", in: state) != nil)
  }

  @Test("Values on the command line can compute and nothing else")
  func expressionLevel() throws {
    let state = try LuaState(sandbox: .expression)
    #expect(try run("return math.floor(2.5) .. ('x'):rep(2)", in: state)[0].string == "2xx")
    for name in ["io", "os", "load", "print", "coroutine", "debug", "setmetatable", "collectgarbage"] {
      #expect(try state.global(name).isNil, "\(name) is reachable")
    }
  }
}
