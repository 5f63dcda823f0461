// The cascade's hand-over: what the first stage predicted of every case, as input of the second.
// C channels, Z Y X array axes (slowest first)

import Archives
package import Datasets
package import Foundation
package import Reporting
package import Tensors
package import Volumes

/// Predictions of a previous stage in the space of the next one's preprocessed cases, one file per case.
///
/// The folder is `predicted_next_stage/{next configuration}.lunette` beside the folds of the stage that predicts.
package struct PreviousStageStore: Sendable {
  package let folder: URL
  private static let fileEnding = ".safetensors"
  static let format = "lunette previous stage 1"

  package init(folder: URL) { self.folder = folder }

  /// The store below the model folder of the stage that predicts.
  package init(modelFolder: URL, nextConfiguration: String) {
    folder = modelFolder.appending(path: "predicted_next_stage")
      .appending(path: nextConfiguration + PreprocessedStore.folderEnding)
  }

  /// The file of a case.
  package func url(of identifier: String) -> URL { folder.appending(path: identifier + Self.fileEnding) }

  /// The cases present, sorted by code points.
  package func identifiers() -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return names.filter { $0.hasSuffix(Self.fileEnding) && !$0.hasPrefix(".") }
      .map { String($0.dropLast(Self.fileEnding.count)) }.sorted(by: precedesByCodePoint)
  }

  /// Writes the prediction of a case atomically.
  ///
  /// - Shape: `[Z, Y, X]`, that of the preprocessed case.
  package func write(_ labels: NDArray<Int16>, identifier: String) throws(Diagnostic) {
    precondition(labels.shape.count == 3, "labels are [Z, Y, X], not \(labels.shape)")
    try SafetensorsFile.write(
      [SafetensorsEntry("seg", labels)], metadata: [("format", Self.format)], to: url(of: identifier))
  }

  /// Opens the prediction of a case without reading it; it must have the shape of the preprocessed case.
  package func open(_ identifier: String, shape: [Int]) throws(Diagnostic) -> PreviousStageCase {
    let url = url(of: identifier)
    guard FileManager.default.fileExists(atPath: url.path) else {
      throw Diagnostic(
        "case \(identifier) has no prediction of the previous stage", at: url.path,
        expected: "a file that the previous stage's validation wrote", found: "no such file",
        remedy: "train and validate all five folds of the previous stage first")
    }
    let file = try SafetensorsFile.open(url)
    let tensor = try file.tensor(named: "seg")
    guard file.metadata["format"] == Self.format, tensor.dataType == .int16, tensor.shape == shape else {
      throw Diagnostic(
        "the prediction of the previous stage does not fit", at: url.path,
        expected: "\(Self.format), int16 \(shape) as the preprocessed case",
        found: "\(file.metadata["format"] ?? "no format"), \(tensor.dataType) \(tensor.shape)",
        remedy: "validate the previous stage again; it was made for another preprocessing")
    }
    return PreviousStageCase(tensor: tensor)
  }
}

/// The previous stage's labels of one case; patches may be read from several threads.
package struct PreviousStageCase: Sendable {
  fileprivate let tensor: MappedTensor

  /// All labels, `[Z, Y, X]`.
  package func whole() -> NDArray<Int16> {
    read(box: BoundingBox(lower: [0, 0, 0], upper: tensor.shape))
  }

  /// The labels inside a box, which may reach beyond the case.
  ///
  /// - Shape: `box.shape`
  package func read(box: BoundingBox, fill: Int16 = 0) -> NDArray<Int16> {
    tensor.read(box: box, of: tensor.shape, channelCount: 1, fill: fill).reshaped(box.shape)
  }
}

/// One channel per label, 1 where it is; what the second stage sees of the first.
///
/// - Shape: labels `[Z, Y, X]`, result `[foreground.count, Z, Y, X]`
package func oneHot(_ labels: NDArray<Int16>, foreground: [Int]) -> NDArray<Float> {
  let size = labels.count
  let elements = [Float](unsafeUninitializedCapacity: foreground.count * size) { output, count in
    count = foreground.count * size
    labels.elements.withUnsafeBufferPointer { labels in
      for (channel, label) in foreground.enumerated() {
        for i in 0..<size { output[channel &* size &+ i] = Int(labels[i]) == label ? 1 : 0 }
      }
    }
  }
  return NDArray(shape: [foreground.count] + labels.shape, elements: elements)
}

extension NDArray<Float> {
  /// The channels of this array and then those of another of the same extents.
  package func appending(_ channels: NDArray<Float>) -> NDArray<Float> {
    precondition(shape.dropFirst() == channels.shape.dropFirst(), "\(shape) and \(channels.shape) differ")
    return NDArray(
      shape: [shape[0] + channels.shape[0]] + shape.dropFirst(), elements: elements + channels.elements)
  }
}

extension PreprocessedArrays {
  /// The image with the segmentation, a previous stage's prediction, appended as one channel per foreground label.
  ///
  /// - Source: nnU-Net's inference with a cascade.
  package func dataWithPreviousStage(_ labels: LabelScheme) -> NDArray<Float> {
    data.appending(oneHot(segmentation, foreground: labels.foregroundLabels))
  }
}
