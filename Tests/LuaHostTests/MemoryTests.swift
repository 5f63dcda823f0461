// Memory limits, and objects that die on both sides.

import LuaHost
import Testing

@Suite("Memory")
struct MemoryTests {
  @Test("A script that passes the limit gets an error, and the state goes on")
  func limit() throws {
    let state = try LuaState(memoryLimit: 8 << 20)
    let error = try #require(failure(of: "local t = {}\nfor i = 1, 1e8 do t[i] = { i } end", in: state))
    #expect(error.kind == .outOfMemory)
    #expect(error.message.contains("not enough memory"))
    try state.collectGarbage()
    #expect(try run("return #string.rep('x', 1000)", in: state)[0].integer == 1000)
    #expect(
      try run("return pcall(function() local t = {} while true do t[#t + 1] = {} end end)", in: state)[0]
        .boolean == false)
  }

  @Test(
    "Every allocation failing in turn leaves a state that works or an error, never a crash", arguments: 0..<40
  )
  func scarcity(step: Int) throws {
    let state = try LuaState()
    try define("echo", in: state) { $0.arguments }
    let source =
      "local t = {} for i = 1, 20 do t[i] = echo({ i, tostring(i), x = { i } }, 'a' .. i, print) end return #t"
    state.limitMemory(to: state.memoryInUse + step * 1024)
    do { #expect(try run(source, in: state)[0].integer == 20) } catch let error as LuaError {
      #expect(error.kind == .outOfMemory || error.message.contains("memory"))
    }
    state.limitMemory(to: 0)
    #expect(try run(source, in: state)[0].integer == 20)
  }

  @Test("Thousands of objects are released when Lua drops them")
  func manyObjects() throws {
    let state = try LuaState()
    let counter = Counted.Counter()
    try define("make", in: state) { _ in [.object(Counted(counter))] }
    let before = state.liveObjectCount
    _ = try run("for i = 1, 5000 do local x = make() assert(x.name == 'Ada') end", in: state)
    try state.collectGarbage()
    #expect(counter.live == 0)
    #expect(state.liveObjectCount == before)
  }

  @Test("A cycle between an object, its callback and the object itself dies")
  func cycle() throws {
    let state = try LuaState()
    let counter = Counted.Counter()
    try define("make", in: state) { call in
      let object = Counted(counter)
      object.callback = call[0]
      return [.object(object)]
    }
    _ = try run(
      """
      for i = 1, 100 do
        local x
        x = make(function(n) return x, n + 1 end)
        collectgarbage()
        local same, n = x(i)
        assert(rawequal(same, x) and n == i + 1)
      end
      """, in: state)
    try state.collectGarbage()
    #expect(counter.live == 0)
  }

  @Test("A callback whose owner died is refused, not called")
  func lostCallback() throws {
    let state = try LuaState()
    var kept: LuaValue = .nil
    try define("keep", in: state) { call in
      kept = call[0]
      return []
    }
    _ = try run("local n = 3 keep(function() return n end)", in: state)
    try state.collectGarbage()
    let error = #expect(throws: LuaError.self) { try state.call(kept) }
    #expect(error?.message.contains("collected") == true)
  }

  @Test("A pinned function lives as long as its handle")
  func pins() throws {
    let state = try LuaState()
    var pinned: LuaValue? = nil
    try define("keep", in: state) { call in
      pinned = try call.state.pin(call[0])
      return []
    }
    _ = try run("local n = 3 keep(function() return n end)", in: state)
    try state.collectGarbage()
    #expect(try state.call(try #require(pinned))[0].integer == 3)
  }

  @Test("Lua is told of foreign memory, so big objects do not pile up")
  func foreignMemory() throws {
    let state = try LuaState()
    let counter = Counted.Counter()
    var highest = 0
    try define("make", in: state) { _ in
      let object = Counted(counter)
      object.foreignBytes = 16 << 20
      highest = max(highest, counter.live)
      return [.object(object)]
    }
    _ = try run("for i = 1, 200 do local x = make() end", in: state)
    #expect(highest < 40)
    try state.collectGarbage()
    #expect(state.foreignByteCount == 0)
  }

  @Test("An object is released by close, and refused afterwards")
  func closing() throws {
    let state = try LuaState()
    let counter = Counted.Counter()
    try define("make", in: state) { _ in [.object(Counted(counter))] }
    try define("count", in: state) { _ in [.integer(counter.live)] }
    let results = try run(
      """
      local kept
      do local x <close> = make() kept = x end
      local live = count()
      local ok, message = pcall(function() return kept.name end)
      return live, ok, message
      """, in: state)
    #expect(results[0].integer == 0)
    #expect(results[1].boolean == false)
    #expect(results[2].string?.contains("closed") == true)
  }

  @Test("Closing a state runs the finalizers that are left and frees the objects")
  func closingState() throws {
    let counter = Counted.Counter()
    var isFinalized = false
    do {
      let state = try LuaState()
      try define("make", in: state) { _ in [.object(Counted(counter))] }
      try define("note", in: state) { _ in
        isFinalized = true
        return []
      }
      _ = try run("kept = make() held = setmetatable({}, { __gc = function() note() end })", in: state)
      state.close()
    }
    #expect(counter.live == 0)
    #expect(isFinalized)
  }
}
