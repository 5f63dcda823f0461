// run and the interactive session: both are Scripting's, started here.

import ArgumentParser
import Scripting

/// Runs a Lua script.
struct RunCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "run", abstract: "Run a Lua script; the words after it are its arg[1], arg[2], ...")

  @Argument(help: ArgumentHelp("The script.", valueName: "file.lua"))
  var script: String

  @Argument(parsing: .captureForPassthrough, help: ArgumentHelp("Its arguments.", valueName: "argument"))
  var arguments: [String] = []

  func run() throws {
    try finish(
      with: runScript(
        path: script, arguments: arguments, environment: ScriptEnvironment(progress: TerminalProgress())))
  }
}

/// The interactive session, when no command is given.
struct SessionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "session", abstract: "Start an interactive Lua session; the default without a command.")

  func run() throws {
    try finish(with: runREPL(environment: ScriptEnvironment(progress: TerminalProgress())))
  }
}

/// Ends the program with the exit code of a session, whose messages are out already.
private func finish(with status: Int32) throws {
  if status != Program.ExitStatus.success { throw ExitCode(status) }
}
