// The oracle of losses: written out in double precision, voxel by voxel.

import Backends
import Foundation

/// Logits `[N, K, V]` in double precision.
struct NaiveLogits {
  let batch: Int
  let classes: Int
  let voxels: Int
  var values: [Double]

  subscript(_ n: Int, _ k: Int, _ v: Int) -> Double { values[(n * classes + k) * voxels + v] }

  /// Softmax over the classes, or the sigmoid of each.
  func probabilities(regional: Bool) -> NaiveLogits {
    var result = self
    for n in 0..<batch {
      for v in 0..<voxels {
        let sum = (0..<classes).reduce(0) { $0 + exp(self[n, $1, v]) }
        for k in 0..<classes {
          result.values[(n * classes + k) * voxels + v] =
            regional ? 1 / (1 + exp(-self[n, k, v])) : exp(self[n, k, v]) / sum
        }
      }
    }
    return result
  }
}

/// The weighted sum of terms.
func naiveLoss(_ x: NaiveLogits, _ target: SegmentationTarget, _ terms: [WeightedLossTerm]) -> Double {
  terms.reduce(0) { $0 + $1.weight * NaiveLoss(x: x, target: target).value(of: $1.term) }
}

private struct NaiveLoss {
  let x: NaiveLogits
  let target: SegmentationTarget

  private var isRegional: Bool { if case .regions = target { true } else { false } }

  /// Whether a voxel counts.
  private func counts(_ n: Int, _ v: Int) -> Bool {
    switch target {
    case .labels(let labels, let ignored): return Int(labels[n * x.voxels + v]) != ignored
    case .regions(let maps, let hasIgnoreMap):
      let count = x.classes + (hasIgnoreMap ? 1 : 0)
      return !hasIgnoreMap || maps[(n * count + count - 1) * x.voxels + v] == 0
    }
  }

  /// Whether the voxel belongs to the class or region.
  private func reference(_ n: Int, _ k: Int, _ v: Int) -> Double {
    switch target {
    case .labels(let labels, _): return Int(labels[n * x.voxels + v]) == k ? 1 : 0
    case .regions(let maps, let hasIgnoreMap):
      return Double(maps[(n * (x.classes + (hasIgnoreMap ? 1 : 0)) + k) * x.voxels + v])
    }
  }

  private var countedVoxels: Int {
    (0..<x.batch).reduce(0) { sum, n in sum + (0..<x.voxels).count { counts(n, $0) } }
  }

  /// Cross-entropies of the voxels against smoothed labels; 0 where a voxel does not count.
  private func entropies(_ smoothing: Double) -> [Double] {
    let p = x.probabilities(regional: false)
    return (0..<x.batch * x.voxels).map { index in
      let (n, v) = (index / x.voxels, index % x.voxels)
      guard counts(n, v) else { return 0 }
      return (0..<x.classes).reduce(0) { sum, k in
        sum - ((1 - smoothing) * reference(n, k, v) + smoothing / Double(x.classes)) * log(p[n, k, v])
      }
    }
  }

  func value(of term: LossTerm) -> Double {
    switch term {
    case .overlap(let ratio): return overlap(ratio)
    case .crossEntropy(let smoothing):
      if isRegional { return binaryEntropy() }
      return entropies(smoothing).reduce(0, +) / Double(countedVoxels)
    case .topK(let fraction, let smoothing):
      let kept = Int(Double(x.batch * x.voxels) * fraction)
      return entropies(smoothing).sorted(by: >).prefix(kept).reduce(0, +) / Double(kept)
    case .focal(let gamma):
      return entropies(0).reduce(0) { $0 + pow(1 - exp(-$1), gamma) * $1 } / Double(countedVoxels)
    }
  }

  private func binaryEntropy() -> Double {
    let p = x.probabilities(regional: true)
    var sum = 0.0
    for n in 0..<x.batch {
      for v in 0..<x.voxels where counts(n, v) {
        for k in 0..<x.classes {
          let y = reference(n, k, v)
          sum -= y * log(p[n, k, v]) + (1 - y) * log(1 - p[n, k, v])
        }
      }
    }
    if case .regions(_, true) = target { return sum / Double(countedVoxels) }
    return sum / Double(x.batch * x.classes * x.voxels)
  }

  private func overlap(_ ratio: OverlapRatio) -> Double {
    let p = x.probabilities(regional: isRegional)
    let groups = ratio.batch == true ? [Array(0..<x.batch)] : (0..<x.batch).map { [$0] }
    let first = isRegional || ratio.includesBackground ? 0 : 1
    var (sum, count) = (0.0, 0.0)
    for group in groups {
      for k in first..<x.classes {
        var (both, tooMuch, tooLittle) = (0.0, 0.0, 0.0)
        for n in group {
          for v in 0..<x.voxels where counts(n, v) {
            let (probability, y) = (p[n, k, v], reference(n, k, v))
            both += probability * y
            tooMuch += probability * (1 - y)
            tooLittle += (1 - probability) * y
          }
        }
        let numerator = 2 * both + ratio.smoothing
        let mass =
          numerator + 2 * ratio.falsePositiveWeight * tooMuch + 2 * ratio.falseNegativeWeight * tooLittle
        sum += numerator / max(mass, 1e-8)
        count += 1
      }
    }
    return -sum / count
  }
}
