// Segmentation losses on the CPU, fused over the softmax or sigmoid they share.

internal import CKernels
package import Tensors

extension CPUBackend {
  package func segmentationLoss(
    logits: Tensor, target: SegmentationTarget, terms: [WeightedLossTerm], wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?) {
    switch target {
    case .labels(let labels, let ignored):
      labelLoss(plain(logits), labels, ignored: ignored, terms: terms, wantsGradient: wantsGradient)
    case .regions(let maps, let hasIgnoreMap):
      regionLoss(plain(logits), maps, hasIgnoreMap: hasIgnoreMap, terms: terms, wantsGradient: wantsGradient)
    }
  }

  private func labelLoss(
    _ logits: Tensor, _ labels: [Int16], ignored: Int?, terms: [WeightedLossTerm], wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?) {
    let (batch, classes, voxels) = (logits.batchCount, logits.channelCount, logits.voxelCount)
    precondition(labels.count == batch * voxels, "\(labels.count) labels for logits \(logits.shape)")
    let ignored = Int32(ignored ?? Int(Int16.min))
    let probabilities = Tensor(uninitialized: logits.shape, pool: pool)
    defer { withExtendedLifetime(probabilities) {} }
    nnk_softmax(logits.floats, probabilities.floats, batch, classes, voxels)
    let entropy = entropyTerms(logits, labels, ignored: ignored, terms: terms)
    var raw = [Double](repeating: 0, count: batch * classes * 3)
    nnk_dice_sums(probabilities.floats, labels, batch, classes, voxels, ignored, &raw)
    let sums = (0..<batch * classes).map {
      OverlapSums(intersection: raw[$0 * 3], predicted: raw[$0 * 3 + 1], reference: raw[$0 * 3 + 2])
    }
    let overlap = overlapTerms(
      sums, batch: batch, channels: classes, terms: terms, alwaysIncludesBackground: false)
    guard wantsGradient else { return (entropy.value + overlap.value, nil) }
    let gradient = zeros(logits.shape)
    nnk_softmax_loss_gradient(
      probabilities.floats, labels, gradient.floats, batch, classes, voxels, ignored, entropy.scale,
      entropy.weight?.floats, entropy.tilt?.floats, overlap.onReference, overlap.everywhere)
    withExtendedLifetime((entropy.weight, entropy.tilt)) {}
    return (entropy.value + overlap.value, gradient)
  }

  /// The terms made of cross-entropies, and what their gradients need: one factor for all voxels, or one for each.
  private func entropyTerms(
    _ logits: Tensor, _ labels: [Int16], ignored: Int32, terms: [WeightedLossTerm]
  ) -> (value: Double, scale: Float, weight: Tensor?, tilt: Tensor?) {
    let (batch, classes, voxels) = (logits.batchCount, logits.channelCount, logits.voxelCount)
    let kinds = terms.map(\.term)
    guard kinds.contains(where: \.needsLabels) else {
      let factor = terms.reduce(0) { $1.term == .crossEntropy(labelSmoothing: 0) ? $0 + $1.weight : $0 }
      guard factor != 0 else { return (0, 0, nil, nil) }
      var entropies = [Double](repeating: 0, count: batch)
      var counts = [Int64](repeating: 0, count: batch)
      nnk_cross_entropy(logits.floats, labels, batch, classes, voxels, ignored, &entropies, &counts)
      let counted = Double(counts.reduce(0, +))
      return counted == 0
        ? (0, 0, nil, nil) : (factor * entropies.reduce(0, +) / counted, Float(factor / counted), nil, nil)
    }
    let shape = [batch, voxels]
    let count = batch * voxels
    let (entropy, uniform) = (
      Tensor(uninitialized: shape, pool: pool), Tensor(uninitialized: shape, pool: pool)
    )
    defer { withExtendedLifetime((entropy, uniform)) {} }
    let counted = Double(
      nnk_voxel_entropies(
        logits.floats, labels, batch, classes, voxels, ignored, entropy.floats, uniform.floats))
    let (weight, tilt) = (zeros(shape), zeros(shape))
    var value = 0.0
    for weighted in terms where counted > 0 {
      let mean = weighted.weight / counted
      switch weighted.term {
      case .overlap: break
      case .crossEntropy(let labelSmoothing):
        value +=
          mean
          * nnk_smoothed_entropy(
            entropy.floats, uniform.floats, count, Float(labelSmoothing), Float(mean), weight.floats,
            tilt.floats)
      case .topK(let fraction, let labelSmoothing):
        // The reference counts every voxel of the batch, also those whose label does not count.
        let kept = Int(Double(count) * fraction)
        let share = weighted.weight / Double(max(kept, 1))
        value +=
          share
          * nnk_top_entropy(
            entropy.floats, uniform.floats, count, kept, Float(labelSmoothing), Float(share), weight.floats,
            tilt.floats)
      case .focal(let gamma):
        value += mean * nnk_focal(entropy.floats, count, Float(gamma), Float(mean), weight.floats)
      }
    }
    return (value, 0, weight, tilt)
  }

