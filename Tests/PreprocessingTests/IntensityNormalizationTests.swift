// Normalisation formulas and the order of float32 additions.

import Preprocessing
import Reporting
import Testing

private let roundingTolerance: Float = 1e-6  // a few float32 operations on values of order one

@Suite struct IntensityNormalizationTests {
  private func normalized(_ values: [Float], _ scheme: IntensityNormalization) throws -> [Float] {
    var values = values
    if scheme == .zScore(insideMask: true) {
      scheme.normalizeInside(&values, segmentation: [0, 0, 1, -1, -1, -1])
    } else {
      try scheme.normalize(&values, layout: FileLayout(fileShape: [1, 2, 3], cropShape: [1, 2, 3]))
    }
    return values
  }

  @Test("A z-score over the crop has mean 0 and deviation 1")
  func zScore() throws {
    let result = try normalized([1, 2, 3, 4, 5, 6], .zScore(insideMask: false))
    #expect(abs(result.reduce(0, +)) < roundingTolerance)
    #expect(abs(result.map { $0 * $0 }.reduce(0, +) / 6 - 1) < roundingTolerance)
  }

  @Test("A masked z-score leaves what lies outside the object alone")
  func maskedZScore() throws {
    let result = try normalized([1, 2, 3, 4, 5, 6], .zScore(insideMask: true))
    let deviation = Float(2.0 / 3).squareRoot()
    #expect(result == [-1 / deviation, 0, 1 / deviation, 4, 5, 6])
  }

  @Test("A constant channel becomes zero")
  func constant() throws {
    #expect(try normalized([7, 7, 7, 7, 7, 7], .zScore(insideMask: false)) == [0, 0, 0, 0, 0, 0])
    #expect(try normalized([7, 7, 7, 7, 7, 7], .unitRange) == [0, 0, 0, 0, 0, 0])
  }

  @Test("CT values are clipped before the dataset's mean and deviation scale them")
  func ct() throws {
    let scheme = IntensityNormalization.ct(lower: -10, upper: 10, mean: 2, deviation: 4)
    #expect(try normalized([-100, -10, 0, 2, 6, 1000], scheme) == [-3, -3, -0.5, 0, 1, 2])
  }

  @Test("RGB values outside 8 bits are refused with the range found")
  func rgb() throws {
    #expect(try normalized([0, 255, 51, 0, 0, 0], .rgb) == [0, 1, 0.2, 0, 0, 0])
    let error = #expect(throws: Diagnostic.self) { try normalized([0, 300, 0, 0, 0, 0], .rgb) }
    #expect(error?.found?.contains("300") == true)
  }

  @Test("Values are scaled to 0...1 by their own range")
  func unitRange() throws {
    #expect(try normalized([-2, 0, 2, 6, 0, 0], .unitRange) == [0, 0.25, 0.5, 1, 0.25, 0.25])
    #expect(try normalized([-2, 0, 2, 6, 0, 0], .none) == [-2, 0, 2, 6, 0, 0])
  }

  @Test("A sum in parallel parts is NumPy's pairwise sum")
  func longSums() throws {
    // 3 million values make several parts; in exact arithmetic their mean is 0.5 and their deviation 0.5.
    let result = try {
      var values = (0..<3_000_001).map { Float($0 % 2) }
      try IntensityNormalization.zScore(insideMask: false).normalize(
        &values, layout: FileLayout(fileShape: [1, 1, values.count], cropShape: [1, 1, values.count]))
      return values
    }()
    #expect(abs(result[0] + 1) < roundingTolerance && abs(result[1] - 1) < roundingTolerance)
  }

  @Test("Cropped arrays are summed in the runs of NumPy's buffer")
  func runLengths() {
    func run(_ file: [Int], _ crop: [Int]) -> Int {
      FileLayout(fileShape: file, cropShape: crop).runLength
    }
    #expect(run([40, 50, 60], [40, 50, 60]) == 120000)
    #expect(run([40, 50, 60], [27, 50, 60]) == 81000)
    #expect(run([90, 148, 300], [49, 140, 300]) == 42000)
    #expect(run([40, 50, 60], [27, 40, 50]) == 8000)
    #expect(run([40, 210, 260], [30, 200, 247]) == 8151)
    #expect(run([1, 50, 60], [1, 50, 60]) == 3000)
  }
}
