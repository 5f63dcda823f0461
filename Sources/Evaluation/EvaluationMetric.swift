// The numbers of an evaluation by name, and which of them are measured.

/// A number reported per case and target, under its key in `summary.json`.
package enum EvaluationMetric: String, CaseIterable, Sendable {
  case dice = "Dice"
  case intersectionOverUnion = "IoU"
  case truePositives = "TP"
  case falsePositives = "FP"
  case falseNegatives = "FN"
  case trueNegatives = "TN"
  case predictedCount = "n_pred"
  case referenceCount = "n_ref"
  // Not nnU-Net's; there only if asked for.
  case surfaceDice = "NSD"
  case hausdorff95 = "HD95"
  case predictedVolume = "volume_pred_ml"
  case referenceVolume = "volume_ref_ml"

  /// nnU-Net's metrics, which every summary has.
  package static let standard: [EvaluationMetric] = [
    .dice, .intersectionOverUnion, .truePositives, .falsePositives, .falseNegatives, .trueNegatives,
    .predictedCount, .referenceCount,
  ]

  /// Whether it counts voxels, so that a case has whole numbers.
  var isCount: Bool {
    switch self {
    case .truePositives, .falsePositives, .falseNegatives, .trueNegatives, .predictedCount, .referenceCount:
      true
    case .dice, .intersectionOverUnion, .surfaceDice, .hausdorff95, .predictedVolume, .referenceVolume: false
    }
  }
}

/// What an evaluation measures besides nnU-Net's metrics.
package struct EvaluationMeasures: Sendable, Equatable {
  /// The tolerance of the surface Dice in millimetres; nil leaves out all distances between surfaces.
  package var surfaceTolerance: Double?
  package var includesVolumes: Bool

  /// The tolerance where none is given, in millimetres.
  package static let defaultSurfaceTolerance = 1.0

  package init(surfaceTolerance: Double? = nil, includesVolumes: Bool = false) {
    self.surfaceTolerance = surfaceTolerance
    self.includesVolumes = includesVolumes
  }
}
