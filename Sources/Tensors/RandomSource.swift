// Random numbers keyed by what they are for, never by the thread that draws them.

import Foundation

/// A small counter-based generator: the same key gives the same numbers on any thread and machine.
///
/// SplitMix64 over a hashed key. Not for cryptography, and not NumPy's generator (see `NumPyRandom`).
package struct RandomSource: RandomNumberGenerator, Sendable {
  private var state: UInt64
  private var spareNormal: Double?

  /// A generator for one purpose, such as `[seed, epoch, iteration, sample]`.
  package init(key: [Int]) {
    state = 0x9E37_79B9_7F4A_7C15
    for part in key {
      state ^= UInt64(bitPattern: Int64(part))
      _ = next()
      state = Self.mix(state)
    }
  }

  package mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  private static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// A double in [0, 1).
  package mutating func uniform() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// A double in [lower, upper).
  package mutating func uniform(_ lower: Double, _ upper: Double) -> Double {
    lower + (upper - lower) * uniform()
  }

  /// An integer in [0, bound).
  package mutating func integer(below bound: Int) -> Int { Int.random(in: 0..<bound, using: &self) }

  /// A standard normal number (Box and Muller's polar form).
  package mutating func normal() -> Double {
    if let spare = spareNormal {
      spareNormal = nil
      return spare
    }
    while true {
      let u = uniform(-1, 1)
      let v = uniform(-1, 1)
      let s = u * u + v * v
      if s > 0, s < 1 {
        let factor = (-2 * log(s) / s).squareRoot()
        spareNormal = v * factor
        return u * factor
      }
    }
  }
}
