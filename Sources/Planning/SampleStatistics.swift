// Mean, deviation and percentiles of very many samples, digit for digit as NumPy computes them.

import Foundation
import Tensors

/// Statistics of a large array of floats without copying or sorting it.
///
/// Sums are pairwise in single precision, as NumPy sums float32 arrays, or in double precision as for float64.
package struct SampleStatistics: Sendable {
  nonisolated(unsafe) private let samples: UnsafeBufferPointer<Float>
  private let inDoublePrecision: Bool

  /// Looks at samples that the caller keeps alive, free of NaN.
  package init(_ samples: UnsafeBufferPointer<Float>, inDoublePrecision: Bool = false) {
    precondition(!samples.isEmpty, "statistics of nothing")
    self.samples = samples
    self.inDoublePrecision = inDoublePrecision
  }

  /// The statistics that a fingerprint records.
  package func intensities() throws -> IntensityStatistics {
    let moments = try inDoublePrecision ? momentsInDouble() : momentsInFloat()
    let ranks = [0.5, 50, 99.5].map { PercentileRank(percent: $0, count: samples.count) }
    let values = try elements(atRanks: ranks.flatMap { [$0.lower, $0.upper] } + [0, samples.count - 1])
    let percentiles = ranks.indices.map { i -> Double in
      let (a, b) = (values[2 * i], values[2 * i + 1])
      let difference = inDoublePrecision ? Double(b) - Double(a) : Double(b - a)
      return ranks[i].interpolate(Double(a), Double(b), difference: difference)
    }
    return IntensityStatistics(
      maximum: Double(values[7]), mean: moments.mean, median: percentiles[1], minimum: Double(values[6]),
      percentiles: (percentiles[0], percentiles[2]), standardDeviation: moments.deviation)
  }

  private func momentsInFloat() throws -> (mean: Double, deviation: Double) {
    let count = Double(samples.count)
    let mean = Float(Double(try sum { $0 }) / count)
    let squares = try sum { (x: SIMD8<Float>) -> SIMD8<Float> in
      let d = x - mean
      return d * d
    }
    return (Double(mean), Double(Float(Double(squares) / count).squareRoot()))
  }

  private func momentsInDouble() throws -> (mean: Double, deviation: Double) {
    let count = Double(samples.count)
    let mean = try sum { SIMD8<Double>($0) } / count
    let squares = try sum { (x: SIMD8<Float>) -> SIMD8<Double> in
      let d = SIMD8<Double>(x) - mean
      return d * d
    }
    return (mean, (squares / count).squareRoot())
  }

  // MARK: - Pairwise sums

  /// Up to this many values are summed in eight interleaved lanes; more are split in two.
  private static let blockSize = 128
  /// Pieces of at least this size are summed on different threads.
  private static let parallelSize = 1 << 22

  private func sum<T: BinaryFloatingPoint & SIMDScalar & Sendable>(
    _ value: @Sendable (SIMD8<Float>) -> SIMD8<T>
  ) throws -> T where SIMD8<T>: Sendable {
    var pieces: [Range<Int>] = []
    Self.split(0..<samples.count, into: &pieces)
    let ranges = pieces
    var sums = try parallelMap(ranges.count) { i in
      Self.pairwiseSum(UnsafeBufferPointer(rebasing: samples[ranges[i]]), value)
    }[...]
    return Self.join(samples.count, &sums)
  }

  private static func half(_ count: Int) -> Int { count / 2 - count / 2 % 8 }

  private static func split(_ range: Range<Int>, into pieces: inout [Range<Int>]) {
    if range.count <= parallelSize {
      pieces.append(range)
    } else {
      let middle = range.lowerBound + half(range.count)
      split(range.lowerBound..<middle, into: &pieces)
      split(middle..<range.upperBound, into: &pieces)
    }
  }

  private static func join<T: BinaryFloatingPoint>(_ count: Int, _ sums: inout ArraySlice<T>) -> T {
    if count <= parallelSize { return sums.removeFirst() }
    let first = join(half(count), &sums)
    return first + join(count - half(count), &sums)
  }

  @inline(__always)
  private static func pairwiseSum<T: BinaryFloatingPoint & SIMDScalar>(
    _ samples: UnsafeBufferPointer<Float>, _ value: (SIMD8<Float>) -> SIMD8<T>
  ) -> T {
    // An explicit stack instead of recursion lets the compiler specialise the loop for `value`.
    var pending = [0..<samples.count]
    var sums: [(depth: Int, sum: T)] = []
    var depths = [0]
    while let range = pending.popLast(), let depth = depths.popLast() {
      if range.count > blockSize {
        let middle = range.lowerBound + half(range.count)
        pending.append(middle..<range.upperBound)
        pending.append(range.lowerBound..<middle)
        depths.append(depth + 1)
        depths.append(depth + 1)
        continue
      }
      var sum = blockSum(samples, range, value)
      var level = depth
      while let last = sums.last, last.depth == level {
        sum = last.sum + sum
        sums.removeLast()
        level -= 1
      }
      sums.append((level, sum))
    }
    return sums[0].sum
  }

  @inline(__always)
  private static func blockSum<T: BinaryFloatingPoint & SIMDScalar>(
    _ samples: UnsafeBufferPointer<Float>, _ range: Range<Int>, _ value: (SIMD8<Float>) -> SIMD8<T>
  ) -> T {
    let raw = UnsafeRawBufferPointer(samples)
    var i = range.lowerBound
    var total: T = 0
    if range.count >= 8 {
      var lanes = value(raw.loadUnaligned(fromByteOffset: i &* 4, as: SIMD8<Float>.self))
      i &+= 8
      while i &+ 8 <= range.upperBound {
        lanes += value(raw.loadUnaligned(fromByteOffset: i &* 4, as: SIMD8<Float>.self))
        i &+= 8
      }
      total =
        ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]))
    }
    while i < range.upperBound {
      total += value(SIMD8(repeating: samples[i]))[0]
      i &+= 1
    }
    return total
  }

  // MARK: - Selection

  /// The elements at given ranks of the sorted samples, by two counting passes over halves of the bit pattern.
  package func elements(atRanks ranks: [Int]) throws -> [Float] {
    let high = try histogram { Int($0 >> 16) }
    var slots = Array(repeating: UInt8.max, count: 1 << 16)
    var buckets: [(bucket: Int, before: Int)] = []
    for rank in ranks {
      let found = Self.locate(rank, in: high[...])
      if slots[found.bin] == .max {
        slots[found.bin] = UInt8(buckets.count)
        buckets.append((found.bin, rank - found.offset))
      }
    }
    let slotOfBucket = slots
    let other = buckets.count << 16
    let low = try histogram(binCount: other + 1) { key in
      let slot = Int(slotOfBucket[Int(key >> 16)])
      return slot == 255 ? other : slot << 16 | Int(key & 0xFFFF)
    }
    return ranks.map { rank in
      let bucket = Self.locate(rank, in: high[...]).bin
      let slot = Int(slots[bucket])
      let found = Self.locate(rank - buckets[slot].before, in: low[(slot << 16)..<((slot + 1) << 16)])
      return Self.value(ofKey: UInt32(bucket) << 16 | UInt32(found.bin))
    }
  }

  /// The bin that holds the rank, and the rank's place within it.
  private static func locate(_ rank: Int, in counts: ArraySlice<Int>) -> (bin: Int, offset: Int) {
    var rest = rank
    for (bin, count) in counts.enumerated() {
      if rest < count { return (bin, rest) }
      rest -= count
    }
    preconditionFailure("rank \(rank) beyond the samples")
  }

  /// Counts the samples by a function of their ordered keys.
  private func histogram(
    binCount: Int = 1 << 16, _ bin: @Sendable (UInt32) -> Int
  ) throws -> [Int] {
    let pieceCount = max(1, min(ProcessInfo.processInfo.activeProcessorCount, samples.count >> 20))
    let count = samples.count
    let partial = try parallelMap(pieceCount) { piece in
      var counts = Array(repeating: 0, count: binCount)
      counts.withUnsafeMutableBufferPointer { counts in
        for i in (count * piece / pieceCount)..<(count * (piece + 1) / pieceCount) {
          counts[bin(Self.key(of: samples[i]))] &+= 1
        }
      }
      return counts
    }
    return partial.dropFirst().reduce(partial[0]) { zip($0, $1).map(+) }
  }

  /// An integer that orders like the float: negative numbers reversed, below the positive ones.
  @inline(__always)
  private static func key(of value: Float) -> UInt32 {
    let bits = value.bitPattern
    return bits & 0x8000_0000 != 0 ? ~bits : bits | 0x8000_0000
  }

  private static func value(ofKey key: UInt32) -> Float {
    Float(bitPattern: key & 0x8000_0000 != 0 ? key & 0x7FFF_FFFF : ~key)
  }
}
