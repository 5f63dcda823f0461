// Tile positions, importance maps, mirroring and the window's sums: against the reference's numbers, and against
// a brute-force version. Hashes are FNV-1a over the little-endian halves that nnunetv2 2.8.1 computed on a CPU.

import Inference
import Reporting
import Tensors
import TestSupport
import Testing

/// Logits that depend on intensity and on the place in the tile, so that tiles and flips tell themselves apart.
private struct RampModel: TilePredictor {
  var outputChannelCount = 3
  var offset: Float = 0

  func predict(_ tiles: NDArray<Float>) -> NDArray<Float> {
    let spatial = Array(tiles.shape.dropFirst(2))
    let size = spatial.reduce(1, *)
    let channels = tiles.shape[1]
    let steps = rowMajorStrides(of: spatial)
    var result: [Float] = []
    for n in 0..<tiles.shape[0] {
      for k in 0..<outputChannelCount {
        // The factor is rounded as a double first, as Python does.
        let factor = Float(0.37 * Double(k + 1) + 0.05 * Double(offset))
        for i in 0..<size {
          var ramp: Float = 0
          for axis in spatial.indices { ramp += Float((i / steps[axis] % spatial[axis]) * (axis + 1)) }
          let scaled = tiles.elements[n * channels * size + i] * factor
          result.append(scaled + ramp * Float(k - 1) * Float(0.11))
        }
      }
    }
    return NDArray(shape: [tiles.shape[0], outputChannelCount] + spatial, elements: result)
  }
}

/// Logits equal to the image's channels.
private struct IdentityModel: TilePredictor {
  var outputChannelCount: Int
  func predict(_ tiles: NDArray<Float>) -> NDArray<Float> { tiles }
}

/// An image of exact sixteenths.
private func patternImage(_ shape: [Int]) -> NDArray<Float> {
  var image = NDArray<Float>(shape: [1] + shape, repeating: 0)
  for z in 0..<shape[0] {
    for y in 0..<shape[1] {
      for x in 0..<shape[2] { image[0, z, y, x] = Float((z * 31 + y * 17 + x * 7) % 97) / 16 - 3 }
    }
  }
  return image
}

private func hash(_ values: [Float16]) -> UInt64 {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  for value in values {
    for byte in [UInt8(truncatingIfNeeded: value.bitPattern), UInt8(value.bitPattern >> 8)] {
      hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3
    }
  }
  return hash
}

@Suite("SlidingWindowGrid")
struct SlidingWindowGridTests {
  @Test(
    "Tiles start where the reference starts them",
    arguments: [
      (110, 64, [0, 23, 46]), (128, 128, [0]), (129, 128, [0, 1]), (192, 128, [0, 64]),
      (193, 128, [0, 32, 65]),
      (200, 128, [0, 36, 72]), (512, 128, [0, 64, 128, 192, 256, 320, 384]), (301, 192, [0, 54, 109]),
    ])
  func starts(extent: Int, tileExtent: Int, expected: [Int]) {
    #expect(SlidingWindowGrid.starts(extent: extent, tileExtent: tileExtent, stepFraction: 0.5) == expected)
  }

  @Test("An image smaller than the tile is padded around its centre")
  func padding() throws {
    let grid = try SlidingWindowGrid(imageShape: [5, 14, 11], tileShape: [8, 10, 16])
    #expect(grid.paddedShape == [8, 14, 16])
    #expect(grid.paddingBefore == [1, 0, 2])
    #expect(grid.starts == [[0], [0, 4], [0]])
  }

  @Test("Two-dimensional tiles visit every slice")
  func slices() throws {
    let grid = try SlidingWindowGrid(imageShape: [3, 9, 9], tileShape: [12, 8])
    #expect(grid.starts == [[0, 1, 2], [0], [0, 1]])
    #expect(grid.tileCount == 6)
    #expect(grid.paddingBefore == [0, 1, 0])
  }

  @Test("A step of zero is refused with the value found")
  func badStep() {
    #expect(throws: Diagnostic.self) {
      try SlidingWindowGrid(imageShape: [8, 8, 8], tileShape: [4, 4, 4], stepFraction: 0)
    }
  }
}

