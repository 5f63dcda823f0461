// Norms of the CPU backend whose statistics reach beyond one sample or one batch: batch norm and running statistics.
// N batch, C channels, V voxels.

internal import CKernels
package import Tensors

extension CPUBackend {
  /// Batch norm, or instance norm whose variances are wanted.
  func normalizeSharing(
    _ source: Tensor, scale: Tensor, shift: Tensor, settings: NormalizationSettings
  ) -> (result: Tensor, statistics: NormalizationStatistics) {
    let source = activation(source, precision: source.precision)
    let (batchCount, padded) = (source.batchCount, blocks(source.channelCount) * block)
    var means = [Double](repeating: 0, count: batchCount * padded)
    var variances = means
    means.withUnsafeMutableBufferPointer { means in
      variances.withUnsafeMutableBufferPointer { variances in
        nnk_norm_moments(
          source.storage.pointer, source.kernelType, means.baseAddress, variances.baseAddress, batchCount,
          blocks(source.channelCount), source.voxelCount, Int32(block))
      }
    }
    if settings.extent == .batch { unite(&means, &variances, batchCount: batchCount) }
    let statistics = statistics(
      means, variances, shape: [batchCount, padded], settings: settings, isConstant: false)
    return (
      normalize(source, scale: scale, shift: shift, statistics: statistics, settings: settings), statistics
    )
  }

  /// Makes the moments of equally large samples those of all of them together.
  private func unite(_ means: inout [Double], _ variances: inout [Double], batchCount: Int) {
    let padded = means.count / batchCount
    for channel in 0..<padded {
      let rows = stride(from: channel, to: means.count, by: padded)
      let mean = rows.reduce(0) { $0 + means[$1] } / Double(batchCount)
      let variance = rows.reduce(0) { $0 + variances[$1] + (means[$1] - mean) * (means[$1] - mean) }
      for row in rows {
        means[row] = mean
        variances[row] = variance / Double(batchCount)
      }
    }
  }

  private func statistics(
    _ means: [Double], _ variances: [Double], shape: [Int], settings: NormalizationSettings, isConstant: Bool
  ) -> NormalizationStatistics {
    func tensor(_ value: (Int) -> Double) -> Tensor {
      Tensor(NDArray(shape: shape, elements: means.indices.map { Float(value($0)) }), pool: pool)
    }
    return NormalizationStatistics(
      mean: tensor { means[$0] },
      reciprocalDeviation: tensor { 1 / (variances[$0] + Double(settings.epsilon)).squareRoot() },
      variance: settings.keepsVariance ? tensor { variances[$0] } : nil, isConstant: isConstant)
  }

  package func constantStatistics(
    mean: Tensor, variance: Tensor, batchCount: Int, settings: NormalizationSettings
  ) -> NormalizationStatistics {
    let padded = blocks(mean.count) * block
    func rows(_ values: Tensor, _ fill: Double) -> [Double] {
      (0..<batchCount * padded).map { $0 % padded < values.count ? Double(values.floats[$0 % padded]) : fill }
    }
    return statistics(
      rows(mean, 0), rows(variance, 1), shape: [batchCount, padded], settings: settings, isConstant: true)
  }

  package func follow(
    _ statistics: NormalizationStatistics, mean: Tensor, variance: Tensor, valueCount: Int, share: Double
  ) {
    guard let variances = statistics.variance else {
      preconditionFailure("running statistics need the settings to keep variances")
    }
    let (batchCount, padded) = (statistics.mean.shape[0], statistics.mean.shape[1])
    let unbiased = Double(valueCount) / Double(valueCount - 1)
    for channel in 0..<mean.count {
      var (meanSum, varianceSum) = (0.0, 0.0)
      for sample in 0..<batchCount {
        meanSum += Double(statistics.mean.floats[sample * padded + channel])
        varianceSum += Double(variances.floats[sample * padded + channel])
      }
      func move(_ running: Tensor, to sum: Double) {
        let old = Double(running.floats[channel])
        running.floats[channel] = Float((1 - share) * old + share * sum / Double(batchCount))
      }
      move(mean, to: meanSum)
      move(variance, to: varianceSum * unbiased)
    }
  }

  /// The gradients where statistics are constants or shared by the samples.
  func sharedNormalizationGradients(
    _ gradient: Tensor, source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> (source: Tensor, scale: Tensor, shift: Tensor) {
    let source = activation(source, precision: source.precision)
    let (batchCount, blockCount) = (source.batchCount, blocks(source.channelCount))
    let padded = blockCount * block
    let (paddedScale, paddedShift) = (padded1D(scale, to: padded), padded1D(shift, to: padded))
    defer { withExtendedLifetime((source, paddedScale, paddedShift)) {} }
    var byScale = [Double](repeating: 0, count: batchCount * padded)
    var byShift = byScale
    byScale.withUnsafeMutableBufferPointer { byScale in
      byShift.withUnsafeMutableBufferPointer { byShift in
        nnk_norm_sums(
          source.storage.pointer, gradient.storage.pointer, source.kernelType, statistics.mean.floats,
          statistics.reciprocalDeviation.floats, paddedScale.floats, paddedShift.floats,
          byScale.baseAddress, byShift.baseAddress, batchCount, blockCount, source.voxelCount, Int32(block),
          settings.negativeSlope)
      }
    }
    func overBatch(_ parts: [Double]) -> [Double] {
      (0..<padded).map { c in stride(from: c, to: parts.count, by: padded).reduce(0) { $0 + parts[$1] } }
    }
    let sums = (overBatch(byScale), overBatch(byShift))
    let valueCount = Double(batchCount * source.voxelCount)
    func perValue(_ sums: [Double]) -> [Float] {
      sums.map { statistics.isConstant ? 0 : Float($0 / valueCount) }
    }
    nnk_norm_gradient(
      source.storage.pointer, gradient.storage.pointer, gradient.storage.pointer, source.kernelType,
      statistics.mean.floats, statistics.reciprocalDeviation.floats, paddedScale.floats, paddedShift.floats,
      perValue(sums.1), perValue(sums.0), batchCount, blockCount, source.voxelCount, Int32(block),
      settings.negativeSlope)
    func tensor(_ sums: [Double]) -> Tensor {
      Tensor(
        NDArray(shape: [source.channelCount], elements: sums.prefix(source.channelCount).map { Float($0) }),
        pool: pool)
    }
    return (gradient, tensor(sums.0), tensor(sums.1))
  }
}
