// Logits to segmentations: against what nnunetv2 2.8.1's export makes of the same logits. Hashes are FNV-1a over
// little-endian int16 labels and float16 logits.

import Archives
import Datasets
import Foundation
import Inference
import Reporting
import Tensors
import TestSupport
import Testing
import Volumes

/// Logits of exact float16 values in no simple order.
private func patternLogits(_ channelCount: Int, _ shape: [Int]) -> NDArray<Float16> {
  var logits = NDArray<Float16>(shape: [channelCount] + shape, repeating: 0)
  for k in 0..<channelCount {
    for z in 0..<shape[0] {
      for y in 0..<shape[1] {
        for x in 0..<shape[2] {
          let value = (k * 53 + z * 31 + y * 17 + x * 7 + (z * y + x * k) * 3) % 101
          logits[k, z, y, x] = Float16(Float(value) / 13 - 4)
        }
      }
    }
  }
  return logits
}

private func fnv(_ words: some Sequence<UInt16>) -> UInt64 {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  for word in words {
    for byte in [word & 0xFF, word >> 8] { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
  }
  return hash
}

struct ResamplingCase: Sendable {
  var channelCount: Int
  var source: [Int]
  var target: [Int]
  var separateAxis: Int?
  var hash: UInt64
}

struct ExportCase: Sendable {
  var name: String
  var hasRegions = false
  var before: [Int]
  var box: [[Int]]
  var fileSpacing: [Double]
  var configurationSpacing: [Double]
  var transposeForward: [Int]
  var separateAxis: Int?
  var fileShape: [Int]
  var hash: UInt64
  /// Sum of probabilities times their position modulo 97.
  var checksum: Double

  var space: PredictionSpace {
    PredictionSpace(
      shapeBeforeCropping: before,
      boundingBox: BoundingBox(lower: box.map { $0[0] }, upper: box.map { $0[1] }),
      fileSpacing: fileSpacing, configurationSpacing: configurationSpacing,
      transposeForward: transposeForward,
      geometry: ImageGeometry(spacing: fileSpacing, origin: [1, 2, 3]))
  }

  var labels: LabelScheme {
    get throws {
      let names: [(String, LabelValue)] =
        hasRegions
        ? [
          ("background", .label(0)), ("whole", .region([1, 2, 3])), ("core", .region([2, 3])),
          ("rim", .region([3])),
        ]
        : [("background", .label(0)), ("a", .label(1)), ("b", .label(2))]
      return try LabelScheme(
        entries: names.map { LabelScheme.Entry(name: $0.0, value: $0.1) },
        regionsClassOrder: hasRegions ? [1, 2, 3] : nil, source: "test")
    }
  }
}

@Suite("LinearSampling")
struct LinearSamplingTests {
  @Test(
    "Resampled logits are those of the reference, bit for bit",
    arguments: [
      ResamplingCase(channelCount: 2, source: [7, 9, 11], target: [10, 13, 8], hash: 0xdfea_307e_ff57_fcda),
      ResamplingCase(
        channelCount: 2, source: [7, 9, 11], target: [12, 13, 15], separateAxis: 0,
        hash: 0x5b6a_26e4_cc72_a548),
      ResamplingCase(channelCount: 1, source: [6, 6, 5], target: [6, 9, 5], hash: 0x7d9c_bd13_1329_52c4),
      ResamplingCase(
        channelCount: 2, source: [9, 7, 8], target: [5, 14, 11], separateAxis: 0, hash: 0x3058_0f27_96ec_f0d5),
      ResamplingCase(
        channelCount: 1, source: [8, 6, 5], target: [11, 9, 3], separateAxis: 2, hash: 0x3325_35d2_4683_4f7b),
    ])
  func reference(_ item: ResamplingCase) {
    let sampling = LinearSampling(from: item.source, to: item.target, separateAxis: item.separateAxis)
    let result = sampling.resample(patternLogits(item.channelCount, item.source))
    #expect(result.shape == [item.channelCount] + item.target)
    #expect(fnv(result.elements.map(\.bitPattern)) == item.hash)
  }

  @Test(
    "Classes that are computed together give the bits that each gives alone",
    arguments: [([5, 9, 7], [8, 13, 11]), ([4, 6, 13], [4, 9, 5]), ([6, 5, 6], [7, 5, 9])])
  func classesTogether(_ source: [Int], _ target: [Int]) {
    let logits = patternLogits(7, source)
    let sampling = LinearSampling(from: source, to: target, separateAxis: nil)
    let together = sampling.resample(logits)
    let (size, count) = (source.reduce(1, *), target.reduce(1, *))
    for k in 0..<7 {
      let alone = sampling.resample(
        NDArray(shape: [1] + source, elements: Array(logits.elements[k * size..<(k + 1) * size])))
      #expect(
        together.elements[k * count..<(k + 1) * count].map(\.bitPattern) == alone.elements.map(\.bitPattern))
    }
  }

  @Test("A constant stays constant")
  func constant() {
    let logits = NDArray<Float16>(shape: [1, 5, 4, 7], repeating: 0.333)
    let result = LinearSampling(from: [5, 4, 7], to: [8, 9, 6], separateAxis: nil).resample(logits)
    #expect(result.elements.allSatisfy { $0 == 0.333 })
  }
}

