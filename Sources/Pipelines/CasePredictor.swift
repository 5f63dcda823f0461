// One case from preprocessed arrays to a label map in the geometry of its file.

import Archives
import Datasets
import Foundation
import Inference
import Planning
import Preprocessing
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// The networks of one or several folds with all that their predictions need.
struct CasePredictor {
  let plans: Plans
  let configuration: PlannedConfiguration
  let labels: LabelScheme
  let fileEnding: String
  private let window: SlidingWindowPredictor
  private let keepsProbabilities: Bool

  init(
    models: [LoadedModel], plans: Plans, configuration: PlannedConfiguration, dataset: DatasetDescription,
    settings: Settings, pipeline: Pipeline
  ) throws {
    self.plans = plans
    self.configuration = configuration
    labels = dataset.labels
    fileEnding = dataset.fileEnding
    keepsProbabilities = settings.keepsProbabilities
    var window = SlidingWindowSettings(
      tileShape: configuration.patchSize, mirrorAxes: settings.usesMirroring ? models.first?.mirrorAxes : nil)
    window.stepFraction = settings.stepFraction
    self.window = try SlidingWindowPredictor(
      models: models.map(\.predictor), settings: window, progress: pipeline.progress,
      cancellation: pipeline.cancellation)
  }

  /// What a user may choose.
  struct Settings {
    var stepFraction = 0.5
    var usesMirroring = true
    var keepsProbabilities = false
  }

  /// Predicts one case and writes `{identifier}{ending}`, with `{identifier}.npz` if probabilities are wanted.
  ///
  /// - Shape: image `[C, Z, Y, X]`, preprocessed
  func predict(_ image: NDArray<Float>, _ properties: CaseProperties, identifier: String, to folder: URL)
    throws
  {
    let space = PredictionSpace(properties: properties, plans: plans, configuration: configuration)
    let exporter = try LogitsExporter(
      space: space, labels: labels, logitsShape: Array(image.shape.dropFirst()),
      resampling: LogitsResampling(configuration.probabilityResampling, space: space),
      keepsProbabilities: keepsProbabilities)
    try window.predictRows(of: image) { row, logits in try exporter.take(row: row, logits: logits) }
    let prediction = try exporter.finish()
    if let probabilities = prediction.probabilities {
      try probabilities.write(to: folder.appending(path: identifier + ".npz"))
      try properties.json.write(to: folder.appending(path: identifier + ".json"))
    }
    // The label map comes last: where it lies, the case is done.
    try writeLabels(
      prediction.segmentation, to: folder.appending(path: identifier + fileEnding),
      maximumLabel: labels.allLabels.max() ?? 0)
  }

  /// Whether the results of a case lie in `folder`.
  func isDone(_ identifier: String, in folder: URL) -> Bool {
    let endings = keepsProbabilities ? [fileEnding, ".npz"] : [fileEnding]
    return endings.allSatisfy {
      FileManager.default.fileExists(atPath: folder.appending(path: identifier + $0).path)
    }
  }
}
