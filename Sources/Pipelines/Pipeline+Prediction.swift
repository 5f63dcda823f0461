// Prediction: the held-out cases of a training, and folders of new images.

import Archives
import Datasets
package import Evaluation
package import Foundation
import Planning
import Preprocessing
import Reporting
import Tensors
import Training
import VolumeFormats
import Volumes

extension Pipeline {
  /// Predicts the held-out cases of a run and scores them: `validation/` in the fold's folder.
  @discardableResult
  package func validate(
    _ run: TrainedRun, _ request: ValidationRequest = ValidationRequest()
  ) throws -> EvaluationSummary {
    guard !run.isBenchmark else {
      throw Diagnostic(
        "a benchmark leaves no model to validate", at: run.folder.path,
        expected: "a training with checkpoints",
        found: "trainer \(run.request.trainer.name)", remedy: "train with another trainer (-tr)")
    }
    let datasetFolder = try roots.preprocessedFolder(of: run.request.dataset)
    let description = try DatasetDescription(contentsOf: datasetFolder.appending(path: "dataset.json"))
    let configuration = try run.plans.configuration(named: run.request.configuration)
    let output = run.folder.appending(path: "validation")
    try requireWritableFolder(output)
    let model = try loadModel(
      foldFolder: run.folder, checkpoint: request.checkpoint, plans: run.plans, configuration: configuration,
      dataset: description)
    var settings = CasePredictor.Settings()
    settings.keepsProbabilities = request.savesProbabilities
    let predictor = try CasePredictor(
      models: [model], plans: run.plans, configuration: configuration, dataset: description,
      settings: settings,
      pipeline: self)
    let store = PreprocessedStore(datasetFolder: datasetFolder, configuration: configuration)
    let nextStages = try configuration.nextStages.map {
      NextStage(
        predicted: PreviousStageStore(
          modelFolder: run.folder.deletingLastPathComponent(), nextConfiguration: $0),
        preprocessed: PreprocessedStore(
          datasetFolder: datasetFolder, configuration: try run.plans.configuration(named: $0)))
    }
    progress.begin(
      "validate \(run.request.configuration) \(run.request.fold.folderName)",
      total: run.split.validation.count)
    for (index, identifier) in run.split.validation.enumerated() {
      try cancellation.check()
      run.journal.write("predicting \(identifier)")
      let preprocessed = try store.open(identifier)
      var image = preprocessed.wholeImage()
      if let previous = try run.previousStage?.open(identifier, shape: preprocessed.shape) {
        image = image.appending(oneHot(previous.whole(), foreground: description.labels.foregroundLabels))
      }
      try predictor.predict(
        image, preprocessed.properties, identifier: identifier, to: output, nextStages: nextStages)
      progress.update(completed: index + 1, detail: identifier)
    }
    progress.end()
    let summary = try evaluate(
      EvaluationRequest(
        references: datasetFolder.appending(path: "gt_segmentations"), predictions: output,
        datasetJSON: datasetFolder.appending(path: "dataset.json"),
        plans: datasetFolder.appending(path: "\(run.plans.plansName).json"), allowsMissing: true))
    run.journal.write("Validation complete", "Mean Validation Dice: \(summary.foregroundMean.dice)")
    return summary
  }

  /// Predicts the cases of a folder with a trained configuration.
  package func predict(folder input: URL, to output: URL, _ request: PredictionRequest) throws {
    try predict(PredictionInput([input]), to: output, request)
  }

