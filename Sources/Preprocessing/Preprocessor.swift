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

  /// Takes what the plans decided; unknown normalisation schemes are an error.
  package init(plans: Plans, configuration: PlannedConfiguration, labels: LabelScheme) throws(Diagnostic) {
    self.configuration = configuration
    self.labels = labels
    transposeForward = plans.transposeForward
    normalizations = try IntensityNormalization.planned(by: configuration, plans: plans)
  }

  /// Preprocesses a case with its labels, if it has any.
  package func run(_ loaded: consuming LoadedCase) throws -> PreprocessedArrays {
    let images = loaded.channels
    let labels = loaded.labels
    // No other reference may be left, or every array would be copied before it is changed.
    _ = consume loaded
    return try run(images: images, label: labels)
  }

  /// Preprocesses one case given one volume per channel and, for training, its labels.
  ///
  /// A previous stage's prediction may take the place of the labels. Every volume is given up as soon as it is used,
  /// so that a caller who keeps none of them sees the least memory taken.
  package func run(
    images: consuming [Volume<Float>], label: consuming Volume<Int16>?
  ) throws -> PreprocessedArrays {
    let shape = try commonShape(images: images, label: label)
    let geometry = images[0].geometry
    let spacing = transposeForward.map { geometry.spacing[$0] }
    var channels = images.map(\.voxels)
    images = []
    let region = NonzeroRegion(of: channels)
    let hasLabels = label != nil
    var segmentation = region.segmentation((consume label)?.voxels).transposed(transposeForward)
    let cropShape = segmentation.shape
    let target = targetSpacing(of: spacing)
    let newShape = try plannedShape(cropShape, from: spacing, to: target)
    let rule = try ResizeRule(configuration.imageResampling, from: spacing, to: target)
    let layout = FileLayout(fileShape: shape, cropShape: region.box.shape)
    let data = try stack(channels.count, from: cropShape, to: newShape, rule: rule) { index in
      var channel = channels[index]
      channels[index] = NDArray(shape: [0], elements: [])
      channel = crop(channel, to: region.box)
      let scheme = normalizations[index]
      if !scheme.usesMask { try scheme.normalize(&channel.elements, layout: layout) }
      channel = channel.transposed(transposeForward)
      if scheme.usesMask {
        scheme.normalizeInside(&channel.elements, segmentation: segmentation.elements)
      }
      return channel
    }
    segmentation = try resampleLabels(
      segmentation, to: newShape, from: spacing, to: target, using: configuration.segmentationResampling)
    let locations =
      hasLabels
      ? drawForegroundLocations(in: segmentation, targets: foregroundTargets(of: labels)) : nil
    let properties = CaseProperties(
      spacing: geometry.spacing, geometry: geometry, shapeBeforeCropping: transposeForward.map { shape[$0] },
      boundingBox: region.box.transposed(transposeForward))
    return PreprocessedArrays(
      data: data, segmentation: segmentation, properties: properties, foregroundLocations: locations)
  }

  /// All channels in one array, each resized as soon as `channel` gives it.
  ///
  /// Without a rule, or if the size is right, they stay as they are.
  private func stack(
    _ count: Int, from shape: [Int], to newShape: [Int], rule: ResizeRule?,
    _ channel: (Int) throws -> NDArray<Float>
  ) throws -> NDArray<Float> {
    let isResized = rule != nil && shape != newShape
    let resultShape = isResized ? newShape : shape
    if count == 1, !isResized { return try channel(0).reshaped([1] + resultShape) }
    let size = resultShape.reduce(1, *)
    let elements = try [Float](unsafeUninitializedCapacity: count * size) { output, initializedCount in
      for index in 0..<count {
        let target = UnsafeMutableBufferPointer(rebasing: output[index * size..<(index + 1) * size])
        try channel(index).elements.withUnsafeBufferPointer { source in
          if let rule, isResized {
            resizeChannel(source, shape: shape, into: target, newShape: newShape, rule: rule)
          } else {
            _ = target.update(fromContentsOf: source)
          }
        }
      }
      initializedCount = count * size
    }
    return NDArray(shape: [count] + resultShape, elements: elements)
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

extension BoundingBox {
  /// The box in permuted axes.
  fileprivate func transposed(_ axes: [Int]) -> BoundingBox {
    BoundingBox(lower: axes.map { lower[$0] }, upper: axes.map { upper[$0] })
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
