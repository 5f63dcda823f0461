// Scripts from files: arguments, exit codes, tracebacks; and the history file.

import Foundation
import LuaHost
import Scripting
import Testing

@Suite("Script")
struct ScriptTests {
  private func script(_ text: String) throws -> String {
    let url = FileManager.default.temporaryDirectory.appending(path: "lunette-\(UUID().uuidString).lua")
    try Data(text.utf8).write(to: url)
    return url.path
  }

  @Test("A script gets its arguments as the standalone interpreter gives them")
  func arguments() throws {
    let path = try script(
      "#!/usr/bin/env lunette\nassert(#arg == 2 and arg[1] == 'a' and select(2, ...) == 'b')\nassert(arg[0])")
    #expect(runScript(path: path, arguments: ["a", "b"]) == 0)
  }

  @Test("A failing script ends with 1 and its traceback names the line")
  func failure() throws {
    let path = try script("local function inner()\n  error('no')\nend\ninner()")
    #expect(runScript(path: path, arguments: []) == 1)
    #expect(runScript(path: path + ".missing", arguments: []) == 1)
    let session = try Session(write: { _ in })
    let error = #expect(throws: LuaError.self) { try Script(path: path).run(in: session.state) }
    #expect(error?.message.hasSuffix(":2: no") == true)
    #expect(error?.traceback.contains(":4: in the main chunk") == true)
  }

  @Test("Inputs of several lines come back from the history file as they were")
  func historyFile() throws {
    let folder = FileManager.default.temporaryDirectory.appending(
      path: "lunette-history-\(UUID().uuidString)")
    let file = HistoryFile(url: folder.appending(path: "deep/history"))
    let inputs = ["x = 1", "for i = 1, 2 do\n  print(i)\nend", "s = '\\n'"]
    inputs.forEach(file.append)
    #expect(file.read() == inputs)
  }
}