@Suite("GaussianImportanceMap")
struct GaussianImportanceMapTests {
  @Test(
    "The weights are those of the reference, bit for bit",
    arguments: [
      ([8, 8, 8], 0xedf_d1e6_e658_d5c3), ([5, 12, 10], 0x4ada_5dab_a6b3_72bd),
      ([40, 56, 40], 0xa8cf_5593_a78b_d23d),
      ([20, 28], 0x9024_cbc6_9179_1d01), ([96, 64], 0xbe98_d132_da98_653d),
      ([128, 128, 128], 0x898c_2012_4640_cd81), ([512, 512], 0x5e63_6d7c_41d0_b9f9),
      ([48, 224, 192], 0xb0f0_0a1f_b34c_ad51),
    ] as [([Int], UInt64)])
  func reference(tileShape: [Int], expected: UInt64) {
    #expect(hash(GaussianImportanceMap(tileShape: tileShape).weights.elements) == expected)
  }

  @Test("The peak is 10 and no weight is zero")
  func range() {
    let weights = GaussianImportanceMap(tileShape: [128, 128, 128]).weights.elements
    #expect(weights.max() == 10)
    #expect(weights.min() == 0x1p-24)
    #expect(weights.count { $0 == 0x1p-24 } == 18987)
  }
}

@Suite("MirrorAveraging")
struct MirrorAveragingTests {
  @Test("All subsets of three axes take part once, smaller ones first")
  func flips() {
    let flips = MirrorAveraging(axes: [0, 1, 2]).flips
    #expect(flips == [[], [0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]])
    #expect(MirrorAveraging(axes: nil).flips == [[]])
  }

  @Test("The average of a ramp over all its flips is flat")
  func flatRamp() throws {
    let tile = NDArray<Float>(shape: [1, 1, 4, 6], repeating: 0)
    let mean = try MirrorAveraging(axes: [0, 1]).predict(tile, with: RampModel())
    let lowest = mean.elements.min() ?? 0
    let first = Array(mean.elements[0..<24])
    #expect(lowest < 0)
    #expect((first.max() ?? 0) - (first.min() ?? 0) < 1e-6)
  }

  @Test("An axis that the tile does not have is refused")
  func unknownAxis() {
    let tile = NDArray<Float>(shape: [1, 1, 4, 6], repeating: 0)
    #expect(throws: Diagnostic.self) { try MirrorAveraging(axes: [0, 2]).predict(tile, with: RampModel()) }
  }
}

@Suite("SlidingWindowPredictor")
struct SlidingWindowPredictorTests {
  struct ReferenceCase: Sendable {
    var image: [Int]
    var tile: [Int]
    var mirrorAxes: [Int]?
    var foldCount: Int
    var hash: UInt64
  }

  @Test(
    "Logits are those of the reference, bit for bit",
    arguments: [
      ReferenceCase(
        image: [13, 22, 19], tile: [8, 8, 8], mirrorAxes: [0, 1, 2], foldCount: 1, hash: 0x7a95_e249_7681_2034
      ),
      ReferenceCase(
        image: [13, 22, 19], tile: [8, 8, 8], mirrorAxes: nil, foldCount: 1, hash: 0x973b_960b_35a6_1cce),
      ReferenceCase(
        image: [5, 14, 11], tile: [8, 10, 8], mirrorAxes: [0, 2], foldCount: 3, hash: 0xf3ff_edaa_46f4_9b30),
      ReferenceCase(
        image: [4, 19, 9], tile: [8, 12], mirrorAxes: [0, 1], foldCount: 2, hash: 0x65d1_905a_2fb0_481c),
      ReferenceCase(
        image: [30, 9, 9], tile: [8, 12, 4], mirrorAxes: nil, foldCount: 5, hash: 0x78ca_a032_4cd0_ea39),
    ])
  func reference(_ item: ReferenceCase) throws {
    for batch in [1, 3] {
      var settings = SlidingWindowSettings(tileShape: item.tile, mirrorAxes: item.mirrorAxes)
      settings.tilesPerBatch = batch
      let models = (0..<item.foldCount).map { RampModel(offset: Float($0)) }
      let logits = try SlidingWindowPredictor(models: models, settings: settings).predict(
        patternImage(item.image))
      #expect(logits.shape == [3] + item.image)
      #expect(hash(logits.elements) == item.hash)
    }
  }

