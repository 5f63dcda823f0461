// Data-parallel loops over cases, channels and slices on the host. The engine's kernels have their own pool.

import Dispatch
import Synchronization

/// Runs `body` for every index, on as many threads as the machine has cores, and returns when all are done.
///
/// Work is handed out one index at a time; results must not depend on which thread ran an index.
package func parallelFor(_ count: Int, _ body: @Sendable (Int) -> Void) {
  if count <= 1 {
    for i in 0..<count { body(i) }
    return
  }
  DispatchQueue.concurrentPerform(iterations: count, execute: body)
}

/// Like ``parallelFor(_:_:)``, collecting results in order; the error of the lowest index that failed is thrown.
package func parallelMap<T: Sendable>(_ count: Int, _ body: @Sendable (Int) throws -> T) throws -> [T] {
  let results = Mutex<[Result<T, any Error>?]>(Array(repeating: nil, count: count))
  parallelFor(count) { i in
    let result = Result { try body(i) }
    results.withLock { $0[i] = result }
  }
  return try results.withLock { try $0.map { try $0?.get() }.compactMap(\.self) }
}
