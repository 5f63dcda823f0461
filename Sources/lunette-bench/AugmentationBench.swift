// augmentation: nnU-Net's default training augmentation of one patch, on one thread, on random data.

import Archives
import ArgumentParser
import Augmentation
import Foundation
import Tensors

/// Seconds per sample, image and segmentation, of drawing and applying the standard pipeline.
struct AugmentationBench: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "augmentation",
    abstract: "Time the default augmentation of one patch on one thread, over many draws.")

  @Option(
    parsing: .upToNextOption,
    help: ArgumentHelp("Extents of the network's patch, two or three numbers.", valueName: "extent"))
  var patch: [Int] = [128, 128, 128]

  @Option(help: ArgumentHelp("Image channels.", valueName: "count"))
  var channels = 1

  @Option(help: ArgumentHelp("Labels, background included.", valueName: "count"))
  var labels = 3

  @Option(help: ArgumentHelp("Samples that are drawn.", valueName: "count"))
  var draws = 200

  @Option(help: ArgumentHelp("Seed of the draws.", valueName: "number"))
  var seed = 0

  @Flag(help: "Print what each step takes, on standard error.")
  var steps = false

  @Flag(help: "Accepted; the result is JSON always.")
  var json = false

  func validate() throws {
    guard patch.count == 2 || patch.count == 3, patch.allSatisfy({ $0 > 0 }) else {
      throw ValidationError("--patch takes two or three positive numbers")
    }
    guard channels > 0, labels > 0, draws > 0 else {
      throw ValidationError("--channels, --labels and --draws take positive numbers")
    }
  }

  func run() throws {
    let pipeline = AugmentationPipeline.standard(
      patchSize: patch, supervisionStrides: (0..<6).map { stage in patch.map { _ in stage == 0 ? 1 : 2 } })
    let initial = pipeline.initialPatchSize
    let noise = Self.normal([channels] + initial)
    var random = RandomSource(key: [1])
    let segmentation = NDArray<Int16>(
      shape: [1] + initial,
      elements: (0..<initial.reduce(1, *)).map { _ in Int16(random.integer(below: labels)) })
    var times: [Double] = []
    var perStep: [String: [Double]] = [:]
    for index in 0..<draws {
      // A patch of its own for every draw, as from a reader: nobody else holds it.
      let image = NDArray(shape: noise.shape, elements: noise.elements.map { $0 })
      var random = RandomSource(key: [seed, index])
      times.append(
        try seconds {
          let draw = try pipeline.draw(using: &random, channelCount: channels)
          if steps {
            try timeSteps(draw, pipeline, image, segmentation, into: &perStep)
          } else {
            _ = try pipeline.apply(draw, image: image, segmentation: segmentation)
          }
        })
    }
    if steps { report(perStep, order: pipeline.steps.map(\.name)) }
    let report = JSONObject([
      ("patch", JSON(patch)), ("initial_patch", JSON(initial)), ("channels", .integer(channels)),
      ("draws", .integer(draws)), ("median_s", .number(median(times))),
      ("mean_s", .number(times.reduce(0, +) / Double(draws))),
    ])
    print(JSON.object(report).text(indent: nil))
  }

  private static func normal(_ shape: [Int]) -> NDArray<Float> {
    var random = RandomSource(key: [0])
    return NDArray(shape: shape, elements: (0..<shape.reduce(1, *)).map { _ in Float(random.normal()) })
  }

  private func timeSteps(
    _ draw: AugmentationDraw, _ pipeline: AugmentationPipeline, _ image: NDArray<Float>,
    _ segmentation: NDArray<Int16>, into perStep: inout [String: [Double]]
  ) throws {
    var sample = AugmentationSample(image: image, segmentation: segmentation)
    for step in pipeline.steps {
      let drawn = draw.steps[step.name]
      let name = step.name == "spatial" && drawn == nil ? "spatial (crop)" : step.name
      perStep[name, default: []].append(
        try seconds { try step.transform.apply(drawn, step.parameters, to: &sample) })
      if drawn == nil, step.parameters.values["probability"] != nil { perStep[name]?.removeLast() }
    }
  }

  /// How often a step acted, what it took then, and its share of the mean sample.
  private func report(_ perStep: [String: [Double]], order: [String]) {
    var lines = "step                 acts     ms each   ms of mean\n"
    for name in ["spatial (crop)"] + order {
      guard let times = perStep[name], !times.isEmpty else { continue }
      let sum = 1000 * times.reduce(0, +)
      lines += name.padding(toLength: 18, withPad: " ", startingAt: 0)
      lines += String(
        format: "%7d %11.3f %12.3f\n", times.count, sum / Double(times.count), sum / Double(draws))
    }
    FileHandle.standardError.write(Data(lines.utf8))
  }
}