@Suite("LogitsExporter")
struct LogitsExporterTests {
  static let logitsShape = [7, 9, 11]
  static let cases = [
    ExportCase(
      name: "labels", before: [14, 15, 12], box: [[2, 12], [1, 14], [3, 11]], fileSpacing: [1.4, 0.7, 1.4],
      configurationSpacing: [2, 1, 1], transposeForward: [0, 1, 2], fileShape: [14, 15, 12],
      hash: 0xae44_9b5c_3678_a62d, checksum: 121814.99610723369),
    ExportCase(
      name: "regions", hasRegions: true, before: [14, 15, 12], box: [[2, 12], [1, 14], [3, 11]],
      fileSpacing: [1.4, 0.7, 1.4], configurationSpacing: [2, 1, 1], transposeForward: [0, 1, 2],
      fileShape: [14, 15, 12], hash: 0x2b3_e3a7_45d8_efc4, checksum: 70769.13483319432),
    ExportCase(
      name: "transposed", before: [14, 15, 17], box: [[2, 14], [1, 14], [1, 16]],
      fileSpacing: [0.7, 0.7, 2.9],
      configurationSpacing: [5, 1, 1], transposeForward: [2, 0, 1], separateAxis: 0, fileShape: [15, 17, 14],
      hash: 0xf393_3665_7751_a33f, checksum: 171927.17625168466),
    ExportCase(
      name: "two-dimensional", before: [7, 15, 17], box: [[0, 7], [1, 14], [1, 16]],
      fileSpacing: [0.7, 5, 0.8],
      configurationSpacing: [1, 1], transposeForward: [1, 0, 2], separateAxis: 0, fileShape: [15, 7, 17],
      hash: 0x5d34_2d37_285f_400d, checksum: 84469.10559903085),
  ]

  private func export(
    _ item: ExportCase, resampling: LogitsResampling, keepsProbabilities: Bool = false
  ) throws -> ExportedPrediction {
    let exporter = try LogitsExporter(
      space: item.space, labels: item.labels, logitsShape: Self.logitsShape, resampling: resampling,
      keepsProbabilities: keepsProbabilities)
    let logits = patternLogits(3, Self.logitsShape)
    let size = Self.logitsShape[1] * Self.logitsShape[2]
    for row in 0..<Self.logitsShape[0] {
      let values = (0..<3).flatMap { k -> ArraySlice<Float16> in
        let first = (k * Self.logitsShape[0] + row) * size
        return logits.elements[first..<(first + size)]
      }
      try exporter.take(
        row: row, logits: NDArray(shape: [3] + Self.logitsShape.dropFirst(), elements: values))
    }
    return try exporter.finish()
  }

