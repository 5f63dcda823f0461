// The champion: cross-validation of every model and pair, the best of them, its postprocessing, how to predict with it.

import Archives
import Datasets
import Evaluation
import Foundation
import Planning
import Reporting

extension Pipeline {
  /// Ranks trained models and pairs of them on their held-out cases, and finds the winner's postprocessing.
  ///
  /// Writes `inference_information.json` and `inference_instructions.txt` into the dataset's results.
  ///
  /// - Throws: a ``Diagnostic`` where folds are missing, with the commands that train them.
  /// - Source: nnU-Net's `find_best_configuration`.
  package func findBestConfiguration(_ request: SelectionRequest) throws -> ModelSelection {
    let models = try availableModels(request)
    var candidates: [SelectionCandidate] = []
    func add(_ members: [ModelReference], _ crossValidation: CrossValidation) {
      candidates.append(
        SelectionCandidate(members: members, folds: request.folds, crossValidation: crossValidation))
    }
    for model in models {
      try cancellation.check()
      add(
        [model],
        try accumulateCrossValidation(
          of: model, dataset: request.dataset, folds: request.folds, keepsExisting: request.keepsExisting))
    }
    if request.allowsEnsembles {
      for (index, first) in models.enumerated() {
        for second in models[(index + 1)...] {
          try cancellation.check()
          add(
            [first, second],
            try ensembleCrossValidations(
              of: [first, second], dataset: request.dataset, folds: request.folds,
              keepsExisting: request.keepsExisting))
        }
      }
    }
    let bestIndex = try select(candidates, request)
    return try finish(request, models: models, candidates, bestIndex: bestIndex)
  }

  private func select(_ candidates: [SelectionCandidate], _ request: SelectionRequest) throws -> Int {
    guard let ranked = ModelSelection.winner(of: candidates.map(\.dice)) else {
      throw Diagnostic(
        "no model can be ranked", expected: "a mean foreground Dice that is a number",
        found: "none among \(candidates.count): some label occurs in no case at all",
        remedy:
          "look at \"mean\" in \(candidates[0].crossValidation.folder.path)/summary.json, and correct the labels in dataset.json"
      )
    }
    let index = try request.select(candidates, ranked)
    guard candidates.indices.contains(index) else {
      throw Diagnostic(
        "the rule picked a candidate that there is not", expected: "0 to \(candidates.count - 1)",
        found: "\(index)", remedy: "return one of the candidates")
    }
    return index
  }

  private func finish(
    _ request: SelectionRequest, models: [ModelReference], _ candidates: [SelectionCandidate], bestIndex: Int
  ) throws -> ModelSelection {
    let best = candidates[bestIndex]
    let folder = best.crossValidation.folder
    let search = try determinePostprocessing(
      of: PredictionsFolder(folder), references: referenceFolder(of: request.dataset, prefersRaw: false),
      accepts: request.acceptsPostprocessing)
    var previousStages: [ModelReference: ModelReference] = [:]
    for member in best.members {
      let modelFolder = try modelFolder(dataset: request.dataset, named: member.folderName)
      let plans = try Plans(contentsOf: modelFolder.appending(path: "plans.json"))
      guard let name = try plans.configuration(named: member.configuration).previousStage else { continue }
      previousStages[member] = ModelReference(
        trainer: member.trainer, plans: member.plans, configuration: name)
    }
    let selection = ModelSelection(
      dataset: request.dataset, models: models, folds: request.folds,
      allowsEnsembles: request.allowsEnsembles,
      candidates: candidates, bestIndex: bestIndex, postprocessing: search,
      labels: try PredictionsFolder(folder).description().labels, previousStages: previousStages)
    let results = try roots.resultsFolder(of: request.dataset)
    try selection.json.write(to: results.appending(path: "inference_information.json"), sortedKeys: true)
    try writeAtomically(
      Data(selection.instructions.utf8), to: results.appending(path: "inference_instructions.txt"))
    return selection
  }

  /// The plans of a model that is not trained: the preprocessed dataset's, or those of a model that was trained by them.
  private func plannedConfigurations(of model: ModelReference, dataset: String) throws -> Plans {
    let results = try roots.resultsFolder(of: dataset)
    for name in modelNames(in: results) where try ModelReference(folderName: name).plans == model.plans {
      return try Plans(contentsOf: results.appending(path: "\(name)/plans.json"))
    }
    return try readPlans(named: model.plans, of: dataset)
  }

  /// The models whose configuration the plans have; one that is planned has to be trained.
  private func availableModels(_ request: SelectionRequest) throws -> [ModelReference] {
    var available: [ModelReference] = []
    var planned: Set<String> = []
    for model in request.models {
      let folder = try modelFolder(dataset: request.dataset, named: model.folderName)
      let isTrained = FileManager.default.fileExists(atPath: folder.path)
      let plans =
        isTrained
        ? try Plans(contentsOf: folder.appending(path: "plans.json"))
        : try plannedConfigurations(of: model, dataset: request.dataset)
      planned.formUnion(plans.configurationNames)
      guard plans.configurationNames.contains(model.configuration) else {
        let near = nearestName(to: model.configuration, in: plans.configurationNames)
        progress.note(
          "\(model.plans) has no configuration \(model.configuration); it is left out"
            + (near.map { " (did you mean \($0)?)" } ?? ""))
        continue
      }
      guard isTrained else {
        let commands = request.folds.map { model.trainingCommand(dataset: request.dataset, fold: $0) }
        let others = modelNames(in: folder.deletingLastPathComponent())
        throw Diagnostic(
          "\(model.folderName) is not trained", at: folder.path, expected: "a folder with trained folds",
          found: others.isEmpty
            ? "no models of this dataset" : "\(others.joined(separator: ", ")); -tr, -p and -c name others",
          remedy:
            "train it: \(commands.map { "\($0) --npz" }.joined(separator: "; ")); or name the configurations that are trained with -c"
        )
      }
      available.append(model)
    }
    guard !available.isEmpty else {
      throw Diagnostic(
        "there is no model to choose from", expected: "configurations that the plans have",
        found: request.models.map(\.configuration).joined(separator: ", "),
        remedy: "choose among \(planned.sorted().joined(separator: ", ")) with -c")
    }
    return available
  }
}
