// nnU-Net's training and validation steps, its choice of rotations, and the enlarged patch they need.

import Archives
import Foundation

extension AugmentationPipeline {
  /// The names of the standard steps.
  package enum Names {
    package static let spatial = "spatial"
    package static let gaussianNoise = "gaussian_noise"
    package static let gaussianBlur = "gaussian_blur"
    package static let brightness = "brightness"
    package static let contrast = "contrast"
    package static let lowResolution = "low_resolution"
    package static let gammaInverted = "gamma_inverted"
    package static let gamma = "gamma"
    package static let mirror = "mirror"
    package static let maskImage = "mask_image"
    package static let removeLabel = "remove_label"
    package static let moveSegmentation = "move_seg_as_one_hot"
    package static let regions = "regions"
    package static let deepSupervision = "deep_supervision"
  }

  /// How a patch's shape decides on rotations.
  package struct Mode: Sendable, Equatable {
    /// Whether the first axis stays out of rotation and scaling.
    package let usesDummy2D: Bool
    /// The largest rotation about each axis.
    /// - Units: degrees.
    package let rotationDegrees: Double

    /// The mode of a patch size.
    package init(patchSize: [Int]) {
      let largest = Double(patchSize.max() ?? 1)
      if patchSize.count == 2 {
        let isElongated = largest / Double(patchSize.min() ?? 1) > 1.5
        usesDummy2D = false
        rotationDegrees = isElongated ? 15 : 180
      } else {
        let anisotropyThreshold = 3.0  // nnU-Net's ANISO_THRESHOLD, applied to the first axis only
        usesDummy2D = largest / Double(patchSize.first ?? 1) > anisotropyThreshold
        rotationDegrees = usesDummy2D ? 180 : 30
      }
    }
  }

  /// nnU-Net's training steps for a patch size.
  ///
  /// - Parameters:
  ///   - patchSize: the plan's patch, `[Z, Y, X]` or `[Y, X]`.
  ///   - mirrorAxes: the axes that may be flipped; all of them by default, none for an empty list.
  ///   - usesMaskForNormalization: one entry per channel; channels with `true` are masked after augmentation.
  ///   - regions: the labels of each region in output order, the ignore label's own list last if there is
  ///     one.
  ///   - supervisionStrides: the strides of every stage, the last included; `nil` without deep supervision.
  ///   - previousStageLabels: the foreground labels of a cascade, whose second segmentation channel is the previous
  ///     stage's prediction; `nil` without one.
  /// - Returns: the steps in nnU-Net's order.
  package static func standard(
    patchSize: [Int], mirrorAxes: [Int]? = nil, usesMaskForNormalization: [Bool] = [],
    regions: [[Int]]? = nil,
    supervisionStrides: [[Int]]? = nil, previousStageLabels: [Int]? = nil
  ) -> AugmentationPipeline {
    let mode = Mode(patchSize: patchSize)
    var pipeline = AugmentationPipeline(patchSize: patchSize)
    pipeline.append(
      SpatialTransform(patchSize: patchSize), named: Names.spatial,
      [
        "rotation_degrees": JSON([-mode.rotationDegrees, mode.rotationDegrees]),
        "dummy_2d": .bool(mode.usesDummy2D),
      ])
    pipeline.append(GaussianNoiseTransform(), named: Names.gaussianNoise)
    pipeline.append(GaussianBlurTransform(), named: Names.gaussianBlur)
    pipeline.append(BrightnessTransform(), named: Names.brightness)
    pipeline.append(ContrastTransform(), named: Names.contrast)
    pipeline.append(
      LowResolutionTransform(), named: Names.lowResolution,
      ["ignored_axes": JSON(mode.usesDummy2D ? [0] : [Int]())])
    pipeline.append(GammaTransform(inverts: true), named: Names.gammaInverted)
    pipeline.append(GammaTransform(), named: Names.gamma)
    let axes = mirrorAxes ?? Array(patchSize.indices)
    if !axes.isEmpty { pipeline.append(MirrorTransform(), named: Names.mirror, ["axes": JSON(axes)]) }
    let masked = usesMaskForNormalization.indices.filter { usesMaskForNormalization[$0] }
    if !masked.isEmpty {
      pipeline.append(MaskImageTransform(), named: Names.maskImage, ["channels": JSON(masked)])
    }
    pipeline.appendRelabelling(previousStageLabels: previousStageLabels)
    if let labels = previousStageLabels { pipeline.appendCorruption(labelCount: labels.count) }
    pipeline.appendTargetSteps(regions: regions, supervisionStrides: supervisionStrides)
    return pipeline
  }

  /// What validation batches go through: only the conversion of labels to targets.
  package static func validation(
    patchSize: [Int], regions: [[Int]]? = nil, supervisionStrides: [[Int]]? = nil,
    previousStageLabels: [Int]? = nil
  ) -> AugmentationPipeline {
    var pipeline = AugmentationPipeline(patchSize: patchSize)
    pipeline.appendRelabelling(previousStageLabels: previousStageLabels)
    pipeline.appendTargetSteps(regions: regions, supervisionStrides: supervisionStrides)
    return pipeline
  }

  private mutating func appendRelabelling(previousStageLabels: [Int]?) {
    append(RemoveLabelTransform(), named: Names.removeLabel)
    if let labels = previousStageLabels {
      append(MoveSegmentationTransform(), named: Names.moveSegmentation, ["labels": JSON(labels)])
    }
  }

  private mutating func appendTargetSteps(regions: [[Int]]?, supervisionStrides: [[Int]]?) {
    if let regions {
      append(RegionsTransform(), named: Names.regions, ["regions": .array(regions.map { JSON($0) })])
    }
    if let strides = supervisionStrides {
      append(
        DeepSupervisionTransform(), named: Names.deepSupervision,
        ["strides": .array(strides.map { JSON($0) })])
    }
  }

  /// Extents of the patch to read, large enough for the corners of a rotated and zoomed patch.
  ///
  /// The plan's patch itself when there is no spatial step.
  package var initialPatchSize: [Int] {
    guard let spatial = step(named: Names.spatial) else { return patchSize }
    let range = spatial.parameters.range("rotation_degrees")
    return Self.enlargedPatch(
      patchSize, rotationDegrees: max(abs(range.lower), abs(range.upper)),
      usesDummy2D: spatial.parameters.bool("dummy_2d"),
      smallestZoom: spatial.parameters.double("smallest_zoom"))
  }

  /// The enlarged patch of nnU-Net's loader: one maximal rotation per plane, and the smallest zoom it assumes.
  package static func enlargedPatch(
    _ patch: [Int], rotationDegrees: Double, usesDummy2D: Bool, smallestZoom: Double = 0.85
  ) -> [Int] {
    let angle = min(90, rotationDegrees) / 180 * .pi
    let (c, s) = (cos(angle), sin(angle))
    let p = patch.map(Double.init)
    var extents: [Double]
    if p.count == 2 {
      extents = [max(p[0], p[0] * c + p[1] * s), max(p[1], abs(p[1] * c - p[0] * s))]
    } else {
      extents = [
        max(p[0], abs(p[0] * c - p[2] * s), p[0] * c + p[1] * s),
        max(p[1], p[1] * c + p[2] * s, abs(p[1] * c - p[0] * s)),
        max(p[2], abs(p[2] * c - p[1] * s), p[0] * s + p[2] * c),
      ]
    }
    var result = extents.map { Int($0 / smallestZoom) }
    if usesDummy2D { result[0] = patch[0] }
    return result
  }
}
