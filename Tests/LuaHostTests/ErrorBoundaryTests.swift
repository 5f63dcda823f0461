// Errors across the boundary in both directions. No longjmp may cross a Swift frame; these are the cases that would.

import LuaHost
import Reporting
import Testing

@Suite("Error boundary")
struct ErrorBoundaryTests {
  let state: LuaState

  init() throws { state = try LuaState() }

  @Test("An error raised in Lua is thrown in Swift with position and traceback")
  func raiseFromLua() throws {
    let error = try #require(
      failure(of: "local function inner()\n  error('broken')\nend\ninner()", in: state, named: "@recipe.lua"))
    #expect(error.kind == .runtime)
    #expect(error.message == "recipe.lua:2: broken")
    #expect(
      error.traceback.contains("recipe.lua:2: in function 'inner'")
        || error.traceback.contains("local 'inner'"))
    #expect(error.traceback.contains("recipe.lua:4: in the main chunk"))
  }

  @Test("An error raised in Swift is caught by pcall, with the caller's line and the operation's name")
  func raiseFromSwift() throws {
    try define("open", in: state) { _ in
      throw Diagnostic("no such scan", at: "a.nii.gz", remedy: "check the path")
    }
    let results = try run(
      "local x = 1\nreturn pcall(function() return open() + x end)", in: state, named: "@r.lua")
    #expect(results[0].boolean == false)
    let message = try #require(results[1].string)
    #expect(message.hasPrefix("r.lua:2: engine.open: no such scan"))
    #expect(message.contains("check the path"))
  }

  @Test("An uncaught Swift error names the operation in the traceback and keeps its type")
  func uncaughtSwiftError() throws {
    try define("open", in: state) { _ in throw Diagnostic("no such scan") }
    let error = try #require(failure(of: "\n\nopen()", in: state, named: "@r.lua"))
    #expect(error.traceback.contains("in engine.open (engine)"))
    #expect(error.traceback.contains("r.lua:3: in the main chunk"))
    #expect(error.underlying is Diagnostic)
  }

  @Test("An error passes from Lua through Swift to Lua and out again with both tracebacks")
  func throughSwiftAndBack() throws {
    try define("twice", in: state) { call in try call.state.call(call[0]) + call.state.call(call[0]) }
    let source = "local function bad()\n  error('deep')\nend\nlocal ok = 1\ntwice(bad)"
    let error = try #require(failure(of: source, in: state, named: "@r.lua"))
    #expect(error.message == "r.lua:2: deep")
    #expect(error.traceback.contains("r.lua:2: in"))
    #expect(error.traceback.contains("in engine.twice (engine)"))
    #expect(error.traceback.contains("r.lua:5: in the main chunk"))
  }

  @Test("An error value that is a table keeps its identity through Swift")
  func tableAsError() throws {
    try define("through", in: state) { call in try call.state.call(call[0]) }
    let results = try run(
      """
      local problem = setmetatable({ code = 7 }, { __tostring = function() return 'code seven' end })
      local ok, caught = pcall(through, function() error(problem) end)
      return ok, rawequal(caught, problem), caught.code
      """, in: state)
    #expect(results[0].boolean == false)
    #expect(results[1].boolean == true)
    #expect(results[2].integer == 7)
    let error = try #require(
      failure(of: "error(setmetatable({}, { __tostring = function() return 'said so' end }))", in: state))
    #expect(error.message == "said so")
    guard case .reference(let reference) = error.value else {
      Issue.record("the error's value is \(error.value)")
      return
    }
    #expect(reference.typeName == "table")
  }

  @Test("Error values that are nil, numbers or have a failing __tostring are reported")
  func oddErrorValues() throws {
    #expect(failure(of: "error()", in: state)?.message == "nil")
    #expect(failure(of: "error(42)", in: state)?.message == "42")
    let failing = failure(
      of: "error(setmetatable({}, { __tostring = function() error('no') end }))", in: state)
    #expect(failing != nil)
    #expect(try run("return 1", in: state)[0].integer == 1)
  }

  @Test("An error in an error handler ends in an error, not in a crash")
  func errorInHandler() throws {
    let results = try run(
      "return xpcall(function() error('first') end, function() error('second') end)", in: state)
    #expect(results[0].boolean == false)
    #expect(
      try run("return xpcall(function() error('a') end, function(e) return e .. '!' end)", in: state)[1]
        .string
        == "test:1: a!")
    #expect(try run("return xpcall(function(...) return ... end, print, 1, 2)", in: state).count == 3)
  }

  @Test("Endless recursion ends in an error in Lua, and between Lua and Swift")
  func deepRecursion() throws {
    let plain = try #require(failure(of: "local function f() return 1 + f() end\nf()", in: state))
    #expect(plain.message.contains("stack overflow"))
    #expect(plain.traceback.contains("more calls"))
    try define("bounce", in: state) { call in try call.state.call(call[0], [call[0]]) }
    let nested = try #require(failure(of: "local function f(g) return bounce(g) end\nf(f)", in: state))
    #expect(nested.message.contains("nest") || nested.message.contains("C stack overflow"))
    #expect(try run("return 1", in: state)[0].integer == 1)
  }

  @Test("Syntax errors are told apart, and the end of the input can be recognised")
  func syntaxErrors() throws {
    let open = #expect(throws: LuaError.self) { try state.compile("for i = 1, 3 do", named: "=in") }
    #expect(open?.kind == .syntax)
    #expect(open?.message.hasSuffix("<eof>") == true)
    #expect(failure(of: "x = = 1", in: state)?.kind == .syntax)
    #expect(failure(of: "\u{1B}Lua", in: state)?.kind == .syntax)
  }

  @Test("A coroutine cannot yield across a call of the engine, and says so")
  func yieldAcrossSwift() throws {
    try define("through", in: state) { call in try call.state.call(call[0]) }
    let results = try run(
      """
      local co = coroutine.create(function() through(function() coroutine.yield(1) end) end)
      return coroutine.resume(co)
      """, in: state)
    #expect(results[0].boolean == false)
    #expect(results[1].string?.contains("cannot yield out of a function that the engine called") == true)
    let whole = try run(
      """
      local received
      local co = coroutine.wrap(function(a)
        local ok, b = pcall(coroutine.yield, a + 1)
        received = b
        coroutine.yield(through(function() return 'inner' end))
        error('at last')
      end)
      local first = co(1)
      local second = co('second')
      return first, received, second, select(2, pcall(co))
      """, in: state)
    #expect(whole[0].integer == 2)
    #expect(whole[1].string == "second")
    #expect(whole[2].string == "inner")
    #expect(whole[3].string == "test:6: at last")
  }
}
