// The steps of training that a caller may replace or watch. Hooks run on the trainer's thread, between its steps.

package import Augmentation
package import Networks

/// Functions around the trainer's own steps.
package struct TrainerHooks {
  // Override: these change the result, and are part of a run's identity.

  /// The learning rate of an epoch, in place of the polynomial decay.
  package var schedule: ((_ epoch: Int) throws -> Double)?
  /// Another pipeline made from the default one.
  package var augmentation: ((AugmentationPipeline) throws -> AugmentationPipeline)?
  /// The loss at one resolution, in place of Dice plus cross-entropy.
  package var loss: SegmentationLoss?

  // Observe: these see and cannot change.

  package var epochStart: ((_ epoch: Int) throws -> Void)?
  package var iterationEnd: ((_ epoch: Int, _ iteration: Int, _ loss: Double) throws -> Void)?
  package var epochEnd: ((EpochSummary) throws -> Void)?

  package init() {}

  /// Whether any hook changes the result.
  package var overridesAnything: Bool { schedule != nil || augmentation != nil || loss != nil }
}
