// Losses as values: weighted terms that add up, and their spread over the resolutions of deep supervision.

package import Backends

/// A sum of weighted terms over one resolution.
package struct SegmentationLoss: Sendable, Hashable {
  package var terms: [WeightedLossTerm]

  package init(_ terms: [WeightedLossTerm]) { self.terms = terms }

  /// nnU-Net's default: Dice without background plus cross-entropy, weights 1 and 1.
  package static func diceAndCrossEntropy(batchDice: Bool?) -> SegmentationLoss {
    SegmentationLoss([
      WeightedLossTerm(1, .dice(batch: batchDice)), WeightedLossTerm(1, .crossEntropy(labelSmoothing: 0)),
    ])
  }

  package static func + (a: SegmentationLoss, b: SegmentationLoss) -> SegmentationLoss {
    SegmentationLoss(a.terms + b.terms)
  }

  package static func * (factor: Double, loss: SegmentationLoss) -> SegmentationLoss {
    SegmentationLoss(loss.terms.map { WeightedLossTerm(factor * $0.weight, $0.term) })
  }

  /// The same loss with the plan's word on batch Dice where nothing else was said.
  package func resolved(batchDice: Bool) -> SegmentationLoss {
    SegmentationLoss(
      terms.map { weighted in
        guard case .overlap(var ratio) = weighted.term, ratio.batch == nil else { return weighted }
        ratio.batch = batchDice
        return WeightedLossTerm(weighted.weight, .overlap(ratio))
      })
  }

  /// Whether a term knows labels only, not regions.
  package var needsLabels: Bool { terms.contains { $0.term.needsLabels } }
}

/// A loss at every resolution, weighted.
package struct DeepSupervisionLoss {
  package var loss: SegmentationLoss
  /// What is added to the built-in terms at every resolution.
  package var functions: [WeightedLossFunction]
  /// One weight per resolution, finest first; a resolution of weight 0 is left out.
  package var weights: [Double]

  package init(loss: SegmentationLoss, functions: [WeightedLossFunction] = [], weights: [Double]) {
    self.loss = loss
    self.functions = functions
    self.weights = weights
  }

  /// nnU-Net's weights: halved per resolution, the last 0, normalised to sum 1.
  ///
  /// - Note: With one resolution the reference's weight is 0 / 0; here it is 1.
  package static func standardWeights(headCount: Int) -> [Double] {
    if headCount <= 1 { return [1] }
    var weights = (0..<headCount).map { pow2(-$0) }
    weights[headCount - 1] = 0
    let sum = weights.reduce(0, +)
    return weights.map { $0 / sum }
  }

  /// How many resolutions, from the finest on, have to be computed.
  package var neededHeadCount: Int { (weights.lastIndex { $0 != 0 } ?? 0) + 1 }

  /// The weighted sum of the built-in terms; on a recording tape the heads receive their gradients.
  ///
  /// - Parameters:
  ///   - heads: Logits, finest first; those beyond the weights do not count.
  ///   - targets: One per head.
  ///   - tape: The tape the heads were computed on.
  package func callAsFunction(_ heads: [Variable], _ targets: [SegmentationTarget], on tape: Tape) -> Double {
    var total = 0.0
    for (head, (target, weight)) in zip(heads, zip(targets, weights)) where weight != 0 {
      let (value, gradient) = tape.backend.segmentationLoss(
        logits: head.value, target: target, terms: (weight * loss).terms, wantsGradient: tape.isRecording)
      total += value
      if let gradient { head.receive(gradient, backend: tape.backend) }
    }
    return total
  }
}

private func pow2(_ exponent: Int) -> Double { Double(sign: .plus, exponent: exponent, significand: 1) }
