// Pictures of the training cases of a dataset with their labels, and with predictions if there are some.

import Archives
import Datasets
import Figures
package import Foundation
import Planning
import Preprocessing
import Reporting
import Synchronization

/// Which cases to draw, and how.
package struct OverlayRequest: Sendable {
  /// What is drawn.
  package enum Content: Sendable {
    /// The files of the raw dataset.
    case raw
    /// The files of the raw dataset, of the cases that this folder has predictions for.
    case predictions(URL)
    /// Preprocessed cases; without a configuration those of 3d_fullres if the plans have it, else of 2d.
    case preprocessed(plans: String, configuration: String?)
  }

  /// Full name of the dataset.
  package var dataset: String
  package var content: Content
  /// The channel to show; `nil` shows colours where there are some, else the first.
  package var channel: Int?
  /// How strongly labels cover the image, from 0 to 1.
  package var intensity: Double
  package var output: URL

  package init(
    dataset: String, content: Content, channel: Int? = nil, intensity: Double = 0.6, output: URL
  ) {
    self.dataset = dataset
    self.content = content
    self.channel = channel
    self.intensity = intensity
    self.output = output
  }
}

extension Pipeline {
  /// Draws `{case}.png` for every case; cases that cannot be read are reported, and the rest is drawn.
  ///
  /// - Returns: how many were drawn.
  /// - Throws: ``Diagnostic`` at the end if some cases failed.
  @discardableResult
  package func drawOverlays(_ request: OverlayRequest) throws -> Int {
    let source = try overlaySource(request)
    try requireWritableFolder(request.output)
    let identifiers = source.identifiers
    progress.begin("draw overlays", total: identifiers.count)
    let schedule = CaseSchedule(
      bytes: identifiers.indices.map(source.predictedBytes), limit: CaseSchedule.availableMemory() / 2)
    let state = Mutex<(done: Int, failures: [Int: any Error])>((0, [:]))
    schedule.run { index in
      if cancellation.isCancelled { return }
      let result = Result {
        var figure = try source.figure(of: index)
        // nnU-Net's default of 0.6 lets the tissue through as well as its own pictures do.
        figure.fillOpacity = 0.6 * request.intensity
        try figure.draw(to: request.output.appending(path: identifiers[index] + ".png"))
      }
      state.withLock { state in
        if case .failure(let error) = result { state.failures[index] = error }
        state.done += 1
        progress.update(completed: state.done, detail: identifiers[index])
      }
    }
    progress.end()
    try cancellation.check()
    let failures = state.withLock { $0.failures }
    for index in failures.keys.sorted() {
      progress.note("\(identifiers[index]) is not drawn: \(failures[index].map { "\($0)" } ?? "")")
    }
    let count = identifiers.count - failures.count
    guard failures.isEmpty else {
      throw Diagnostic(
        "\(failures.count) of \(identifiers.count) cases could not be drawn", at: request.output.path,
        expected: "\(identifiers.count) pictures", found: "\(count)",
        remedy:
          "see what is said about each above; lunette verify_dataset -d \(request.dataset) checks all files")
    }
    progress.note("\(request.output.path): \(count) pictures")
    return count
  }

  private func overlaySource(_ request: OverlayRequest) throws -> any OverlaySource {
    switch request.content {
    case .raw: return try rawOverlays(request, predictions: nil)
    case .predictions(let folder): return try rawOverlays(request, predictions: folder)
    case .preprocessed(let plans, let configuration):
      return try preprocessedOverlays(request, plans: plans, configuration: configuration)
    }
  }

  private func rawOverlays(_ request: OverlayRequest, predictions: URL?) throws -> RawOverlays {
    let dataset = try openDataset(request.dataset)
    let description = dataset.description
    if let channel = request.channel, !description.channelNames.indices.contains(channel) {
      throw Diagnostic(
        "there is no channel \(channel)", at: dataset.folder.path,
        expected: "0 to \(description.channelNames.count - 1), the \"channel_names\" of dataset.json",
        found: "\(channel)", remedy: "choose another -channel_idx")
    }
    var cases = try dataset.cases()
    if let predictions {
      let all = cases.count
      cases.removeAll {
        !FileManager.default.fileExists(
          atPath: predictions.appending(path: $0.identifier + description.fileEnding).path)
      }
      guard !cases.isEmpty else {
        throw Diagnostic(
          "there is no prediction of a training case", at: predictions.path,
          expected: "files CASE\(description.fileEnding) named as the label maps of \(dataset.name)",
          found: "none", remedy: "give a folder of predictions, such as fold_0/validation of a model")
      }
      if cases.count < all {
        progress.note("\(cases.count) of \(all) cases have a prediction; these are drawn")
      }
    }
    return RawOverlays(
      cases: cases, description: description, datasetName: dataset.name, channel: request.channel,
      predictions: predictions)
  }

  private func preprocessedOverlays(
    _ request: OverlayRequest, plans name: String, configuration: String?
  ) throws -> PreprocessedOverlays {
    let plans = try readPlans(named: name, of: request.dataset)
    let configuration = try plans.configuration(
      named: configuration ?? (plans.configurationNames.contains("3d_fullres") ? "3d_fullres" : "2d"))
    let folder = try roots.preprocessedFolder(of: request.dataset)
    let store = PreprocessedStore(datasetFolder: folder, configuration: configuration)
    let identifiers = store.identifiers()
    guard !identifiers.isEmpty else {
      throw Diagnostic(
        "\(configuration.name) is not preprocessed", at: store.folder.path, expected: "preprocessed cases",
        found: "none",
        remedy:
          "lunette preprocess -d \(request.dataset) -c \(configuration.name) -plans_name \(plans.plansName), or give --use_raw"
      )
    }
    return PreprocessedOverlays(
      store: store, identifiers: identifiers, plans: plans, configuration: configuration,
      description: try DatasetDescription(contentsOf: folder.appending(path: "dataset.json")),
      channel: request.channel)
  }
}
