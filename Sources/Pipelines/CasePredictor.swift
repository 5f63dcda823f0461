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

/// A later stage of a cascade: where its cases lie, and where predictions for it go.
struct NextStage {
  var predicted: PreviousStageStore
  var preprocessed: PreprocessedStore
}

/// The networks of one or several folds with all that their predictions need.
struct CasePredictor {
  let plans: Plans
  let configuration: PlannedConfiguration
  let labels: LabelScheme
  let fileEnding: String
  private let window: SlidingWindowPredictor
  private let keepsProbabilities: Bool
  private let progress: any ProgressSink

  init(
    models: [LoadedModel], plans: Plans, configuration: PlannedConfiguration, dataset: DatasetDescription,
    settings: Settings, pipeline: Pipeline
  ) throws {
    self.plans = plans
    self.configuration = configuration
    labels = dataset.labels
    fileEnding = dataset.fileEnding
    keepsProbabilities = settings.keepsProbabilities
    progress = pipeline.progress
    var window = SlidingWindowSettings(
      tileShape: configuration.patchSize, mirrorAxes: settings.usesMirroring ? models.first?.mirrorAxes : nil)
    window.stepFraction = settings.stepFraction
    if settings.sumsInSinglePrecision { window.accumulation = .float32 }
    self.window = try SlidingWindowPredictor(
      models: models.map(\.predictor), settings: window, progress: pipeline.progress,
      cancellation: pipeline.cancellation)
  }

  /// What a user may choose.
  struct Settings {
    var stepFraction = 0.5
    var usesMirroring = true
    var keepsProbabilities = false
    var sumsInSinglePrecision = false
  }

  /// Predicts one case and writes `{identifier}{ending}`, with `{identifier}.npz` if probabilities are wanted, and what
  /// the next stages of a cascade take up.
  ///
  /// - Shape: image `[C, Z, Y, X]`, preprocessed
  func predict(
    _ image: NDArray<Float>, _ properties: CaseProperties, identifier: String, to folder: URL,
    nextStages: [NextStage] = []
  ) throws {
    try export(compute(image, properties, identifier: identifier, nextStages: nextStages), to: folder)
  }

  /// What the networks made of one case, not written yet.
  struct Pending {
    let identifier: String
    fileprivate let properties: CaseProperties
    fileprivate let exporter: LogitsExporter
    fileprivate let handovers: [(exporter: LogitsExporter, store: PreviousStageStore)]
  }

  /// Runs the networks over one case.
  ///
  /// - Shape: image `[C, Z, Y, X]`, preprocessed
  func compute(
    _ image: NDArray<Float>, _ properties: CaseProperties, identifier: String, nextStages: [NextStage] = []
  ) throws -> Pending {
    let handovers = try nextStages.compactMap {
      try handover(of: identifier, properties, logitsShape: Array(image.shape.dropFirst()), to: $0)
    }
    let space = PredictionSpace(properties: properties, plans: plans, configuration: configuration)
    let exporter = try LogitsExporter(
      space: space, labels: labels, logitsShape: Array(image.shape.dropFirst()),
      resampling: LogitsResampling(configuration.probabilityResampling, space: space),
      keepsProbabilities: keepsProbabilities)
    try window.predictRows(of: image) { row, logits in
      try exporter.take(row: row, logits: logits)
      for handover in handovers { try handover.exporter.take(row: row, logits: logits) }
    }
    return Pending(
      identifier: identifier, properties: properties, exporter: exporter, handovers: handovers)
  }

  /// Writes what was computed; the label map comes last: where it lies, the case is done.
  func export(_ pending: Pending, to folder: URL) throws {
    let (identifier, properties) = (pending.identifier, pending.properties)
    for handover in pending.handovers {
      try handover.store.write(handover.exporter.finish().segmentation.voxels, identifier: identifier)
    }
    let prediction = try pending.exporter.finish()
    if let probabilities = prediction.probabilities {
      try probabilities.write(to: folder.appending(path: identifier + ".npz"))
      let reader = ImageReader(rawValue: plans.readerWriter)
      try writeAtomically(
        Data(PickleWriter.pickle(properties.pickle(as: reader))),
        to: folder.appending(path: identifier + ".pkl"))
    } else {
      // Those of an earlier prediction would not be of these labels.
      try? FileManager.default.removeItem(at: folder.appending(path: identifier + ".npz"))
    }
    try writeLabels(
      prediction.segmentation, to: folder.appending(path: identifier + fileEnding),
      maximumLabel: labels.allLabels.max() ?? 0)
  }

  /// What resamples the logits of a case to the shape it has in the next stage; `nil`, with a remark, if it is not
  /// preprocessed there.
  ///
  /// Both spacings are the present configuration's, so that the next stage's has no say in how a coarse axis is treated.
  /// - Source: nnU-Net's validation.
  private func handover(
    of identifier: String, _ properties: CaseProperties, logitsShape: [Int], to next: NextStage
  ) throws -> (exporter: LogitsExporter, store: PreviousStageStore)? {
    guard FileManager.default.fileExists(atPath: next.preprocessed.url(of: identifier).path) else {
      progress.note(
        "\(identifier) is not preprocessed for the next stage (\(next.preprocessed.folder.path)); nothing is handed over"
      )
      return nil
    }
    let shape = try next.preprocessed.open(identifier).shape
    let space = PredictionSpace(
      shapeBeforeCropping: shape, boundingBox: BoundingBox(lower: [0, 0, 0], upper: shape),
      fileSpacing: configuration.spacing, configurationSpacing: configuration.spacing,
      transposeForward: [0, 1, 2], geometry: properties.geometry)
    let exporter = try LogitsExporter(
      space: space, labels: labels, logitsShape: logitsShape,
      resampling: LogitsResampling(configuration.probabilityResampling, space: space))
    return (exporter, next.predicted)
  }

  /// Whether the results of a case lie in `folder`.
  func isDone(_ identifier: String, in folder: URL) -> Bool {
    let endings = keepsProbabilities ? [fileEnding, ".npz"] : [fileEnding]
    return endings.allSatisfy {
      FileManager.default.fileExists(atPath: folder.appending(path: identifier + $0).path)
    }
  }
}
