// From the logits of a preprocessed case to the segmentation of its file: resample, decide, uncrop, transpose back.
// N batch, C channels, K classes, Z Y X array axes (slowest first)

package import Datasets
package import Foundation
package import Reporting
package import Tensors
package import Volumes

/// How logits get to the spacing of the case.
package enum LogitsResampling {
  /// Linear interpolation, row by row; along the separate axis, if there is one, the nearest plane.
  case linear(separateAxis: Int?)
  /// Another function, applied to one class `[1, Z, Y, X]` at a time. `roundsToHalf` says whether its result
  /// counts in float16.
  case wholeClass(roundsToHalf: Bool, (NDArray<Float>) throws -> NDArray<Float>)
}

/// A segmentation in the space of its file, and the probabilities if they were asked for.
package struct ExportedPrediction {
  package var segmentation: Volume<Int16>
  package var probabilities: ProbabilityMap?
}

/// Takes the logits of one case row by row and makes its segmentation.
///
/// Memory stays near two rows of logits and one label map; only probabilities, when asked for, take classes times
/// voxels, and those lie in a scratch file. A ``LogitsResampling/wholeClass(roundsToHalf:_:)`` function needs
/// the whole volume of logits in float16 besides.
package final class LogitsExporter {
  private let space: PredictionSpace
  private let decision: VoxelDecision
  private let logitsShape: [Int]
  private let resampling: LogitsResampling
  private let sampling: LinearSampling
  private let probabilities: ProbabilityMap?
  private var labels: NDArray<Int16>
  private var rows: [Int: [Float16]] = [:]
  private var nextPlane = 0

  /// An exporter for logits of extents `logitsShape` (`[Z, Y, X]`).
  package init(
    space: PredictionSpace, labels: LabelScheme, logitsShape: [Int], resampling: LogitsResampling,
    keepsProbabilities: Bool = false, scratchFolder: URL = FileManager.default.temporaryDirectory
  ) throws(Diagnostic) {
    self.space = space
    self.logitsShape = logitsShape
    decision = VoxelDecision(labels)
    // Logits that already have the case's shape stay untouched whatever the function.
    let isSameShape = logitsShape == space.croppedShape
    self.resampling = isSameShape ? .linear(separateAxis: nil) : resampling
    if case .linear(let axis) = self.resampling {
      sampling = LinearSampling(from: logitsShape, to: space.croppedShape, separateAxis: axis)
    } else {
      sampling = LinearSampling(from: logitsShape, to: space.croppedShape, separateAxis: nil)
    }
    self.labels = NDArray(shape: space.shapeBeforeCropping, repeating: 0)
    guard keepsProbabilities else {
      probabilities = nil
      return
    }
    let map = try ProbabilityMap(shape: [decision.channelCount] + space.fileShape, folder: scratchFolder)
    if case .largest = decision {
      // Outside the crop everything is background for certain.
      map.mutableValues[0..<map.voxelCount].update(repeating: 1)
    }
    probabilities = map
  }

  /// Bytes that one case takes at most while it is exported, without the scratch file.
  package var predictedMemoryBytes: Int {
    let row = 2 * decision.channelCount * logitsShape[1] * logitsShape[2]
    // Probabilities take a plane of every class, labels alone one of a few classes and a running maximum.
    let values = probabilities == nil ? 4 + 2 : decision.channelCount + 1
    let plane = 4 * values * space.croppedShape[1] * space.croppedShape[2]
    let maps = 2 * 2 * space.shapeBeforeCropping.reduce(1, *)
    if case .wholeClass = resampling {
      let voxels = space.croppedShape.reduce(1, *)
      return row * logitsShape[0] + (4 + 4 + 2 + 8) * voxels + maps
    }
    return 3 * row + plane + maps
  }

  /// Takes the next row of logits along axis 0; rows come in order.
  ///
  /// - Shape: logits `[K, Y, X]`
  package func take(row: Int, logits: NDArray<Float16>) throws {
    let expected = [decision.channelCount] + logitsShape.dropFirst()
    guard logits.shape == expected else {
      throw Diagnostic(
        "the logits do not fit the case", expected: "rows of shape \(expected)", found: "\(logits.shape)",
        remedy: "check that dataset.json, plans and weights belong together")
    }
    rows[row] = logits.elements
    guard case .linear = resampling else { return }
    let axis = sampling.axes[0]
    while nextPlane < axis.count, axis.lastSource(of: nextPlane) <= row {
      try finishPlane(nextPlane)
      nextPlane += 1
    }
    let needed = nextPlane < axis.count ? Int(axis.low[nextPlane]) : .max
    for old in rows.keys where old < needed { rows[old] = nil }
  }

  /// The segmentation, after the last row.
  package func finish() throws -> ExportedPrediction {
    if case .wholeClass(let roundsToHalf, let function) = resampling {
      try finishByClass(roundsToHalf: roundsToHalf, function)
    } else {
      precondition(nextPlane == sampling.axes[0].count, "finished after \(nextPlane) planes")
    }
    let voxels = labels.transposed(space.transposeBackward)
    return ExportedPrediction(
      segmentation: Volume(voxels: voxels, geometry: space.geometry), probabilities: probabilities)
  }

  /// Resamples and decides one plane of the crop, in pieces of rows.
  private func finishPlane(_ plane: Int) throws {
    let axis = sampling.axes[0]
    let lower = rows[Int(axis.low[plane])] ?? []
    let upper = axis.share[plane] == 0 ? lower : rows[Int(axis.high[plane])] ?? []
    let height = space.croppedShape[1]
    let pieceCount = min(height, 8)
    let (sampling, decision, space) = (sampling, decision, space)
    // SAFETY: pieces write the probabilities of disjoint voxels while this object holds the map.
    nonisolated(unsafe) let target = probabilities?.mutableValues
    let pieces = try parallelMap(pieceCount) { piece in
      let range = (height * piece / pieceCount)..<(height * (piece + 1) / pieceCount)
      guard let target else {
        var running = RunningDecision(decision, count: range.count * space.croppedShape[2])
        sampling.forEachClasses(
          of: plane, rows: range, lower: lower, upper: upper, channelCount: decision.channelCount
        ) { values, classes in
          guard let base = values.baseAddress else { return }
          for (position, index) in classes.enumerated() {
            running.take(base + position * running.labels.count, class: index)
          }
        }
        return running.labels
      }
      var values = sampling.plane(
        plane, rows: range, lower: lower, upper: upper, channelCount: decision.channelCount)
      let labels = decision.decide(&values, asProbabilities: true)
      space.scatter(values, plane: plane, rows: range, to: target)
      return labels
    }
    place(pieces.flatMap { $0 }, plane: plane)
  }

  /// Resamples one class after the other, for functions that want a whole volume.
  private func finishByClass(
    roundsToHalf: Bool, _ function: (NDArray<Float>) throws -> NDArray<Float>
  ) throws {
    let shape = space.croppedShape
    let (count, plane) = (shape.reduce(1, *), shape[1] * shape[2])
    var running = RunningDecision(decision, count: count)
    for k in 0..<decision.channelCount {
      let resampled = try function(NDArray(shape: [1] + logitsShape, elements: logitsOfClass(k)))
      var values = resampled.elements
      guard resampled.shape == [1] + shape else {
        throw Diagnostic(
          "the resampling function changed the shape of the logits", expected: "shape \([1] + shape)",
          found: "\(resampled.shape)", remedy: "check resampling_fn_probabilities in the plans")
      }
      if roundsToHalf { values = HalfArithmetic.floats(HalfArithmetic.halves(values)) }
      if let probabilities {
        for z in 0..<shape[0] {
          space.scatter(
            Array(values[(z * plane)..<((z + 1) * plane)]), plane: z, rows: 0..<shape[1],
            to: probabilities.mutableValues, firstChannel: k)
        }
      } else {
        values.withUnsafeBufferPointer { if let base = $0.baseAddress { running.take(base, class: k) } }
      }
    }
    for z in 0..<shape[0] {
      if let probabilities {
        var values = space.gather(
          plane: z, channelCount: decision.channelCount, from: probabilities.mutableValues)
        place(decision.decide(&values, asProbabilities: true), plane: z)
        space.scatter(values, plane: z, rows: 0..<shape[1], to: probabilities.mutableValues)
      } else {
        place(Array(running.labels[(z * plane)..<((z + 1) * plane)]), plane: z)
      }
    }
  }

  private func logitsOfClass(_ k: Int) -> [Float] {
    let size = logitsShape[1] * logitsShape[2]
    return (0..<logitsShape[0]).flatMap { row in
      HalfArithmetic.floats(Array((rows[row] ?? [])[(k * size)..<((k + 1) * size)]))
    }
  }

  /// Puts one plane of the crop into the uncropped label map.
  private func place(_ values: [Int16], plane: Int) {
    let box = space.boundingBox
    let width = box.shape[2]
    for y in 0..<box.shape[1] {
      let first = labels.offset(of: [box.lower[0] + plane, box.lower[1] + y, box.lower[2]])
      labels.elements.replaceSubrange(first..<(first + width), with: values[(y * width)..<((y + 1) * width)])
    }
  }
}

