// Models ready to predict: this program's checkpoints and nnU-Net's, from a fold's folder.

import Archives
import Backends
package import Datasets
package import Foundation
package import Inference
import Networks
package import Planning
import Reporting
package import Tensors
import Training

/// A network with its weights, ready to predict.
package struct LoadedModel {
  package var predictor: any TilePredictor
  /// Spatial axes that the training mirrored along, and prediction may; `nil` for none.
  package var mirrorAxes: [Int]?
  /// The file the weights came from.
  package var source: URL

  package init(predictor: any TilePredictor, mirrorAxes: [Int]?, source: URL) {
    self.predictor = predictor
    self.mirrorAxes = mirrorAxes
    self.source = source
  }
}

/// A network of the engine as the sliding window wants it.
private struct NetworkPredictor: TilePredictor {
  let network: any SegmentationNetwork
  let outputChannelCount: Int
  let precision: Precision

  func predict(_ tiles: NDArray<Float>) throws -> NDArray<Float> {
    let backend = network.backend
    return try network.predict(backend.converted(Tensor(tiles, pool: backend.pool), to: precision)).hostArray
  }
}

/// What -chk takes for a checkpoint's file: `best` for `checkpoint_best.safetensors`.
private func chooseName(of file: String) -> String {
  String(file.dropFirst("checkpoint_".count).prefix { $0 != "." })
}

/// The weights in a checkpoint of this program or of nnU-Net, by name.
func readWeights(_ file: URL) throws -> [String: NDArray<Float>] {
  if file.pathExtension == Checkpoint.fileExtension { return try Checkpoint(contentsOf: file).weights }
  let state = try PyTorchCheckpoint.stateDictionary(of: file)
  return Dictionary(state.map { ($0.name, $0.tensor) }, uniquingKeysWith: { first, _ in first })
}

extension Pipeline {
  /// The file of a checkpoint, in this program's form or nnU-Net's.
  func checkpointFile(_ name: CheckpointName, in foldFolder: URL) throws(Diagnostic) -> URL {
    let candidates = [Checkpoint.fileExtension, "pth"].map {
      foldFolder.appending(path: "\(name.stem).\($0)")
    }
    if let file = candidates.first(where: { FileManager.default.fileExists(atPath: $0.path) }) { return file }
    let present = ((try? FileManager.default.contentsOfDirectory(atPath: foldFolder.path)) ?? [])
      .filter { $0.hasPrefix("checkpoint_") }.sorted()
    throw Diagnostic(
      "there is no checkpoint \(name.stem)", at: foldFolder.path,
      expected: candidates.map(\.lastPathComponent).joined(separator: " or "),
      found: present.isEmpty ? "no checkpoint at all" : present.joined(separator: ", "),
      remedy: present.isEmpty
        ? "train this fold first"
        : "choose one that is there, -chk \(chooseName(of: present[0])), or finish the training with --c")
  }

  /// Loads a checkpoint of one fold, in this program's form or nnU-Net's.
  package func loadModel(
    foldFolder: URL, checkpoint name: CheckpointName, plans: Plans, configuration: PlannedConfiguration,
    dataset: DatasetDescription, precision: Precision = .float32
  ) throws -> LoadedModel {
    let file = try checkpointFile(name, in: foldFolder)
    let backend = try CPUBackend()
    let network = try NetworkSpec(configuration.architecture, source: plans.source).makeNetwork(
      inputChannelCount: dataset.channelNames.count
        + (configuration.previousStage == nil ? 0 : dataset.labels.foregroundLabels.count),
      outputChannelCount: dataset.labels.outputChannelCount, seed: 0, backend: backend)
    let axes: [Int]?
    if file.pathExtension == Checkpoint.fileExtension {
      let checkpoint = try RunFolder(url: foldFolder).readCheckpoint(file)
      try network.load(checkpoint.weights, source: file.path)
      axes = checkpoint.state.mirrorAxes
    } else {
      let checkpoint = try PyTorchCheckpoint.read(file)
      if let trainer = checkpoint.root["trainer_name"]?.string, !NNUNetTrainers.contains(trainer) {
        progress.note(
          "\(file.path) comes from a trainer \(trainer) that nnU-Net does not have; the network is the one that the "
            + "plans describe")
      }
      try network.loadStrictly(checkpoint.stateDictionary(aliases: .kept), source: file.path)
      axes = checkpoint.root["inference_allowed_mirroring_axes"]?.elements?.compactMap(\.integer)
    }
    return LoadedModel(
      predictor: NetworkPredictor(
        network: network, outputChannelCount: dataset.labels.outputChannelCount, precision: precision),
      mirrorAxes: axes.flatMap { $0.isEmpty ? nil : $0 }, source: file)
  }
}
