// What Swift code gets when Lua code fails.

/// A failure of Lua code, or of an engine function that it called.
// SAFETY: `value` is a handle that only the thread of its Lua state can use; other threads read the texts.
package struct LuaError: Error, CustomStringConvertible, @unchecked Sendable {
  package enum Kind: Sendable {
    case runtime
    case syntax
    case outOfMemory
    /// An error while an error was being handled.
    case handlerFailed
    case interrupted
  }

  package var kind: Kind
  /// What went wrong, with the position where Lua knows it.
  package var message: String
  /// The calls that led there, innermost first; empty when there were none.
  package var traceback: String
  /// The error value, when Lua code raised something other than text.
  package var value: LuaValue
  /// The engine's own error, when it was one that nothing caught on the way.
  package var underlying: (any Error)?

  package init(
    _ kind: Kind, _ message: String, traceback: String = "", value: LuaValue = .nil,
    underlying: (any Error)? = nil
  ) {
    self.kind = kind
    self.message = message
    self.traceback = traceback
    self.value = value
    self.underlying = underlying
  }

  package var description: String { traceback.isEmpty ? message : message + "\n" + traceback }
}

/// A failure of the bridge itself or of a value that crosses it; becomes a Lua error at the caller's position.
package struct LuaBridgeError: Error, CustomStringConvertible, Sendable {
  package var description: String

  package init(_ description: String) { self.description = description }
}
