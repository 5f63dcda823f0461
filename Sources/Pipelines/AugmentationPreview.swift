// What augmentation does to a case, as sheets of pictures: the patch as it lies in the case, and draws of the pipeline.

import Archives
package import Augmentation
package import Datasets
import Figures
package import Foundation
package import Planning
import Preprocessing
import Reporting
import Tensors
import Training
import Volumes

/// A preprocessed case that patches are read from.
package struct AugmentationPatches {
  package let identifier: String
  package let configuration: PlannedConfiguration
  package let labels: LabelScheme
  package let channelNames: [String]
  private let patchCase: any PatchCase

  fileprivate init(
    _ patchCase: any PatchCase, identifier: String, configuration: PlannedConfiguration,
    description: DatasetDescription
  ) {
    self.patchCase = patchCase
    self.identifier = identifier
    self.configuration = configuration
    labels = description.labels
    channelNames = description.channelNames
  }

  package var channelCount: Int { patchCase.channelCount }

  /// A draw of a pipeline on the patch around a foreground voxel that the seed chooses.
  package func sample(
    _ draw: AugmentationDraw, through pipeline: AugmentationPipeline, seed: Int
  ) throws -> AugmentationSample {
    let sampler = PatchSampler(
      batchSize: 1, patchSize: pipeline.patchSize, sourcePatchSize: pipeline.initialPatchSize)
    var random = RandomSource(key: [seed])
    let box = sampler.box(
      in: patchCase.shape, candidates: patchCase.foregroundCandidates, isForced: true, using: &random)
    let extents = Array(box.shape.suffix(pipeline.patchSize.count))
    return try pipeline.apply(
      draw, image: patchCase.readImage(in: box).reshaped([channelCount] + extents),
      segmentation: patchCase.readSegmentation(in: box).reshaped([1] + extents))
  }
}

/// Draws of a pipeline on one patch, side by side.
package struct AugmentationPreview {
  package var source: AugmentationPatches
  package var pipeline: AugmentationPipeline
  package var count: Int
  package var seed: Int

  package init(source: AugmentationPatches, pipeline: AugmentationPipeline, count: Int, seed: Int) {
    self.source = source
    self.pipeline = pipeline
    self.count = count
    self.seed = seed
  }

  /// Writes one sheet per channel, and the draws with what they were drawn from.
  ///
  /// - Returns: the files, the draws' last.
  package func write(to folder: URL) throws -> [URL] {
    let pipeline = try displayed()
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    let draws = try (0..<count).map { index in
      var random = RandomSource(key: [seed, index])
      return try pipeline.draw(using: &random, channelCount: source.channelCount)
    }
    let original = try source.sample(AugmentationDraw(), through: pipeline, seed: seed)
    let samples = try draws.map { try source.sample($0, through: pipeline, seed: seed) }
    var files: [URL] = []
    for channel in 0..<source.channelCount {
      let name = source.channelCount == 1 ? "" : "_channel\(channel)"
      let url = folder.appending(path: "\(source.identifier)_augmentation\(name).png")
      let cells = zip([original] + samples, [nil] + draws).enumerated().map { index, pair in
        cell(index, pair.0, pair.1, channel: channel, of: pipeline)
      }
      let channelName =
        source.channelNames.indices.contains(channel) ? source.channelNames[channel] : "\(channel)"
      try drawSheet(
        cells, names: labelNames,
        title: "\(source.identifier), \(source.configuration.name), channel \(channelName)",
        subtitle:
          "one patch of \(pipeline.patchSize.map(String.init).joined(separator: " × ")) voxels as it lies "
          + "in the case, and \(count) draws with seed \(seed); all with the same range of intensities",
        to: url)
      files.append(url)
    }
    let record: JSON = [
      "case": .string(source.identifier), "configuration": .string(source.configuration.name),
      "seed": .integer(seed), "patch_size": JSON(pipeline.patchSize), "pipeline": pipeline.list(),
      "draws": .array(draws.map(\.json)),
    ]
    let url = folder.appending(path: "\(source.identifier)_augmentation.json")
    try record.write(to: url)
    return files + [url]
  }

  /// The pipeline without the steps that make targets of labels: labels are shown as they are.
  private func displayed() throws -> AugmentationPipeline {
    let hidden: Set = [
      "move_seg_as_one_hot", "random_binary_operator", "remove_random_component", "regions",
      "deep_supervision",
    ]
    return try pipeline.steps.filter { hidden.contains($0.transform.kind) }.reduce(pipeline) {
      try $0.without($1.name)
    }
  }

  private var labelNames: [(label: Int, text: String)] {
    source.labels.allLabels.filter { $0 != 0 && $0 != source.labels.ignoreLabel }.map { label in
      (label, source.labels.entries.first { $0.value.labels == [label] }?.name ?? "label \(label)")
    }
  }

  private func cell(
    _ index: Int, _ sample: AugmentationSample, _ draw: AugmentationDraw?, channel: Int,
    of pipeline: AugmentationPipeline
  ) -> SheetCell {
    let patch = pipeline.patchSize
    let extents = (patch.count == 2 ? [1] : []) + patch
    let count = extents.reduce(1, *)
    let spacing = source.configuration.spacing
    return SheetCell(
      image: Volume(
        voxels: NDArray(
          shape: extents, elements: Array(sample.image.elements[channel * count..<(channel + 1) * count])),
        geometry: ImageGeometry(spacing: Array(([1, 1, 1] + spacing).suffix(3)))),
      labels: NDArray(shape: extents, elements: Array(sample.segmentation.elements.prefix(count))),
      title: index == 0 ? "original" : "draw \(index)",
      lines: draw.map { draw in
        let lines = draw.description(of: pipeline, channel: channel)
        return lines.isEmpty ? ["nothing drawn"] : lines
      } ?? ["without augmentation"])
  }
}

