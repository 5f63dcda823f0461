// Values keep their type and content across the bridge.

import LuaHost
import Testing

@Suite("Values")
struct ValueTests {
  let state: LuaState

  init() throws {
    state = try LuaState()
    try define("echo", in: state) { $0.arguments }
  }

  @Test("Scalars, tables and functions come back as they went")
  func roundTrip() throws {
    let results = try run(
      """
      local function f() return 'called' end
      local t = echo({ 10, 20, x = { y = true }, [2.5] = 'half' })
      return echo(nil, true, 1 << 62, 0.1, 'a\\0b', t[2], t.x.y, t[2.5], echo(f) == f, f, math.type(echo(3.0)))
      """, in: state)
    #expect(results[0].isNil)
    #expect(results[1].boolean == true)
    #expect(results[2].integer == 1 << 62)
    #expect(results[3].number == 0.1)
    #expect(results[4].string == "a\0b")
    #expect(results[5].integer == 20)
    #expect(results[6].boolean == true)
    #expect(results[7].string == "half")
    #expect(results[8].boolean == true)
    #expect(results[10].string == "float")
    #expect(results[9].function != nil)
  }

  @Test("A table that contains itself is refused")
  func cyclicTable() throws {
    let error = failure(of: "local t = {} t.t = t echo(t)", in: state)
    #expect(error?.message.contains("contain itself") == true)
  }

  @Test("An object is the same object each time, and its fields and operators work")
  func objects() throws {
    let object = Counted(Counted.Counter())
    try state.setGlobal("a", .object(object))
    let results = try run(
      "t = {} for k, v in pairs(a) do t[k] = v end return echo(a) == a, a.name, a + 1, t.name, tostring(a), type(a)",
      in: state)
    #expect(results[0].boolean == true)
    #expect(results[1].string == "Ada")
    #expect(results[2].string == "sum")
    #expect(results[3].string == "Ada")
    #expect(results[4].string == "counted")
    #expect(results[5].string == "userdata")
    #expect(failure(of: "return a.nothing", in: state)?.message.contains("no field 'nothing'") == true)
    #expect(failure(of: "a.name = 1", in: state)?.message.contains("cannot be changed") == true)
    #expect(
      failure(of: "return a * 2", in: state)?.message.contains("no operator * between counted and integer")
        == true)
    #expect(failure(of: "return getmetatable(a).__index", in: state) != nil)
  }

  @Test("Swift reads and calls what Lua defines")
  func fromSwift() throws {
    _ = try run("config = { rate = 0.5, list = { 1, 2 } } function double(x) return 2 * x end", in: state)
    let config = try state.global("config")
    #expect(try state.get(config, "rate").number == 0.5)
    #expect(try state.keys(config).compactMap(\.string).sorted() == ["list", "rate"])
    #expect(try state.call(state.global("double"), [21])[0].integer == 42)
    let information = try state.information(on: #require(state.global("double").function))
    #expect(information.firstLine == 1)
  }

  @Test("Top-level locals of an input become globals, also when it fails")
  func keptLocals() throws {
    _ = try state.run("local a, b = 1, 2 return __lunette_capture(a)", named: "=In[1]", keepsLocals: true)
    #expect(try state.global("a").integer == 1)
    #expect(try state.global("b").integer == 2)
    #expect(throws: LuaError.self) {
      _ = try state.run(
        "local c = 3 local function f() error('x') end f()", named: "=In[2]", keepsLocals: true)
    }
    #expect(try state.global("c").integer == 3)
  }
}
