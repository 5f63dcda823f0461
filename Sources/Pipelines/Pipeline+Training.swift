// Training one fold, and loading what a training left: the two places where the pipeline meets the engine.

package import Datasets
package import Figures
package import Foundation
package import Inference
package import Planning
import Reporting

/// A fold that is trained.
package struct TrainedRun: Sendable {
  package var request: TrainingRequest
  package var plans: Plans
  /// The folder of the fold: checkpoints, training curve, validation.
  package var folder: URL
  package var split: CrossValidationSplit
  /// What every epoch so far came to.
  package var curve: TrainingCurve

  package init(
    request: TrainingRequest, plans: Plans, folder: URL, split: CrossValidationSplit, curve: TrainingCurve
  ) {
    self.request = request
    self.plans = plans
    self.folder = folder
    self.split = split
    self.curve = curve
  }
}

/// A network with its weights, ready to predict.
package struct LoadedModel {
  package var predictor: any TilePredictor
  /// Spatial axes that the training mirrored along, and prediction may; `nil` for none.
  package var mirrorAxes: [Int]?

  package init(predictor: any TilePredictor, mirrorAxes: [Int]?) {
    self.predictor = predictor
    self.mirrorAxes = mirrorAxes
  }
}

extension Pipeline {
  /// The folder of a model in the results: it holds one folder a fold.
  package func modelFolder(dataset: String, named name: String) throws -> URL {
    try roots.resultsFolder(of: dataset).appending(path: name)
  }

  /// Trains one fold as `request.start` says, and returns the finished run.
  package func train(_ request: TrainingRequest) throws -> TrainedRun {
    throw Diagnostic("training is not part of this build yet")
  }

  /// Loads a checkpoint of one fold, in this program's form or nnU-Net's.
  package func loadModel(
    foldFolder: URL, checkpoint: CheckpointName, plans: Plans, configuration: PlannedConfiguration,
    labels: LabelScheme
  ) throws -> LoadedModel {
    throw Diagnostic("loading models is not part of this build yet", at: foldFolder.path)
  }
}
