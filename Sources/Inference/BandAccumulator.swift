// The weighted sums of the tiles that are still open: one tile's extent along axis 0, the whole image across.
// Rows that no later tile reaches are finished and leave, so memory does not grow with the image's first axis.

import CKernels
import Tensors

/// How overlapping tiles are summed.
package enum TileAccumulation: String, Sendable, CaseIterable {
  /// As nnU-Net does: float16 sums, rounded once per tile, divided in float16.
  case nnUNet
  /// Sums, weights and quotients in float32, rounded to float16 once at the end.
  case float32
}

/// Rolling sums of weighted logits, of one model, or of the weights themselves with one channel.
struct BandAccumulator {
  private let channelCount: Int
  /// Extents of the open band: tile, padded image, padded image.
  private let bandShape: [Int]
  private var halves: [Float16] = []
  private var floats: [Float] = []
  private let usesHalves: Bool

  init(channelCount: Int, bandShape: [Int], accumulation: TileAccumulation) {
    self.channelCount = channelCount
    self.bandShape = bandShape
    usesHalves = accumulation == .nnUNet
    let count = channelCount * bandShape.reduce(1, *)
    if usesHalves {
      halves = Array(repeating: 0, count: count)
    } else {
      floats = Array(repeating: 0, count: count)
    }
  }

  /// Adds a tile at `start` (rows and columns of the padded image), each position times its weight.
  ///
  /// - Shape: `prediction` holds `[K, tile]` from `offset` on
  mutating func add(
    _ prediction: [Float], from offset: Int, weights: TileWeights, tileShape: [Int], start: (y: Int, x: Int)
  ) {
    let (depth, height, width) = (tileShape[0], tileShape[1], tileShape[2])
    let (bandHeight, bandWidth) = (bandShape[1], bandShape[2])
    let channels = channelCount
    func forEachRow(_ body: (_ sum: Int, _ prediction: Int, _ weight: Int) -> Void) {
      for k in 0..<channels {
        for z in 0..<depth {
          for y in 0..<height {
            let sum = ((k &* depth &+ z) &* bandHeight &+ start.y &+ y) &* bandWidth &+ start.x
            let weight = (z &* height &+ y) &* width
            body(sum, offset &+ k &* depth &* height &* width &+ weight, weight)
          }
        }
      }
    }
    precondition(
      prediction.count >= offset + channels * depth * height * width, "prediction smaller than its tile")
    prediction.withUnsafeBufferPointer { prediction in
      guard let prediction = prediction.baseAddress else { return }
      if usesHalves {
        HalfArithmetic.withBits(&halves) { sums in
          HalfArithmetic.withBits(weights.halves) { weights in
            forEachRow { nnk_half_accumulate_product(sums + $0, prediction + $1, weights + $2, width) }
          }
        }
      } else {
        floats.withUnsafeMutableBufferPointer { sums in
          weights.floats.withUnsafeBufferPointer { weights in
            guard let sums = sums.baseAddress, let weights = weights.baseAddress else { return }
            forEachRow { nnk_float_accumulate_product(sums + $0, prediction + $1, weights + $2, width) }
          }
        }
      }
    }
  }

  /// The first `count` rows along axis 0 divided by their summed weights, and whether any of them is infinite.
  ///
  /// - Shape: result `[K, count, padded y, padded x]`
  func quotients(by weights: BandAccumulator, rowCount: Int) -> (values: [Float16], isFinite: Bool) {
    let plane = bandShape[1] * bandShape[2]
    let length = rowCount * plane
    var isFinite = true
    if usesHalves {
      var result: [Float16] = []
      result.reserveCapacity(channelCount * length)
      for k in 0..<channelCount {
        let first = k * bandShape[0] * plane
        result.append(contentsOf: halves[first..<(first + length)])
      }
      HalfArithmetic.withBits(&result) { values in
        HalfArithmetic.withBits(weights.halves) { weights in
          for k in 0..<channelCount where nnk_half_divide(values + k * length, weights, length) != 0 {
            isFinite = false
          }
        }
      }
      return (result, isFinite)
    }
    var result: [Float] = []
    result.reserveCapacity(channelCount * length)
    for k in 0..<channelCount {
      let first = k * bandShape[0] * plane
      for i in 0..<length { result.append(floats[first + i] / weights.floats[i]) }
    }
    let rounded = HalfArithmetic.halves(result)
    return (rounded, !rounded.contains(where: \.isInfinite))
  }

  /// Drops the first `rowCount` rows and opens as many new ones at the end.
  mutating func advance(by rowCount: Int) {
    let plane = bandShape[1] * bandShape[2]
    let channels = channelCount
    let shift = min(rowCount, bandShape[0]) * plane
    let length = bandShape[0] * plane
    func move<T: ExpressibleByIntegerLiteral>(_ values: inout [T]) {
      values.withUnsafeMutableBufferPointer { values in
        for k in 0..<channels {
          let first = k &* length
          for i in 0..<(length &- shift) { values[first &+ i] = values[first &+ i &+ shift] }
          for i in (length &- shift)..<length { values[first &+ i] = 0 }
        }
      }
    }
    if usesHalves { move(&halves) } else { move(&floats) }
  }
}

/// The importance map in the forms that the accumulators read.
struct TileWeights {
  let halves: [Float16]
  let floats: [Float]

  init(_ map: GaussianImportanceMap) {
    halves = map.weights.elements
    floats = HalfArithmetic.floats(halves)
  }
}
