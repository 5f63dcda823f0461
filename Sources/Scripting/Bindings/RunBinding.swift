// `lunette.train`: one fold trained, resumed or taken as it is, as an object.

import Archives
import Datasets
import Evaluation
import Figures
import Foundation
import LuaHost
import Pipelines
import Planning
import Reporting
import Tensors
import Training

/// A trained fold in scripts.
final class RunObject: ScriptObject {
  let run: TrainedRun
  /// The raw dataset, when it is at hand; reports show its cases.
  private let dataset: RawDataset?
  /// The trainer and plan it was made with, which live as long as the run.
  private let origins: [LuaValue]

  init(_ run: TrainedRun, dataset: RawDataset?, origins: [LuaValue]) {
    self.run = run
    self.dataset = dataset
    self.origins = origins
  }

  var luaAnchors: [LuaValue] { origins }

  var luaDescription: String {
    let dice =
      run.log.last.map { ", moving pseudo Dice \(($0.movingAverageDice * 1000).rounded() / 1000)" } ?? ""
    return
      "run \(run.request.modelFolderName) \(run.request.fold.folderName), \(run.log.epochs.count) epochs\(dice)"
  }

  static let schema = ObjectSchema(
    "run", "One trained fold: its log, its folder, and what can be done with it.",
    example: "local run = lunette.train{ plan=plan, configuration=\"3d_fullres\", fold=0 }\n"
      + "print(run.status, run:validate().foreground_mean.Dice)",
    properties: [
      .field("status", .string, "how far it got: finished") { (_: RunObject) in "finished" },
      .field("folder", .path, "the fold's folder: checkpoints, training curve, validation") {
        (it: RunObject) in
        .string(it.run.folder.path)
      },
      .field("model_folder", .path, "the folder of all folds of this training") { (it: RunObject) in
        .string(it.run.folder.deletingLastPathComponent().path)
      },
      .field("log", .list(.any), "what each epoch came to, as observers see it") { (it: RunObject) in
        .array(it.run.log.epochs.map(\.luaValue))
      },
      .field("split", .map(.list(.string)), "the cases that trained and that were held out") {
        (it: RunObject) in
        .fields(["train": .array(it.run.split.training), "val": .array(it.run.split.validation)])
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "run:validate", "Predicts the held-out cases and scores them.",
          parameters: [
            ParameterSchema(
              "checkpoint", .choice(["final", "best", "latest"]), default: "final",
              "which of the run's checkpoints"),
            ParameterSchema(
              "probabilities", .boolean, default: false, "keeps the probabilities of every case too"),
          ], positional: 0, returns: "an evaluation",
          example: "print(lunette.train{ plan=plan, fold=0 }:validate().foreground_mean.Dice)")
      ) { (it: RunObject, arguments) in .object(EvaluationObject(try it.validate(arguments))) },
      .method(
        FunctionSchema(
          "run:report", "Writes a report: scores, training curve, one held-out case with its contours.",
          parameters: [.required("folder", .path, "where to write report.md and its pictures")],
          returns: "the report's table as text",
          example: "print(lunette.train{ plan=plan, fold=0 }:report(\"report\"))")
      ) { (it: RunObject, arguments) in
        guard let dataset = it.dataset else {
          throw Diagnostic(
            "a report needs the raw dataset", remedy: "plan from lunette.dataset, not from a file")
        }
        let pipeline = ScriptRegistry.pipeline(of: arguments.state)
        let summary = try pipeline.validate(it.run)
        let report = try pipeline.writeReport(
          on: it.run, summary, dataset: dataset, to: fileURL(arguments.string("folder")))
        return .string(report.text)
      },
      .method(
        FunctionSchema(
          "run:plot", "Draws the training curve.",
          parameters: [.required("path", .path, "the picture: .png or .svg")], returns: "the path",
          example: "lunette.train{ plan=plan, fold=0 }:plot(\"progress.png\")")
      ) { (it: RunObject, arguments) in
        try it.draw(to: fileURL(arguments.string("path")))
        return arguments["path"]
      },
      .method(
        FunctionSchema(
          "run:model", "The trained model, ready to predict.", returns: "a model",
          example:
            "local p = lunette.train{ plan=plan, fold=0 }:model():predict{ input=\"case_0000.nii.gz\", folds={0} }"
        )
      ) { (it: RunObject, _) in .object(try ModelObject(folder: it.run.folder.deletingLastPathComponent())) },
    ])

  private func validate(_ arguments: Arguments) throws -> EvaluationSummary {
    try ScriptRegistry.pipeline(of: arguments.state).validate(
      run,
      ValidationRequest(
        checkpoint: CheckpointName(parsing: arguments.string("checkpoint")),
        savesProbabilities: arguments.boolean("probabilities")))
  }
}

extension RunObject: DrawableObject {
  var figureEnding: String { "svg" }

  func draw(to url: URL) throws {
    try drawTrainingCurve(run.curve, title: run.request.modelFolderName, to: url)
  }
}

extension Binding {
  static let train = Binding(
    FunctionSchema(
      "lunette.train",
      "Trains one fold: preprocesses what is missing, resumes an unfinished run of the same "
        + "settings, returns a finished one.",
      details: "A folder that holds another run is never written to.",
      parameters: [
        .required("plan", .object("plan"), "the plan, of a dataset"),
        ParameterSchema("configuration", .string, default: "3d_fullres", "the configuration's name"),
        ParameterSchema(
          "fold", .either([.integer, .choice(["all"])]), default: 0,
          "the held-out fold, or \"all\" to hold out nothing"),
        ParameterSchema("trainer", .object("trainer"), "the trainer; nnU-Net's default when left out"),
        ParameterSchema("seed", .integer, default: 0, in: 0...1e15, "the key of all random numbers"),
        ParameterSchema(
          "precision", .choice(["auto", "fp32", "bf16"]), default: "auto",
          "how activations are stored while training; auto takes bf16 where the CPU multiplies it faster"),
        ParameterSchema("overwrite", .boolean, default: false, "moves an existing run aside and starts anew"),
      ], positional: 0, returns: "a run",
      example:
        "local run = lunette.train{ plan=lunette.plan(lunette.dataset(4)), configuration=\"3d_fullres\", fold=0,\n"
        + "  trainer=lunette.trainer{ name=\"nnUNetTrainer_5epochs\", epochs=5 } }")
  ) { arguments in
    let plan: PlanObject = try arguments.object("plan")
    let configuration = try plan.plans.configuration(named: arguments.string("configuration")).name
    let fold = try Fold(parsing: arguments["fold"].string ?? "\(arguments.integer("fold"))")
    let trainer =
      (arguments["trainer"].object as? TrainerObject)
      ?? TrainerObject(settings: TrainerSettings(), functions: [:])
    let pipeline = ScriptRegistry.pipeline(of: arguments.state)
    try plan.saveUnlessSaved(in: pipeline.roots)
    if let dataset = plan.dataset {
      try pipeline.preprocess(dataset, by: plan.plans, configurations: [configuration])
    }
    let definition = try trainer.definition(in: arguments.state)
    var request = TrainingRequest(
      dataset: plan.plans.datasetName, configuration: configuration, fold: fold,
      trainer: TrainerReference(name: trainer.settings.name), plans: plan.plans.plansName,
      start: try arguments.boolean("overwrite") ? .overwrite : .whateverIsThere,
      seed: UInt64(try arguments.integer("seed")))
    request.precision = Precision(name: try arguments.string("precision"))
    let run = try pipeline.train(request, with: definition)
    return [
      .object(RunObject(run, dataset: plan.dataset, origins: [.object(trainer), .object(plan)]))
    ]
  }
}
