// What the stages are asked to do: values that the command line and Lua fill in.

package import Archives
package import Datasets
package import Evaluation
package import Foundation
package import Planning
package import Reporting
package import Tensors

/// The whole job on one dataset.
package struct Job {
  /// Number or name.
  package var dataset: String
  package var planning: PlanningRequest
  package var training: TrainingRequest
  package var validation: ValidationRequest
  /// Where the report goes; made if need be.
  package var reportFolder: URL

  package init(
    dataset: String, planning: PlanningRequest = PlanningRequest(), training: TrainingRequest,
    validation: ValidationRequest = ValidationRequest(), reportFolder: URL
  ) {
    self.dataset = dataset
    self.planning = planning
    self.training = training
    self.validation = validation
    self.reportFolder = reportFolder
  }
}

/// How to plan.
package struct PlanningRequest {
  /// nnU-Net's name of the planner.
  package var planner: String
  /// - Units: GB of GPU memory; the planner's own target if nil.
  package var memoryTarget: Double?
  /// - Units: mm, array order; the planner's own rule if nil.
  package var targetSpacing: [Double]?
  /// A name for the plans in place of the planner's own.
  package var plansName: String?
  /// nnU-Net's name of the preprocessor, which the plans record.
  package var preprocessorName = "DefaultPreprocessor"
  /// Values that replace decided ones, by configuration and key.
  package var changes: [String: JSONObject] = [:]
  /// Paths of values to explain, such as `3d_fullres.patch_size`.
  package var questions: [String] = []
  /// Heuristics that the caller replaces.
  package var rules: PlanningRules

  package init(
    planner: String = "ExperimentPlanner", memoryTarget: Double? = nil, targetSpacing: [Double]? = nil,
    plansName: String? = nil, rules: PlanningRules = PlanningRules()
  ) {
    self.planner = planner
    self.memoryTarget = memoryTarget
    self.targetSpacing = targetSpacing
    self.plansName = plansName
    self.rules = rules
  }
}

/// Which training to run.
package struct TrainingRequest: Sendable, Equatable {
  /// What to do about a run that is there already.
  package enum Start: Sendable, Equatable {
    /// Train from the beginning; an error if the folder holds a run.
    case new
    /// Go on from the latest checkpoint.
    case latest
    /// Move the existing run aside, then train from the beginning.
    case overwrite
    /// Do not train: the finished run is wanted.
    case finished
    /// Take a finished run, go on with an unfinished one, else train from the beginning.
    case whateverIsThere
  }

  /// Full name, such as `Dataset004_Hippocampus`.
  package var dataset: String
  package var configuration: String
  package var fold: Fold
  package var trainer: TrainerReference
  /// Name of the plans.
  package var plans: String
  package var start: Start
  package var seed: UInt64
  /// How activations are stored while training; if nil that of the run to go on with, else the fastest the machine has.
  package var precision: Precision?
  package var writesCheckpoints: Bool
  /// A checkpoint of either program whose weights a new training starts from, output heads excepted.
  package var pretrainedWeights: URL?
  /// The most memory that the training may be predicted to need; if nil what the machine has available.
  package var memoryCap: MemoryCap?
  /// The longest time between two writes of `checkpoint_latest`; five minutes if nil.
  package var saveInterval: Duration?

  /// The plans of a request that names none.
  package static let defaultPlans = "nnUNetPlans"

  package init(
    dataset: String, configuration: String, fold: Fold, trainer: TrainerReference = TrainerReference(),
    plans: String = "nnUNetPlans", start: Start = .new, seed: UInt64 = 0, writesCheckpoints: Bool = true
  ) {
    self.dataset = dataset
    self.configuration = configuration
    self.fold = fold
    self.trainer = trainer
    self.plans = plans
    self.start = start
    self.seed = seed
    self.writesCheckpoints = writesCheckpoints
  }

  /// The folder of the model in the results: `TRAINER__PLANS__CONFIGURATION`.
  package var modelFolderName: String {
    ModelReference(trainer: trainer.name, plans: plans, configuration: configuration).folderName
  }
}

