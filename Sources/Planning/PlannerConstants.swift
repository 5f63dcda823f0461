// Every constant of the planners in one place. Source of all numbers: nnU-Net 2.8.1.

package import Reporting

/// The numbers and names that tell one planner from another.
package struct PlannerConstants: Sendable, Equatable {
  /// nnU-Net's class name, which the plans record.
  package var className: String
  /// The plans' name unless the user gives one.
  package var plansName: String
  /// Whether the network is a ResidualEncoderUNet instead of a PlainConvUNet.
  package var usesResidualEncoder = false
  package var gpuMemoryTarget = 8.0  // GB
  package var referenceGPUMemory = 8.0  // GB, what the reference values below were measured for
  package var referenceValue3D = 560_000_000.0  // feature map elements at batch 1
  package var referenceValue2D = 85_000_000.0  // feature map elements at batch 1
  package var referenceBatchSize3D = 2
  package var referenceBatchSize2D = 12
  package var maximumDatasetFraction = 0.05  // of all voxels, in one batch
  package var baseFeatureCount = 32
  package var maximumFeatureCount3D = 320
  package var maximumFeatureCount2D = 512
  package var minimumFeatureMapEdge = 4  // voxels
  package var minimumBatchSize = 2
  package var lowresCreationThreshold = 0.25  // of the median image, covered by the patch
  package var lowresSpacingFactor = 1.03  // growth per step of the search
  package var minimumLowresReduction = 2.0  // fewer voxels than fullres
  package var initialPatchVoxels3D = 16_777_216.0  // 256^3
  package var initialPatchVoxels2D = 4_194_304.0  // 2048^2
  package var anisotropyThreshold = 3.0  // ratio of spacings and of extents
  package var nonzeroMaskThreshold = 0.75  // relative size below which z-scores use the mask
  /// Whether 2d and 3d_fullres share the default planner's folders of preprocessed data.
  package var sharesDefaultData = false
  package var resampling = Resampling.spline
  /// Whether a GPU target other than the default deserves a notice.
  package var noticesOtherMemoryTarget = false

  /// Which resampling functions the plans name.
  package enum Resampling: Sendable, Equatable {
    case spline
    case torch(separateZ: Bool)
    case identity

    package var specs: ResamplingSpecs {
      switch self {
      case .spline:
        ResamplingSpecs(
          images: .spline(isSegmentation: false, order: 3),
          segmentations: .spline(isSegmentation: true, order: 1),
          probabilities: .spline(isSegmentation: false, order: 1))
      case .torch(let separateZ):
        ResamplingSpecs(
          images: .torch(isSegmentation: false, separateZ: separateZ),
          segmentations: .torch(isSegmentation: true, separateZ: separateZ),
          probabilities: .torch(isSegmentation: false, separateZ: separateZ))
      case .identity:
        ResamplingSpecs(images: .identity, segmentations: .identity, probabilities: .identity)
      }
    }
  }

  /// Convolutions (plain) or blocks (residual) of an encoder stage.
  package func encoderCount(stage: Int) -> Int {
    usesResidualEncoder ? [1, 3, 4, 6][min(stage, 3)] : 2
  }

  /// Convolutions of a decoder stage.
  package func decoderCount(stage: Int) -> Int { usesResidualEncoder ? 1 : 2 }

  /// nnU-Net's default planner.
  package static let standard = PlannerConstants(className: "ExperimentPlanner", plansName: Plans.defaultName)

  /// All planners, the default one first.
  package static let all: [PlannerConstants] = {
    var residual = standard
    residual.className = "ResEncUNetPlanner"
    residual.plansName = "nnUNetResEncUNetPlans"
    residual.usesResidualEncoder = true
    residual.referenceValue3D = 680_000_000
    residual.referenceValue2D = 135_000_000
    residual.sharesDefaultData = true
    let medium = sized(residual, "M", memory: 8, value3D: 680_000_000, value2D: 135_000_000)
    let large = sized(residual, "L", memory: 24, value3D: 2_100_000_000, value2D: 380_000_000)
    let extraLarge = sized(residual, "XL", memory: 40, value3D: 3_600_000_000, value2D: 560_000_000)
    return [
      standard, residual, medium, large, extraLarge,
      resampled(standard, "nnUNetPlanner", "torchres", .torch(separateZ: false)),
      resampled(large, large.className, "torchres", .torch(separateZ: false)),
      resampled(large, large.className, "torchres_sepz", .torch(separateZ: true)),
      resampled(large, large.className, "noResampling", .identity),
    ]
  }()

  private static func sized(
    _ base: PlannerConstants, _ size: String, memory: Double, value3D: Double, value2D: Double
  ) -> PlannerConstants {
    var constants = base
    constants.className = "nnUNetPlannerResEnc\(size)"
    constants.plansName = "nnUNetResEncUNet\(size)Plans"
    constants.gpuMemoryTarget = memory
    constants.referenceGPUMemory = memory
    constants.referenceValue3D = value3D
    constants.referenceValue2D = value2D
    constants.maximumDatasetFraction = 1
    constants.noticesOtherMemoryTarget = true
    return constants
  }

  private static func resampled(
    _ base: PlannerConstants, _ className: String, _ suffix: String, _ resampling: Resampling
  ) -> PlannerConstants {
    var constants = base
    constants.className = "\(className)_\(suffix)"
    constants.plansName += "_\(suffix)"
    constants.sharesDefaultData = false
    constants.resampling = resampling
    return constants
  }

  /// The planner of a name: nnU-Net's class name, or short `default`, `ResEncM`, `ResEncL`, `ResEncXL`.
  package static func named(_ name: String) throws(Diagnostic) -> PlannerConstants {
    if name == "default" { return standard }
    if let found = all.first(where: { $0.className == name || $0.className == "nnUNetPlanner\(name)" }) {
      return found
    }
    let names = all.map(\.className)
    throw Diagnostic(
      "there is no planner \(name)", expected: "one of \(names.joined(separator: ", "))", found: name,
      remedy: nearestName(to: name, in: names).map { "did you mean \($0)?" }
        ?? "leave -pl out for the default planner")
  }
}
