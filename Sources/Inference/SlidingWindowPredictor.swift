// The sliding window: tiles through one or several networks, weighted sums, averaged logits row by row.
// Turning the logits into a segmentation of the original image is `LogitsExporter`.
// N batch, C channels, K classes, Z Y X array axes (slowest first)

package import Reporting
package import Tensors

/// How a model is run over an image.
package struct SlidingWindowSettings: Sendable {
  /// Extents of the network's tile: two or three axes.
  package var tileShape: [Int]
  /// Distance between tiles at most, in tiles.
  package var stepFraction = 0.5
  package var usesGaussian = true
  /// Spatial axes to mirror along at test time; `nil` for no mirroring.
  package var mirrorAxes: [Int]?
  package var accumulation = TileAccumulation.nnUNet
  /// Tiles that go through the network at once.
  package var tilesPerBatch = 1

  package init(tileShape: [Int], mirrorAxes: [Int]? = nil) {
    self.tileShape = tileShape
    self.mirrorAxes = mirrorAxes
  }
}

/// Predicts whole images tile by tile with the networks of one or several folds.
///
/// Logits of several networks are averaged before anything else happens to them. Only a band as thick as one
/// tile is held; finished rows along axis 0 are handed on at once.
package struct SlidingWindowPredictor {
  private let models: [any TilePredictor]
  private let settings: SlidingWindowSettings
  private let mirroring: MirrorAveraging
  private let progress: any ProgressSink
  private let cancellation: CancellationFlag

  package init(
    models: [any TilePredictor], settings: SlidingWindowSettings,
    progress: any ProgressSink = SilentProgress(),
    cancellation: CancellationFlag = CancellationFlag()
  ) throws(Diagnostic) {
    guard let first = models.first else {
      throw Diagnostic("there is no model to predict with", remedy: "name at least one trained fold")
    }
    if let other = models.first(where: { $0.outputChannelCount != first.outputChannelCount }) {
      throw Diagnostic(
        "the folds do not belong together", expected: "\(first.outputChannelCount) output channels in each",
        found: "\(other.outputChannelCount) in one of them", remedy: "predict with folds of one model only")
    }
    self.models = models
    self.settings = settings
    mirroring = MirrorAveraging(axes: settings.mirrorAxes)
    self.progress = progress
    self.cancellation = cancellation
  }

  package var outputChannelCount: Int { models.first?.outputChannelCount ?? 0 }

  /// The tiles that an image of these extents takes.
  package func grid(for imageShape: [Int]) throws(Diagnostic) -> SlidingWindowGrid {
    try SlidingWindowGrid(
      imageShape: imageShape, tileShape: settings.tileShape, stepFraction: settings.stepFraction)
  }

  /// Bytes of sums, tiles and rows in flight for an image, beside the image and the networks themselves.
  package func predictedMemoryBytes(for imageShape: [Int]) throws(Diagnostic) -> Int {
    let grid = try grid(for: imageShape)
    let plane = grid.paddedShape[1] * grid.paddedShape[2]
    let element = settings.accumulation == .nnUNet ? 2 : 4
    let band = grid.tileShape[0] * plane
    let sums = band * element * (outputChannelCount * models.count + 1)
    let quotients = 2 * 2 * outputChannelCount * band
    let tiles = 4 * settings.tilesPerBatch * grid.tileShape.reduce(1, *) * (outputChannelCount * 3 + 2)
    return sums + quotients + tiles
  }

  /// The averaged logits of the whole image.
  ///
  /// Holds classes times voxels in float16; ``predictRows(of:_:)`` does not.
  /// - Shape: image `[C, Z, Y, X]`, result `[K, Z, Y, X]`
  package func predict(_ image: NDArray<Float>) throws -> NDArray<Float16> {
    let shape = Array(image.shape.dropFirst())
    var logits = NDArray<Float16>(shape: [outputChannelCount] + shape, repeating: 0)
    let plane = shape.dropFirst().reduce(1, *)
    try predictRows(of: image) { row, values in
      for k in 0..<outputChannelCount {
        let target = (k * shape[0] + row) * plane
        logits.elements.replaceSubrange(
          target..<(target + plane), with: values.elements[(k * plane)..<((k + 1) * plane)])
      }
    }
    return logits
  }

  /// Hands on the averaged logits row by row along axis 0, in order.
  ///
  /// - Shape: image `[C, Z, Y, X]`, each row `[K, Y, X]`
  /// - Throws: ``Cancelled``, a ``Diagnostic`` for infinite logits, and what the networks and `consume` throw.
  package func predictRows(
    of image: NDArray<Float>, _ consume: (_ row: Int, _ logits: NDArray<Float16>) throws -> Void
  ) throws {
    let grid = try grid(for: Array(image.shape.dropFirst()))
    var window = OpenWindow(
      grid: grid, channelCount: outputChannelCount, modelCount: models.count,
      accumulation: settings.accumulation,
      map: settings.usesGaussian
        ? GaussianImportanceMap(tileShape: settings.tileShape)
        : GaussianImportanceMap(uniform: settings.tileShape))
    progress.begin("predict tiles", total: grid.tileCount)
    defer { progress.end() }
    var emptyTile = EmptyTile()
    var completed = 0
    for (band, start) in grid.starts[0].enumerated() {
      let origins = grid.starts[1].flatMap { y in grid.starts[2].map { x in [start, y, x] } }
      for first in stride(from: 0, to: origins.count, by: max(1, settings.tilesPerBatch)) {
        try cancellation.check()
        let batch = Array(origins[first..<min(origins.count, first + max(1, settings.tilesPerBatch))])
        try predict(batch, of: image, grid: grid, into: &window, &emptyTile)
        completed += batch.count
        progress.update(completed: completed, detail: "")
      }
      let next = band + 1 < grid.starts[0].count ? grid.starts[0][band + 1] : grid.paddedShape[0]
      try window.finishRows(from: start, to: next, consume)
    }
  }

  /// Runs one batch of tiles through every model.
  private func predict(
    _ origins: [[Int]], of image: NDArray<Float>, grid: SlidingWindowGrid, into window: inout OpenWindow,
    _ emptyTile: inout EmptyTile
  ) throws {
    let tiles = grid.extractTiles(at: origins, from: image)
    let expected = [origins.count, outputChannelCount] + settings.tileShape
    let isEmpty = origins.count == 1 && tiles.elements.allSatisfy { $0 == 0 }
    for (index, model) in models.enumerated() {
      let known = isEmpty ? emptyTile.logits[index] : nil
      let logits = try known ?? mirroring.predict(tiles, with: model)
      if isEmpty { emptyTile.logits[index] = logits }
      guard logits.shape == expected else {
        throw Diagnostic(
          "the network's output does not fit its tile", expected: "shape \(expected)",
          found: "\(logits.shape)",
          remedy: "check that the plans and the weights belong together")
      }
      window.add(logits, model: index, at: origins)
    }
    window.addWeights(at: origins)
  }
}

