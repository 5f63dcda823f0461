// What a session does with inputs: results, locals, commands, completion, help.

import Foundation
import LuaHost
import Scripting
import Testing

@Suite("Session")
final class SessionTests {
  final class Output { var text = "" }

  let output = Output()
  let session: Session

  init() throws {
    let output = output
    session = try Session(catalog: Self.catalog, exposesMembers: true, write: { output.text += $0 })
  }

  static let catalog = Catalog(
    functions: [
      Binding(
        FunctionSchema(
          "lunette.echo", "Gives its arguments back.",
          parameters: [
            .required("value", .any, "what to give back"),
            ParameterSchema("verbose", .boolean, default: false, "talks"),
          ], example: "lunette.echo{ value=1 }")
      ) { [$0["value"]] }
    ], objects: [])

  private func run(_ source: String) throws -> String? {
    let evaluation = session.execute(source)
    if let error = evaluation.error { throw error }
    return evaluation.result
  }

  @Test(
    "Results are shown without return, also behind statements and over several lines",
    arguments: [
      ("6 * 7", "42"), ("1, 'two', nil", "1\t\"two\"\tnil"), ("x = 5", nil), ("local y = 2\ny + 1", "3"),
      ("x = 1 x", "1"), ("echo(3)", "3"), ("for i = 1, 2 do end\n({ 1, 2 })[2]", "2"), ("return 7", "7"),
      ("local s = 'a'\ns:upper()", "\"A\""), ("if true then x = 9 end x", "9"), ("-- nothing", nil),
      ("", nil),
      ("local f = function(a)\n  return a * 2\nend\nf(\n  4\n)", "8"), ("6 * 7;", nil),
      ("{ 1, x = 'a' }", "{ 1, x = \"a\" }"),
      ("x = 3 -- a remark\nx -- another", "3"), ("f = function() return 1 end f()", "1"), ("#'abc'", "3"),
      ("'a' .. [[b]]", "\"ab\""), ("nil", nil), ("do local z = 1 end", nil), ("x = 2; -x", "-2"),
      ("not nil", "true"),
    ] as [(String, String?)])
  func results(source: String, expected: String?) throws {
    #expect(try run(source) == expected)
  }

  @Test("Top-level locals survive to the next input, also after an error, and constants do")
  func locals() throws {
    _ = try run("local a <const>, b = 1, { 2 }")
    #expect(try run("a + b[1]") == "3")
    #expect(session.execute("local c = 10\nerror('stop')").error?.message == "In[3]:2: stop")
    #expect(try run("c") == "10")
    _ = try run("local function twice(n) return 2 * n end")
    #expect(try run("twice(c)") == "20")
    #expect(session.execute("local d = 4\nlocal function f() g.x = 1 end\nf()").error != nil)
    #expect(try run("d") == "4")
  }

  @Test("Results are numbered and kept")
  func numbering() throws {
    _ = try run("'first'")
    _ = try run("'second';")
    #expect(try run("_") == "\"second\"")
    #expect(try run("Out[1] .. In[1]") == "\"first'first'\"")
    #expect(session.history.count == 4)
  }

  @Test("Big and cyclic values do not flood the screen")
  func showing() throws {
    _ = try run("t = {} for i = 1, 1e5 do t[i] = i end c = { 1 } c.self = c")
    let text = try #require(try run("t"))
    #expect(text.utf8.count < 2000)
    #expect(text.contains("more"))
    #expect(try run("c") == "{ 1, self = { (itself) } }")
    #expect(try #require(try run("string.rep('x', 1e6)")).utf8.count < 3000)
    #expect(try run("{ { { { { 1 } } } } }") == "{ { { { { ... } } } } }")
  }

  @Test(
    "Incomplete and invalid inputs are told apart",
    arguments: [
      ("for i = 1, 3 do", Completeness.incomplete), ("x = [[a", .incomplete), ("f(", .incomplete),
      ("6 * 7", .complete),
      ("print('hi')", .complete), ("x?", .complete), ("%who", .complete), ("! ls", .complete),
      ("{ 1,", .incomplete),
    ])
  func completeness(source: String, expected: Completeness) {
    #expect(session.isComplete(source) == expected)
  }

