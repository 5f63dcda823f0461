// Activation functions, dropout and channel sums of the CPU backend.

internal import CKernels
package import Tensors

extension CPUBackend {
  package func activate(_ source: Tensor, _ function: ActivationFunction) -> Tensor {
    let source = activation(source, precision: source.precision)
    let result = makeActivation(source.shape, source.precision)
    let (kernel, constant) = function.kernel
    defer { withExtendedLifetime(source) {} }
    nnk_activate(
      kernel, source.storage.pointer, result.storage.pointer, source.kernelType, source.storedCount, constant)
    return result
  }

  package func activationGradient(
    _ gradient: Tensor, source: Tensor, _ function: ActivationFunction
  ) -> Tensor {
    let source = activation(source, precision: source.precision)
    let gradient = activation(gradient, precision: source.precision)
    let result = makeActivation(source.shape, source.precision)
    let (kernel, constant) = function.kernel
    defer { withExtendedLifetime((source, gradient)) {} }
    nnk_activate_backward(
      kernel, source.storage.pointer, gradient.storage.pointer, result.storage.pointer, source.kernelType,
      source.storedCount, constant)
    return result
  }

  package func parametricReLU(_ source: Tensor, slope: Tensor) -> Tensor {
    activate(source, .leakyReLU(slope: slope.floats[0]))
  }

  package func parametricReLUGradients(
    _ gradient: Tensor, source: Tensor, slope: Tensor
  ) -> (source: Tensor, slope: Tensor) {
    let source = activation(source, precision: source.precision)
    let gradient = activation(gradient, precision: source.precision)
    let planeCount = source.batchCount * blocks(source.channelCount)
    let sums = Tensor(uninitialized: [planeCount], pool: pool)
    defer { withExtendedLifetime((source, gradient, sums)) {} }
    nnk_slope_sums(
      source.storage.pointer, gradient.storage.pointer, source.kernelType, sums.floats, planeCount,
      source.voxelCount, Int32(block))
    let total = Tensor(uninitialized: slope.shape, pool: pool)
    total.floats[0] = Float((0..<planeCount).reduce(0.0) { $0 + Double(sums.floats[$1]) })
    return (activationGradient(gradient, source: source, .leakyReLU(slope: slope.floats[0])), total)
  }

  package func dropout(_ source: Tensor, _ settings: DropoutSettings, key: UInt64) -> Tensor {
    let source = activation(source, precision: source.precision)
    let result = makeActivation(source.shape, source.precision)
    defer { withExtendedLifetime(source) {} }
    nnk_dropout(
      source.storage.pointer, result.storage.pointer, source.kernelType, source.batchCount,
      source.channelCount, source.voxelCount, Int32(block), settings.unit.kernel, 1 - settings.probability,
      key)
    return result
  }

  package func channelSums(_ tensor: Tensor) -> Tensor {
    let source = activation(tensor, precision: tensor.precision)
    let sums = Tensor(uninitialized: [blocks(source.channelCount) * block], pool: pool)
    defer { withExtendedLifetime(source) {} }
    nnk_channel_sums(
      source.storage.pointer, source.kernelType, sums.floats, source.batchCount, blocks(source.channelCount),
      source.voxelCount, Int32(block))
    return truncated1D(sums, to: source.channelCount)
  }
}

extension ActivationFunction {
  /// The kernel's name and constant.
  fileprivate var kernel: (nnk_activation, Float) {
    switch self {
    case .leakyReLU(let slope): (NNK_ACT_LEAKY, slope)
    case .relu6: (NNK_ACT_RELU6, 0)
    case .elu(let alpha): (NNK_ACT_ELU, alpha)
    case .celu(let alpha): (NNK_ACT_CELU, alpha)
    case .selu: (NNK_ACT_SELU, 0)
    case .gelu(let isApproximate): (isApproximate ? NNK_ACT_GELU_TANH : NNK_ACT_GELU, 0)
    case .silu: (NNK_ACT_SILU, 0)
    case .mish: (NNK_ACT_MISH, 0)
    case .hardswish: (NNK_ACT_HARDSWISH, 0)
    case .hyperbolicTangent: (NNK_ACT_TANH, 0)
    }
  }
}

extension DropoutSettings.Unit {
  fileprivate var kernel: nnk_dropped {
    switch self {
    case .element: NNK_ELEMENTS
    case .channel: NNK_CHANNELS
    case .sample: NNK_SAMPLES
    }
  }
}
