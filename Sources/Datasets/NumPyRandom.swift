// NumPy's legacy generator (RandomState): splits, fingerprint samples and class locations repeat nnU-Net's draws.
// Everything else random uses RandomSource.

/// MT19937 with the bounded integers, shuffles and choices of NumPy's `RandomState`.
///
/// - Source: nnU-Net draws splits and samples with it; the sequences are fixed by NumPy's compatibility promise.
package struct NumPyRandom: Sendable {
  private static let size = 624
  private static let shift = 397

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
  package mutating func permutation(_ count: Int) -> [Int] {
    var values = Array(0..<count)
    shuffle(&values)
    return values
  }

  /// `count` different integers below `bound`.
  package mutating func choice(_ count: Int, below bound: Int) -> [Int] {
    Array(permutation(bound).prefix(count))
  }

  /// Fills `target` with elements of `values` drawn with replacement; the hot loop of the fingerprint.
  package mutating func draw<T>(
    from values: UnsafeBufferPointer<T>, into target: UnsafeMutableBufferPointer<T>
  ) {
    precondition(!values.isEmpty || target.isEmpty, "cannot draw from nothing")
    if values.count <= 1 {
      for i in 0..<target.count { target[i] = values[0] }
      return
    }
    let limit = Self.limit(values.count - 1)
    let mask = Self.mask(limit)
    var filled = 0
    while filled < target.count {
      if position == Self.size { regenerate() }
      let start = position
      var used = start
      state.withUnsafeBufferPointer { state in
        while used < Self.size, filled < target.count {
          let word = Self.temper(state[used]) & mask
          used += 1
          if word <= limit {
            target[filled] = values[Int(word)]
            filled += 1
          }
        }
      }
      position = used
    }
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
    state.withUnsafeMutableBufferPointer { state in
      @inline(__always) func twisted(_ i: Int, _ following: Int, _ far: Int) -> UInt32 {
        let y = (state[i] & 0x8000_0000) | (state[following] & 0x7FFF_FFFF)
        return state[far] ^ (y >> 1) ^ ((0 &- (y & 1)) & 0x9908_B0DF)
      }
      let split = Self.size - Self.shift
      for i in 0..<split { state[i] = twisted(i, i + 1, i + Self.shift) }
      for i in split..<(Self.size - 1) { state[i] = twisted(i, i + 1, i - split) }
      state[Self.size - 1] = twisted(Self.size - 1, 0, Self.shift - 1)
    }
    position = 0
  }
}
