// Lunette's own checkpoint: one safetensors file with weights, running directions and, as JSON, everything else.

package import Archives
package import Foundation
package import Reporting
package import Tensors

/// The state of a training between two iterations, and what is needed to predict with it.
package struct Checkpoint {
  /// The version of the JSON part.
  package static let formatVersion = 1
  /// The ending of checkpoint files.
  package static let fileExtension = "safetensors"
  private static let metadataKey = "lunette"

  package var weights: [String: NDArray<Float>]
  /// The optimizer's state by slot, such as `momentum`, and parameter name; empty where it was left out.
  package var optimizer: [String: [String: NDArray<Float>]]
  package var state: State

  /// The JSON part.
  package struct State: Sendable, Equatable {
    package var settings: TrainerSettings
    /// Whether functions of a script replaced steps of the trainer.
    package var usesHooks = false
    /// The epoch to run next, or being run.
    package var epoch: Int
    /// Training iterations of that epoch that are done, with their losses.
    package var losses: [Double]
    /// Steps the optimizer has taken.
    package var stepCount: Int
    /// The best moving average of the pseudo-Dice so far.
    package var bestDice: Double?
    package var log: TrainingLog
    package var seed: Int
    package var precision: String
    /// Axes that prediction may mirror along.
    package var mirrorAxes: [Int]
    package var configuration: String
    package var fold: String
    /// The plans and dataset.json the model was trained with.
    package var plans: JSON
    package var dataset: JSON
  }

  package init(
    weights: [String: NDArray<Float>], optimizer: [String: [String: NDArray<Float>]], state: State
  ) {
    self.weights = weights
    self.optimizer = optimizer
    self.state = state
  }

  /// Writes the file at once or not at all.
  package func write(to url: URL) throws(Diagnostic) {
    var entries = weights.sorted { $0.key < $1.key }.map { SafetensorsEntry($0.key, $0.value) }
    for (slot, tensors) in optimizer.sorted(by: { $0.key < $1.key }) {
      entries += tensors.sorted { $0.key < $1.key }.map { SafetensorsEntry("\(slot)/\($0.key)", $0.value) }
    }
    try SafetensorsFile.write(entries, metadata: [(Self.metadataKey, state.json.text(indent: nil))], to: url)
  }

  /// Reads a file; weights are copied into memory.
  package init(contentsOf url: URL) throws(Diagnostic) {
    let file = try SafetensorsFile.open(url)
    guard let text = file.metadata[Self.metadataKey] else {
      throw Diagnostic(
        "not a checkpoint of this program", at: url.path,
        expected: "metadata under the key \"\(Self.metadataKey)\"",
        found: file.metadata.isEmpty ? "no metadata" : file.metadata.keys.sorted().joined(separator: ", "),
        remedy: "give a checkpoint_*.safetensors from a fold's folder")
    }
    state = try State(json: JSON(parsing: text, source: url.path), source: url.path)
    weights = [:]
    optimizer = [:]
    for tensor in file.tensors {
      // Names of parameters hold no slash; what lies before one is a slot of the optimizer.
      let parts = tensor.name.split(separator: "/", maxSplits: 1).map(String.init)
      if parts.count == 2 {
        optimizer[parts[0], default: [:]][parts[1]] = tensor.floats()
      } else {
        weights[tensor.name] = tensor.floats()
      }
    }
  }

  /// The state of a file without its tensors.
  package static func state(of url: URL) throws(Diagnostic) -> State {
    let file = try SafetensorsFile.open(url)
    return try State(
      json: JSON(parsing: file.metadata[metadataKey] ?? "{}", source: url.path), source: url.path)
  }
}

extension Checkpoint.State {
  fileprivate var json: JSON {
    [
      "format": .integer(Checkpoint.formatVersion), "trainer": settings.json, "uses_hooks": .bool(usesHooks),
      "epoch": .integer(epoch), "losses": JSON(losses), "steps": .integer(stepCount),
      "best_ema": bestDice.map(JSON.number) ?? .null,
      "logging": log.json, "seed": .integer(seed), "precision": .string(precision),
      "inference_allowed_mirroring_axes": JSON(mirrorAxes), "configuration": .string(configuration),
      "fold": .string(fold), "plans": plans, "dataset_json": dataset,
    ]
  }

  fileprivate init(json: JSON, source: String) throws(Diagnostic) {
    func broken(_ key: String) -> Diagnostic {
      Diagnostic(
        "the checkpoint's metadata is not complete", at: source, expected: "a usable \"\(key)\"",
        found: json[key]?.kind ?? "no such key", remedy: "use another checkpoint of the fold")
    }
    guard let format = json["format"]?.integer else { throw broken("format") }
    guard format <= Checkpoint.formatVersion else {
      throw Diagnostic(
        "the checkpoint is newer than this program", at: source,
        expected: "format \(Checkpoint.formatVersion) or older", found: "format \(format)",
        remedy: "use the version of lunette that wrote it")
    }
    settings = try TrainerSettings(json: json["trainer"] ?? .null, source: source)
    usesHooks = json["uses_hooks"]?.bool ?? false
    guard let epoch = json["epoch"]?.integer else { throw broken("epoch") }
    guard let losses = json["losses"]?.doubles else { throw broken("losses") }
    guard let log = TrainingLog(json: json["logging"] ?? .null) else { throw broken("logging") }
    guard let seed = json["seed"]?.integer else { throw broken("seed") }
    guard let axes = json["inference_allowed_mirroring_axes"]?.integers else {
      throw broken("inference_allowed_mirroring_axes")
    }
    guard let configuration = json["configuration"]?.string else { throw broken("configuration") }
    self.epoch = epoch
    self.losses = losses
    // Checkpoints of older versions come from trainers that took one step per iteration.
    stepCount = json["steps"]?.integer ?? epoch * settings.iterations + losses.count
    self.log = log
    self.seed = seed
    self.configuration = configuration
    bestDice = json["best_ema"]?.double
    precision = json["precision"]?.string ?? Precision.float32.rawValue
    mirrorAxes = axes
    fold = json["fold"]?.string ?? ""
    plans = json["plans"] ?? .null
    dataset = json["dataset_json"] ?? .null
  }
}
