// What is to be trained: data, plan and place, all read and checked before the trainer starts.

package import Archives
package import Datasets
package import Foundation
package import Planning
package import Tensors

/// One fold of one configuration.
package struct TrainingTask {
  package var plans: Plans
  package var configuration: PlannedConfiguration
  package var labels: LabelScheme
  /// dataset.json as it stands.
  package var dataset: JSON
  /// Image channels, without those of a previous stage.
  package var channelCount: Int
  package var fold: Fold
  package var training: any PatchSource
  package var validation: any PatchSource
  /// The fold's folder: checkpoints and log.
  package var folder: URL
  /// Key of all random numbers.
  package var seed: Int
  /// How activations and their gradients are stored; weights are float32 always.
  package var precision = Precision.float32
  /// Whether checkpoints are written.
  package var writesCheckpoints = true
  /// The longest time between two writes of `checkpoint_latest`, whatever the settings say.
  package var saveInterval = Duration.seconds(300)

  package init(
    plans: Plans, configuration: PlannedConfiguration, labels: LabelScheme, dataset: JSON, channelCount: Int,
    fold: Fold, training: any PatchSource, validation: any PatchSource, folder: URL, seed: Int
  ) {
    self.plans = plans
    self.configuration = configuration
    self.labels = labels
    self.dataset = dataset
    self.channelCount = channelCount
    self.fold = fold
    self.training = training
    self.validation = validation
    self.folder = folder
    self.seed = seed
  }

  /// The labels that enter as further image channels, one each, where a previous stage predicted them; `nil` unless the
  /// configuration is the second stage of a cascade.
  package var previousStageLabels: [Int]? {
    configuration.previousStage == nil ? nil : labels.foregroundLabels
  }

  /// The labels of every output channel under regions, the ignore label's own last; `nil` for label training.
  package var regionLists: [[Int]]? {
    guard labels.hasRegions else { return nil }
    return labels.foregroundRegions.map(\.labels) + (labels.ignoreLabel.map { [[$0]] } ?? [])
  }
}
