// From the argument vector to an exit code: names that nnU-Net's users type, suggestions, and error texts.

import ArgumentParser
import Foundation
import LuaHost
import Reporting

/// The command line program.
package enum Program {
  /// Exit codes: nothing wrong, the work failed, the command line is wrong, stopped by Ctrl-C.
  enum ExitStatus {
    static let success: Int32 = 0
    static let failure: Int32 = 1
    static let usage: Int32 = 2
    static let interrupted: Int32 = 130
  }

  /// Runs the command that `arguments` (the program's path first) names, and returns the exit code.
  static func run(_ arguments: [String]) -> Int32 {
    var words: [String] = []
    do {
      words = try CommandNames.expand(arguments)
      var command = try RootCommand.parseAsRoot(words)
      do {
        try command.run()
        return ExitStatus.success
      } catch {
        return report(error, of: type(of: command))
      }
    } catch let diagnostic as Diagnostic {
      Console.remark(diagnostic.description)
      return ExitStatus.usage
    } catch {
      return report(error, of: RootCommand.self, hint: TrainCommand.hint(for: words))
    }
  }

  /// The command that the words after the program's name stand for.
  package static func parse(_ words: [String]) throws -> Any { try RootCommand.parseAsRoot(words) }

  /// Prints what went wrong, or the help text that was asked for.
  private static func report(
    _ error: any Error, of command: any ParsableCommand.Type, hint: String? = nil
  ) -> Int32 {
    switch error {
    case let code as ExitCode:
      return code.rawValue
    case is Cancelled:
      Console.remark("stopped on request; what was finished is kept")
      return ExitStatus.interrupted
    case let diagnostic as Diagnostic:
      Console.remark(diagnostic.description)
      return ExitStatus.failure
    case let error as any DiagnosableError:
      Console.remark(error.diagnostic.description)
      return ExitStatus.failure
    case let error as LuaError:
      Console.remark(error.description)
      return error.kind == .interrupted ? ExitStatus.interrupted : ExitStatus.failure
    default:
      break
    }
    if RootCommand.exitCode(for: error) == .success {
      Console.print(RootCommand.fullMessage(for: error))
      return ExitStatus.success
    }
    if RootCommand.exitCode(for: error) == .validationFailure {
      let text = RootCommand.fullMessage(for: error)
      Console.remark(text.hasPrefix("Error: ") ? String(text.dropFirst("Error: ".count)) : text)
      if let hint { Console.remark(hint) }
      return ExitStatus.usage
    }
    Console.remark((error as? any LocalizedError)?.errorDescription ?? error.localizedDescription)
    return ExitStatus.failure
  }
}
