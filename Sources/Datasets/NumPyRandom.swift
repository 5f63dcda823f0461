// NumPy's legacy generator (RandomState): splits, fingerprint samples and class locations repeat nnU-Net's draws.
// Everything else random uses RandomSource. The hot loops are C.

import CKernels

/// MT19937 with the bounded integers, shuffles and choices of NumPy's `RandomState`.
///
/// - Source: nnU-Net draws splits and samples with it; the sequences are fixed by NumPy's compatibility promise.
package struct NumPyRandom: Sendable {
  private static let size = 624

  private var state: [UInt32]
  private var position: Int

  package init(seed: UInt32) {
    state = [seed]
    state.reserveCapacity(Self.size)
    var last = seed
    for i in 1..<Self.size {
      last = 1_812_433_253 &* (last ^ (last >> 30)) &+ UInt32(i)
      state.append(last)
    }
    position = Self.size
  }

  /// The next 32 random bits.
  package mutating func next() -> UInt32 {
    if position == Self.size { regenerate() }
    let word = Self.temper(state[position])
    position += 1
    return word
  }

  /// An integer in `0...maximum`; a maximum of 0 consumes nothing.
  package mutating func integer(upTo maximum: Int) -> Int {
    if maximum == 0 { return 0 }
    let limit = Self.limit(maximum)
    let mask = Self.mask(limit)
    while true {
      let word = next() & mask
      if word <= limit { return Int(word) }
    }
  }

  /// Shuffles in place, from the last element to the second.
  package mutating func shuffle<T>(_ values: inout [T]) {
    for i in stride(from: values.count - 1, to: 0, by: -1) { values.swapAt(i, integer(upTo: i)) }
  }

  /// `0..<count` in random order.
  package mutating func permutation(_ count: Int) -> [Int] { choice(count, below: count) }

  /// `count` different integers below `bound`: the start of a permutation.
  package mutating func choice(_ count: Int, below bound: Int) -> [Int] {
    precondition(bound <= Int(UInt32.max), "bounds above 32 bits use other draws")
    var values = [UInt32](unsafeUninitializedCapacity: bound) { values, initializedCount in
      for i in 0..<bound { values[i] = UInt32(truncatingIfNeeded: i) }
      initializedCount = bound
    }
    values.withUnsafeMutableBufferPointer { values in
      guard let base = values.baseAddress else { return }
      position = nnk_twister_shuffle(&state, position, base, values.count)
    }
    return values.prefix(count).map { Int($0) }
  }

  /// Fills `target` with elements of `values` drawn with replacement; the hot loop of the fingerprint.
  package mutating func draw(
    from values: UnsafeBufferPointer<Float>, into target: UnsafeMutableBufferPointer<Float>
  ) {
    precondition(!values.isEmpty || target.isEmpty, "cannot draw from nothing")
    if values.count <= 1 {
      for i in 0..<target.count { target[i] = values[0] }
      return
    }
    guard let source = values.baseAddress, let destination = target.baseAddress else { return }
    position = nnk_twister_draw(
      &state, position, source, Self.limit(values.count - 1), destination, target.count)
  }

  private static func limit(_ maximum: Int) -> UInt32 {
    precondition(maximum >= 0 && maximum <= Int(UInt32.max), "bounds above 32 bits use other draws")
    return UInt32(maximum)
  }

  /// The smallest 2^k - 1 that is not below `limit`.
  private static func mask(_ limit: UInt32) -> UInt32 {
    limit == 0 ? 0 : UInt32.max >> limit.leadingZeroBitCount
  }

  @inline(__always)
  private static func temper(_ value: UInt32) -> UInt32 {
    var y = value
    y ^= y >> 11
    y ^= (y << 7) & 0x9D2C_5680
    y ^= (y << 15) & 0xEFC6_0000
    return y ^ (y >> 18)
  }

  private mutating func regenerate() {
    nnk_twister_regenerate(&state)
    position = 0
  }
}
