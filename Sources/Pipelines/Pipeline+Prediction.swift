// Prediction: the held-out cases of a training, and folders of new images.

import Archives
import Datasets
package import Evaluation
package import Foundation
import Planning
import Preprocessing
import Reporting
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
    let folder = try modelFolder(dataset: request.dataset, named: request.modelFolderName)
    let (plans, description) = try readModel(at: folder)
    let configuration = try plans.configuration(named: request.configuration)
    try requirePreviousStage(request, of: configuration)
    var cases = try findCases(
      in: input, fileEnding: description.fileEnding, reader: ImageReader(rawValue: plans.readerWriter))
    guard !cases.isEmpty else {
      throw Diagnostic(
        "there is nothing to predict", at: input.path, expected: "files CASE_0000\(description.fileEnding)",
        found: "none", remedy: "check the folder; names end in four digits for the channel")
    }
    cases = cases.enumerated().filter { $0.offset % request.part.count == request.part.index }.map(\.element)
    let folds = try request.folds.map { try trainedFold($0, in: folder) }
    try requireWritableFolder(output)
    let models = try folds.map {
      try loadModel(
        foldFolder: $0, checkpoint: request.checkpoint, plans: plans,
        configuration: configuration, dataset: description, precision: request.precision)
    }
    let settings = CasePredictor.Settings(
      stepFraction: request.stepFraction, usesMirroring: request.usesMirroring,
      keepsProbabilities: request.savesProbabilities)
    let predictor = try CasePredictor(
      models: models, plans: plans, configuration: configuration, dataset: description, settings: settings,
      pipeline: self)
    try description.json.write(to: output.appending(path: "dataset.json"))
    try JSON.object(plans.json).write(to: output.appending(path: "plans.json"))
    try request.arguments(input: input, output: output).write(
      to: output.appending(path: "predict_from_raw_data_args.json"))
    let preprocessor = try Preprocessor(
      plans: plans, configuration: configuration, labels: description.labels)
    try predict(
      cases, with: predictor, preprocessor, channelCount: description.channelNames.count, to: output, request)
  }

  private func predict(
    _ cases: [TestCase], with predictor: CasePredictor, _ preprocessor: Preprocessor, channelCount: Int,
    to output: URL, _ request: PredictionRequest
  ) throws {
    progress.begin("predict", total: cases.count)
    defer { progress.end() }
    for (index, testCase) in cases.enumerated() {
      try cancellation.check()
      if request.keepsExisting, predictor.isDone(testCase.identifier, in: output) {
        progress.update(completed: index + 1, detail: "\(testCase.identifier) is there")
        continue
      }
      let loaded = try readCase(testCase, channelCount: channelCount)
      var previous: Volume<Int16>?
      if let folder = request.previousStage {
        previous = try readLabels(folder.appending(path: testCase.identifier + predictor.fileEnding))
      }
      let arrays = try preprocessor.run(images: loaded.channels, label: previous)
      try predictor.predict(
        previous == nil ? arrays.data : arrays.dataWithPreviousStage(predictor.labels), arrays.properties,
        identifier: testCase.identifier, to: output)
      progress.update(completed: index + 1, detail: testCase.identifier)
    }
  }

  /// Stops unless predictions of the first stage are given for the second of a cascade, and only for that.
  private func requirePreviousStage(
    _ request: PredictionRequest, of configuration: PlannedConfiguration
  ) throws(Diagnostic) {
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
  private func readModel(at folder: URL) throws -> (Plans, DatasetDescription) {
    guard FileManager.default.fileExists(atPath: folder.path) else {
      let others = subfolders(of: folder.deletingLastPathComponent())
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
    let trained = subfolders(of: modelFolder).filter { $0.hasPrefix("fold_") }.map {
      $0.dropFirst("fold_".count)
    }
    throw Diagnostic(
      "fold \(fold) is not trained", at: folder.path, expected: "the folder of a trained fold",
      found: trained.isEmpty ? "no trained folds" : "folds \(trained.joined(separator: ", "))",
      remedy: trained.isEmpty ? "train it first" : "-f \(trained.joined(separator: " ")), or train it first")
  }

  private func subfolders(of folder: URL) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
  }
}

extension PredictionRequest {
  /// What nnU-Net keeps beside predictions, so that they can be made again.
  fileprivate func arguments(input: URL, output: URL) -> JSON {
    [
      "list_of_lists_or_source_folder": .string(input.path),
      "output_folder_or_list_of_truncated_output_files": .string(output.path),
      "save_probabilities": .bool(savesProbabilities), "overwrite": .bool(!keepsExisting),
      "num_processes_preprocessing": .integer(1), "num_processes_segmentation_export": .integer(1),
      "folder_with_segs_from_prev_stage": (previousStage?.path).map(JSON.string) ?? .null,
      "num_parts": .integer(part.count),
      "part_id": .integer(part.index),
    ]
  }
}
