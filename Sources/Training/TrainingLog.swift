// What a training has come to, epoch by epoch, under the names nnU-Net keeps in its checkpoints.

package import Archives
import Foundation

/// The figures of one epoch.
package struct EpochSummary: Sendable, Equatable {
  /// Counted from 0.
  package var epoch: Int
  package var trainingLoss: Double
  package var validationLoss: Double
  /// Pseudo-Dice per foreground class or region; NaN where a class never occurred.
  package var dicePerClass: [Double]
  /// The mean over classes that occurred.
  package var meanDice: Double
  /// The moving average: 0.9 of the previous one and 0.1 of this mean.
  package var movingAverageDice: Double
  package var learningRate: Double
  /// Seconds since 1970.
  package var start: Double
  package var end: Double

  /// Whether the moving average is the best so far; known while training, not kept.
  package var isBest = false
  /// Where the time went; known while training, not kept.
  package var performance: EpochPerformance?

  package var duration: Double { end - start }
  /// The share of the epoch in which the step waited for data.
  package var waitingShare: Double { (performance?.waitingSeconds ?? 0) / max(duration, 1e-9) }
}

/// Where the time of an epoch went, and the memory.
package struct EpochPerformance: Sendable, Equatable {
  /// Waiting for training batches.
  package var waitingSeconds = 0.0
  /// All training steps together.
  package var stepSeconds = 0.0
  /// Training steps done in this launch.
  package var stepCount = 0
  package var validationSeconds = 0.0
  /// The largest resident memory of the process so far.
  package var peakMemoryByteCount = 0

  package init() {}
}

/// The largest resident memory of this process so far; 0 where the system does not tell.
func peakMemoryByteCount() -> Int {
  let status = (try? String(contentsOfFile: "/proc/self/status", encoding: .utf8)) ?? ""
  let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
  return (line?.split(separator: " ").dropLast().last.flatMap { Int($0) } ?? 0) << 10
}

/// All epochs so far.
package struct TrainingLog: Sendable, Equatable {
  package private(set) var epochs: [EpochSummary] = []

  package init() {}

  package var last: EpochSummary? { epochs.last }

  /// Adds the figures of the next epoch; the moving average is kept in float as nnU-Net keeps it.
  package mutating func append(
    trainingLoss: Double, validationLoss: Double, dicePerClass: [Double], learningRate: Double,
    start: Double, end: Double
  ) -> EpochSummary {
    let known = dicePerClass.filter { !$0.isNaN }
    let mean = known.isEmpty ? Double.nan : known.reduce(0, +) / Double(known.count)
    let average = epochs.last.map {
      Double(Float(0.9) * Float($0.movingAverageDice) + Float(0.1) * Float(mean))
    }
    let summary = EpochSummary(
      epoch: epochs.count, trainingLoss: trainingLoss, validationLoss: validationLoss,
      dicePerClass: dicePerClass,
      meanDice: mean, movingAverageDice: average ?? mean, learningRate: learningRate, start: start, end: end)
    epochs.append(summary)
    return summary
  }

  /// The log with an epoch that another log has summed up.
  package func adding(_ summary: EpochSummary) -> TrainingLog {
    var log = self
    log.epochs.append(summary)
    return log
  }

  /// The lists of nnU-Net's `logging` dictionary.
  package var json: JSON {
    [
      "mean_fg_dice": JSON(epochs.map(\.meanDice)), "ema_fg_dice": JSON(epochs.map(\.movingAverageDice)),
      "dice_per_class_or_region": .array(epochs.map { JSON($0.dicePerClass) }),
      "train_losses": JSON(epochs.map(\.trainingLoss)), "val_losses": JSON(epochs.map(\.validationLoss)),
      "lrs": JSON(epochs.map(\.learningRate)), "epoch_start_timestamps": JSON(epochs.map(\.start)),
      "epoch_end_timestamps": JSON(epochs.map(\.end)),
    ]
  }

  /// Reads the lists back; `nil` if they do not fit together.
  package init?(json: JSON) {
    func list(_ key: String) -> [Double]? { json[key]?.doubles }
    guard let means = list("mean_fg_dice"), let averages = list("ema_fg_dice"),
      let training = list("train_losses"),
      let validation = list("val_losses"), let rates = list("lrs"),
      let starts = list("epoch_start_timestamps"),
      let ends = list("epoch_end_timestamps"), let classes = json["dice_per_class_or_region"]?.array,
      Set([averages, training, validation, rates, starts, ends].map(\.count) + [classes.count]) == [
        means.count
      ]
    else { return nil }
    epochs = means.indices.map { i in
      EpochSummary(
        epoch: i, trainingLoss: training[i], validationLoss: validation[i],
        dicePerClass: classes[i].doubles ?? [],
        meanDice: means[i], movingAverageDice: averages[i], learningRate: rates[i], start: starts[i],
        end: ends[i])
    }
  }
}
