// nnU-Net's training procedure: epochs of training and validation iterations, pseudo-Dice, checkpoints, resume.
// Which patches come next is decided by BatchRecipe, what a step computes by Networks.

import Archives
import Augmentation
package import Backends
import Datasets
package import Foundation
package import Networks
import Planning
package import Reporting
import Tensors

/// Trains one network on one fold.
///
/// The same task, settings, seed and thread count give the same weights, interrupted or not.
package final class Trainer {
  package let task: TrainingTask
  package let settings: TrainerSettings
  package let network: any SegmentationNetwork
  package private(set) var log = TrainingLog()
  private let hooks: TrainerHooks
  private let optimizer: Optimizer
  private let loss: DeepSupervisionLoss
  private let progress: any ProgressSink
  private let cancellation: CancellationFlag
  private var epoch = 0
  /// Losses of the running epoch's training iterations.
  private var losses: [Double] = []
  private var bestDice: Double?
  private var lastSave = ContinuousClock.now
  /// How long the batches of the running epoch have kept the step waiting.
  private var waitingTime = Duration.zero

  /// The longest time between two writes of `checkpoint_latest`, whatever the settings say.
  private static let longestUnsavedTime = Duration.seconds(300)

  /// Builds the network and everything around it.
  package init(
    _ task: TrainingTask, settings: TrainerSettings, hooks: TrainerHooks = TrainerHooks(),
    backend: any Backend,
    progress: any ProgressSink = SilentProgress(), cancellation: CancellationFlag = CancellationFlag()
  ) throws {
    self.task = task
    self.settings = settings
    self.hooks = hooks
    self.progress = progress
    self.cancellation = cancellation
    let spec = try ArchitectureSpec(task.configuration.architecture, source: task.plans.source)
    network = makeNetwork(
      spec, inputChannelCount: task.channelCount, outputChannelCount: task.labels.outputChannelCount,
      seed: task.seed,
      backend: backend)
    optimizer = Optimizer(
      settings.optimizerRule, parameters: network.parameters, backend: backend,
      learningRate: settings.initialLearningRate, weightDecay: settings.weightDecay)
    loss = DeepSupervisionLoss(
      loss: (hooks.loss ?? .diceAndCrossEntropy(batchDice: nil))
        .resolved(batchDice: settings.batchDice ?? task.configuration.batchDice),
      weights: settings.usesDeepSupervision
        ? DeepSupervisionLoss.standardWeights(headCount: network.headCount) : [1])
    supervisionStrides = settings.usesDeepSupervision ? spec.strides : nil
    guard !task.labels.hasRegions || hooks.loss?.needsLabels != true else {
      throw Diagnostic(
        "the loss knows labels only", at: settings.name, expected: "a dataset without regions",
        found: "regions", remedy: "use Dice, Tversky and plain cross-entropy for regions")
    }
  }

  private let supervisionStrides: [[Int]]?

  private var dimensionCount: Int { task.configuration.patchSize.count }

  /// Axes that training mirrors along, and prediction may.
  package var mirrorAxes: [Int] { settings.mirrorAxes ?? Array(0..<dimensionCount) }

  /// Whether every epoch has been run.
  package var isFinished: Bool { epoch >= settings.epochs }

  // MARK: - The main loop

  /// Trains from wherever the state stands to the last epoch.
  ///
  /// On cancellation and on an error of a hook the state is written as `checkpoint_latest` before the error is thrown.
  package func run() throws {
    // A run that ended between its last epoch and its last checkpoint lacks only the latter.
    guard !isFinished else { return try finish() }
    let recipes = try makeRecipes()
    let training = BatchLoader(
      recipes.training, iterationsPerEpoch: settings.iterations, startingAt: epoch, iteration: losses.count,
      cancellation: cancellation)
    let validation = BatchLoader(
      recipes.validation, iterationsPerEpoch: settings.validationIterations, startingAt: epoch, queueDepth: 2,
      cancellation: cancellation)
    defer {
      training.stop()
      validation.stop()
    }
    do {
      while !isFinished { try runEpoch(training, validation) }
    } catch {
      // A loss that is not a number has spoilt the weights: the last good checkpoint stays.
      if !(error is TrainingDiverged) { try? save(.latest) }
      throw error
    }
    try finish()
  }

  private func finish() throws {
    try save(.final)
    if task.writesCheckpoints { try? FileManager.default.removeItem(at: url(of: .latest)) }
  }

  private func runEpoch(_ training: BatchLoader, _ validation: BatchLoader) throws {
    let start = Date().timeIntervalSince1970
    let rate = try hooks.schedule?(epoch) ?? settings.learningRate(epoch: epoch)
    optimizer.learningRate = rate
    if losses.isEmpty { try hooks.epochStart?(epoch) }
    waitingTime = .zero
    progress.begin(
      "epoch \(epoch + 1)/\(settings.epochs)", total: settings.iterations + settings.validationIterations)
    defer { progress.end() }
    while losses.count < settings.iterations {
      try cancellation.check()
      let value = try step(next(training))
      losses.append(value)
      progress.update(completed: losses.count, detail: "loss \(rounded(value, 3))")
      try hooks.iterationEnd?(epoch, losses.count - 1, value)
      if ContinuousClock.now - lastSave > Self.longestUnsavedTime { try save(.latest) }
    }
    var confusion = PseudoDice(
      classCount: task.labels.outputChannelCount, skipsFirst: !task.labels.hasRegions)
    var validationLosses: [Double] = []
    for i in 0..<settings.validationIterations {
      try cancellation.check()
      validationLosses.append(try validate(validation.next(), &confusion))
      progress.update(completed: settings.iterations + i + 1, detail: "validation")
    }
    let summary = log.append(
      trainingLoss: mean(losses), validationLoss: mean(validationLosses), dicePerClass: confusion.dice,
      learningRate: rate, start: start, end: Date().timeIntervalSince1970)
    losses = []
    epoch += 1
    try saveAfterEpoch(summary)
    let waiting = waitingTime / .seconds(1) / max(summary.duration, 1e-9)
    progress.note(
      Self.line(summary, of: settings.epochs) + ", waited for data \(rounded(100 * waiting, 1)) %")
    try hooks.epochEnd?(summary)
  }

  private func next(_ loader: BatchLoader) throws -> TrainingBatch {
    let start = ContinuousClock.now
    defer { waitingTime += ContinuousClock.now - start }
    return try loader.next()
  }

  private func step(_ batch: TrainingBatch) throws -> Double {
    let tape = Tape(backend: network.backend, isRecording: true)
    let input = input(of: batch)
    let heads = try network.forward(input, heads: loss.neededHeadCount, on: tape)
    let value = loss(heads, targets(of: batch), on: tape)
    guard value.isFinite else {
      throw TrainingDiverged(
        epoch: epoch, iteration: losses.count, cases: batch.origins.map(\.identifier),
        learningRate: optimizer.learningRate)
    }
    try tape.backward()
    optimizer.clip(settings.clipNorm)
    optimizer.step()
    return value
  }

  private func validate(_ batch: TrainingBatch, _ confusion: inout PseudoDice) throws -> Double {
    let tape = Tape(backend: network.backend, isRecording: false)
    let input = input(of: batch)
    let heads = try network.forward(input, heads: loss.neededHeadCount, on: tape)
    let targets = targets(of: batch)
    confusion.add(network.backend.confusion(logits: heads[0].value, target: targets[0]))
    return loss(heads, targets, on: tape)
  }

  private func input(of batch: TrainingBatch) -> Tensor {
    network.backend.converted(Tensor(batch.images, pool: network.backend.pool), to: task.precision)
  }

  private func targets(of batch: TrainingBatch) -> [SegmentationTarget] {
    batch.targets.map { target in
      task.labels.hasRegions
        ? .regions(target.elements, hasIgnoreMap: task.labels.ignoreLabel != nil)
        : .labels(target.elements, ignored: task.labels.ignoreLabel)
    }
  }

  private func makeRecipes() throws -> (training: BatchRecipe, validation: BatchRecipe) {
    let configuration = task.configuration
    let standard = AugmentationPipeline.standard(
      patchSize: configuration.patchSize, mirrorAxes: mirrorAxes,
      usesMaskForNormalization: configuration.usesMaskForNormalization, regions: task.regionLists,
      supervisionStrides: supervisionStrides)
    let pipeline = try hooks.augmentation?(standard) ?? standard
    func recipe(_ stream: BatchRecipe.Stream, _ source: any PatchSource, _ pipeline: AugmentationPipeline)
      throws
      -> BatchRecipe
    {
      var recipe = try BatchRecipe(
        stream, from: source, pipeline: pipeline, batchSize: configuration.batchSize,
        hasIgnoreLabel: task.labels.ignoreLabel != nil, seed: task.seed)
      recipe.sampler.foregroundFraction = settings.foregroundFraction
      return recipe
    }
    let plain = AugmentationPipeline.validation(
      patchSize: configuration.patchSize, regions: task.regionLists, supervisionStrides: supervisionStrides)
    return (try recipe(.training, task.training, pipeline), try recipe(.validation, task.validation, plain))
  }

  // MARK: - Checkpoints

  /// The checkpoints of a fold.
  package enum CheckpointKind: String, CaseIterable, Sendable {
    case final, latest, best
  }

  /// Where a checkpoint of this fold lies.
  package func url(of kind: CheckpointKind) -> URL {
    task.folder.appending(path: "checkpoint_\(kind.rawValue).\(Checkpoint.fileExtension)")
  }

  private func saveAfterEpoch(_ summary: EpochSummary) throws {
    let isDue = epoch % settings.saveEvery == 0 || ContinuousClock.now - lastSave > Self.longestUnsavedTime
    if isDue, !isFinished { try save(.latest) }
    // The first epoch always counts as the best so far, even if no class occurred.
    if bestDice.map({ summary.movingAverageDice > $0 }) ?? true {
      bestDice = summary.movingAverageDice
      try save(.best)
    }
  }

  private func save(_ kind: CheckpointKind) throws {
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

  // MARK: - Words

  private func mean(_ values: [Double]) -> Double { values.reduce(0, +) / Double(max(values.count, 1)) }

  private static func line(_ s: EpochSummary, of epochs: Int) -> String {
    let classes = s.dicePerClass.map { "\(rounded($0, 4))" }.joined(separator: ", ")
    return "epoch \(s.epoch + 1)/\(epochs): train loss \(rounded(s.trainingLoss, 4)), validation loss "
      + "\(rounded(s.validationLoss, 4)), pseudo Dice [\(classes)], moving average \(rounded(s.movingAverageDice, 4)), "
      + "learning rate \(rounded(s.learningRate, 5)), \(rounded(s.duration, 1)) s"
  }
}

private func rounded(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
