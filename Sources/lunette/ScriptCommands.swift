// run and the interactive session: both are Scripting's, started here.

import ArgumentParser
import Foundation
import Reporting
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
    throw Diagnostic("running scripts is not part of this build yet", at: script)
  }
}

/// The interactive session, when no command is given.
struct SessionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "session", abstract: "Start an interactive Lua session; the default without a command.")

  func run() throws {
    throw Diagnostic(
      "the interactive session is not part of this build yet", remedy: "`lunette --help` lists the commands")
  }
}
