// Axes, slice choice, and that figures come out as files of their kind that show what they should.

import Figures
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import Volumes

@Suite("AxisScale")
struct AxisScaleTests {
  @Test("Ticks are round numbers that cover the values")
  func ticks() {
    let scale = AxisScale(covering: [-0.83, 0.21])
    #expect(scale.lower <= -0.83 && scale.upper >= 0.21)
    #expect(scale.ticks.map(scale.text) == ["-1.0", "-0.5", "0.0", "0.5"])
    #expect(scale.position(scale.lower) == 0 && scale.position(scale.upper) == 1)
  }

  @Test("Constant, empty and non-finite values still give an axis")
  func degenerate() {
    for values in [[], [0.0], [3.5, 3.5], [.nan, 2, .infinity]] {
      let scale = AxisScale(covering: values)
      #expect(scale.upper > scale.lower)
      #expect(scale.ticks.count >= 2)
      #expect(scale.ticks.allSatisfy { $0.isFinite })
    }
  }

  @Test("Whole-number axes have whole-number ticks")
  func wholeNumbers() {
    #expect(AxisScale(covering: [0, 3], tickCount: 8, wholeNumbers: true).ticks == [0, 1, 2, 3])
  }
}

@Suite("Figures")
struct FiguresTests {
  /// Where to leave the figures for a look; a temporary folder unless the environment names one.
  private static func folder() throws -> URL {
    if let path = ProcessInfo.processInfo.environment["LUNETTE_FIGURES"] { return URL(filePath: path) }
    return try Goldens.temporaryFolder("figures")
  }

  private static func curve(epochs: Int) -> TrainingCurve {
    var randomness = RandomSource(key: [7])
    let t = (0..<epochs).map { Double($0) / Double(max(1, epochs)) }
    let dice = t.map { 0.92 * (1 - exp(-6 * $0)) + 0.02 * randomness.normal() }
    var smoothed: [Double] = []
    for value in dice { smoothed.append(smoothed.last.map { 0.9 * $0 + 0.1 * value } ?? value) }
    return TrainingCurve(
      trainingLosses: t.map { -0.85 + 0.9 * exp(-5 * $0) + 0.01 * randomness.normal() },
      validationLosses: t.map { -0.8 + 0.85 * exp(-5 * $0) + 0.03 * randomness.normal() }, pseudoDice: dice,
      smoothedPseudoDice: smoothed, epochSeconds: t.map { _ in 4.2 + 0.2 * randomness.normal() },
      learningRates: t.map { 0.01 * pow(1 - $0, 0.9) })
  }

  @Test(
    "A training curve is a PNG of the size it should have, and an SVG with its texts", arguments: [60, 1, 0])
  func trainingCurve(epochs: Int) throws {
    let folder = try Self.folder()
    let png = folder.appending(path: "training-\(epochs).png")
    try drawTrainingCurve(Self.curve(epochs: epochs), title: "Phantom, 3d_fullres, fold 0", to: png)
    let bytes = [UInt8](try Data(contentsOf: png))
    #expect(bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]))
    #expect(Array(bytes[16..<24]) == [0, 0, 0x07, 0x08, 0, 0, 0x06, 0xB8])
    let svg = folder.appending(path: "training-\(epochs).svg")
    try drawTrainingCurve(Self.curve(epochs: epochs), to: svg)
    let text = try String(contentsOf: svg, encoding: .utf8)
    #expect(text.contains("<svg"))
  }

  @Test("An overlay draws, and another prediction changes the picture")
  func overlay() throws {
    let folder = try Self.folder()
    let shape = [24, 48, 44]
    var image = NDArray<Float>(shape: shape, repeating: 0)
    var reference = NDArray<Int16>(shape: shape, repeating: 0)
    var prediction = reference
    var randomness = RandomSource(key: [3])
    for z in 0..<shape[0] {
      for y in 0..<shape[1] {
        for x in 0..<shape[2] {
          func radius(_ dx: Double) -> Double {
            let (a, b, c) = (2 * (Double(z) - 11.5), Double(y) - 26, Double(x) - 20 - dx)
            return (a * a + b * b + c * c).squareRoot()
          }
          func label(_ r: Double) -> Int16 { r < 7 ? 2 : r < 13 ? 1 : 0 }
          reference[z, y, x] = label(radius(0))
          prediction[z, y, x] = label(radius(1.6) * 1.04)
          image[z, y, x] = 100 + 60 * Float(label(radius(0))) + 12 * Float(randomness.normal())
        }
      }
    }
    let volume = Volume(voxels: image, geometry: ImageGeometry(spacing: [2, 1, 1]))
    let names = [(label: 1, text: "shell, Dice 0.871"), (label: 2, text: "core, Dice 0.902")]
    let file = folder.appending(path: "overlay.png")
    let other = folder.appending(path: "overlay-same.png")
    try drawOverlay(
      volume, labels: OverlayLabels(reference: reference, prediction: prediction, names: names),
      title: "phantom_012", to: file)
    try drawOverlay(
      volume, labels: OverlayLabels(reference: reference, prediction: reference, names: names),
      title: "phantom_012",
      to: other)
    let bytes = try Data(contentsOf: file)
    #expect(bytes.starts(with: [0x89, 0x50, 0x4E, 0x47]))
    let otherBytes = try Data(contentsOf: other)
    #expect(bytes != otherBytes)
  }

  @Test("The best slice is where the labels are")
  func slice() {
    var map = NDArray<Int16>(shape: [5, 4, 6], repeating: 0)
    for y in 1..<3 { map[3, y, 2] = 1 }
    map[1, 1, 4] = 1
    #expect(bestSlice(of: [map], axis: 0, labels: [1]) == 3)
    #expect(bestSlice(of: [map], axis: 2, labels: [1]) == 2)
    #expect(bestSlice(of: [map], axis: 0, labels: [7]) == 2)
  }

  @Test("Another file type is refused, and labels of another shape too")
  func refusals() throws {
    #expect(throws: Diagnostic.self) {
      try drawTrainingCurve(Self.curve(epochs: 2), to: URL(filePath: "/tmp/figure.gif"))
    }
    let volume = Volume(
      voxels: NDArray<Float>(shape: [2, 2, 2], repeating: 0), geometry: ImageGeometry(spacing: [1, 1, 1]))
    let labels = OverlayLabels(prediction: NDArray<Int16>(shape: [2, 2, 3], repeating: 0), names: [])
    #expect(throws: Diagnostic.self) {
      try drawOverlay(volume, labels: labels, title: "", to: URL(filePath: "/tmp/figure.png"))
    }
  }
}