  /// Predicts cases with a trained configuration.
  ///
  /// A case that cannot be read or predicted does not stop the others.
  ///
  /// - Throws: a ``Diagnostic`` before the first case if model or input are not usable, after the last if a case failed.
  package func predict(_ input: PredictionInput, to output: URL, _ request: PredictionRequest) throws {
    let folder =
      switch request.model {
      case .results(let dataset, let model): try modelFolder(dataset: dataset, named: model.folderName)
      case .folder(let url): url
      }
    let (plans, ownDescription) = try readModel(at: folder)
    let folds = try request.folds.map { try trainedFold($0, in: folder) }
    let name =
      if case .results(_, let model) = request.model { model.configuration } else {
        try trainedConfiguration(folds[0], request.checkpoint, modelFolder: folder)
      }
    let configuration = try plans.configuration(named: name)
    try requirePreviousStage(request, of: configuration)
    let description = try ownDescription.paintingRegions(in: request.regionOrder)
    let all = try input.cases(
      fileEnding: description.fileEnding, reader: ImageReader(rawValue: plans.readerWriter))
    let cases = all.enumerated().filter { $0.offset % request.part.count == request.part.index }.map(
      \.element)
    try requireWritableFolder(output)
    let models = try folds.map {
      try loadModel(
        foldFolder: $0, checkpoint: request.checkpoint, plans: plans,
        configuration: configuration, dataset: description, precision: request.precision)
    }
    let settings = CasePredictor.Settings(
      stepFraction: request.stepFraction, usesMirroring: request.usesMirroring,
      keepsProbabilities: request.savesProbabilities, sumsInSinglePrecision: request.sumsInSinglePrecision)
    let predictor = try CasePredictor(
      models: models, plans: plans, configuration: configuration, dataset: description, settings: settings,
      pipeline: self)
    let painted = try description.describingPaintedMaps()
    if painted.json != description.json {
      progress.note(
        "these labels are not the dataset's own: its references are scored wrong against them; dataset.json beside the predictions says what they are"
      )
    }
    try painted.json.write(to: output.appending(path: "dataset.json"))
    try JSON.object(plans.json).write(to: output.appending(path: "plans.json"))
    let arguments = output.appending(path: "predict_from_raw_data_args.json")
    // What is only continued keeps the arguments that it began with.
    if !request.keepsExisting || !FileManager.default.fileExists(atPath: arguments.path) {
      try request.arguments(input: input, output: output).write(to: arguments)
    }
    let reading = CaseReading(
      preprocessor: try Preprocessor(plans: plans, configuration: configuration, labels: description.labels),
      channelCount: description.channelNames.count, previousStage: request.previousStage,
      fileEnding: description.fileEnding, labels: description.labels)
    let isDone = cases.map { request.keepsExisting && predictor.isDone($0.identifier, in: output) }
    let failures = try predict(cases, isDone: isDone, with: predictor, reading, to: output)
    guard !failures.isEmpty else { return }
    throw Diagnostic(
      "\(failures.count) of \(cases.count) cases could not be predicted", at: output.path,
      expected: "images that this model can read",
      found: failures.map { "\($0.identifier): \($0.reason)" }.joined(separator: "; "),
      remedy: "mend these and predict again with --continue_prediction; the others are done")
  }

  /// Predicts one case after the other, reading the next and writing the last meanwhile.
  private func predict(
    _ cases: [TestCase], isDone: [Bool], with predictor: CasePredictor, _ reading: CaseReading, to output: URL
  ) throws -> [(identifier: String, reason: String)] {
    progress.begin("predict", total: cases.count)
    defer { progress.end() }
    let open = cases.indices.filter { !isDone[$0] }
    var failures: [(identifier: String, reason: String)] = []
    func attempt(_ identifier: String, _ work: () throws -> Void) throws {
      do { try work() } catch let error as Cancelled { throw error } catch {
        let text = "\(error)".split(separator: "\n").first.map(String.init) ?? "unknown reason"
        failures.append((identifier, text))
        progress.note("\(identifier) could not be predicted: \(error)")
      }
    }
    func read(_ position: Int) -> BackgroundWork<PreprocessedArrays>? {
      guard position < open.count else { return nil }
      let testCase = cases[open[position]]
      return BackgroundWork("read") { try reading.arrays(of: testCase) }
    }
    if open.count < cases.count { progress.note("\(cases.count - open.count) cases are there already") }
    progress.update(completed: cases.count - open.count, detail: "")
    var next = read(0)
    var writing: (identifier: String, work: BackgroundWork<Void>)?
    // Whatever ends this, nothing is written any more afterwards.
    defer { _ = try? writing?.work.value() }
    func finishWriting() throws {
      guard let last = writing else { return }
      writing = nil
      try attempt(last.identifier) { try last.work.value() }
    }
    for position in open.indices {
      let identifier = cases[open[position]].identifier
      let current = next
      try cancellation.check()
      try attempt(identifier) {
        guard let arrays = try current?.value() else { return }
        next = read(position + 1)
        let pending = UncheckedBox(
          try predictor.compute(
            reading.input(of: arrays), arrays.properties, identifier: identifier))
        try finishWriting()
        let exporter = UncheckedBox(predictor)
        writing = (
          identifier, BackgroundWork("write") { try exporter.value.export(pending.value, to: output) }
        )
      }
      // A case that could not be read has not started the next.
      if next === current { next = read(position + 1) }
      progress.update(completed: cases.count - open.count + position + 1, detail: identifier)
    }
    try finishWriting()
    return failures
  }