/// Which of a run's checkpoints is meant.
package enum CheckpointName: String, Sendable, CaseIterable {
  case final, best, latest

  /// Reads `best`, `checkpoint_best`, `checkpoint_best.pth` and the like.
  package init(parsing text: String) throws(Diagnostic) {
    var stem = text
    for ending in [".pth", ".safetensors"] where stem.hasSuffix(ending) { stem.removeLast(ending.count) }
    if stem.hasPrefix("checkpoint_") { stem.removeFirst("checkpoint_".count) }
    if let name = CheckpointName(rawValue: stem) {
      self = name
      return
    }
    let names = CheckpointName.allCases.map(\.rawValue)
    throw Diagnostic(
      "\"\(text)\" is no checkpoint", expected: "final, best or latest, also as checkpoint_final.pth",
      found: text,
      remedy: nearestName(to: stem, in: names).map { "did you mean \($0)?" }
        ?? "leave it away for the final one")
  }

  /// The file's name without its ending.
  package var stem: String { "checkpoint_\(rawValue)" }
}

/// How to validate a run on its held-out cases.
package struct ValidationRequest: Sendable, Equatable {
  package var checkpoint: CheckpointName
  package var savesProbabilities: Bool

  package init(checkpoint: CheckpointName = .final, savesProbabilities: Bool = false) {
    self.checkpoint = checkpoint
    self.savesProbabilities = savesProbabilities
  }
}

/// How to predict with a trained configuration.
package struct PredictionRequest: Sendable {
  package var model: ModelLocation
  package var folds: [Fold]
  package var checkpoint: CheckpointName
  /// Step of the sliding window, as a fraction of the patch.
  package var stepFraction = 0.5
  package var usesMirroring = true
  package var savesProbabilities = false
  /// How activations are stored.
  package var precision = Precision.float32
  /// Sums overlapping tiles in single precision rather than, as nnU-Net does, in half precision.
  package var sumsInSinglePrecision = false
  /// The label painted for each region, in place of the model's own.
  package var regionOrder: [Int]?
  /// What the first stage predicted of the same cases; needed for the second stage of a cascade, and only there.
  package var previousStage: URL?
  /// Leaves predictions alone that are there.
  package var keepsExisting = false
  /// Which share of the cases to take: number `index` of `count`.
  package var part: (index: Int, count: Int) = (0, 1)

  package init(
    model: ModelLocation, folds: [Fold] = (0..<5).map(Fold.number), checkpoint: CheckpointName = .final
  ) {
    self.model = model
    self.folds = folds
    self.checkpoint = checkpoint
  }

  /// A request for a model of the results folder.
  package init(
    dataset: String, configuration: String, trainerName: String = "nnUNetTrainer",
    plans: String = "nnUNetPlans", folds: [Fold] = (0..<5).map(Fold.number),
    checkpoint: CheckpointName = .final
  ) {
    let model = ModelReference(trainer: trainerName, plans: plans, configuration: configuration)
    self.init(model: .results(dataset: dataset, model), folds: folds, checkpoint: checkpoint)
  }
}

/// What to score against what.
package struct EvaluationRequest: Sendable {
  /// Where it is said what to score.
  package enum Targets: Sendable {
    /// A dataset's regions or foreground labels; the plans are only checked.
    case dataset(URL, plans: URL?)
    /// Labels, and the one whose voxels do not count.
    case labels([Int], ignored: Int?)
  }

  package var references: URL
  package var predictions: URL
  package var targets: Targets
  /// `summary.json` beside the predictions if nil.
  package var output: URL?
  /// Whether references without a prediction are left out in place of an error.
  package var allowsMissing: Bool
  package var measures = EvaluationMeasures()
  /// Whether `summary.json` has null for what is no number.
  package var usesNull = false
  /// Where to write a table of all cases as comma-separated values.
  package var caseTable: URL?

  package init(
    references: URL, predictions: URL, targets: Targets, output: URL? = nil, allowsMissing: Bool = false
  ) {
    self.references = references
    self.predictions = predictions
    self.targets = targets
    self.output = output
    self.allowsMissing = allowsMissing
  }

  package init(
    references: URL, predictions: URL, datasetJSON: URL, plans: URL?, output: URL? = nil,
    allowsMissing: Bool = false
  ) {
    self.init(
      references: references, predictions: predictions, targets: .dataset(datasetJSON, plans: plans),
      output: output, allowsMissing: allowsMissing)
  }
}
