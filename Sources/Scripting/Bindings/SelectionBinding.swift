// `lunette.find_best_configuration`: models and pairs of them ranked by cross-validation.

import Datasets
import Evaluation
import Foundation
import LuaHost
import Pipelines
import Reporting

/// The outcome of a selection in scripts.
final class SelectionObject: ScriptObject {
  private let selection: ModelSelection

  init(_ selection: ModelSelection) { self.selection = selection }

  var luaDescription: String {
    "selection among \(selection.candidates.count) candidates, best \(selection.best.identifier)"
  }

  static let schema = ObjectSchema(
    "selection", "Models and ensembles with their scores, the best of them and its postprocessing.",
    example:
      "local best = lunette.find_best_configuration{ dataset=4, configurations={\"2d\", \"3d_fullres\"} }\n"
      + "print(best.best, best.dice)",
    properties: [
      .field("best", .string, "the name of the best model or ensemble") { (it: SelectionObject) in
        .string(it.selection.best.identifier)
      },
      .field("dice", .number, "its mean foreground Dice") { (it: SelectionObject) in
        .number(it.selection.best.dice)
      },
      .field("dice_postprocessed", .number, "the same after the accepted postprocessing") {
        (it: SelectionObject) in .number(it.selection.postprocessing.final.foregroundMean.dice)
      },
      .field("candidates", .list(.any), "all that competed: name, dice, configurations, folder, evaluation") {
        (it: SelectionObject) in .array(it.selection.candidates.map(\.luaValue))
      },
      .field(
        "steps", .list(.any),
        "the postprocessing steps that were tried: step, labels, before, after, accepted"
      ) {
        (it: SelectionObject) in
        .array(it.selection.postprocessing.trials.map { $0.luaValue(it.selection.labels) })
      },
      .field("postprocessing_file", .path, "the accepted steps, for apply_postprocessing") {
        (it: SelectionObject) in .string(it.selection.postprocessingFile.path)
      },
      .field("instructions", .string, "the commands that predict with the best") { (it: SelectionObject) in
        .string(it.selection.instructions)
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "selection:report", "What was tried, what it scored and why the best won, as text.",
          returns: "the text", example: "print(lunette.find_best_configuration{ dataset=4 }:report())")
      ) { (it: SelectionObject, _) in .string(it.selection.explanation) },
      .method(
        FunctionSchema(
          "selection:models", "The models of the best, ready to predict; several for an ensemble.",
          returns: "a list of models",
          example: "local best = lunette.find_best_configuration{ dataset=4 }\n"
            + "local p = lunette.ensemble(best:models()):predict{ input=\"case_0000.nii.gz\" }")
      ) { (it: SelectionObject, arguments) in
        let results = try ScriptRegistry.pipeline(of: arguments.state).roots.resultsFolder(
          of: it.selection.dataset)
        return .array(
          try it.selection.best.members.map {
            .object(try ModelObject(folder: results.appending(path: $0.folderName)))
          })
      },
    ])
}

extension SelectionCandidate {
  fileprivate var luaValue: LuaValue {
    .fields([
      "name": .string(identifier), "dice": .number(dice),
      "configurations": .array(members.map(\.configuration)),
      "folder": .string(crossValidation.folder.path),
      "evaluation": .object(EvaluationObject(crossValidation.summary)),
    ])
  }
}

extension PostprocessingTrial {
  /// What a rule that decides on the step sees.
  fileprivate var fields: [String: LuaValue] {
    [
      "step": .string(step.text()), "labels": .array(step.labels.sorted()), "before": .number(diceBefore),
      "after": .number(diceAfter),
    ]
  }

  fileprivate func luaValue(_ labels: LabelScheme) -> LuaValue {
    .fields(
      fields.merging(["step": .string(step.text(labels)), "accepted": .boolean(isAccepted)]) { $1 })
  }
}

