// Numbers to places on an axis, with round ticks.

import Foundation

/// A linear axis over a range that begins and ends at ticks.
package struct AxisScale: Sendable, Equatable {
  package let lower: Double
  package let upper: Double
  package let ticks: [Double]
  private let decimals: Int
  private let usesExponent: Bool

  /// An axis over the finite values with about `tickCount` ticks, at steps of 1, 2 or 5 times a power of ten.
  package init(covering values: some Sequence<Double>, tickCount: Int = 5, wholeNumbers: Bool = false) {
    let finite = values.filter(\.isFinite)
    var low = finite.min() ?? 0
    var high = finite.max() ?? 1
    if high - low < 1e-12 * max(abs(low), abs(high), 1e-300) || high == low {
      let margin = low == 0 ? 1 : abs(low) * 0.1
      low -= margin
      high += margin
    }
    var step = Self.niceStep((high - low) / Double(max(1, tickCount)))
    if wholeNumbers { step = max(1, step.rounded()) }
    let first = (low / step + 1e-9).rounded(.down)
    let last = (high / step - 1e-9).rounded(.up)
    lower = first * step
    upper = last * step
    ticks = (0...Int(last - first)).map { (first + Double($0)) * step }
    let magnitude = max(abs(lower), abs(upper))
    usesExponent = magnitude >= 1e6 || step < 1e-4
    decimals = max(0, -Int(log10(step).rounded(.down)))
  }

  /// The step of 1, 2 or 5 times a power of ten that is not below `rough`.
  private static func niceStep(_ rough: Double) -> Double {
    let power = pow(10, log10(rough).rounded(.down))
    return ([1, 2, 5, 10].first { $0 * power >= rough * (1 - 1e-9) } ?? 10) * power
  }

  /// Where a value lies, 0 at the lower end and 1 at the upper.
  package func position(_ value: Double) -> Double { (value - lower) / (upper - lower) }

  /// The text of a tick.
  package func text(_ value: Double) -> String {
    let cleaned = abs(value) < 1e-9 * (upper - lower) ? 0 : value
    return usesExponent
      ? String(format: "%.1e", cleaned) : String(format: "%.\(decimals)f", cleaned)
  }
}
