// The read-evaluate-print loop: prompts, continuation lines, results and errors on a line editor.

import Foundation
import LuaHost

/// The interactive front end of a session.
package struct REPL {
  let session: Session
  let editor: any LineEditor
  let historyFile: HistoryFile?
  /// Inputs slower than this show their time.
  private let timeShownFrom = Duration.seconds(1)

  package init(session: Session, editor: any LineEditor, historyFile: HistoryFile?) {
    self.session = session
    self.editor = editor
    self.historyFile = historyFile
  }

  /// Reads and runs inputs until Ctrl-D or the input's end.
  package func run() {
    historyFile?.read().forEach(editor.remember)
    editor.setCompleter { [session] in session.complete($0, at: $1) }
    while let input = readInput() {
      if input.allSatisfy(\.isWhitespace) { continue }
      editor.remember(input)
      historyFile?.append(input)
      session.state.watchControlC()
      let evaluation = session.execute(input)
      LuaState.ignoreControlC()
      show(evaluation)
    }
    StandardStreams.writeOutput("\n")
  }

  /// One input of one or more lines; nil at the end.
  private func readInput() -> String? {
    var input = ""
    while true {
      let number = "In[\(session.history.count + 1)]: "
      let prompt = input.isEmpty ? number : String(repeating: " ", count: max(0, number.count - 5)) + "...: "
      switch editor.readLine(prompt: prompt) {
      case .end:
        if input.isEmpty { return nil }
        return input
      case .interrupted:
        input = ""
      case .line(let line):
        input += input.isEmpty ? line : "\n" + line
        if session.isComplete(input) != .incomplete { return input }
      }
    }
  }

  private func show(_ evaluation: Evaluation) {
    if let result = evaluation.result {
      let label = evaluation.isCommand ? "" : "Out[\(evaluation.number)]: "
      let isLong = !label.isEmpty && result.contains("\n")
      StandardStreams.writeOutput(label + (isLong ? "\n" : "") + result + "\n")
    }
    if let error = evaluation.error {
      StandardStreams.writeError((error.calls.isEmpty ? error.message : error.description) + "\n")
    }
    if evaluation.duration >= timeShownFrom {
      StandardStreams.writeOutput("(\(durationText(evaluation.duration)))\n")
    }
  }
}

extension LuaError {
  /// The traceback, where it says more than the error itself.
  var calls: String {
    let frames = traceback.split(separator: "\n").dropFirst()
    return frames.count <= 1 || kind == .syntax ? "" : traceback
  }
}

/// Starts the interactive session on the terminal, or on a pipe.
///
/// - Parameter environment: Where datasets lie, and who shows progress.
/// - Returns: The exit code.
package func runREPL(environment: ScriptEnvironment = ScriptEnvironment()) -> Int32 {
  do {
    let session = try Session(exposesMembers: true, environment: environment)
    defer { session.close() }
    let isTerminal = isatty(STDIN_FILENO) == 1
    if isTerminal {
      StandardStreams.writeOutput(
        "Lunette. Lua 5.4; try lunette.plan? for help, %help for commands, Ctrl-D to leave.\n")
    }
    let editor: any LineEditor = isTerminal ? ReadlineEditor() : PlainLineEditor(showsPrompt: false)
    REPL(session: session, editor: editor, historyFile: isTerminal ? .standard : nil).run()
    return 0
  } catch {
    StandardStreams.writeError("lunette: \(error)\n")
    return 1
  }
}
