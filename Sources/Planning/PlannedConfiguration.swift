// One configuration of a plan with inheritance resolved, typed. Writing plans is the business of Plans.

package import Archives
package import Reporting

/// A configuration such as `3d_fullres`, ready to preprocess, train and predict with.
package struct PlannedConfiguration: Sendable, Equatable {
  package let name: String
  /// The folder of preprocessed data; configurations with the same identifier share it.
  package let dataIdentifier: String
  package let preprocessorName: String
  package let batchSize: Int
  /// Two or three extents in transposed axis order.
  ///
  /// - Units: voxels
  package let patchSize: [Int]
  /// Median image size after resampling to ``spacing``; may be fractional.
  ///
  /// - Units: voxels
  package let medianImageSize: [Double]
  /// Target spacing in transposed axis order; two values for 2d.
  ///
  /// - Units: mm
  package let spacing: [Double]
  /// nnU-Net's class name per channel, such as `ZScoreNormalization`.
  package let normalizationSchemes: [String]
  /// Whether a channel's statistics come from the nonzero mask only.
  package let usesMaskForNormalization: [Bool]
  package let imageResampling: ResamplingSpec
  package let segmentationResampling: ResamplingSpec
  package let probabilityResampling: ResamplingSpec
  /// nnU-Net's `architecture` entry.
  package let architecture: JSON
  /// Whether Dice is computed over the whole batch.
  package let batchDice: Bool
  /// Configurations that take this one's prediction as input.
  package let nextStages: [String]
  /// The configuration whose prediction is an input of this one.
  package let previousStage: String?
  /// Every key after resolution, unknown ones included.
  package let json: JSONObject
  /// What had to be filled in, if an older nnU-Net wrote the plans.
  package let migrationRemarks: [String]

  /// Whether patches are slices.
  package var is2D: Bool { patchSize.count == 2 }
  /// The first of ``nextStages``.
  package var nextStage: String? { nextStages.first }

  /// Reads a resolved configuration; `source` names the plans file in errors.
  package init(name: String, resolved object: JSONObject, source: String) throws(Diagnostic) {
    let migrated = try MigratedConfiguration(object, place: "\(source), configuration \(name)")
    let object = migrated.object
    migrationRemarks = migrated.remarks
    let reader = PlanReader(object: object, place: "\(source), configuration \(name)")
    self.name = name
    json = object
    dataIdentifier = try reader.value("data_identifier", "a text", \.string)
    preprocessorName = object["preprocessor_name"]?.string ?? "DefaultPreprocessor"
    batchSize = try reader.value("batch_size", "a whole number", \.integer)
    patchSize = try reader.value("patch_size", "two or three whole numbers", \.integers)
    medianImageSize = try reader.value("median_image_size_in_voxels", "two or three numbers", \.doubles)
    spacing = try reader.value("spacing", "two or three numbers", \.doubles)
    normalizationSchemes = try reader.value("normalization_schemes", "a list of texts", \.strings)
    usesMaskForNormalization = try reader.value("use_mask_for_norm", "a list of booleans", \.bools)
    imageResampling = try reader.resampling("data")
    segmentationResampling = try reader.resampling("seg")
    probabilityResampling = try reader.resampling("probabilities")
    architecture = try reader.value("architecture", "an object", { $0.object == nil ? nil : $0 })
    batchDice = try reader.value("batch_dice", "true or false", \.bool)
    nextStages = object["next_stage"].map { next in next.strings ?? next.string.map { [$0] } ?? [] } ?? []
    previousStage = object["previous_stage"]?.string
    guard (2...3).contains(patchSize.count), patchSize.count == spacing.count,
      patchSize.allSatisfy({ $0 > 0 }),
      spacing.allSatisfy({ $0 > 0 && $0.isFinite }), batchSize > 0
    else {
      throw reader.unusable(
        "\"patch_size\" and \"spacing\" of the same two or three positive values, and a positive \"batch_size\"",
        "patch_size \(patchSize), spacing \(spacing), batch_size \(batchSize)")
    }
  }
}

/// Typed reading of a plan's keys with errors that name the key.
struct PlanReader {
  let object: JSONObject
  let place: String

  func value<T>(_ key: String, _ expected: String, _ read: (JSON) -> T?) throws(Diagnostic) -> T {
    if let value = object[key].flatMap(read) { return value }
    throw unusable("\"\(key)\": \(expected)", object[key]?.kind ?? "no such key")
  }

  func unusable(_ expected: String, _ found: String) -> Diagnostic {
    Diagnostic(
      "the plans are not usable", at: place, expected: expected, found: found,
      remedy: "correct the plans file, or plan again with plan_experiment")
  }

  func resampling(_ suffix: String) throws(Diagnostic) -> ResamplingSpec {
    let name = try value("resampling_fn_\(suffix)", "a function name", \.string)
    guard ResamplingSpec.knownFunctions.contains(name) else {
      throw unusable(
        "\"resampling_fn_\(suffix)\": one of \(ResamplingSpec.knownFunctions.joined(separator: ", "))",
        "\"\(name)\"")
    }
    return ResamplingSpec(
      functionName: name, arguments: object["resampling_fn_\(suffix)_kwargs"]?.object ?? JSONObject())
  }
}

/// What varies in nnU-Net's `architecture` entry.
struct ArchitectureFields {
  var isResidual: Bool
  var dimensionCount: Int
  var features: [Int]
  var kernels: [JSON]
  var strides: [JSON]
  var encoderCounts: [Int]
  var decoderCounts: [Int]

  /// The entry in nnU-Net's key order.
  var json: JSON {
    let suffix = "\(dimensionCount)d"
    let arguments: JSONObject = [
      "n_stages": .integer(features.count),
      "features_per_stage": JSON(features),
      "conv_op": .string("torch.nn.modules.conv.Conv\(suffix)"),
      "kernel_sizes": .array(kernels),
      "strides": .array(strides),
      isResidual ? "n_blocks_per_stage" : "n_conv_per_stage": JSON(encoderCounts),
      "n_conv_per_stage_decoder": JSON(decoderCounts),
      "conv_bias": true,
      "norm_op": .string("torch.nn.modules.instancenorm.InstanceNorm\(suffix)"),
      "norm_op_kwargs": ["eps": 1e-05, "affine": true],
      "dropout_op": .null,
      "dropout_op_kwargs": .null,
      "nonlin": "torch.nn.LeakyReLU",
      "nonlin_kwargs": ["inplace": true],
    ]
    let className = isResidual ? "ResidualEncoderUNet" : "PlainConvUNet"
    return [
      "network_class_name": .string("dynamic_network_architectures.architectures.unet.\(className)"),
      "arch_kwargs": .object(arguments),
      "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    ]
  }
}
