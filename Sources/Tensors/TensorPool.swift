// Buffers for tensors, kept and handed out again: a training step allocates nothing once it has run.

import Foundation
import Synchronization

/// One aligned allocation; goes back to its pool when the last tensor using it is gone.
package final class TensorStorage {
  package let pointer: UnsafeMutableRawPointer
  package let byteCount: Int
  /// Raised by whoever writes into a buffer that others may have derived data from, such as an optimizer.
  package var version = 0
  /// Other forms of the same values, such as weights in a convolution's own layout, with the version they were made of.
  package var derivedForms: [AnyHashable: (version: Int, storage: TensorStorage)] = [:]
  private let pool: TensorPool

  fileprivate init(pointer: UnsafeMutableRawPointer, byteCount: Int, pool: TensorPool) {
    self.pointer = pointer
    self.byteCount = byteCount
    self.pool = pool
  }

  deinit { pool.recycle(pointer, byteCount: byteCount) }
}

/// A buffer nobody uses.
// SAFETY: unchecked because a raw pointer is not Sendable; an idle buffer has exactly one owner, the pool's free list.
private struct IdleBuffer: @unchecked Sendable {
  let pointer: UnsafeMutableRawPointer
}

/// A cache of buffers by size.
package final class TensorPool: Sendable {
  private struct Contents {
    var free: [Int: [IdleBuffer]] = [:]
    var usedBytes = 0
    var peakBytes = 0
  }
  private let contents = Mutex(Contents())

  package init() {}

  deinit { releaseUnused() }

  /// Bytes in live buffers now, and the most there ever were.
  package var usage: (current: Int, peak: Int) { contents.withLock { ($0.usedBytes, $0.peakBytes) } }

  /// A buffer of at least `byteCount` bytes, 64-byte aligned, content undefined.
  package func allocate(byteCount: Int) -> TensorStorage {
    let size = Self.roundedSize(byteCount)
    let cached = contents.withLock { contents in
      contents.usedBytes += size
      contents.peakBytes = max(contents.peakBytes, contents.usedBytes)
      return contents.free[size]?.popLast()
    }
    let pointer = cached?.pointer ?? UnsafeMutableRawPointer.allocate(byteCount: size, alignment: 64)
    return TensorStorage(pointer: pointer, byteCount: size, pool: self)
  }

  fileprivate func recycle(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    let buffer = IdleBuffer(pointer: pointer)
    contents.withLock { contents in
      contents.usedBytes -= byteCount
      contents.free[byteCount, default: []].append(buffer)
    }
  }

  /// Gives the cached buffers back to the system.
  package func releaseUnused() {
    contents.withLock { contents in
      for buffer in contents.free.values.joined() { buffer.pointer.deallocate() }
      contents.free = [:]
    }
  }

  /// Sizes step by an eighth of their magnitude, so that near-equal requests share buffers.
  private static func roundedSize(_ byteCount: Int) -> Int {
    let minimum = max(byteCount, 64)
    let magnitude = Int.bitWidth - minimum.leadingZeroBitCount - 1
    let step = max(64, 1 << max(0, magnitude - 3))
    return (minimum + step - 1) / step * step
  }
}
