// Norms with leaky ReLU of the CPU backend. What reaches beyond a sample is in CPUBackend+SharedStatistics.swift.

internal import CKernels
package import Tensors

extension CPUBackend {
  package func normalize(
    _ source: Tensor, scale: Tensor, shift: Tensor, settings: NormalizationSettings
  ) -> (result: Tensor, statistics: NormalizationStatistics) {
    guard settings.extent == .sample, !settings.keepsVariance else {
      return normalizeSharing(source, scale: scale, shift: shift, settings: settings)
    }
    let source = activation(source, precision: source.precision)
    let padded = blocks(source.channelCount) * block
    let result = makeActivation(source.shape, source.precision)
    let mean = Tensor(uninitialized: [source.batchCount, padded], pool: pool)
    let reciprocal = Tensor(uninitialized: [source.batchCount, padded], pool: pool)
    let (paddedScale, paddedShift) = (padded1D(scale, to: padded), padded1D(shift, to: padded))
    defer { withExtendedLifetime((source, paddedScale, paddedShift)) {} }
    nnk_norm_forward(
      source.storage.pointer, result.storage.pointer, source.kernelType, mean.floats, reciprocal.floats,
      paddedScale.floats, paddedShift.floats,
      source.batchCount, blocks(source.channelCount), source.voxelCount,
      Int32(block), settings.epsilon, settings.negativeSlope)
    return (result, NormalizationStatistics(mean: mean, reciprocalDeviation: reciprocal))
  }

  package func normalize(
    _ source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> Tensor {
    let source = activation(source, precision: source.precision)
    let padded = blocks(source.channelCount) * block
    let result = makeActivation(source.shape, source.precision)
    let (paddedScale, paddedShift) = (padded1D(scale, to: padded), padded1D(shift, to: padded))
    defer { withExtendedLifetime((source, paddedScale, paddedShift)) {} }
    nnk_norm_apply(
      source.storage.pointer, result.storage.pointer, source.kernelType, statistics.mean.floats,
      statistics.reciprocalDeviation.floats, paddedScale.floats, paddedShift.floats,
      source.batchCount, blocks(source.channelCount), source.voxelCount, Int32(block), settings.negativeSlope)
    return result
  }

  package func normalizationGradients(
    _ gradient: Tensor, source: Tensor, scale: Tensor, shift: Tensor, statistics: NormalizationStatistics,
    settings: NormalizationSettings
  ) -> (source: Tensor, scale: Tensor, shift: Tensor) {
    guard settings.extent == .sample, !statistics.isConstant else {
      return sharedNormalizationGradients(
        gradient, source: source, scale: scale, shift: shift, statistics: statistics, settings: settings)
    }
    let source = activation(source, precision: source.precision)
    let padded = blocks(source.channelCount) * block
    let scaleParts = Tensor(uninitialized: [source.batchCount, padded], pool: pool)
    let shiftParts = Tensor(uninitialized: [source.batchCount, padded], pool: pool)
    let (paddedScale, paddedShift) = (padded1D(scale, to: padded), padded1D(shift, to: padded))
    defer { withExtendedLifetime((source, paddedScale, paddedShift)) {} }
    nnk_norm_backward(
      source.storage.pointer, gradient.storage.pointer, gradient.storage.pointer, source.kernelType,
      statistics.mean.floats,
      statistics.reciprocalDeviation.floats,
      paddedScale.floats, paddedShift.floats, scaleParts.floats,
      shiftParts.floats,
      source.batchCount, blocks(source.channelCount), source.voxelCount, Int32(block), settings.negativeSlope)
    return (gradient, sumOverBatch(scaleParts, scale.count), sumOverBatch(shiftParts, shift.count))
  }

  /// Sums `[N, C padded]` over N, dropping the padding.
  private func sumOverBatch(_ parts: Tensor, _ channelCount: Int) -> Tensor {
    let result = Tensor(uninitialized: [channelCount], pool: pool)
    let padded = parts.shape[1]
    for channel in 0..<channelCount {
      var sum: Float = 0
      for sample in 0..<parts.shape[0] { sum += parts.floats[sample * padded + channel] }
      result.floats[channel] = sum
    }
    return result
  }
}