  @Test("Invalid inputs say why", arguments: ["x = = 1", "end", "x = 'abc"])
  func invalid(source: String) {
    guard case .invalid(let message) = session.isComplete(source) else {
      Issue.record("\(source) is \(session.isComplete(source))")
      return
    }
    #expect(message.contains("input:1:"))
  }

  private func completions(_ text: String) -> [String] {
    session.complete(text, at: text.utf8.count).candidates
  }

  @Test("Names, live fields and named arguments are completed")
  func completion() throws {
    _ = try run("config = { rate = 1, rounds = { deep = true }, ['not a name'] = 2 }")
    #expect(completions("conf") == ["config"])
    #expect(completions("config.r") == ["rate", "rounds"])
    #expect(completions("x = config.rounds.") == ["deep"])
    #expect(completions("lunette.e") == ["echo"])
    #expect(
      completions("lunette.echo{ ").starts(with: ["value=", "verbose="])
        || completions("lunette.echo{ ").contains("value="))
    #expect(completions("lunette.echo{ value=1, v") == ["verbose="])
    #expect(completions("echo({ ver") == ["verbose="])
    #expect(completions("string.form") == ["format"])
    #expect(completions("nothing.").isEmpty)
    #expect(completions("x = 'conf").isEmpty || !completions("x = 'conf").contains("config"))
    #expect(session.complete("config.ra", at: 9).start == 7)
  }

  @Test("Help comes from the schema, source from where a function was written")
  func help() throws {
    #expect(try run("lunette.echo?")?.contains("Gives its arguments back.") == true)
    #expect(try run("lunette.echo.verbose?") == "verbose (boolean, default false): talks")
    _ = try run("-- Doubles a number.\nfunction double(n)\n  return 2 * n\nend")
    #expect(try run("double?") == "In[3]:2\n-- Doubles a number.\nfunction double(n)")
    #expect(try run("double??")?.contains("return 2 * n\nend") == true)
    #expect(try run("print?")?.contains("Lua library") == true)
    #expect(session.execute("doubel?").error?.message.contains("did you mean 'double'?") == true)
  }

  @Test("Commands list, time, run, save and forget")
  func commands() throws {
    _ = try run("answer = 42")
    #expect(try run("%who")?.contains("answer  integer  42") == true)
    _ = try run("%time 1 + 1")
    #expect(output.text.contains("2\ntook "))
    #expect(
      try run("%history 2")?.contains("1: answer = 42") == true
        || (try run("%history"))?.contains("1: answer = 42") == true)
    let folder = try temporaryFolder()
    let script = folder.appending(path: "script.lua").path
    try Data("ran = arg[1] .. select('#', ...)".utf8).write(to: URL(filePath: script))
    _ = try run("%run \(script) a b")
    #expect(try run("ran") == "\"a2\"")
    let saved = folder.appending(path: "saved.lua").path
    _ = try run("%save \(saved)")
    #expect(try String(contentsOfFile: saved, encoding: .utf8).hasPrefix("answer = 42\n"))
    _ = try run("%reset")
    #expect(try run("answer") == nil)
    #expect(try run("lunette ~= nil") == "true")
    #expect(session.execute("%hsitory").error?.message.contains("%history") == true)
    #expect(try run("! true") == nil)
    #expect(try run("! exit 3") == "(exit status 3)")
  }

  @Test("An interrupt ends an evaluation and the session goes on")
  func interrupt() throws {
    let interrupter = session.state.interrupter
    Thread.detachNewThread {
      for _ in 0..<20 {
        Thread.sleep(forTimeInterval: 0.05)
        interrupter.interrupt()
      }
    }
    #expect(session.execute("local kept = 1 while true do end").error?.kind == .interrupted)
    Thread.sleep(forTimeInterval: 1.2)
    #expect(try run("kept") == "1")
  }

  private func temporaryFolder() throws -> URL {
    let url = FileManager.default.temporaryDirectory.appending(path: "lunette-session-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    return url
  }
}
