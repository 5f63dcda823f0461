// One case from its file's arrays to what the network sees: transpose, crop, normalise, resample.
// C channels, Z Y X array axes (slowest first), mm world

import Archives
package import Datasets
package import Planning
package import Reporting
package import Tensors
package import Volumes

/// A preprocessed case in memory.
package struct PreprocessedArrays: Sendable {
  /// - Shape: `[C, Z, Y, X]`
  package var data: NDArray<Float>
  /// Labels, or 0 inside the object without any; -1 lies outside the object.
  ///
  /// - Shape: `[Z, Y, X]`
  package var segmentation: NDArray<Int16>
  package var properties: CaseProperties
  /// Where patches can be centred; only of cases with labels.
  package var foregroundLocations: ForegroundLocations?

  package init(
    data: NDArray<Float>, segmentation: NDArray<Int16>, properties: CaseProperties,
    foregroundLocations: ForegroundLocations? = nil
  ) {
    self.data = data
    self.segmentation = segmentation
    self.properties = properties
    self.foregroundLocations = foregroundLocations
  }
}

/// Brings cases to the spacing, orientation and intensities of one planned configuration.
package struct Preprocessor: Sendable {
  package let configuration: PlannedConfiguration
  package let labels: LabelScheme
  package let normalizations: [IntensityNormalization]
  private let transposeForward: [Int]
  private let transposeBackward: [Int]

  /// Takes what the plans decided; unknown normalisation schemes are an error.
  package init(plans: Plans, configuration: PlannedConfiguration, labels: LabelScheme) throws(Diagnostic) {
    self.configuration = configuration
    self.labels = labels
    transposeForward = plans.transposeForward
    transposeBackward = plans.transposeBackward
    normalizations = try IntensityNormalization.planned(by: configuration, plans: plans)
  }

  /// Preprocesses one case given one volume per channel and, for training, its labels.
  ///
  /// A previous stage's prediction may take the place of the labels.
  package func run(images: [Volume<Float>], label: Volume<Int16>?) throws -> PreprocessedArrays {
    let shape = try commonShape(images: images, label: label)
    let geometry = images[0].geometry
    let spacing = transposeForward.map { geometry.spacing[$0] }
    let stacked = NDArray(shape: [images.count] + shape, elements: images.flatMap(\.voxels.elements))
    let cropped = cropToNonzero(
      images: stacked.transposed([0] + transposeForward.map { $0 + 1 }),
      segmentation: label?.voxels.transposed(transposeForward))
    var data = cropped.images
    var segmentation = cropped.segmentation
    let cropShape = segmentation.shape
    let layout = FileLayout(
      fileShape: shape, cropShape: transposeBackward.map { cropShape[$0] }, backward: transposeBackward)
    try normalize(&data, segmentation: segmentation, using: normalizations, layout: layout)

    let target = targetSpacing(of: spacing)
    let newShape = try plannedShape(cropShape, from: spacing, to: target)
    data = try resample(data, to: newShape, from: spacing, to: target, using: configuration.imageResampling)
    segmentation = try resampleLabels(
      segmentation, to: newShape, from: spacing, to: target, using: configuration.segmentationResampling)
    let locations = label.map { _ in
      drawForegroundLocations(in: segmentation, targets: foregroundTargets(of: labels))
    }
    let properties = CaseProperties(
      spacing: geometry.spacing, geometry: geometry, shapeBeforeCropping: transposeForward.map { shape[$0] },
      boundingBox: cropped.box)
    return PreprocessedArrays(
      data: data, segmentation: segmentation, properties: properties, foregroundLocations: locations)
  }

  /// The spacing a case is resampled to, given its own in transposed order; slices of 2d keep their distance.
  package func targetSpacing(of spacing: [Double]) -> [Double] {
    configuration.spacing.count < spacing.count ? [spacing[0]] + configuration.spacing : configuration.spacing
  }

  private func plannedShape(_ shape: [Int], from: [Double], to: [Double]) throws(Diagnostic) -> [Int] {
    let newShape = resampledShape(shape, from: from, to: to)
    guard !newShape.contains(where: { $0 < 1 }) else {
      throw Diagnostic(
        "an image vanishes when it is resampled", expected: "at least one voxel along every axis",
        found: "\(shape) voxels of \(from) mm become \(newShape) voxels of \(to) mm",
        remedy: "check the spacing in the image's header, or leave the case out")
    }
    return newShape
  }

  private func commonShape(images: [Volume<Float>], label: Volume<Int16>?) throws(Diagnostic) -> [Int] {
    guard let shape = images.first?.shape, images.count == normalizations.count else {
      throw Diagnostic(
        "a case does not have the planned channels", expected: "\(normalizations.count) images",
        found: "\(images.count)", remedy: "check the case's image files against channel_names in dataset.json"
      )
    }
    let others = images.dropFirst().map(\.shape) + (label.map { [$0.shape] } ?? [])
    if let other = others.first(where: { $0 != shape }) {
      throw Diagnostic(
        "the files of a case differ in size",
        expected: "\(shape) voxels (Z, Y, X) in every channel and the labels",
        found: "\(other)",
        remedy: "run plan_and_preprocess with --verify_dataset_integrity to find all such cases")
    }
    return shape
  }
}

extension IntensityNormalization {
  /// nnU-Net's class names of the schemes.
  private static let names = [
    "ZScoreNormalization", "CTNormalization", "NoNormalization", "RescaleTo01Normalization",
    "RGBTo01Normalization",
  ]

  /// The scheme of every channel of a configuration.
  package static func planned(
    by configuration: PlannedConfiguration, plans: Plans
  ) throws(Diagnostic) -> [IntensityNormalization] {
    var schemes: [IntensityNormalization] = []
    for (channel, name) in configuration.normalizationSchemes.enumerated() {
      let usesMask =
        configuration.usesMaskForNormalization.indices.contains(channel)
        && configuration.usesMaskForNormalization[channel]
      switch name {
      case "ZScoreNormalization": schemes.append(.zScore(insideMask: usesMask))
      case "CTNormalization":
        guard plans.foregroundIntensities.indices.contains(channel) else {
          throw Diagnostic(
            "CT normalisation has no intensities", at: "\(plans.source), channel \(channel)",
            expected: "foreground_intensity_properties_per_channel for every channel",
            found: "\(plans.foregroundIntensities.count) channels", remedy: "plan the dataset again")
        }
        let foreground = plans.foregroundIntensities[channel]
        schemes.append(
          .ct(
            lower: Float(foreground.percentile005), upper: Float(foreground.percentile995),
            mean: Float(foreground.mean), deviation: Float(foreground.standardDeviation)))
      case "NoNormalization": schemes.append(.none)
      case "RescaleTo01Normalization": schemes.append(.unitRange)
      case "RGBTo01Normalization": schemes.append(.rgb)
      default:
        throw Diagnostic(
          "unknown normalisation scheme", at: "\(plans.source), configuration \(configuration.name)",
          expected: "one of \(names.joined(separator: ", "))", found: "\"\(name)\"",
          remedy: nearestName(to: name, in: names).map { "did you mean \($0)?" })
      }
    }
    return schemes
  }
}
