// A checkpoint of this program in the form in which nnU-Net saves its own.

import Archives
import Backends
import Datasets
import Foundation
import Networks
import Planning
import Reporting
import Tensors
import Training

/// What `torch.save` would have been given.
///
/// - Source: `nnUNetTrainer.save_checkpoint` of nnU-Net 2.8.1.
struct ExportedCheckpoint {
  /// The trainer class that nnU-Net will take.
  let trainerName: String
  /// Whether the optimizer's state went along.
  let hasOptimizerState: Bool
  private let root: PickleValue
  private let storages: PyTorchStorages

  /// Puts a checkpoint into nnU-Net's form.
  ///
  /// - Parameters:
  ///   - checkpoint: Weights and state.
  ///   - trainerName: A trainer class for nnU-Net; without it the checkpoint's own trainer if nnU-Net has one of that
  ///     name, else the one that all others derive from.
  ///   - source: The file, for errors.
  /// - Throws: ``Diagnostic`` if nnU-Net cannot build such a network.
  init(_ checkpoint: Checkpoint, trainerName: String? = nil, source: String) throws(Diagnostic) {
    let state = checkpoint.state
    let own = state.settings.name
    self.trainerName = trainerName ?? (NNUNetTrainers.contains(own) ? own : NNUNetTrainers.base)
    let network = try Self.network(of: state, source: source)
    try network.load(checkpoint.weights, source: source)

    var storages = PyTorchStorages()
    var values: [String: PickleValue] = [:]
    let weights = network.stateEntries.map { name, parameter -> (String, PickleValue) in
      if let value = values[parameter.name] { return (name, value) }
      let array = parameter.value.hostArray
      let value = parameter.isCount ? storages.addIntegers(array) : storages.add(array)
      values[parameter.name] = value
      return (name, value)
    }
    let momentum = state.settings.optimizer == .sgd ? checkpoint.optimizer["momentum"] ?? [:] : [:]
    let optimizer = Self.optimizerState(
      momentum, of: network.parameters.map(\.name), state.settings, epoch: state.epoch, &storages)
    hasOptimizerState = !momentum.isEmpty
    root = .dictionary([
      ("network_weights", .dictionary(weights)), ("optimizer_state", optimizer), ("grad_scaler_state", .none),
      ("logging", PickleValue(state.log.json)),
      ("_best_ema", state.bestDice.map(PickleValue.number) ?? .none),
      ("current_epoch", .integer(state.epoch)), ("init_args", Self.arguments(state)),
      ("trainer_name", .string(self.trainerName)),
      (
        "inference_allowed_mirroring_axes",
        // nnU-Net's prediction fails with an empty tuple.
        state.mirrorAxes.isEmpty ? .none : .tuple(state.mirrorAxes.map { .integer($0) })
      ),
    ])
    self.storages = storages
  }

  /// Writes the file at once or not at all.
  func write(to url: URL) throws(Diagnostic) { try PyTorchCheckpoint.write(root, storages, to: url) }

  /// The network that the checkpoint's plans describe.
  private static func network(
    of state: Checkpoint.State, source: String
  ) throws(Diagnostic) -> any SegmentationNetwork {
    let plans = try Plans(json: state.plans, source: source)
    let configuration = try plans.configuration(named: state.configuration)
    let dataset = try DatasetDescription(json: state.dataset, source: source)
    let spec = try NetworkSpec(configuration.architecture, source: source)
    guard case .unet = spec else {
      throw Diagnostic(
        "nnU-Net has no such network", at: source, expected: "a PlainConvUNet or a ResidualEncoderUNet",
        found: "a network of layers that a script describes",
        remedy: "predict with this program; it keeps the model in its own checkpoint")
    }
    let backend: CPUBackend
    do { backend = try CPUBackend() } catch {
      throw Diagnostic("the network cannot be built", at: source, found: "\(error)")
    }
    return try spec.makeNetwork(
      inputChannelCount: dataset.channelNames.count
        + (configuration.previousStage == nil ? 0 : dataset.labels.foregroundLabels.count),
      outputChannelCount: dataset.labels.outputChannelCount, seed: 0, backend: backend)
  }

  /// The state of `torch.optim.SGD`; without momentum it is that of an optimizer before its first step.
  private static func optimizerState(
    _ momentum: [String: NDArray<Float>], of names: [String], _ settings: TrainerSettings, epoch: Int,
    _ storages: inout PyTorchStorages
  ) -> PickleValue {
    var state: [(PickleValue, PickleValue)] = []
    for (index, name) in names.enumerated() {
      guard let values = momentum[name] else { continue }
      state.append((.integer(index), .dictionary([("momentum_buffer", storages.add(values))])))
    }
    let isSGD = settings.optimizer == .sgd
    let group: PickleValue = .dictionary([
      ("lr", .number(settings.learningRate(epoch: min(epoch, settings.epochs)))),
      ("momentum", .number(isSGD ? settings.momentum : 0.99)), ("dampening", .integer(0)),
      ("weight_decay", .number(settings.weightDecay)),
      ("nesterov", .bool(isSGD ? settings.usesNesterov : true)),
      ("maximize", .bool(false)), ("foreach", .none), ("differentiable", .bool(false)), ("fused", .none),
      ("initial_lr", .number(settings.initialLearningRate)),
      ("params", .list(names.indices.map { .integer($0) })),
    ])
    return .dictionary([
      ("state", .dictionary(PickleDictionary(state))), ("param_groups", .list([group])),
    ])
  }

  /// What nnU-Net's trainer was made with.
  private static func arguments(_ state: Checkpoint.State) -> PickleValue {
    .dictionary([
      ("plans", PickleValue(state.plans)), ("configuration", .string(state.configuration)),
      ("fold", Int(state.fold).map(PickleValue.integer) ?? .string(state.fold)),
      ("dataset_json", PickleValue(state.dataset)), ("device", .device("cpu")),
    ])
  }
}
