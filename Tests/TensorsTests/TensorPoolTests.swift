// Buffers that come and go: no two overlap, gaps are used again, and repeated sequences take no more than is in use.

import Tensors
import Testing

@Suite struct TensorPoolTests {
  private let mebibyte = 1 << 20

  /// Fills a buffer with a mark, to be found again unless somebody else wrote there.
  private func mark(_ storage: TensorStorage, _ value: UInt8) {
    storage.pointer.initializeMemory(as: UInt8.self, repeating: value, count: storage.byteCount)
  }

  private func isMarked(_ storage: TensorStorage, _ value: UInt8) -> Bool {
    UnsafeRawBufferPointer(start: storage.pointer, count: storage.byteCount).allSatisfy { $0 == value }
  }

  /// A sequence whose best fit leaves gaps: the second large buffer outgrows the place of the first.
  private func sequence(_ pool: TensorPool, check: Bool = false) {
    func buffer(_ size: Int) -> TensorStorage { pool.allocate(byteCount: size * mebibyte) }
    var kept: [TensorStorage] = []
    for i in 0..<4 {
      let passing = buffer(24 + 8 * i)
      let staying = buffer(16)
      if check {
        mark(passing, UInt8(10 + i))
        mark(staying, UInt8(i))
        #expect(isMarked(passing, UInt8(10 + i)))
      }
      kept.append(staying)
    }
    if check { for (i, storage) in kept.enumerated() { #expect(isMarked(storage, UInt8(i))) } }
  }

  @Test("A repeated sequence takes what is in use at its worst moment, and buffers never overlap")
  func cycles() {
    let (plain, planned) = (TensorPool(isVirtual: true), TensorPool(isVirtual: true))
    for _ in 0..<3 {
      sequence(plain)
      planned.cycle("a") { sequence(planned) }
    }
    #expect(plain.reachedByteCount > plain.usage.peak * 11 / 10, "the sequence does break up the room")
    #expect(planned.reachedByteCount <= planned.usage.peak * 65 / 64)
    let real = TensorPool()
    for _ in 0..<3 { real.cycle("a") { sequence(real, check: true) } }
    #expect(real.usage.current == 0)
  }

  @Test("A sequence that differs, and buffers that outlive one, keep what they hold")
  func surprises() {
    let pool = TensorPool()
    var survivors: [TensorStorage] = []
    for round in 0..<6 {
      pool.cycle("a") {
        let first = pool.allocate(byteCount: 20 * mebibyte)
        let second = pool.allocate(byteCount: (round % 3 == 2 ? 40 : 20) * mebibyte)
        mark(first, UInt8(100 + round))
        mark(second, UInt8(round))
        survivors.append(round % 2 == 0 ? first : second)
      }
    }
    for (round, storage) in survivors.enumerated() {
      #expect(isMarked(storage, round % 2 == 0 ? UInt8(100 + round) : UInt8(round)))
    }
  }

  @Test("Kinds of sequences share their memory, and one within another belongs to it")
  func kinds() {
    let pool = TensorPool(isVirtual: true)
    for _ in 0..<3 {
      pool.cycle("a") { sequence(pool) }
      pool.cycle("b") {
        sequence(pool)
        pool.cycle("c") { sequence(pool) }
      }
    }
    #expect(pool.reachedByteCount <= pool.usage.peak * 65 / 64)
  }

  @Test("A gap is used again, and neighbouring gaps become one")
  func gaps() {
    let pool = TensorPool(isVirtual: true)
    for size in [1, 2, 3, 32, 64] {
      let pair = [pool.allocate(byteCount: size * mebibyte), pool.allocate(byteCount: size * mebibyte)]
      withExtendedLifetime(pair) {}
    }
    let small = pool.reachedByteCount
    #expect(small <= (2 * 3 + 2 * 64) * mebibyte)
    #expect(pool.usage.current == 0)
  }
}