  private func regionLoss(
    _ logits: Tensor, _ maps: [Int16], hasIgnoreMap: Bool, terms: [WeightedLossTerm], wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?) {
    let (batch, regions, voxels) = (logits.batchCount, logits.channelCount, logits.voxelCount)
    let mapCount = regions + (hasIgnoreMap ? 1 : 0)
    precondition(
      maps.count == batch * mapCount * voxels, "\(maps.count) map voxels for logits \(logits.shape)")
    precondition(!terms.contains { $0.term.needsLabels }, "a loss over labels was given regions")
    let probabilities = Tensor(uninitialized: logits.shape, pool: pool)
    defer { withExtendedLifetime(probabilities) {} }
    nnk_sigmoid(logits.floats, probabilities.floats, logits.count)
    var raw = [Double](repeating: 0, count: batch * regions * 5)
    nnk_region_sums(
      logits.floats, probabilities.floats, maps, batch, regions, mapCount, voxels, hasIgnoreMap ? 1 : 0, &raw)
    let entropy = stride(from: 0, to: raw.count, by: 5).reduce(0) { $0 + raw[$1] }
    // With an ignore map the sum over all regions is divided by the voxels of one, as in the reference.
    let validVoxels = stride(from: 4, to: raw.count, by: 5 * regions).reduce(0) { $0 + raw[$1] }
    let divisor = hasIgnoreMap ? max(validVoxels, 1e-8) : Double(batch * regions * voxels)
    let factor =
      terms.reduce(0) { $1.term == .crossEntropy(labelSmoothing: 0) ? $0 + $1.weight : $0 } / divisor
    let sums = (0..<batch * regions).map {
      OverlapSums(intersection: raw[$0 * 5 + 1], predicted: raw[$0 * 5 + 2], reference: raw[$0 * 5 + 3])
    }
    let overlap = overlapTerms(
      sums, batch: batch, channels: regions, terms: terms, alwaysIncludesBackground: true)
    let value = factor * entropy + overlap.value
    guard wantsGradient else { return (value, nil) }
    let gradient = zeros(logits.shape)
    nnk_region_loss_gradient(
      probabilities.floats, maps, gradient.floats, batch, regions, mapCount, voxels, hasIgnoreMap ? 1 : 0,
      Float(factor), overlap.onReference, overlap.everywhere)
    return (value, gradient)
  }

  package func confusion(logits: Tensor, target: SegmentationTarget) -> [SIMD3<Int64>] {
    let logits = plain(logits)
    defer { withExtendedLifetime(logits) {} }
    let (batch, classes, voxels) = (logits.batchCount, logits.channelCount, logits.voxelCount)
    var counts = [Int64](repeating: 0, count: classes * 3)
    switch target {
    case .labels(let labels, let ignored):
      nnk_label_confusion(
        logits.floats, labels, batch, classes, voxels, Int32(ignored ?? Int(Int16.min)), &counts)
    case .regions(let maps, let hasIgnoreMap):
      nnk_region_confusion(
        logits.floats, maps, batch, classes, classes + (hasIgnoreMap ? 1 : 0), voxels, hasIgnoreMap ? 1 : 0,
        &counts)
    }
    return (0..<classes).map { SIMD3(counts[$0 * 3], counts[$0 * 3 + 1], counts[$0 * 3 + 2]) }
  }

  private struct OverlapSums {
    var intersection: Double
    var predicted: Double
    var reference: Double
  }

  /// The overlap terms, and their weighted derivative by a probability: `onReference * y + everywhere` per sample and
  /// channel.
  private func overlapTerms(
    _ sums: [OverlapSums], batch: Int, channels: Int, terms: [WeightedLossTerm],
    alwaysIncludesBackground: Bool
  ) -> (value: Double, onReference: [Float], everywhere: [Float]) {
    var onReference = [Double](repeating: 0, count: sums.count)
    var everywhere = [Double](repeating: 0, count: sums.count)
    var value = 0.0
    for weighted in terms {
      guard case .overlap(let ratio) = weighted.term else { continue }
      let (a, b) = (2 * ratio.falsePositiveWeight, 2 * ratio.falseNegativeWeight)
      let first = alwaysIncludesBackground || ratio.includesBackground ? 0 : 1
      let sumsOverBatch = ratio.batch ?? false
      let groups = sumsOverBatch ? 1 : batch
      let share = weighted.weight / Double(groups * (channels - first))
      for channel in first..<channels {
        for group in 0..<groups {
          let indices = (sumsOverBatch ? Array(0..<batch) : [group]).map { $0 * channels + channel }
          let intersection = indices.reduce(0) { $0 + sums[$1].intersection }
          let predicted = indices.reduce(0) { $0 + sums[$1].predicted }
          let reference = indices.reduce(0) { $0 + sums[$1].reference }
          let numerator = 2 * intersection + ratio.smoothing
          let mass =
            (2 - a - b) * intersection + a * predicted + b * reference + ratio.smoothing
          let denominator = max(mass, 1e-8)
          value -= share * numerator / denominator
          for index in indices {
            onReference[index] -= share * 2 / denominator
            guard mass > 1e-8 else { continue }
            let slope = share * numerator / (denominator * denominator)
            onReference[index] += slope * (2 - a - b)
            everywhere[index] += slope * a
          }
        }
      }
    }
    return (value, onReference.map(Float.init), everywhere.map(Float.init))
  }

  private func zeros(_ shape: [Int]) -> Tensor {
    let tensor = Tensor(uninitialized: shape, pool: pool)
    tensor.floats.update(repeating: 0, count: tensor.count)
    return tensor
  }
}
