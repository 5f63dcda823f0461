// One piece of work on a thread of its own, while the caller does another.

import Dispatch
import Foundation
import Synchronization

/// Work that has been started and whose result is asked for later.
final class BackgroundWork<Value: Sendable>: Sendable {
  private let ended = DispatchSemaphore(value: 0)
  private let outcome = Mutex<Result<Value, any Error>?>(nil)

  init(_ name: String, _ work: @escaping @Sendable () throws -> Value) {
    let thread = Thread { [self] in
      let result = Result { try work() }
      outcome.withLock { $0 = result }
      ended.signal()
    }
    thread.name = name
    // The main thread's size: reading and resampling were written for it.
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// The result, once it is there; throws what the work threw.
  func value() throws -> Value {
    ended.wait()
    ended.signal()
    guard let result = outcome.withLock({ $0 }) else { preconditionFailure("work ended without a result") }
    return try result.get()
  }
}
