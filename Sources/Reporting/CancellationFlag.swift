// One flag that Ctrl-C, a Lua interrupt and callers set, and long work polls per iteration, case and tile.

import Synchronization

/// A one-way request to stop; safe to set from a signal handler's thread.
package final class CancellationFlag: Sendable {
  private let requested = Atomic<Bool>(false)

  package init() {}

  /// Whether somebody asked for a stop.
  package var isCancelled: Bool { requested.load(ordering: .relaxed) }

  package func cancel() { requested.store(true, ordering: .relaxed) }

  /// Clears the flag before the next piece of work.
  package func reset() { requested.store(false, ordering: .relaxed) }

  /// Throws ``Cancelled`` when a stop was requested.
  package func check() throws(Cancelled) {
    if isCancelled { throw Cancelled() }
  }
}

/// Thrown out of long work that was asked to stop.
package struct Cancelled: Error, CustomStringConvertible {
  package init() {}
  package var description: String { "stopped on request" }
}