extension Pipeline {
  /// A preprocessed case of a plan's dataset; the first one if none is named.
  package func augmentationPatches(
    of plans: Plans, configuration name: String, case identifier: String?
  ) throws -> AugmentationPatches {
    let folder = try roots.preprocessedFolder(of: plans.datasetName)
    let configuration = try plans.configuration(named: name)
    let store = PreprocessedStore(datasetFolder: folder, configuration: configuration)
    let identifiers = store.identifiers().sorted()
    guard let first = identifiers.first else {
      throw Diagnostic(
        "\(name) is not preprocessed", at: store.folder.path, expected: "preprocessed cases", found: "none",
        remedy: "lunette preprocess -d \(plans.datasetName) -c \(name)")
    }
    let chosen = identifier ?? first
    guard identifiers.contains(chosen) else {
      throw Diagnostic(
        "there is no preprocessed case \(chosen)", at: store.folder.path,
        expected:
          "one of \(identifiers.prefix(5).joined(separator: ", "))\(identifiers.count > 5 ? ", ..." : "")",
        found: chosen,
        remedy: nearestName(to: chosen, in: identifiers).map { "did you mean \($0)?" }
          ?? "choose another case")
    }
    let description = try DatasetDescription(contentsOf: folder.appending(path: "dataset.json"))
    return AugmentationPatches(
      try PreprocessedPatchSource(store, identifiers: [chosen]).open(chosen), identifier: chosen,
      configuration: configuration, description: description)
  }

  /// The augmentation that a trainer gives a configuration.
  package func augmentation(
    of configuration: PlannedConfiguration, trainer: TrainerReference
  ) throws -> AugmentationPipeline {
    let definition = try trainerLoader(trainer)
    let standard = AugmentationPipeline.standard(
      patchSize: configuration.patchSize,
      mirrorAxes: definition.settings.mirrorAxes(dimensionCount: configuration.patchSize.count),
      usesMaskForNormalization: configuration.usesMaskForNormalization)
    return try definition.hooks.augmentation?(standard) ?? standard
  }
}