  @Test("Segmentations are those of the reference, voxel for voxel", arguments: cases)
  func reference(_ item: ExportCase) throws {
    let result = try export(item, resampling: .linear(separateAxis: item.separateAxis))
    #expect(result.segmentation.shape == item.fileShape)
    #expect(result.segmentation.geometry == item.space.geometry)
    #expect(result.probabilities == nil)
    #expect(fnv(result.segmentation.voxels.elements.map(UInt16.init(bitPattern:))) == item.hash)
  }

  @Test(
    "With probabilities the segmentation and the probabilities are those of the reference", arguments: cases)
  func referenceProbabilities(_ item: ExportCase) throws {
    // Each probability carries a few units in the last place of the exponential.
    let tolerance = 1e-6 * item.checksum
    let whole = LogitsResampling.wholeClass(roundsToHalf: true) { logits in
      // Values that are already float16 pass through the sampling unchanged before it rounds.
      let sampling = LinearSampling(
        from: Self.logitsShape, to: item.space.croppedShape, separateAxis: item.separateAxis)
      return sampling.resample(logits.map { Float16($0) }).map { Float($0) }
    }
    for resampling in [LogitsResampling.linear(separateAxis: item.separateAxis), whole] {
      let result = try export(item, resampling: resampling, keepsProbabilities: true)
      #expect(fnv(result.segmentation.voxels.elements.map(UInt16.init(bitPattern:))) == item.hash)
      let probabilities = try #require(result.probabilities).array()
      #expect(probabilities.shape == [3] + item.fileShape)
      let checksum = probabilities.elements.enumerated().reduce(0.0) {
        $0 + Double($1.element) * Double($1.offset % 97)
      }
      #expect(abs(checksum - item.checksum) < tolerance)
    }
  }

  @Test("A function over whole classes gives the same segmentation as row by row", arguments: cases)
  func wholeClass(_ item: ExportCase) throws {
    let sampling = LinearSampling(
      from: Self.logitsShape, to: item.space.croppedShape, separateAxis: item.separateAxis)
    let result = try export(
      item,
      resampling: .wholeClass(roundsToHalf: true) { logits in
        sampling.resample(logits.map { Float16($0) }).map { Float($0) }
      })
    #expect(fnv(result.segmentation.voxels.elements.map(UInt16.init(bitPattern:))) == item.hash)
  }

  @Test("Probabilities come back from their file")
  func probabilityFile() throws {
    let item = Self.cases[0]
    let result = try export(item, resampling: .linear(separateAxis: nil), keepsProbabilities: true)
    let map = try #require(result.probabilities)
    let folder = try Goldens.temporaryFolder("probabilities")
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "case.npz")
    try map.write(to: file)
    let read = try #require(try readNPZ(file)["probabilities"])
    #expect(read.shape == map.shape)
    #expect(read.floats() == map.array())
  }

  @Test("Logits of another width than the labels are refused")
  func wrongWidth() throws {
    let item = Self.cases[0]
    let exporter = try LogitsExporter(
      space: item.space, labels: item.labels, logitsShape: Self.logitsShape,
      resampling: .linear(separateAxis: nil))
    #expect(throws: Diagnostic.self) {
      try exporter.take(row: 0, logits: NDArray<Float16>(shape: [2, 9, 11], repeating: 0))
    }
  }

  @Test("Probabilities without room for them are an error that names the folder")
  func noRoom() throws {
    let item = Self.cases[0]
    let labels = try item.labels
    #expect(throws: Diagnostic.self) {
      try LogitsExporter(
        space: item.space, labels: labels, logitsShape: Self.logitsShape,
        resampling: .linear(separateAxis: nil),
        keepsProbabilities: true, scratchFolder: URL(filePath: "/nonexistent"))
    }
  }
}
