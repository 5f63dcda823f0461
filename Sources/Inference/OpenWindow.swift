// The accumulators of all models over the open band of an image, and the hand-over of finished rows.

import Reporting
import Tensors

/// Sums of every model and of the weights, for the rows that tiles can still reach.
struct OpenWindow {
  private let grid: SlidingWindowGrid
  private let channelCount: Int
  private let weights: TileWeights
  private var sums: [BandAccumulator]
  private var weightSum: BandAccumulator
  private let ones: [Float]

  init(
    grid: SlidingWindowGrid, channelCount: Int, modelCount: Int, accumulation: TileAccumulation,
    map: GaussianImportanceMap
  ) {
    self.grid = grid
    self.channelCount = channelCount
    weights = TileWeights(map)
    let band = [grid.tileShape[0], grid.paddedShape[1], grid.paddedShape[2]]
    sums = (0..<modelCount).map { _ in
      BandAccumulator(channelCount: channelCount, bandShape: band, accumulation: accumulation)
    }
    weightSum = BandAccumulator(channelCount: 1, bandShape: band, accumulation: accumulation)
    ones = Array(repeating: 1, count: grid.tileShape.reduce(1, *))
  }

  /// Adds a batch of one model's logits at their places.
  mutating func add(_ logits: NDArray<Float>, model: Int, at origins: [[Int]]) {
    let size = channelCount * ones.count
    for (n, origin) in origins.enumerated() {
      sums[model].add(
        logits.elements, from: n * size, weights: weights, tileShape: grid.tileShape,
        start: (origin[1], origin[2]))
    }
  }

  /// Adds the weights themselves, once for all models.
  mutating func addWeights(at origins: [[Int]]) {
    for origin in origins {
      weightSum.add(ones, from: 0, weights: weights, tileShape: grid.tileShape, start: (origin[1], origin[2]))
    }
  }

  /// Divides, averages over models, hands on rows `start..<next` of the padded image without their padding,
  /// and moves the band to `next`.
  mutating func finishRows(
    from start: Int, to next: Int, _ consume: (_ row: Int, _ logits: NDArray<Float16>) throws -> Void
  ) throws {
    let rowCount = next - start
    let averaged = try averagedRows(rowCount)
    for local in 0..<rowCount {
      let row = start + local - grid.paddingBefore[0]
      if (0..<grid.imageShape[0]).contains(row) {
        try consume(row, unpadded(averaged, row: local, rowCount: rowCount))
      }
    }
    for index in sums.indices { sums[index].advance(by: rowCount) }
    weightSum.advance(by: rowCount)
  }

  /// The mean over models in float16: sums first, one division at the end.
  private func averagedRows(_ rowCount: Int) throws -> [Float16] {
    var total: [Float16] = []
    for (index, sum) in sums.enumerated() {
      let (values, isFinite) = sum.quotients(by: weightSum, rowCount: rowCount)
      guard isFinite else {
        throw Diagnostic(
          "the network's output is infinite", expected: "logits below 65504",
          found: "an overflow of the float16 sums in model \(index + 1) of \(sums.count)",
          remedy: "check the training curve for divergence, and the image for extreme intensities")
      }
      if index == 0 { total = values } else { HalfArithmetic.add(values, to: &total) }
    }
    if sums.count > 1 { HalfArithmetic.divide(&total, by: Float(sums.count)) }
    return total
  }

  /// One row `[K, Y, X]` without the padding of its rows and columns.
  private func unpadded(_ values: [Float16], row: Int, rowCount: Int) -> NDArray<Float16> {
    let (height, width) = (grid.paddedShape[1], grid.paddedShape[2])
    let (imageHeight, imageWidth) = (grid.imageShape[1], grid.imageShape[2])
    var result: [Float16] = []
    result.reserveCapacity(channelCount * imageHeight * imageWidth)
    for k in 0..<channelCount {
      for y in 0..<imageHeight {
        let first =
          ((k * rowCount + row) * height + y + grid.paddingBefore[1]) * width + grid.paddingBefore[2]
        result.append(contentsOf: values[first..<(first + imageWidth)])
      }
    }
    return NDArray(shape: [channelCount, imageHeight, imageWidth], elements: result)
  }
}