extension PredictionSpace {
  /// Calls `body` with the position in the file's array of the first voxel of each row, and the step along it.
  private func forEachFileRow(
    plane: Int, rows: Range<Int>, _ body: (_ row: Int, _ first: Int, _ step: Int) -> Void
  ) {
    let strides = fileStrides
    let start =
      (boundingBox.lower[0] + plane) * strides[0] + boundingBox.lower[1] * strides[1] + boundingBox.lower[2]
      * strides[2]
    for y in rows { body(y - rows.lowerBound, start + y * strides[1], strides[2]) }
  }

  /// Writes rows of one plane of the crop, `[K, rows, X]`, to their places in the file's array `[K, file axes]`.
  func scatter(
    _ values: [Float], plane: Int, rows: Range<Int>, to target: UnsafeMutableBufferPointer<Float>,
    firstChannel: Int = 0
  ) {
    let width = croppedShape[2]
    let size = rows.count * width
    let voxelCount = shapeBeforeCropping.reduce(1, *)
    for k in 0..<(values.count / max(1, size)) {
      forEachFileRow(plane: plane, rows: rows) { row, first, step in
        let to = (firstChannel + k) * voxelCount + first
        for x in 0..<width { target[to + x * step] = values[k * size + row * width + x] }
      }
    }
  }

  /// Reads one plane of the crop back, `[K, Y, X]`.
  func gather(plane: Int, channelCount: Int, from source: UnsafeMutableBufferPointer<Float>) -> [Float] {
    let width = croppedShape[2]
    let voxelCount = shapeBeforeCropping.reduce(1, *)
    var values: [Float] = []
    values.reserveCapacity(channelCount * croppedShape[1] * width)
    for k in 0..<channelCount {
      forEachFileRow(plane: plane, rows: 0..<croppedShape[1]) { _, first, step in
        for x in 0..<width { values.append(source[k * voxelCount + first + x * step]) }
      }
    }
    return values
  }
}
