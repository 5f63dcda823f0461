// An interrupt ends whatever runs, wherever it runs, and leaves a state that works.

import Foundation
import LuaHost
import Reporting
import Testing

@Suite("Interrupts", .timeLimit(.minutes(1)))
struct InterruptTests {
  let state: LuaState

  init() throws { state = try LuaState() }

  /// What runs without end, each in its own way.
  static let endless: [String: String] = [
    "main chunk": "while true do end",
    "older coroutine": """
    co = coroutine.create(function() coroutine.yield() while true do end end)
    coroutine.resume(co)
    interrupt_me()
    coroutine.resume(co)
    """,
    "wrapped coroutine": "local f = coroutine.wrap(function() while true do end end) f()",
    "pcall in a loop": "while true do pcall(function() while true do end end) end",
    "xpcall with an endless handler":
      "while true do xpcall(function() while true do end end, function() while true do end end) end",
    "coroutine in a loop":
      "while true do coroutine.resume(coroutine.create(function() while true do end end)) end",
    "__gc": "setmetatable({}, { __gc = function() while true do end end }) collectgarbage()",
    "__gc set later": """
    local mt = { __gc = true }
    setmetatable({}, mt)
    mt.__gc = function() while true do end end
    collectgarbage()
    """,
    "__close": "do local x <close> = setmetatable({}, { __close = function() while true do end end }) end",
    "__close while unwinding": """
    local x <close> = setmetatable({}, { __close = function() while true do end end })
    while true do end
    """,
    "long pattern": "return string.find(string.rep('a', 200), string.rep('a*', 60) .. 'b')",
    "long repetition": "while true do local s = string.rep('ab', 1e8) end",
    "long concatenation":
      "local t = setmetatable({}, { __index = function() return 'x' end, __len = function() return 1e15 end }) while true do pcall(table.concat, t) end",
    "gsub without end":
      "string.gsub(string.rep('a', 1e6), 'a', function() local n = 0 for i = 1, 1e7 do n = n + i end end)",
    "sort": "table.sort({ 3, 2, 1 }, function() while true do end end)",
    "table.move":
      "table.move(setmetatable({}, { __index = function() return 1 end }), 1, 1 << 60, 2, setmetatable({}, { __newindex = function() end }))",
    "load with an endless reader": "load(function() return ' ' end)",
    "metamethod": "local t = setmetatable({}, { __index = function() while true do end end }) return t.x",
    "error text": "error(setmetatable({}, { __tostring = function() while true do end end }))",
  ]

  @Test("Endless work is interrupted and the state goes on", arguments: endless.keys.sorted())
  func endlessWork(name: String) throws {
    let source = try #require(Self.endless[name])
    let interrupter = state.interrupter
    let timer = Thread {
      // Again and again: a single one may come before the code runs.
      for _ in 0..<3 {
        Thread.sleep(forTimeInterval: 0.05)
        if Thread.current.isCancelled { return }
        interrupter.interrupt()
      }
    }
    try define("interrupt_me", in: state) { _ in [] }
    timer.start()
    let error = try #require(failure(of: source, in: state))
    timer.cancel()
    #expect(error.kind == .interrupted || name == "error text")
    state.clearInterrupt()
    #expect(try run("return 6 * 7", in: state)[0].integer == 42)
  }

  @Test("The engine sees the flag while it works, and its error is an interrupt")
  func engineWork() throws {
    var sawFlag = false
    try define("train", in: state) { call in
      let deadline = Date().addingTimeInterval(20)
      while !call.state.cancellation.isCancelled && Date() < deadline { Thread.sleep(forTimeInterval: 0.005) }
      sawFlag = call.state.cancellation.isCancelled
      try call.state.cancellation.check()
      return []
    }
    interruptSoon(state)
    let error = try #require(failure(of: "while true do pcall(train) end", in: state))
    #expect(sawFlag)
    #expect(error.kind == .interrupted)
    #expect(try run("return 1", in: state)[0].integer == 1)
    #expect(!state.cancellation.isCancelled)
  }

  @Test("An error handler that cleans up still runs after an interrupt")
  func cleanUp() throws {
    interruptSoon(state)
    let error = failure(
      of: "local x <close> = setmetatable({}, { __close = function() cleaned = true end }) while true do end",
      in: state)
    #expect(error?.kind == .interrupted)
    #expect(try state.global("cleaned").boolean == true)
  }

  @Test("An interrupt that was cleared does not stop the next evaluation")
  func cleared() throws {
    state.interrupter.interrupt()
    state.clearInterrupt()
    #expect(try run("local n = 0 for i = 1, 1000 do n = n + i end return n", in: state)[0].integer == 500_500)
  }

  @Test("Huge strings are refused at once")
  func hugeStrings() throws {
    #expect(failure(of: "string.rep('A', 1e9)", in: state)?.message.contains("limit") == true)
    #expect(failure(of: "string.rep('A', 1 << 62, 'b')", in: state)?.message.contains("limit") == true)
    state.limitStrings(to: 1000)
    #expect(failure(of: "return string.rep('A', 1001)", in: state) != nil)
    #expect(
      failure(of: "return table.concat({ string.rep('A', 900), string.rep('A', 900) })", in: state) != nil)
    #expect(failure(of: "return (string.gsub(string.rep('A', 900), 'A', 'BB'))", in: state) != nil)
  }
}
