// The named heuristics of planning that a user may replace, and what each gets to see.

import Archives
package import Datasets

/// Replacements for heuristics; each gets the context and the default, which it may call.
///
/// An absent rule means the default.
package struct PlanningRules {
  /// One replaceable heuristic.
  package typealias Rule<Value> = (PlanningContext, _ default: () throws -> Value) throws -> Value

  /// Target spacing of 3d_fullres, three values in the axis order of the files.
  package var targetSpacing: Rule<[Double]>?
  /// Axis order of transposed arrays.
  package var transpose: Rule<[Int]>?
  package var normalization: Rule<NormalizationChoice>?
  package var resampling: Rule<ResamplingSpecs>?
  /// Patch of a configuration; enlarged to what the topology needs.
  package var patchSize: Rule<[Int]>?
  /// Strides and kernels for a candidate patch; asked for every candidate.
  package var topology: Rule<NetworkTopology>?
  /// Feature maps per stage; asked for every candidate.
  package var features: Rule<[Int]>?
  package var batchSize: Rule<Int>?
  /// Whether 3d_lowres and the cascade exist.
  package var wantsLowres: Rule<Bool>?
  /// Painting order of regions; asked only for datasets with regions.
  package var regionOrder: Rule<[Int]>?
  /// Where a rule was written, such as `recipe.lua:12`, by its name; for explanations.
  package var sources: [String: String] = [:]

  package init() {}

  /// The names of all heuristics, as scripts know them.
  package static let names = [
    "target_spacing", "transpose", "normalization", "resampling", "patch_size", "topology", "features",
    "batch_size", "wants_lowres", "region_order",
  ]
}

/// How each channel is normalised.
package struct NormalizationChoice: Sendable, Equatable {
  /// nnU-Net's class name per channel.
  package var schemes: [String]
  /// Whether statistics come from the nonzero mask only, per channel.
  package var usesMask: [Bool]

  package init(schemes: [String], usesMask: [Bool]) {
    self.schemes = schemes
    self.usesMask = usesMask
  }

  /// The schemes plans may name.
  package static let knownSchemes = [
    "CTNormalization", "ZScoreNormalization", "NoNormalization", "RescaleTo01Normalization",
    "RGBTo01Normalization",
  ]

  var json: JSON { ["normalization_schemes": JSON(schemes), "use_mask_for_norm": JSON(usesMask)] }
}

/// What a heuristic gets to see; fields that are not decided yet are empty.
package struct PlanningContext: Sendable {
  package var datasetName: String
  package var dataset: DatasetDescription
  package var fingerprint: DatasetFingerprint
  package var constants: PlannerConstants
  /// The GPU memory to plan for.
  ///
  /// - Units: GB
  package var gpuMemoryTarget: Double
  /// The configuration being planned; `nil` for decisions that all share.
  package var configuration: String?
  /// Target spacing in transposed order; two values for 2d.
  package var spacing: [Double] = []
  /// Median image size at ``spacing``.
  package var medianShape: [Double] = []
  /// Voxels of the whole training set at ``spacing``.
  package var approximateVoxelCount = 0.0
  /// The candidate patch.
  package var patchSize: [Double] = []
  /// The stages for ``patchSize``.
  package var topology: NetworkTopology?
  /// Feature maps per stage.
  package var features: [Int] = []
  /// The memory estimate of patch and network.
  package var estimate: MemoryEstimate?
  /// The largest estimate that fits.
  package var memoryReference = 0.0

  package var dimensionCount: Int { spacing.count }
}
