// A trainer as data: nnU-Net's constants under the keys that scripts use. Functions that replace a step are TrainerHooks.

package import Archives
package import Backends
package import Reporting

import func Foundation.cos
import func Foundation.pow

/// The constants of a training procedure; the defaults are nnU-Net's `nnUNetTrainer`.
package struct TrainerSettings: Sendable, Equatable {
  /// The name that folders carry.
  package var name = "nnUNetTrainer"
  package var epochs = 1000
  /// Training steps per epoch.
  package var iterations = 250
  package var validationIterations = 50
  package var initialLearningRate = 0.01
  package var weightDecay = 3e-5
  package var optimizer = OptimizerName.sgd
  package var momentum = 0.99
  package var usesNesterov = true
  /// Whether Adam and AdamW divide by the largest second moment so far.
  package var usesAMSGrad = false
  package var schedule = ScheduleName.polynomial
  /// Epochs at the start in which the rate rises linearly to its initial value.
  package var warmupEpochs = 0
  /// The share of samples that must contain foreground.
  package var foregroundFraction = 0.33
  package var oversampling = Oversampling.last
  package var usesDeepSupervision = true
  /// Axes mirrored in training and prediction; `nil` for all spatial axes, empty for none.
  package var mirrorAxes: [Int]?
  /// The limit of the gradient's norm.
  package var clipNorm = 12.0
  /// Epochs between two writes of `checkpoint_latest`.
  package var saveEvery = 50
  /// Whether Dice sums run over the batch; `nil` leaves it to the plans.
  package var batchDice: Bool?
  /// Whether the training only measures its speed: no checkpoints, no validation, but `benchmark_result.json`.
  package var isBenchmark = false
  /// Whether batches come from the data; if not, one batch of random numbers is learnt over and over.
  package var loadsData = true

  package init() {}

  /// Which samples are forced to contain foreground.
  package enum Oversampling: String, Sendable, CaseIterable {
    /// The last ones of every batch, as many as the fraction rounds to.
    case last
    /// Each by chance, as likely as the fraction says.
    case random
    /// Each by chance, as likely as the share that `last` would force in a batch of this size.
    case matched
  }

  /// The optimizers by the names that scripts use.
  package enum OptimizerName: String, Sendable, CaseIterable {
    case sgd, adam, adamw, adan
  }

  /// How the learning rate falls.
  package enum ScheduleName: String, Sendable, CaseIterable {
    /// `initial * (1 - epoch / epochs) ^ 0.9`
    case polynomial = "poly"
    /// `initial / 2 * (1 + cos(pi * epoch / epochs))`
    case cosine
  }

  /// The optimizer's rule with its constants.
  package var optimizerRule: OptimizerRule {
    switch optimizer {
    case .sgd: .sgd(momentum: momentum, nesterov: usesNesterov)
    case .adam: .adam(decoupledDecay: false, amsgrad: usesAMSGrad)
    case .adamw: .adam(decoupledDecay: true, amsgrad: usesAMSGrad)
    case .adan: .adan
    }
  }

  /// Every key with its value, for run files, model folders and hashes.
  package var json: JSON {
    [
      "name": .string(name), "epochs": .integer(epochs), "iterations": .integer(iterations),
      "validation_iterations": .integer(validationIterations), "initial_lr": .number(initialLearningRate),
      "optimizer": .string(optimizer.rawValue), "amsgrad": .bool(usesAMSGrad),
      "lr_schedule": .string(schedule.rawValue), "warmup_epochs": .integer(warmupEpochs),
      "weight_decay": .number(weightDecay), "momentum": .number(momentum), "nesterov": .bool(usesNesterov),
      "foreground_fraction": .number(foregroundFraction), "oversampling": .string(oversampling.rawValue),
      "deep_supervision": .bool(usesDeepSupervision),
      "mirror_axes": mirrorAxes.map { JSON($0) } ?? .null, "clip_norm": .number(clipNorm),
      "save_every": .integer(saveEvery), "batch_dice": batchDice.map(JSON.bool) ?? .null,
      "benchmark": .bool(isBenchmark), "data_loading": .bool(loadsData),
    ]
  }

  /// Settings from JSON; keys that are absent keep nnU-Net's value, unknown keys are refused.
  package init(json: JSON, source: String) throws(Diagnostic) {
    var settings = TrainerSettings()
    for (key, value) in json.object?.pairs ?? [] { try settings.set(key, value, source: source) }
    self = settings
  }

  /// Sets one key, as a script or a file names it.
  package mutating func set(_ key: String, _ value: JSON, source: String) throws(Diagnostic) {
    switch key {
    case "name": name = try read(key, value.string, "a text", value, source)
    case "epochs": epochs = try positive(key, value, source)
    case "iterations": iterations = try positive(key, value, source)
    case "validation_iterations": validationIterations = try positive(key, value, source)
    case "initial_lr": initialLearningRate = try number(key, value, source, 0...1000)
    case "weight_decay": weightDecay = try number(key, value, source, 0...1)
    case "optimizer": optimizer = try choice(key, value, source)
    case "amsgrad": usesAMSGrad = try read(key, value.bool, "true or false", value, source)
    case "lr_schedule": schedule = try choice(key, value, source)
    case "warmup_epochs":
      warmupEpochs = try read(
        key, value.integer.flatMap { $0 >= 0 ? $0 : nil }, "a whole number from 0", value, source)
    case "momentum": momentum = try number(key, value, source, 0...1)
    case "nesterov": usesNesterov = try read(key, value.bool, "true or false", value, source)
    case "foreground_fraction": foregroundFraction = try number(key, value, source, 0...1)
    case "oversampling": oversampling = try choice(key, value, source)
    case "benchmark": isBenchmark = try read(key, value.bool, "true or false", value, source)
    case "data_loading": loadsData = try read(key, value.bool, "true or false", value, source)
    case "deep_supervision": usesDeepSupervision = try read(key, value.bool, "true or false", value, source)
    case "mirror_axes":
      mirrorAxes =
        value.isNull ? nil : try read(key, value.integers, "a list of axes, 0 for the first", value, source)
    case "clip_norm": clipNorm = try number(key, value, source, 1e-9...1e9)
    case "save_every": saveEvery = try positive(key, value, source)
    case "batch_dice":
      batchDice = value.isNull ? nil : try read(key, value.bool, "true or false", value, source)
    default:
      let keys = TrainerSettings().json.object?.keys ?? []
      throw Diagnostic(
        "unknown trainer key \"\(key)\"", at: source, expected: keys.joined(separator: ", "), found: key,
        remedy: nearestName(to: key, in: keys).map { "did you mean \"\($0)\"?" } ?? "remove the key")
    }
  }

  private func read<T>(
    _ key: String, _ value: T?, _ expected: String, _ found: JSON, _ source: String
  ) throws(Diagnostic) -> T {
    guard let value else {
      throw Diagnostic(
        "trainer key \"\(key)\" has a value it cannot take", at: source, expected: expected,
        found: found.kind,
        remedy: "correct the value; nnU-Net's is \(TrainerSettings().json[key]?.text(indent: nil) ?? "unset")"
      )
    }
    return value
  }

  private func choice<T: RawRepresentable & CaseIterable>(
    _ key: String, _ value: JSON, _ source: String
  ) throws(Diagnostic) -> T where T.RawValue == String {
    let names = T.allCases.map(\.rawValue).joined(separator: ", ")
    return try read(key, value.string.flatMap(T.init), "one of \(names)", value, source)
  }

  private func positive(_ key: String, _ value: JSON, _ source: String) throws(Diagnostic) -> Int {
    try read(key, value.integer.flatMap { $0 >= 1 ? $0 : nil }, "a whole number from 1", value, source)
  }

  private func number(
    _ key: String, _ value: JSON, _ source: String, _ range: ClosedRange<Double>
  ) throws(Diagnostic) -> Double {
    try read(
      key, value.double.flatMap { range.contains($0) ? $0 : nil },
      "a number from \(range.lowerBound) to \(range.upperBound)", value, source)
  }

  /// The learning rate of an epoch: a linear rise over the warm-up, then the schedule over the epochs that remain.
  package func learningRate(epoch: Int) -> Double {
    if epoch < warmupEpochs { return initialLearningRate / Double(warmupEpochs) * Double(epoch + 1) }
    let progress = Double(epoch - warmupEpochs) / Double(epochs - warmupEpochs)
    switch schedule {
    case .polynomial: return initialLearningRate * pow(1 - progress, 0.9)
    case .cosine: return initialLearningRate / 2 * (1 + cos(.pi * progress))
    }
  }
}
