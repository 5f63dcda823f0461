// Output heads of the CPU backend: own kernels for few classes, oneDNN's convolution for many.

internal import CKernels
package import Tensors

extension CPUBackend {
  /// Beyond this many classes a convolution with whole blocks of outputs is the faster way.
  private static let mostClasses = 16

  private func pointwise(_ source: Tensor) -> ConvolutionGeometry {
    let ones = source.spatialShape.map { _ in 1 }
    return ConvolutionGeometry(kernel: ones, stride: ones)
  }

  package func logits(_ source: Tensor, weight: Tensor, bias: Tensor) throws -> Tensor {
    guard weight.shape[0] <= Self.mostClasses else {
      return plain(try convolve(source, weight: weight, bias: bias, geometry: pointwise(source)))
    }
    let source = activation(source, precision: source.precision)
    let wide = widenedHead(weight)
    let shape = [source.batchCount, weight.shape[0]] + source.spatialShape
    let result = Tensor(uninitialized: shape, pool: pool)
    defer { withExtendedLifetime((source, wide, bias)) {} }
    var head = head(source, wide, bias, classCount: weight.shape[0])
    nnk_head_forward(&head, source.storage.pointer, result.floats)
    return result
  }

  package func logitsGradients(
    _ gradient: Tensor, source: Tensor, weight: Tensor
  ) throws -> (source: Tensor, weight: Tensor, bias: Tensor) {
    let geometry = pointwise(source)
    guard weight.shape[0] <= Self.mostClasses else {
      let gradient = activation(gradient, precision: source.precision)
      let byWeight = try convolutionWeightGradient(
        gradient, source: source, weightShape: weight.shape, geometry: geometry, wantsBias: true)
      return (
        try convolutionSourceGradient(
          gradient, weight: weight, sourceShape: source.shape, geometry: geometry), byWeight.weight,
        byWeight.bias ?? Tensor(uninitialized: [weight.shape[0]], pool: pool)
      )
    }
    let source = activation(source, precision: source.precision)
    let (gradient, wide) = (plain(gradient), widenedHead(weight))
    let result = (
      source: makeActivation(source.shape, source.precision),
      weight: Tensor(uninitialized: weight.shape, pool: pool),
      bias: Tensor(uninitialized: [weight.shape[0]], pool: pool)
    )
    defer { withExtendedLifetime((source, gradient, wide)) {} }
    var head = head(source, wide, result.bias, classCount: weight.shape[0])
    nnk_head_source_gradient(&head, gradient.floats, result.source.storage.pointer)
    let scratch = Tensor(uninitialized: [nnk_head_scratch(&head)], pool: pool)
    nnk_head_weight_gradient(
      &head, gradient.floats, source.storage.pointer, scratch.floats, result.weight.floats, result.bias.floats
    )
    withExtendedLifetime(scratch) {}
    return result
  }

  private func head(_ source: Tensor, _ weight: Tensor, _ bias: Tensor, classCount: Int) -> nnk_head {
    nnk_head(
      type: source.kernelType, block: Int32(block), samples: source.batchCount, classes: classCount,
      channels: source.channelCount, blocks: blocks(source.channelCount), voxels: source.voxelCount,
      weight: weight.floats, bias: bias.floats)
  }

  /// `[K, C]` with every row filled up with zeros to whole blocks.
  private func widenedHead(_ weight: Tensor) -> Tensor {
    let (count, channels) = (weight.shape[0], weight.shape[1])
    let padded = blocks(channels) * block
    let wide = Tensor(uninitialized: [count, padded], pool: pool)
    wide.floats.update(repeating: 0, count: wide.count)
    for k in 0..<count {
      (wide.floats + k * padded).update(from: weight.floats + k * channels, count: channels)
    }
    return wide
  }
}
