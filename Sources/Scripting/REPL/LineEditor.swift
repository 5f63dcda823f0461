// Line editing behind one small protocol, so that a build without readline stays possible.

import LuaHost

/// What a line editor gave.
package enum LineInput: Equatable {
  case line(String)
  /// Ctrl-C at the prompt.
  case interrupted
  /// Ctrl-D, or the input's end.
  case end
}

/// Reads lines from the user.
package protocol LineEditor: AnyObject {
  func readLine(prompt: String) -> LineInput
  /// Makes an input, possibly of several lines, recallable.
  func remember(_ input: String)
  /// Sets what completes a line at a UTF-8 offset.
  func setCompleter(_ complete: @escaping (String, Int) -> Completion)
}

/// Reads plain lines, for pipes and builds without readline.
package final class PlainLineEditor: LineEditor {
  private let showsPrompt: Bool

  package init(showsPrompt: Bool) { self.showsPrompt = showsPrompt }

  package func readLine(prompt: String) -> LineInput {
    if showsPrompt { StandardStreams.writeOutput(prompt) }
    return Swift.readLine(strippingNewline: true).map(LineInput.line) ?? .end
  }

  package func remember(_ input: String) {}
  package func setCompleter(_ complete: @escaping (String, Int) -> Completion) {}
}
