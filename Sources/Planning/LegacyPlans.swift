// Configurations as older versions of nnU-Net wrote them, brought to the present form.

import Archives
import Reporting

/// A configuration in the present form, and what had to be done for it.
struct MigratedConfiguration {
  var object: JSONObject
  var remarks: [String] = []

  /// The keys that described the network before there was an `architecture`.
  private static let networkKeys = [
    "UNet_class_name", "UNet_base_num_features", "n_conv_per_stage_encoder", "n_conv_per_stage_decoder",
    "conv_kernel_sizes", "pool_op_kernel_sizes", "unet_max_num_features", "num_pool_per_axis",
  ]

  /// Takes a configuration with inheritance resolved; `place` names it in errors.
  ///
  /// - Source: nnU-Net 2.0 to 2.3 described the network by eight keys; the reference converts them in the same way.
  init(_ object: JSONObject, place: String) throws(Diagnostic) {
    self.object = object
    if object["architecture"] == nil, object["UNet_class_name"] != nil { try convertNetwork(place) }
    fillResampling()
  }

  /// Makes an `architecture` of the old keys and removes them.
  private mutating func convertNetwork(_ place: String) throws(Diagnostic) {
    let reader = PlanReader(object: object, place: place)
    let className = try reader.value("UNet_class_name", "a class name", \.string)
    guard ["PlainConvUNet", "ResidualEncoderUNet"].contains(className) else {
      throw reader.unusable(
        "\"UNet_class_name\": PlainConvUNet or ResidualEncoderUNet, the networks of old plans",
        "\"\(className)\"")
    }
    let strides = try reader.value("pool_op_kernel_sizes", "a list per stage", \.array)
    let kernels = try reader.value("conv_kernel_sizes", "a list per stage", \.array)
    let dimensionCount = try reader.value("patch_size", "two or three whole numbers", \.integers).count
    let encoder = counts("n_conv_per_stage_encoder", strides.count)
    let decoder = counts("n_conv_per_stage_decoder", max(strides.count - 1, 0))
    guard kernels.count == strides.count, encoder.count == strides.count, decoder.count == strides.count - 1
    else {
      throw reader.unusable(
        "\"conv_kernel_sizes\" and \"n_conv_per_stage_encoder\" with \(strides.count) entries like "
          + "\"pool_op_kernel_sizes\", \"n_conv_per_stage_decoder\" with one less",
        "\(kernels.count), \(encoder.count) and \(decoder.count)")
    }
    let constants = PlannerConstants.standard
    let base = object["UNet_base_num_features"]?.integer ?? constants.baseFeatureCount
    let maximum =
      object["unet_max_num_features"]?.integer
      ?? (dimensionCount == 2 ? constants.maximumFeatureCount2D : constants.maximumFeatureCount3D)
    let network = ArchitectureFields(
      isResidual: className != "PlainConvUNet", dimensionCount: dimensionCount,
      features: strides.indices.map { min(maximum, base << min($0, 32)) }, kernels: kernels, strides: strides,
      encoderCounts: encoder, decoderCounts: decoder)
    object["architecture"] = network.json
    for key in Self.networkKeys { object[key] = nil }
    remarks.append("the network was described by the keys of an older nnU-Net")
  }

  /// A number per stage; one number stands for all, none for the two of the default planner.
  private func counts(_ key: String, _ stageCount: Int) -> [Int] {
    if let counts = object[key]?.integers { return counts }
    let count = object[key]?.integer ?? PlannerConstants.standard.encoderCount(stage: 0)
    return Array(repeating: count, count: stageCount)
  }

  /// Plans without resampling functions mean those of the default planner.
  private mutating func fillResampling() {
    let specs = PlannerConstants.Resampling.spline.specs
    for (suffix, spec) in [
      ("data", specs.images), ("seg", specs.segmentations), ("probabilities", specs.probabilities),
    ] where object["resampling_fn_\(suffix)"] == nil {
      object["resampling_fn_\(suffix)"] = .string(spec.functionName)
      object["resampling_fn_\(suffix)_kwargs"] = .object(spec.arguments)
      remarks.append("resampling_fn_\(suffix) is not said; taken from the default planner")
    }
  }
}
