// The mean of several models' probabilities, read from their files class by class, and the label map it decides.

import Archives
package import Datasets
package import Foundation
import Reporting
package import Tensors

/// Averages probability files and decides every voxel's label.
///
/// Memory stays at one label map, one map of floats and a few pieces of the files, whatever the number of classes.
///
/// - Source: nnU-Net's `ensemble`: the plain mean in single precision.
package struct ProbabilityEnsemble: Sendable {
  private let files: [URL]
  private let weights: [Float]?
  private let labels: LabelScheme

  /// - Parameters:
  ///   - files: one .npz file with `probabilities` per model, `[K, Z, Y, X]`.
  ///   - weights: one per file, from 0; the plain mean if `nil`.
  package init(_ files: [URL], weights: [Double]? = nil, labels: LabelScheme) {
    precondition(!files.isEmpty && weights?.count ?? files.count == files.count, "one weight per file")
    self.files = files
    self.labels = labels
    let total = weights?.reduce(0, +) ?? 0
    self.weights = weights.map { $0.map { Float($0 / total) } }
  }

  /// Elements read from a file at once.
  private static let pieceCount = 1 << 20

  /// The label map, in the axis order of the files; `keep` receives the mean probabilities in C order, piece by piece.
  ///
  /// - Shape: result `[Z, Y, X]`
  /// - Throws: a ``Diagnostic`` for files that cannot be read or do not fit each other, and what `keep` throws.
  package func labelMap(
    keep: (([Float]) throws -> Void)? = nil
  ) throws -> NDArray<Int16> {
    let streams = try files.map { try NumPyStream($0, array: "probabilities") }
    let shape = try commonShape(of: streams)
    let voxelCount = shape.dropFirst().reduce(1, *)
    var running = RunningDecision(VoxelDecision(labels), count: voxelCount)
    for k in 0..<shape[0] {
      var values: [Float] = []
      values.reserveCapacity(voxelCount)
      for start in stride(from: 0, to: voxelCount, by: Self.pieceCount) {
        let mean = try self.mean(of: streams, count: min(Self.pieceCount, voxelCount - start))
        try keep?(mean)
        values += mean
      }
      running.take(probabilities: values, class: k)
    }
    return NDArray(shape: Array(shape.dropFirst()), elements: running.labels)
  }

  /// The label map, with the mean probabilities written to an .npz file as they come.
  package func writing(
    to url: URL, scratchFolder: URL = FileManager.default.temporaryDirectory
  ) throws -> NDArray<Int16> {
    let map = try ProbabilityMap(
      shape: try NumPyStream(files[0], array: "probabilities").shape, folder: scratchFolder)
    var position = 0
    let labels = try labelMap { piece in
      _ = map.mutableValues[position...].update(fromContentsOf: piece)
      position += piece.count
    }
    try map.write(to: url)
    return labels
  }

  private func commonShape(of streams: [NumPyStream]) throws(Diagnostic) -> [Int] {
    let shape = streams[0].shape
    let channelCount = labels.outputChannelCount
    guard shape.count == 4, shape[0] == channelCount else {
      throw Diagnostic(
        "the probabilities do not belong to these labels", at: files[0].path,
        expected: "\(channelCount) channels and three axes", found: "\(shape)",
        remedy: "give the dataset.json that the model was trained with")
    }
    for (stream, file) in zip(streams, files) where stream.shape != shape {
      throw Diagnostic(
        "the models' probabilities do not fit each other", at: file.path,
        expected: "\(shape) as in \(files[0].path)", found: "\(stream.shape)",
        remedy: "combine predictions of the same images by models of the same labels")
    }
    return shape
  }

  private func mean(of streams: [NumPyStream], count: Int) throws -> [Float] {
    var sum: [Float] = []
    for (index, stream) in streams.enumerated() {
      var values = try stream.floats(count)
      if let weights {
        for i in values.indices { values[i] *= weights[index] }
      }
      if index == 0 {
        sum = values
      } else {
        for i in sum.indices { sum[i] += values[i] }
      }
    }
    if weights == nil {
      let divisor = Float(streams.count)
      for i in sum.indices { sum[i] /= divisor }
    }
    return sum
  }
}