extension Binding {
  static let findBestConfiguration = Binding(
    FunctionSchema(
      "lunette.find_best_configuration",
      "Ranks trained models and pairs of them on their held-out cases, and finds the best one's postprocessing.",
      details:
        "Writes inference_information.json and inference_instructions.txt into the dataset's results, as the command does.",
      parameters: [
        .required(
          "dataset", .either([.object("dataset"), .integer, .string]), "the dataset, its number or its name"),
        ParameterSchema(
          "configurations", .list(.string),
          "those that compete; by default nnU-Net's four, as far as they are planned"),
        ParameterSchema("trainers", .list(.string), "their trainers; nnUNetTrainer by default"),
        ParameterSchema("plans", .list(.string), "the names of their plans; nnUNetPlans by default"),
        ParameterSchema("folds", .list(.any), "the folds of the cross-validation; 0 to 4 by default"),
        ParameterSchema("ensembles", .boolean, default: true, "whether every pair competes too"),
        ParameterSchema(
          "keep", .boolean, default: false, "takes cross-validations that are complete as they are"),
        ParameterSchema(
          "select", .override("(ctx, default)"),
          "picks the best of ctx.candidates and returns it, its name or its number; default() gives the highest Dice"
        ),
        ParameterSchema(
          "accept_postprocessing", .override("(ctx, default)"),
          "decides on a step, given step, labels, before and after; default() gives nnU-Net's verdict"),
      ], positional: 0, returns: "a selection",
      example: "local best = lunette.find_best_configuration{ dataset=4, folds={0, 1, 2, 3, 4},\n"
        + "  select=function(ctx, default) return default() end }\nprint(best:report())")
  ) { arguments in
    let state = arguments.state
    let pipeline = ScriptRegistry.pipeline(of: state)
    func names(_ name: String, _ fallback: [String]) -> [String] {
      arguments[name].table?.array.compactMap(\.string) ?? fallback
    }
    let dataset =
      try (arguments["dataset"].object as? DatasetObject)?.dataset.name
      ?? pipeline.roots.resolveName(
        arguments["dataset"].integer.map(String.init) ?? arguments.string("dataset"))
    let configurations = names("configurations", ["2d", "3d_fullres", "3d_lowres", "3d_cascade_fullres"])
    let plans = names("plans", [TrainingRequest.defaultPlans])
    let models = names("trainers", ["nnUNetTrainer"]).flatMap { trainer in
      configurations.flatMap { configuration in
        plans.map { ModelReference(trainer: trainer, plans: $0, configuration: configuration) }
      }
    }
    var request = SelectionRequest(dataset: dataset, models: models)
    if let folds = arguments["folds"].table?.array {
      request.folds = try folds.map { try Fold(parsing: $0.string ?? $0.integer.map(String.init) ?? "") }
    }
    request.allowsEnsembles = try arguments.boolean("ensembles")
    request.keepsExisting = try arguments.boolean("keep")
    if let rule = arguments["select"].function {
      request.select = { candidates, ranked in try pick(candidates, ranked, by: rule, in: state) }
    }
    if let rule = arguments["accept_postprocessing"].function {
      request.acceptsPostprocessing = { trial, verdict in
        let answer = try callRule(
          rule, named: "accept_postprocessing", .fields(trial.fields), default: .boolean(verdict), in: state)
        guard let accepts = answer.boolean else {
          throw Diagnostic(
            "accept_postprocessing returned what it cannot", expected: "true or false",
            found: "a \(answer.typeName)")
        }
        return accepts
      }
    }
    return [.object(SelectionObject(try pipeline.findBestConfiguration(request)))]
  }

  /// Calls a rule with a context and a function that gives the default; nil means the default.
  private static func callRule(
    _ rule: LuaFunction, named name: String, _ context: LuaValue, default value: LuaValue, in state: LuaState
  ) throws -> LuaValue {
    let fallback = LuaNativeFunction("default of \(name)") { _ in [value] }
    let answer = try rule.call([context, .function(LuaFunction(fallback))], in: state).first ?? .nil
    return answer.isNil ? value : answer
  }

  /// The index of the candidate that a rule names by itself, its name or its number.
  private static func pick(
    _ candidates: [SelectionCandidate], _ ranked: Int, by rule: LuaFunction, in state: LuaState
  ) throws -> Int {
    let values = candidates.map(\.luaValue)
    let answer = try callRule(
      rule, named: "select", .fields(["candidates": .array(values)]), default: values[ranked], in: state)
    let name = answer.string ?? answer.table?.fields["name"]?.string
    let index = answer.integer.map { $0 - 1 } ?? candidates.firstIndex { $0.identifier == name }
    guard let index, candidates.indices.contains(index) else {
      throw Diagnostic(
        "select returned what it cannot", expected: "one of ctx.candidates, its name or its number",
        found: name ?? answer.integer.map(String.init) ?? "a \(answer.typeName)",
        remedy: "return default() for the highest Dice")
    }
    return index
  }
}