/// What each model makes of a tile of zeros: the same every time, so it is computed once an image.
private struct EmptyTile {
  var logits: [Int: NDArray<Float>] = [:]
}

extension SlidingWindowGrid {
  /// Copies tiles out of an image, zero where they reach into the padding.
  ///
  /// - Shape: image `[C, Z, Y, X]`, result `[N, C, (Z,) Y, X]`
  func extractTiles(at origins: [[Int]], from image: NDArray<Float>) -> NDArray<Float> {
    let channels = image.shape[0]
    let size = tileShape
    let tileAxes = isTwoDimensional ? Array(size.dropFirst()) : size
    var tiles = NDArray<Float>(shape: [origins.count, channels] + tileAxes, repeating: 0)
    let extent = imageShape
    image.elements.withUnsafeBufferPointer { source in
      tiles.elements.withUnsafeMutableBufferPointer { target in
        for (n, origin) in origins.enumerated() {
          let first = zip(origin, paddingBefore).map { $0 - $1 }
          let columns = max(0, -first[2])..<max(max(0, -first[2]), min(size[2], extent[2] - first[2]))
          for c in 0..<channels {
            for z in 0..<size[0] where (0..<extent[0]).contains(first[0] + z) {
              for y in 0..<size[1] where (0..<extent[1]).contains(first[1] + y) {
                let to = (((n &* channels &+ c) &* size[0] &+ z) &* size[1] &+ y) &* size[2]
                let from =
                  ((c &* extent[0] &+ first[0] &+ z) &* extent[1] &+ first[1] &+ y) &* extent[2] &+ first[2]
                for x in columns { target[to &+ x] = source[from &+ x] }
              }
            }
          }
        }
      }
    }
    return tiles
  }
}
