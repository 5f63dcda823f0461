// Buffers for tensors, cut from stretches of address space: what one tensor leaves, tensors of any size can take, so that
// resident memory stays near what is in use at the worst moment. Buffers of a repeated sequence are in BufferCycles.

import Synchronization

/// One aligned piece of a pool; goes back when the last tensor using it is gone.
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

/// A source of buffers that keeps what it has got from the system.
package final class TensorPool: Sendable {
  private struct Contents {
    var arenas: [Arena] = []
    var cycles = BufferCycles()
    var usedBytes = 0
    var peakBytes = 0
    var peakResident = 0
  }
  private let contents = Mutex(Contents())
  /// Whether buffers are only counted: they have addresses that nobody may write to, so that no memory is taken.
  package let isVirtual: Bool

  package init(isVirtual: Bool = false) { self.isVirtual = isVirtual }

  deinit {
    contents.withLock {
      for arena in $0.arenas { arena.space.unmap() }
      $0.cycles.region?.space.unmap()
    }
  }

  /// Bytes in live buffers now, and the most there ever were.
  package var usage: (current: Int, peak: Int) { contents.withLock { ($0.usedBytes, $0.peakBytes) } }

  /// The most that was resident at once, if everything handed out was written to.
  package var reachedByteCount: Int { contents.withLock { $0.peakResident } }

  /// A buffer of at least `byteCount` bytes, 64-byte aligned, content undefined.
  package func allocate(byteCount: Int) -> TensorStorage {
    let size =
      (max(byteCount, 1) + AddressSpace.alignment - 1) / AddressSpace.alignment * AddressSpace.alignment
    let buffer = contents.withLock { contents in
      contents.usedBytes += size
      contents.peakBytes = max(contents.peakBytes, contents.usedBytes)
      let isLarge = size >= Arena.largeByteCount
      defer {
        let resident = contents.arenas.reduce(contents.cycles.region?.resident ?? 0) { $0 + $1.resident }
        contents.peakResident = max(contents.peakResident, resident)
      }
      if isLarge, let pointer = contents.cycles.take(size) { return IdleBuffer(pointer: pointer) }
      let pointer = Self.take(size, isLarge, &contents.arenas)
      if isLarge, contents.cycles.isRecording {
        contents.cycles.took(pointer, size)
        for i in contents.arenas.indices where contents.arenas[i].holdsLarge {
          contents.arenas[i].trim(isVirtual: isVirtual)
        }
      }
      return IdleBuffer(pointer: pointer)
    }
    return TensorStorage(pointer: buffer.pointer, byteCount: size, pool: self)
  }

  private static func take(_ size: Int, _ isLarge: Bool, _ arenas: inout [Arena]) -> UnsafeMutableRawPointer {
    for i in arenas.indices where arenas[i].holdsLarge == isLarge {
      if let pointer = arenas[i].take(size) { return pointer }
    }
    var arena = Arena(atLeast: size, holdsLarge: isLarge)
    guard let pointer = arena.take(size) else { preconditionFailure("a new arena holds \(size) bytes") }
    arenas.append(arena)
    return pointer
  }

  fileprivate func recycle(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    let buffer = IdleBuffer(pointer: pointer)
    contents.withLock { contents in
      contents.usedBytes -= byteCount
      if contents.cycles.give(buffer.pointer) { return }
      for i in contents.arenas.indices where contents.arenas[i].space.owns(buffer.pointer) {
        contents.arenas[i].give(buffer.pointer, byteCount)
      }
    }
  }

  /// Runs what asks for the same buffers every time, such as a training step: the second time they are laid out for the
  /// whole of it, so that no more memory is taken than is in use at the worst moment.
  ///
  /// - Parameters:
  ///   - kind: What tells one such sequence from another.
  ///   - body: The work. Buffers may outlive it; another sequence than before is only less compact.
  package func cycle<Result>(_ kind: String, _ body: () throws -> Result) rethrows -> Result {
    let isOutermost = contents.withLock { $0.cycles.begin(kind, isVirtual: isVirtual) }
    defer { if isOutermost { endCycle() } }
    return try body()
  }

  private func endCycle() {
    contents.withLock { contents in
      guard contents.cycles.end() else { return }
      // What the recorded pass took lies idle from now on.
      for i in contents.arenas.indices where contents.arenas[i].holdsLarge {
        contents.arenas[i].releaseGaps(isVirtual: isVirtual)
      }
    }
  }

  /// Gives the memory of idle buffers back to the system.
  package func releaseUnused() {
    contents.withLock { contents in
      for i in contents.arenas.indices { contents.arenas[i].releaseGaps(isVirtual: isVirtual) }
      contents.cycles.region?.release(isVirtual: isVirtual)
    }
  }
}

/// A buffer on its way through the lock.
// SAFETY: unchecked because a raw pointer is not Sendable; the buffer has exactly one owner at any time.
private struct IdleBuffer: @unchecked Sendable {
  let pointer: UnsafeMutableRawPointer
}
