// Stretches of address space, and buffers cut from one by best fit.

import Foundation

/// A reserved stretch of addresses; pages become memory when they are first written.
// SAFETY: unchecked because a raw pointer is not Sendable; the pool's lock guards every use.
struct AddressSpace: @unchecked Sendable {
  static let alignment = 64
  let base: UnsafeMutableRawPointer
  let capacity: Int

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

  /// Gives whole pages back to the system; the addresses stay.
  func release(_ offset: Int, _ size: Int) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let start = (offset + page - 1) / page * page
    let end = (offset + size) / page * page
    if end > start { _ = madvise(base + start, end - start, MADV_DONTNEED) }
  }

  func unmap() { munmap(base, capacity) }
}

/// Buffers by best fit; neighbouring gaps become one.
struct Arena {
  /// Activations from here on have addresses of their own: small buffers that live long, such as gradients of weights,
  /// would lie scattered among them and break up the room.
  static let largeByteCount = 16 << 20
  let holdsLarge: Bool
  let space: AddressSpace
  /// Everything from here on has never been handed out.
  private var top = 0
  /// Gaps below `top`, by offset.
  private var gaps: [Gap] = []
  private var usedBytes = 0
  private var peakUsed = 0

  private struct Gap {
    var offset: Int
    var size: Int
    /// Bytes that may be in memory.
    var resident: Int
    var end: Int { offset + size }
  }

  init(atLeast size: Int, holdsLarge: Bool) {
    self.holdsLarge = holdsLarge
    space = AddressSpace(atLeast: size)
  }

  /// What is in memory if everything handed out was written to.
  var resident: Int { usedBytes + residentGapBytes }

  mutating func take(_ size: Int) -> UnsafeMutableRawPointer? {
    guard let offset = place(size) else { return nil }
    usedBytes += size
    peakUsed = max(peakUsed, usedBytes)
    return space.base + offset
  }

  /// Where a buffer goes: the smallest gap that holds it, else the top.
  private mutating func place(_ size: Int) -> Int? {
    var best: Int?
    for (i, gap) in gaps.enumerated() where gap.size >= size {
      if best.map({ gap.size < gaps[$0].size }) ?? true { best = i }
    }
    if let best {
      let offset = gaps[best].offset
      if gaps[best].size == size {
        gaps.remove(at: best)
      } else {
        gaps[best].offset += size
        gaps[best].size -= size
        gaps[best].resident = min(gaps[best].resident, gaps[best].size)
      }
      return offset
    }
    // The last gap may reach up to the top: then only the rest is new.
    let start = gaps.last.map { $0.end == top ? $0.offset : top } ?? top
    guard start + size <= space.capacity else { return nil }
    if start != top { gaps.removeLast() }
    top = start + size
    return start
  }

  mutating func give(_ pointer: UnsafeMutableRawPointer, _ size: Int) {
    usedBytes -= size
    let offset = pointer - space.base
    var (low, high) = (0, gaps.count)
    while low < high {
      let middle = (low + high) / 2
      if gaps[middle].offset < offset { low = middle + 1 } else { high = middle }
    }
    gaps.insert(Gap(offset: offset, size: size, resident: size), at: low)
    if low + 1 < gaps.count, gaps[low].end == gaps[low + 1].offset { join(low) }
    if low > 0, gaps[low - 1].end == gaps[low].offset { join(low - 1) }
  }

  /// Makes one gap of a gap and the next.
  private mutating func join(_ i: Int) {
    gaps[i].size += gaps[i + 1].size
    gaps[i].resident += gaps[i + 1].resident
    gaps.remove(at: i + 1)
  }

  private var residentGapBytes: Int { gaps.reduce(0) { $0 + $1.resident } }

  /// Gives gaps back to the system, the largest first, until no more is resident than was ever in use at once: what does
  /// not fit between other buffers costs addresses only.
  mutating func trim(isVirtual: Bool) {
    let limit = peakUsed + peakUsed / 64
    var resident = usedBytes + residentGapBytes
    while resident > limit {
      var largest: Int?
      for (i, gap) in gaps.enumerated() where gap.resident > 0 {
        if largest.map({ gap.resident > gaps[$0].resident }) ?? true { largest = i }
      }
      guard let largest else { return }
      resident -= gaps[largest].resident
      release(largest, isVirtual: isVirtual)
    }
  }

  private mutating func release(_ i: Int, isVirtual: Bool) {
    gaps[i].resident = 0
    if !isVirtual { space.release(gaps[i].offset, gaps[i].size) }
  }

  mutating func releaseGaps(isVirtual: Bool) {
    for i in gaps.indices where gaps[i].resident > 0 { release(i, isVirtual: isVirtual) }
  }
}
