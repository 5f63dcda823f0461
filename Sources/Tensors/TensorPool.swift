// Buffers for tensors, cut from one stretch of address space: what one tensor leaves, tensors of any size can take, so
// that resident memory stays near what is in use at the worst moment.

import Foundation
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
    var usedBytes = 0
    var peakBytes = 0
  }
  private let contents = Mutex(Contents())
  /// Whether buffers are only counted: they have addresses that nobody may write to, so that no memory is taken.
  package let isVirtual: Bool

  package init(isVirtual: Bool = false) { self.isVirtual = isVirtual }

  deinit { contents.withLock { for arena in $0.arenas { munmap(arena.base, arena.capacity) } } }

  /// Bytes in live buffers now, and the most there ever were.
  package var usage: (current: Int, peak: Int) { contents.withLock { ($0.usedBytes, $0.peakBytes) } }

  /// Bytes that have been handed out at least once: what is resident once everything has been written to.
  package var reachedByteCount: Int { contents.withLock { $0.arenas.reduce(0) { $0 + $1.top } } }

  /// A buffer of at least `byteCount` bytes, 64-byte aligned, content undefined.
  package func allocate(byteCount: Int) -> TensorStorage {
    let size = (max(byteCount, 1) + Arena.alignment - 1) / Arena.alignment * Arena.alignment
    let buffer = contents.withLock { contents in
      contents.usedBytes += size
      contents.peakBytes = max(contents.peakBytes, contents.usedBytes)
      for i in contents.arenas.indices {
        if let pointer = contents.arenas[i].take(size) { return IdleBuffer(pointer: pointer) }
      }
      var arena = Arena(atLeast: size)
      guard let pointer = arena.take(size) else { preconditionFailure("a new arena holds \(size) bytes") }
      contents.arenas.append(arena)
      return IdleBuffer(pointer: pointer)
    }
    return TensorStorage(pointer: buffer.pointer, byteCount: size, pool: self)
  }

  fileprivate func recycle(_ pointer: UnsafeMutableRawPointer, byteCount: Int) {
    let buffer = IdleBuffer(pointer: pointer)
    contents.withLock { contents in
      contents.usedBytes -= byteCount
      for i in contents.arenas.indices where contents.arenas[i].owns(buffer.pointer) {
        contents.arenas[i].give(buffer.pointer, byteCount)
      }
    }
  }

  /// Gives the memory of idle buffers back to the system.
  package func releaseUnused() {
    contents.withLock { contents in for arena in contents.arenas { arena.releaseGaps() } }
  }
}

/// A buffer on its way through the lock.
// SAFETY: unchecked because a raw pointer is not Sendable; the buffer has exactly one owner at any time.
private struct IdleBuffer: @unchecked Sendable {
  let pointer: UnsafeMutableRawPointer
}

/// A reserved stretch of addresses, handed out by best fit; neighbouring gaps become one.
// SAFETY: unchecked because a raw pointer is not Sendable; the pool's lock guards every use.
private struct Arena: @unchecked Sendable {
  static let alignment = 64
  let base: UnsafeMutableRawPointer
  let capacity: Int
  /// Everything from here on has never been handed out.
  private(set) var top = 0
  /// Gaps below `top`, by offset.
  private var gaps: [(offset: Int, size: Int)] = []

  /// Reserves addresses; pages become memory when they are first written.
  init(atLeast size: Int) {
    var capacity = 1 << 40
    while true {
      let address = mmap(
        nil, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
      if let address, address != MAP_FAILED {
        base = address
        break
      }
      // A machine may limit addresses; what is asked for now must be had.
      precondition(capacity / 2 >= size, "the system has no \(size) bytes of memory")
      capacity /= 2
    }
    self.capacity = capacity
    // Large pages spare the page faults of buffers of hundreds of megabytes; a refusal costs nothing but time.
    _ = madvise(base, capacity, MADV_HUGEPAGE)
  }

  func owns(_ pointer: UnsafeMutableRawPointer) -> Bool { pointer >= base && pointer < base + capacity }

  mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
    var best: Int?
    for (i, gap) in gaps.enumerated() where gap.size >= size {
      if best.map({ gap.size < gaps[$0].size }) ?? true { best = i }
    }
    if let best {
      let offset = gaps[best].offset
      if gaps[best].size == size {
        gaps.remove(at: best)
      } else {
        gaps[best] = (offset + size, gaps[best].size - size)
      }
      return base + offset
    }
    // The last gap may reach up to the top: then only the rest is new.
    let start = gaps.last.map { $0.offset + $0.size == top ? $0.offset : top } ?? top
    guard start + size <= capacity else { return nil }
    if start != top { gaps.removeLast() }
    top = start + size
    return base + start
  }

  mutating func give(_ pointer: UnsafeMutableRawPointer, _ size: Int) {
    let offset = pointer - base
    var (low, high) = (0, gaps.count)
    while low < high {
      let middle = (low + high) / 2
      if gaps[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    gaps.insert((offset, size), at: low)
    if low + 1 < gaps.count, gaps[low].offset + gaps[low].size == gaps[low + 1].offset {
      gaps[low].size += gaps[low + 1].size
      gaps.remove(at: low + 1)
    }
    if low > 0, gaps[low - 1].offset + gaps[low - 1].size == gaps[low].offset {
      gaps[low - 1].size += gaps[low].size
      gaps.remove(at: low)
    }
  }

  func releaseGaps() {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    for gap in gaps {
      let start = (gap.offset + page - 1) / page * page
      let end = (gap.offset + gap.size) / page * page
      if end > start { _ = madvise(base + start, end - start, MADV_DONTNEED) }
    }
  }
}
