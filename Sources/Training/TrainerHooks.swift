// The steps of training that a caller may replace or watch. Hooks run on the trainer's thread, between its steps.

package import Archives
package import Augmentation
package import Backends
package import Datasets
package import Networks
package import Planning

/// Functions around the trainer's own steps.
package struct TrainerHooks {
  // Override: these change the result, and are part of a run's identity.

  /// The learning rate of an epoch, in place of the polynomial decay.
  package var schedule: ((_ epoch: Int) throws -> Double)?
  /// Another pipeline made from the default one.
  package var augmentation: ((AugmentationPipeline) throws -> AugmentationPipeline)?
  /// The loss at one resolution, in place of Dice plus cross-entropy.
  package var loss: SegmentationLoss?
  /// What is added to the built-in terms of the loss.
  package var lossFunctions: [WeightedLossFunction] = []
  /// Another `architecture` entry for the configuration that is trained; `nil` keeps the plan's.
  package var architecture: ((NetworkRequest) throws -> JSON?)?
  /// One training step, in place of forward pass, loss, backward pass and optimizer step; gives the loss.
  package var step: ((TrainingStep, _ standard: @escaping () throws -> Double) throws -> Double)?
  /// The cases that train and validate in each fold, in place of nnU-Net's.
  package var split:
    (
      (_ cases: [String], _ standard: @escaping () throws -> CrossValidationSplits) throws ->
        CrossValidationSplits
    )?

  // Observe: these see and cannot change.

  package var epochStart: ((_ epoch: Int) throws -> Void)?
  package var iterationEnd: ((_ epoch: Int, _ iteration: Int, _ loss: Double) throws -> Void)?
  package var epochEnd: ((EpochSummary) throws -> Void)?

  package init() {}

  /// Whether any hook changes the result.
  package var overridesAnything: Bool {
    schedule != nil || augmentation != nil || loss != nil || architecture != nil || step != nil
      || split != nil
  }
}

/// What a network is made for.
package struct NetworkRequest {
  package let configuration: PlannedConfiguration
  package let inputChannelCount: Int
  package let outputChannelCount: Int

  package init(configuration: PlannedConfiguration, inputChannelCount: Int, outputChannelCount: Int) {
    self.configuration = configuration
    self.inputChannelCount = inputChannelCount
    self.outputChannelCount = outputChannelCount
  }
}

/// What a training step has at hand.
package struct TrainingStep {
  /// Both counted from 0.
  package let epoch: Int
  package let iteration: Int
  package let batch: TrainingBatch
  package let targets: [SegmentationTarget]
  package let network: any SegmentationNetwork
  package let optimizer: Optimizer
  package let loss: DeepSupervisionLoss
  /// The key of what the network draws in this iteration.
  package let randomKey: [Int]
}
