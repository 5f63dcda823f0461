// Lunette's own checkpoint: one safetensors file with weights, running directions and, as JSON, everything else; a hash of
// all of it tells damage.

package import Archives
package import Foundation
package import Reporting
package import Tensors

/// The state of a training between two iterations, and what is needed to predict with it.
package struct Checkpoint {
  /// The version of the JSON part; from 2 on there is a checksum.
  package static let formatVersion = 2
  /// The ending of checkpoint files.
  package static let fileExtension = "safetensors"
  private static let metadataKey = "lunette"
  private static let checksumKey = "checksum"

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
    var tensors = weights.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
    for (slot, values) in optimizer.sorted(by: { $0.key < $1.key }) {
      tensors += values.sorted { $0.key < $1.key }.map { ("\(slot)/\($0.key)", $0.value) }
    }
    let text = state.json.text(indent: nil)
    let parts = tensors.map { name, values in
      values.elements.withUnsafeBytes { Part(name: name, shape: values.shape, hash: ContentHash(bytes: $0)) }
    }
    try SafetensorsFile.write(
      tensors.map { SafetensorsEntry($0.0, $0.1) },
      metadata: [(Self.metadataKey, text), (Self.checksumKey, Self.checksum(of: text, parts))], to: url)
  }

  /// What the checksum covers of a tensor.
  private struct Part {
    var name: String
    var shape: [Int]
    var hash: ContentHash
  }

  /// The hash over the JSON part and over every tensor's name, shape and bytes.
  private static func checksum(of text: String, _ parts: [Part]) -> String {
    let lines = parts.sorted { $0.name < $1.name }.map { "\($0.name) \($0.shape) \($0.hash)\n" }
    return ContentHash(Data((text + "\n" + lines.joined()).utf8)).description
  }

  /// Stops unless the file is what was written, bit for bit.
  private static func verify(_ file: SafetensorsFile, _ text: String, format: Int) throws(Diagnostic) {
    let stored = file.metadata[checksumKey]
    if stored == nil, format < 2 { return }
    let parts = file.tensors.map { tensor in
      Part(name: tensor.name, shape: tensor.shape, hash: tensor.withBytes { ContentHash(bytes: $0) })
    }
    let found = checksum(of: text, parts)
    guard stored != found else { return }
    throw Diagnostic(
      "the checkpoint is damaged: its content is not what was written", at: file.path,
      expected: "the checksum \(stored.map { "\($0.prefix(12))..." } ?? "that this format has")",
      found: "\(found.prefix(12))...", remedy: "use another checkpoint of the fold, or copy the file again")
  }

  /// Reads a file and checks that nothing in it has changed; weights are copied into memory.
  package init(contentsOf url: URL) throws(Diagnostic) {
    let file = try SafetensorsFile.open(url)
    guard let text = file.metadata[Self.metadataKey] else {
      throw Diagnostic(
        "not a checkpoint of this program", at: url.path,
        expected: "metadata under the key \"\(Self.metadataKey)\"",
        found: file.metadata.isEmpty ? "no metadata" : file.metadata.keys.sorted().joined(separator: ", "),
        remedy: "give a checkpoint_*.safetensors from a fold's folder")
    }
    let json = try JSON(parsing: text, source: url.path)
    try Self.verify(file, text, format: json["format"]?.integer ?? Self.formatVersion)
    state = try State(json: json, source: url.path)
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

  /// The state of a file without its tensors; nothing is checked against the checksum.
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
