// The numbers of an evaluation by name, and which of them are measured.

package import Reporting

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

  /// The metric of a key.
  package init(named name: String) throws(Diagnostic) {
    let keys = Self.allCases.map(\.rawValue)
    guard let metric = Self(rawValue: name) else {
      throw Diagnostic(
        "`\(name)` is no metric", expected: keys.joined(separator: ", "), found: name,
        remedy: nearestName(to: name, in: keys).map { "did you mean \($0)?" } ?? "name one of them")
    }
    self = metric
  }

  /// Whether it is a length or a volume, of which two digits after the point are enough.
  var isLength: Bool { self == .hausdorff95 || self == .predictedVolume || self == .referenceVolume }

  /// Whether smaller is better.
  package var favoursLess: Bool {
    switch self {
    case .falsePositives, .falseNegatives, .hausdorff95: true
    default: false
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
