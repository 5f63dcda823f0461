// The kinds of segmentation losses that a backend computes, fused over the softmax or sigmoid they share.
// I intersection, P predicted mass, G reference mass, per class (and sample); e cross-entropy of one voxel.

/// One kind of loss with its constants.
package enum LossTerm: Sendable, Hashable {
  /// Minus the mean over classes (and samples, unless `batch`) of an overlap ratio.
  case overlap(OverlapRatio)
  /// Cross-entropy over labels, or binary cross-entropy over regions; mean over the voxels that count.
  ///
  /// With label smoothing s the reference is 1 - s on its label plus s / classes on every label; labels only.
  case crossEntropy(labelSmoothing: Double)
  /// The mean over the given fraction of all voxels, those with the largest cross-entropy; labels only.
  case topK(fraction: Double, labelSmoothing: Double)
  /// The mean of (1 - p)^gamma e, with p the probability of the voxel's label; labels only.
  case focal(gamma: Double)

  /// nnU-Net's Dice.
  package static func dice(
    batch: Bool? = nil, includesBackground: Bool = false, smoothing: Double = 1e-5
  ) -> LossTerm {
    .overlap(OverlapRatio(batch: batch, includesBackground: includesBackground, smoothing: smoothing))
  }

  /// Whether the term knows labels only, not regions.
  package var needsLabels: Bool {
    switch self {
    case .overlap: false
    case .crossEntropy(let labelSmoothing): labelSmoothing != 0
    case .topK, .focal: true
    }
  }
}

/// (2 I + s) / max(2 I + 2 a (P - I) + 2 b (G - I) + s, 1e-8): Dice at a = b = 1/2, Tversky's index otherwise.
package struct OverlapRatio: Sendable, Hashable {
  /// The weight a of what is predicted and not there.
  package var falsePositiveWeight: Double
  /// The weight b of what is there and not predicted.
  package var falseNegativeWeight: Double
  /// Whether I, P and G are sums over the batch; `nil` leaves it to who knows the plan, and is no by itself.
  package var batch: Bool?
  /// Whether the first class takes part; regions always do.
  package var includesBackground: Bool
  package var smoothing: Double

  package init(
    falsePositiveWeight: Double = 0.5, falseNegativeWeight: Double = 0.5, batch: Bool? = nil,
    includesBackground: Bool = false, smoothing: Double = 1e-5
  ) {
    self.falsePositiveWeight = falsePositiveWeight
    self.falseNegativeWeight = falseNegativeWeight
    self.batch = batch
    self.includesBackground = includesBackground
    self.smoothing = smoothing
  }
}

/// A term with its factor in a sum.
package struct WeightedLossTerm: Sendable, Hashable {
  package var weight: Double
  package var term: LossTerm

  package init(_ weight: Double, _ term: LossTerm) {
    self.weight = weight
    self.term = term
  }
}
