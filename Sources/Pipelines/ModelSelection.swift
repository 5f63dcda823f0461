// What a selection among models considered, what each scored, and what won: values, and the files they become.

package import Archives
package import Datasets
package import Evaluation
package import Foundation
import Reporting

/// Which models compete, and how the winner is found.
package struct SelectionRequest {
  /// Full name.
  package var dataset: String
  package var models: [ModelReference]
  package var folds: [Fold]
  /// Whether every pair of models competes too.
  package var allowsEnsembles = true
  /// Whether cross-validations that are there are completed rather than made again.
  package var keepsExisting = false
  /// Replaces the rule that picks the winner: gets all candidates and the index that nnU-Net's rule picks.
  package var select: ([SelectionCandidate], Int) throws -> Int = { $1 }
  /// Replaces the rule that accepts a postprocessing step.
  package var acceptsPostprocessing: PostprocessingRule = { $1 }

  package init(dataset: String, models: [ModelReference], folds: [Fold] = (0..<5).map(Fold.number)) {
    self.dataset = dataset
    self.models = models
    self.folds = folds
  }
}

/// A model, or an ensemble, with the scores of its cross-validation.
package struct SelectionCandidate: Sendable {
  package var members: [ModelReference]
  package var folds: [Fold]
  package var crossValidation: CrossValidation

  package var identifier: String {
    members.count == 1 ? members[0].folderName : ensembleName(members, folds: folds)
  }

  /// The mean foreground Dice, by which nnU-Net ranks.
  package var dice: Double { crossValidation.summary.foregroundMean.dice }
}

/// The outcome of a selection.
package struct ModelSelection: Sendable {
  package var dataset: String
  package var models: [ModelReference]
  package var folds: [Fold]
  package var allowsEnsembles: Bool
  package var candidates: [SelectionCandidate]
  package var bestIndex: Int
  package var postprocessing: PostprocessingSearch
  package var labels: LabelScheme
  /// What has to be predicted before a model can be, by the model's configuration.
  package var previousStages: [ModelReference: ModelReference]

  package var best: SelectionCandidate { candidates[bestIndex] }

  /// The file with the winner's postprocessing.
  package var postprocessingFile: URL { best.crossValidation.folder.appending(path: "postprocessing.pkl") }
  private var plansFile: URL { best.crossValidation.folder.appending(path: "plans.json") }

  /// nnU-Net's rule: the highest score, the earlier of equals; a score that is no number never wins.
  static func winner(of scores: [Double]) -> Int? {
    scores.indices.filter { !scores[$0].isNaN }.max {
      scores[$0] < scores[$1] || scores[$0] == scores[$1] && $0 > $1
    }
  }
}

// MARK: - Files

extension ModelSelection {
  /// The content of nnU-Net's `inference_information.json`.
  package var json: JSON {
    [
      "folds": .array(
        folds.map { fold in Int(fold.description).map(JSON.integer) ?? .string(fold.description) }),
      "dataset_name_or_id": .string(dataset),
      "considered_models": .array(
        models.map {
          [
            "plans": .string($0.plans), "configuration": .string($0.configuration),
            "trainer": .string($0.trainer),
          ]
        }),
      "ensembling_allowed": .bool(allowsEnsembles),
      "all_results": .object(JSONObject(candidates.map { ($0.identifier, .number($0.dice)) })),
      "best_model_or_ensemble": [
        "result_on_crossval_pre_pp": .number(best.dice),
        "result_on_crossval_post_pp": .number(postprocessing.final.foregroundMean.dice),
        "postprocessing_file": .string(postprocessingFile.path),
        "some_plans_file": .string(plansFile.path),
        "selected_model_or_models": .array(
          best.members.map {
            [
              "configuration": .string($0.configuration), "trainer": .string($0.trainer),
              "plans_identifier": .string($0.plans),
            ]
          }),
      ],
    ]
  }

  /// How to predict with the winner, as commands; the content of `inference_instructions.txt`.
  package var instructions: String {
    let isEnsemble = best.members.count > 1
    var lines = ["How to predict with \(isEnsemble ? "the winning ensemble" : "the winning model"):", ""]
    var outputs: [String] = []
    for (index, member) in best.members.enumerated() {
      let output = isEnsemble ? "OUTPUT_FOLDER_MODEL_\(index + 1)" : "OUTPUT_FOLDER"
      outputs.append(output)
      lines += predictionCommands(member, output: output, keepsProbabilities: isEnsemble)
    }
    if isEnsemble {
      lines += ["", "Then combine them:", ""]
      lines.append("lunette ensemble -i \(outputs.joined(separator: " ")) -o OUTPUT_FOLDER")
    }
    if postprocessing.steps.isEmpty {
      lines += ["", "No postprocessing step raised the score; OUTPUT_FOLDER is the result."]
    } else {
      lines += ["", "Then postprocess:", ""]
      lines.append(
        "lunette apply_postprocessing -i OUTPUT_FOLDER -o OUTPUT_FOLDER_PP -pp_pkl_file \(postprocessingFile.path) -plans_json \(plansFile.path)"
      )
    }
    return lines.joined(separator: "\n") + "\n"
  }

  private func predictionCommands(
    _ member: ModelReference, output: String, keepsProbabilities: Bool
  ) -> [String] {
    func command(_ model: ModelReference, _ output: String) -> String {
      "lunette predict -d \(dataset) -i INPUT_FOLDER -o \(output) -f \(folds.map(\.description).joined(separator: " ")) \(model.arguments)"
    }
    var lines: [String] = []
    var last = command(member, output)
    if let previous = previousStages[member] {
      let first = "OUTPUT_FOLDER_PREVIOUS_STAGE"
      lines.append(command(previous, first))
      last += " -prev_stage_predictions \(first)"
    }
    if keepsProbabilities { last += " --save_probabilities" }
    return lines + [last]
  }

  /// Every candidate with its score, and why the winner won.
  package var explanation: String {
    let width = candidates.map(\.identifier.count).max() ?? 0
    var lines = candidates.enumerated().map { index, candidate in
      let name = candidate.identifier.padding(toLength: width, withPad: " ", startingAt: 0)
      return
        "\(name)  \(candidate.crossValidation.summary.foregroundMeanText)\(index == bestIndex ? "  best" : "")"
    }
    lines.insert("Mean foreground Dice over folds \(folds.map(\.description).joined(separator: " ")):", at: 0)
    lines.append("")
    let ranked = Self.winner(of: candidates.map(\.dice))
    lines.append(
      ranked == bestIndex
        ? "Best: \(best.identifier), by the highest score"
        : "Best: \(best.identifier), by the rule that was given")
    lines.append("Postprocessing:")
    lines += postprocessing.trials.map { $0.text(labels) }
    lines.append("Mean foreground Dice after postprocessing: \(postprocessing.final.foregroundMeanText)")
    return lines.joined(separator: "\n")
  }
}
