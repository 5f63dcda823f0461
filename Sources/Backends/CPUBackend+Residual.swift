// The residual blocks' operations of the CPU backend: activated sums and average pooling.

internal import CKernels
package import Tensors

extension CPUBackend {
  package func residual(_ first: Tensor, _ second: Tensor, negativeSlope: Float) -> Tensor {
    precondition(
      first.shape == second.shape && first.layout == second.layout && first.precision == second.precision,
      "residual sum of \(first.precision) \(first.shape) and \(second.precision) \(second.shape)")
    let result = makeActivation(first.shape, first.precision)
    nnk_residual(
      first.storage.pointer, second.storage.pointer, result.storage.pointer, first.kernelType,
      first.storedCount, negativeSlope)
    return result
  }

  package func residualGradient(_ gradient: Tensor, result: Tensor, negativeSlope: Float) -> Tensor {
    let branch = makeActivation(gradient.shape, gradient.precision)
    nnk_residual_backward(
      result.storage.pointer, gradient.storage.pointer, branch.storage.pointer, gradient.kernelType,
      gradient.storedCount, negativeSlope)
    return branch
  }

  package func averagePool(_ source: Tensor, kernel: [Int]) -> Tensor {
    let source = activation(source, precision: source.precision)
    defer { withExtendedLifetime(source) {} }
    let extent = zip(source.spatialShape, kernel).map { extent, kernel in
      precondition(extent % kernel == 0, "pooling \(source.shape) by \(kernel)")
      return extent / kernel
    }
    let result = makeActivation([source.batchCount, source.channelCount] + extent, source.precision)
    nnk_average_pool(
      source.storage.pointer, result.storage.pointer, source.kernelType, source.batchCount,
      blocks(source.channelCount), threeAxes(extent), threeAxes(kernel), Int32(block))
    return result
  }

  package func averagePoolGradient(_ gradient: Tensor, kernel: [Int]) -> Tensor {
    let source = makeActivation(
      [gradient.batchCount, gradient.channelCount] + zip(gradient.spatialShape, kernel).map { $0 * $1 },
      gradient.precision)
    nnk_average_pool_backward(
      gradient.storage.pointer, source.storage.pointer, gradient.kernelType, gradient.batchCount,
      blocks(gradient.channelCount), threeAxes(gradient.spatialShape), threeAxes(kernel), Int32(block))
    return source
  }

  /// Extents with leading ones, so that images are volumes of one slice.
  private func threeAxes(_ extents: [Int]) -> [Int] {
    Array(repeating: 1, count: 3 - extents.count) + extents
  }
}