  /// Stops unless predictions of the first stage are given for the second of a cascade, and only for that.
  private func requirePreviousStage(
    _ request: PredictionRequest, of configuration: PlannedConfiguration
  ) throws(Diagnostic) {
    if let folder = request.previousStage, configuration.previousStage != nil {
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: folder.path, isDirectory: &isFolder), isFolder.boolValue
      else {
        throw Diagnostic(
          "the predictions of the first stage are not there", at: folder.path,
          expected: "a folder of label maps", found: "no such folder", remedy: "check -prev_stage_predictions"
        )
      }
    }
    guard (request.previousStage == nil) != (configuration.previousStage == nil) else { return }
    if let first = configuration.previousStage {
      throw Diagnostic(
        "\(configuration.name) needs what \(first) predicts of the same images",
        expected: "-prev_stage_predictions FOLDER", found: "no such option",
        remedy: "predict with -c \(first) into a folder first, and give that folder")
    }
    throw Diagnostic(
      "\(configuration.name) takes no predictions of another stage", expected: "no -prev_stage_predictions",
      found: request.previousStage?.path ?? "",
      remedy: "leave it away, or predict with the cascade's configuration")
  }

  /// The plans and the dataset description that lie beside a model's folds.
  func readModel(at folder: URL) throws -> (Plans, DatasetDescription) {
    guard FileManager.default.fileExists(atPath: folder.path) else {
      let others = modelNames(in: folder.deletingLastPathComponent())
      throw Diagnostic(
        "there is no model \(folder.lastPathComponent)", at: folder.path, expected: "a trained configuration",
        found: others.isEmpty ? "no models of this dataset" : others.joined(separator: ", "),
        remedy: nearestName(to: folder.lastPathComponent, in: others).map {
          "did you mean \($0)? check -c, -tr and -p"
        }
          ?? "train first, or check -c, -tr and -p")
    }
    return (
      try Plans(contentsOf: folder.appending(path: "plans.json")),
      try DatasetDescription(contentsOf: folder.appending(path: "dataset.json"))
    )
  }

  private func trainedFold(_ fold: Fold, in modelFolder: URL) throws -> URL {
    let folder = modelFolder.appending(path: fold.folderName)
    if FileManager.default.fileExists(atPath: folder.path) { return folder }
    let trained = foldFolders(of: modelFolder).map { $0.dropFirst("fold_".count) }
    throw Diagnostic(
      "fold \(fold) is not trained", at: folder.path, expected: "the folder of a trained fold",
      found: trained.isEmpty ? "no trained folds" : "folds \(trained.joined(separator: ", "))",
      remedy: trained.isEmpty ? "train it first" : "-f \(trained.joined(separator: " ")), or train it first")
  }

  /// The configuration that a fold's checkpoint was trained for.
  private func trainedConfiguration(
    _ fold: URL, _ checkpoint: CheckpointName, modelFolder: URL
  ) throws -> String {
    let file = try checkpointFile(checkpoint, in: fold)
    if file.pathExtension == Checkpoint.fileExtension { return try Checkpoint.state(of: file).configuration }
    if let name = try PyTorchCheckpoint.read(file).root["init_args"]?["configuration"]?.string { return name }
    return try ModelReference(folderName: modelFolder.standardizedFileURL.lastPathComponent).configuration
  }
}

extension PredictionRequest {
  /// What nnU-Net keeps beside predictions, so that they can be made again.
  fileprivate func arguments(input: PredictionInput, output: URL) -> JSON {
    [
      "list_of_lists_or_source_folder": input.paths.count == 1
        ? .string(input.paths[0].path) : .array(input.paths.map { .string($0.path) }),
      "output_folder_or_list_of_truncated_output_files": .string(output.path),
      "save_probabilities": .bool(savesProbabilities), "overwrite": .bool(!keepsExisting),
      "num_processes_preprocessing": .integer(1), "num_processes_segmentation_export": .integer(1),
      "folder_with_segs_from_prev_stage": (previousStage?.path).map(JSON.string) ?? .null,
      "num_parts": .integer(part.count),
      "part_id": .integer(part.index),
    ]
  }
}

/// How a case becomes the network's input; works on any thread.
private struct CaseReading: Sendable {
  let preprocessor: Preprocessor
  let channelCount: Int
  let previousStage: URL?
  let fileEnding: String
  let labels: LabelScheme

  func arrays(of testCase: TestCase) throws -> PreprocessedArrays {
    let loaded = try readCase(testCase, channelCount: channelCount)
    let previous = try previousStage.map {
      try readLabels($0.appending(path: testCase.identifier + fileEnding))
    }
    return try preprocessor.run(images: loaded.channels, label: previous)
  }

  /// - Shape: `[C, Z, Y, X]`, with one channel more per foreground label for the second stage of a cascade
  func input(of arrays: PreprocessedArrays) -> NDArray<Float> {
    previousStage == nil ? arrays.data : arrays.dataWithPreviousStage(labels)
  }
}

/// Hands a value to one other thread, which alone uses it from then on.
private struct UncheckedBox<Value>: @unchecked Sendable {
  let value: Value

  init(_ value: Value) { self.value = value }
}
