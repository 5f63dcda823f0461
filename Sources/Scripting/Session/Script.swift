// Scripts run from a file, with the standalone interpreter's conventions for arguments and exit codes.

import Foundation
package import LuaHost
import Reporting

/// A script and its arguments.
package struct Script {
  package let path: String
  package let arguments: [String]

  package init(path: String, arguments: [String] = []) {
    self.path = path
    self.arguments = arguments
  }

  /// Runs the script in a state; `arg` and `...` hold its arguments.
  /// - Throws: ``LuaError``, or ``Diagnostic`` when the file cannot be read.
  package func run(in state: LuaState) throws {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw Diagnostic("cannot read the script", at: path, remedy: "check the path")
    }
    var source = String(decoding: data, as: UTF8.self)
    // A first line for the shell; the line itself stays, so that line numbers hold.
    if source.hasPrefix("#") { source = "--" + source.dropFirst() }
    let values = arguments.map { LuaValue.string($0) }
    try state.setGlobal("arg", .table(LuaTable(array: values, others: [(key: 0, value: .string(path))])))
    _ = try state.run(source, named: "@\(path)", arguments: values)
  }
}

/// Runs a script from its file, for the command line.
///
/// - Parameters:
///   - path: The script.
///   - arguments: What it finds in `arg` and `...`.
///   - environment: Where datasets lie, and who shows progress.
/// - Returns: The exit code: 0, 1 after an error, 130 after Ctrl-C.
package func runScript(
  path: String, arguments: [String], environment: ScriptEnvironment = ScriptEnvironment()
) -> Int32 {
  do {
    let session = try Session(environment: environment)
    defer { session.close() }
    session.state.watchControlC()
    defer { LuaState.ignoreControlC() }
    try Script(path: path, arguments: arguments).run(in: session.state)
    return 0
  } catch {
    StandardStreams.writeError("lunette: \(error)\n")
    return (error as? LuaError)?.kind == .interrupted ? 130 : 1
  }
}
