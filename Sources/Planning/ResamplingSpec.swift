// Which resampling a plan asks for, with its parameters. Doing it is the business of Preprocessing.

package import Archives

/// One `resampling_fn_*` entry of a plan with its keyword arguments.
package struct ResamplingSpec: Sendable, Equatable {
  /// nnU-Net's function name.
  package var functionName: String
  /// Whether labels are resampled, which are never mixed.
  package var isSegmentation: Bool
  /// Spline order in the plane, or in all axes if none is separate.
  package var order: Int
  /// Spline order along the separate axis.
  package var orderZ: Int
  /// Whether the coarse axis is resampled by itself; `nil` decides by anisotropy.
  package var forceSeparateZ: Bool?
  /// The ratio of spacings above which an axis counts as coarse.
  package var separateZAnisotropyThreshold: Double
  /// All keyword arguments as in the plan.
  package var arguments: JSONObject

  /// The spline resampling of the default planners.
  package static let splineFunction = "resample_data_or_seg_to_shape"
  /// The linear resampling of the `torchres` planners.
  package static let torchFunction = "resample_torch_fornnunet"
  /// Leaves arrays as they are.
  package static let identityFunction = "no_resampling_hack"
  package static let knownFunctions = [splineFunction, torchFunction, identityFunction]
  /// The anisotropy above which an axis is resampled by itself.
  ///
  /// - Source: nnU-Net's ANISO_THRESHOLD.
  package static let anisotropyThreshold = 3.0

  /// Takes a function name and its keyword arguments; what is not said is nnU-Net's default.
  package init(functionName: String, arguments: JSONObject) {
    self.functionName = functionName
    self.arguments = arguments
    isSegmentation = arguments["is_seg"]?.bool ?? false
    order = arguments["order"]?.integer ?? (functionName == Self.splineFunction ? 3 : 1)
    orderZ = arguments["order_z"]?.integer ?? 0
    // Without the argument the spline function separates nothing, and the torch function decides by anisotropy.
    let separate =
      arguments["force_separate_z"] ?? (functionName == Self.splineFunction ? .bool(false) : .null)
    forceSeparateZ = separate.bool
    separateZAnisotropyThreshold =
      arguments["separate_z_anisotropy_threshold"]?.double ?? Self.anisotropyThreshold
  }

  /// The default planners' spline resampling.
  package static func spline(isSegmentation: Bool, order: Int) -> ResamplingSpec {
    ResamplingSpec(
      functionName: splineFunction,
      arguments: [
        "is_seg": .bool(isSegmentation), "order": .integer(order), "order_z": 0, "force_separate_z": .null,
      ])
  }

  /// The `torchres` planners' linear resampling; separate by anisotropy if `separateZ`.
  package static func torch(isSegmentation: Bool, separateZ: Bool) -> ResamplingSpec {
    var arguments: JSONObject = [
      "is_seg": .bool(isSegmentation), "force_separate_z": separateZ ? .null : .bool(false),
      "memefficient_seg_resampling": .bool(false),
    ]
    if separateZ { arguments["separate_z_anisotropy_threshold"] = 3 }
    return ResamplingSpec(functionName: torchFunction, arguments: arguments)
  }

  /// No resampling at all.
  package static let identity = ResamplingSpec(functionName: identityFunction, arguments: [:])
}

/// The three resamplings of a configuration.
package struct ResamplingSpecs: Sendable, Equatable {
  package var images: ResamplingSpec
  package var segmentations: ResamplingSpec
  package var probabilities: ResamplingSpec

  package init(images: ResamplingSpec, segmentations: ResamplingSpec, probabilities: ResamplingSpec) {
    self.images = images
    self.segmentations = segmentations
    self.probabilities = probabilities
  }
}
