// Medians, percentiles and rounding as NumPy and Python give them.

import Planning
import Testing

@Suite("PlanningStatistics")
struct PlanningStatisticsTests {
  @Test("Halves are rounded to the even integer")
  func rounding() {
    #expect([0.5, 1.5, 2.5, -0.5, 2.4999, 3.5].map(roundHalfToEven) == [0, 2, 2, 0, 2, 4])
  }

  @Test("The median of an even count is the mean of the middle two")
  func medians() {
    #expect(median([3, 1, 2]) == 2)
    #expect(median([4, 1, 3, 2]) == 2.5)
  }

  @Test("Percentiles interpolate from the nearer end")
  func percentiles() {
    #expect(percentile(10, of: [1, 2, 3, 4, 5]) == 1.4)
    #expect(percentile(50, of: [4, 1]) == 2.5)
    #expect(percentile(99.5, of: [7]) == 7)
    // The two forms differ in the last bit here.
    let (a, b) = (0.1, 0.7)
    #expect(percentile(50, of: [a, b]) == b - (b - a) * 0.5)
  }
}
