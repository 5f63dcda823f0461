// What a trainer writes and takes up again: which checkpoint when, and what is in it. The file's form is Checkpoint's.

import Archives
package import Foundation
import Networks
import Planning
package import Reporting
import Tensors

extension Trainer {
  /// The checkpoints of a fold.
  package enum CheckpointKind: String, CaseIterable, Sendable {
    case final, latest, best
  }

  /// Where a checkpoint of this fold lies.
  package func url(of kind: CheckpointKind) -> URL {
    task.folder.appending(path: "checkpoint_\(kind.rawValue).\(Checkpoint.fileExtension)")
  }

  /// Writes what the end of an epoch asks for.
  func saveAfterEpoch(_ summary: EpochSummary) throws {
    let isDue = epoch % settings.saveEvery == 0 || ContinuousClock.now - lastSave > task.saveInterval
    if isDue, !isFinished { try save(.latest) }
    if summary.isBest {
      bestDice = summary.movingAverageDice
      try save(.best)
    }
  }

  /// Writes the last checkpoint, after which the latest is of no use.
  func finish() throws {
    try save(.final)
    if task.writesCheckpoints { try? FileManager.default.removeItem(at: url(of: .latest)) }
  }

  func save(_ kind: CheckpointKind) throws {
    guard task.writesCheckpoints else { return }
    try checkpoint().write(to: url(of: kind))
    lastSave = .now
  }

  /// The present state.
  package func checkpoint() -> Checkpoint {
    Checkpoint(
      weights: Dictionary(uniqueKeysWithValues: network.stateDictionary().map { ($0.name, $0.values) }),
      optimizer: optimizer.hostState,
      state: Checkpoint.State(
        settings: settings, usesHooks: hooks.overridesAnything, epoch: epoch, losses: losses,
        stepCount: optimizer.stepCount, bestDice: bestDice, log: log, seed: task.seed,
        precision: task.precision.rawValue, mirrorAxes: mirrorAxes,
        configuration: task.configuration.name, fold: "\(task.fold)", plans: .object(task.plans.json),
        dataset: task.dataset))
  }

  /// Takes up the state of a checkpoint; the next iteration is the one the interrupted run would have done.
  package func restore(_ checkpoint: Checkpoint, source: String) throws(Diagnostic) {
    try network.load(checkpoint.weights, source: source)
    optimizer.restore(checkpoint.optimizer, stepCount: checkpoint.state.stepCount)
    epoch = checkpoint.state.epoch
    losses = checkpoint.state.losses
    bestDice = checkpoint.state.bestDice
    log = checkpoint.state.log
  }
}
