// Dice and cross-entropy on the CPU, fused over the softmax or sigmoid they share.
// d = (2 I + s) / max(P + G + s, 1e-8) per sample and class (or per class over the batch); the Dice term is -mean(d).

internal import CKernels
package import Tensors

extension CPUBackend {
  package func segmentationLoss(
    logits: Tensor, target: SegmentationTarget, terms: SegmentationLossTerms, wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?) {
    switch target {
    case .labels(let labels, let ignored):
      labelLoss(plain(logits), labels, ignored: ignored, terms: terms, wantsGradient: wantsGradient)
    case .regions(let maps, let hasIgnoreMap):
      regionLoss(plain(logits), maps, hasIgnoreMap: hasIgnoreMap, terms: terms, wantsGradient: wantsGradient)
    }
  }

  private func labelLoss(
    _ logits: Tensor, _ labels: [Int16], ignored: Int?, terms: SegmentationLossTerms, wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?) {
    let (batch, classes, voxels) = (logits.batchCount, logits.channelCount, logits.voxelCount)
    precondition(labels.count == batch * voxels, "\(labels.count) labels for logits \(logits.shape)")
    let ignored = Int32(ignored ?? Int(Int16.min))
    let probabilities = Tensor(uninitialized: logits.shape, pool: pool)
    defer { withExtendedLifetime(probabilities) {} }
    nnk_softmax(logits.floats, probabilities.floats, batch, classes, voxels)
    var entropies = [Double](repeating: 0, count: batch)
    var counts = [Int64](repeating: 0, count: batch)
    nnk_cross_entropy(logits.floats, labels, batch, classes, voxels, ignored, &entropies, &counts)
    let counted = counts.reduce(0, +)
    let crossEntropy = counted == 0 ? 0 : entropies.reduce(0, +) / Double(counted)

    var raw = [Double](repeating: 0, count: batch * classes * 3)
    nnk_dice_sums(probabilities.floats, labels, batch, classes, voxels, ignored, &raw)
    let sums = (0..<batch * classes).map {
      DiceSums(intersection: raw[$0 * 3], predicted: raw[$0 * 3 + 1], reference: raw[$0 * 3 + 2])
    }
    let dice = diceTerm(sums, batch: batch, channels: classes, terms: terms)
    let value = Double(terms.crossEntropyWeight) * crossEntropy + Double(terms.diceWeight) * dice.value
    guard wantsGradient else { return (value, nil) }
    let gradient = zeros(logits.shape)
    let scale = counted == 0 ? 0 : terms.crossEntropyWeight / Float(counted)
    nnk_softmax_loss_gradient(
      probabilities.floats, labels, gradient.floats, batch, classes, voxels, ignored, scale, dice.onReference,
      dice.everywhere)
    return (value, gradient)
  }

  private func regionLoss(
    _ logits: Tensor, _ maps: [Int16], hasIgnoreMap: Bool, terms: SegmentationLossTerms, wantsGradient: Bool
  ) -> (value: Double, gradient: Tensor?) {
    let (batch, regions, voxels) = (logits.batchCount, logits.channelCount, logits.voxelCount)
    let mapCount = regions + (hasIgnoreMap ? 1 : 0)
    precondition(
      maps.count == batch * mapCount * voxels, "\(maps.count) map voxels for logits \(logits.shape)")
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
    let sums = (0..<batch * regions).map {
      DiceSums(intersection: raw[$0 * 5 + 1], predicted: raw[$0 * 5 + 2], reference: raw[$0 * 5 + 3])
    }
    var terms = terms
    terms.includesBackground = true
    let dice = diceTerm(sums, batch: batch, channels: regions, terms: terms)
    let value = Double(terms.crossEntropyWeight) * entropy / divisor + Double(terms.diceWeight) * dice.value
    guard wantsGradient else { return (value, nil) }
    let gradient = zeros(logits.shape)
    nnk_region_loss_gradient(
      probabilities.floats, maps, gradient.floats, batch, regions, mapCount, voxels, hasIgnoreMap ? 1 : 0,
      terms.crossEntropyWeight / Float(divisor), dice.onReference, dice.everywhere)
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

  private struct DiceSums {
    var intersection: Double
    var predicted: Double
    var reference: Double
  }

  /// The Dice term and its weighted derivative by a probability: `onReference * y + everywhere`, per sample and channel.
  private func diceTerm(
    _ sums: [DiceSums], batch: Int, channels: Int, terms: SegmentationLossTerms
  ) -> (value: Double, onReference: [Float], everywhere: [Float]) {
    var onReference = [Float](repeating: 0, count: sums.count)
    var everywhere = [Float](repeating: 0, count: sums.count)
    let first = terms.includesBackground ? 0 : 1
    let groups = terms.batchDice ? 1 : batch
    let ratioCount = Double(groups * (channels - first))
    let smoothing = Double(terms.smoothing)
    var total = 0.0
    for channel in first..<channels {
      for group in 0..<groups {
        let members = terms.batchDice ? Array(0..<batch) : [group]
        let indices = members.map { $0 * channels + channel }
        let numerator = 2 * indices.reduce(0) { $0 + sums[$1].intersection } + smoothing
        let mass = indices.reduce(0) { $0 + sums[$1].predicted + sums[$1].reference } + smoothing
        let denominator = max(mass, 1e-8)
        total += numerator / denominator
        for index in indices {
          onReference[index] = Float(-Double(terms.diceWeight) / ratioCount * 2 / denominator)
          everywhere[index] =
            mass > 1e-8
            ? Float(Double(terms.diceWeight) / ratioCount * numerator / (denominator * denominator)) : 0
        }
      }
    }
    return (-total / ratioCount, onReference, everywhere)
  }

  private func zeros(_ shape: [Int]) -> Tensor {
    let tensor = Tensor(uninitialized: shape, pool: pool)
    tensor.floats.update(repeating: 0, count: tensor.count)
    return tensor
  }
}