  @Test("Single precision agrees with a brute-force weighted mean in double")
  func bruteForce() throws {
    let shape = [11, 9, 14]
    let tile = [6, 12, 8]
    let image = patternImage(shape)
    var settings = SlidingWindowSettings(tileShape: tile)
    settings.accumulation = .float32
    let logits = try SlidingWindowPredictor(models: [RampModel()], settings: settings).predict(image)
    let expected = try bruteForceLogits(image, tile: tile)
    // One rounding to float16: half a unit in the last of 11 bits.
    let relative = 0x1p-11
    for (found, wanted) in zip(logits.elements, expected) {
      #expect(abs(Double(found) - wanted) <= relative * 1.01 * max(abs(wanted), 0.01))
    }
  }

  // A power of two scales every rounded sum exactly; other constants move by float16 roundings.
  @Test("A constant power of two comes back exactly", arguments: TileAccumulation.allCases)
  func constant(accumulation: TileAccumulation) throws {
    var settings = SlidingWindowSettings(tileShape: [6, 6, 6], mirrorAxes: [0, 1, 2])
    settings.accumulation = accumulation
    let image = NDArray<Float>(shape: [2, 9, 6, 13], repeating: 2)
    let logits = try SlidingWindowPredictor(
      models: [IdentityModel(outputChannelCount: 2)], settings: settings
    )
    .predict(image)
    #expect(logits.elements.allSatisfy { $0 == 2 })
  }

  @Test("Logits beyond float16 stop the prediction with a reason")
  func overflow() throws {
    let image = NDArray<Float>(shape: [1, 6, 6, 6], repeating: 60000)
    let predictor = try SlidingWindowPredictor(
      models: [IdentityModel(outputChannelCount: 1)], settings: SlidingWindowSettings(tileShape: [6, 6, 6]))
    #expect(throws: Diagnostic.self) { try predictor.predict(image) }
  }

  @Test("A request to stop ends the window before its next tile")
  func cancellation() throws {
    let flag = CancellationFlag()
    flag.cancel()
    let predictor = try SlidingWindowPredictor(
      models: [RampModel()], settings: SlidingWindowSettings(tileShape: [4, 4, 4]), cancellation: flag)
    #expect(throws: Cancelled.self) { try predictor.predict(patternImage([8, 8, 8])) }
  }

  @Test("No models, and models of different width, are refused")
  func unfitModels() {
    let settings = SlidingWindowSettings(tileShape: [4, 4, 4])
    #expect(throws: Diagnostic.self) { try SlidingWindowPredictor(models: [], settings: settings) }
    #expect(throws: Diagnostic.self) {
      try SlidingWindowPredictor(
        models: [RampModel(), IdentityModel(outputChannelCount: 2)], settings: settings)
    }
  }

  /// Every tile at once, every voxel by itself.
  private func bruteForceLogits(_ image: NDArray<Float>, tile: [Int]) throws -> [Double] {
    let shape = Array(image.shape.dropFirst())
    let grid = try SlidingWindowGrid(imageShape: shape, tileShape: tile)
    let weights = GaussianImportanceMap(tileShape: tile).weights
    var sums = NDArray<Double>(shape: [3] + shape, repeating: 0)
    var norms = NDArray<Double>(shape: shape, repeating: 0)
    for oz in grid.starts[0] {
      for oy in grid.starts[1] {
        for ox in grid.starts[2] {
          var input = NDArray<Float>(shape: [1, 1] + tile, repeating: 0)
          func forEachVoxel(_ body: ([Int], [Int]) -> Void) {
            for z in 0..<tile[0] {
              for y in 0..<tile[1] {
                for x in 0..<tile[2] {
                  let place = zip([oz + z, oy + y, ox + x], grid.paddingBefore).map { $0 - $1 }
                  if zip(place, shape).allSatisfy({ $0 >= 0 && $0 < $1 }) { body([z, y, x], place) }
                }
              }
            }
          }
          forEachVoxel { t, p in input[0, 0, t[0], t[1], t[2]] = image[0, p[0], p[1], p[2]] }
          let output = RampModel().predict(input)
          forEachVoxel { t, p in
            let weight = Double(weights[t[0], t[1], t[2]])
            norms[p[0], p[1], p[2]] += weight
            for k in 0..<3 { sums[k, p[0], p[1], p[2]] += weight * Double(output[0, k, t[0], t[1], t[2]]) }
          }
        }
      }
    }
    return (0..<sums.count).map { sums.elements[$0] / norms.elements[$0 % norms.count] }
  }
}
