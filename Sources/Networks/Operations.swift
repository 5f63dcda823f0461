// The differentiable operations of segmentation networks: each forward with its backward beside it.
// N batch, C channels in, O channels out.

package import Backends
import Tensors

extension Tape {
  /// A convolution.
  ///
  /// - Parameters:
  ///   - x: The input, `[N, C, spatial]`.
  ///   - weight: `[O, C, kernel]`.
  ///   - bias: `[O]`; pass `nil` where an instance norm follows, which cancels it.
  ///   - geometry: Kernel, stride and padding.
  /// - Returns: `[N, O, spatial']`.
  package func convolve(
    _ x: Variable, weight: Parameter, bias: Parameter?, geometry: ConvolutionGeometry
  ) throws -> Variable {
    let y = Variable(
      try backend.convolve(x.value, weight: weight.value, bias: bias?.value, geometry: geometry))
    record {
      [backend, slot = y.gradient, precision = y.value.precision, saved = x.saved, behind = x.gradient] in
      guard let arrived = slot?.take() else { return }
      let gradient = backend.activation(arrived, precision: precision)
      let source = try saved.tensor()
      // The bias apart: with it, fewer implementations of the weight's gradient are at hand.
      let gradients = try backend.convolutionWeightGradient(
        gradient, source: source, weightShape: weight.value.shape, geometry: geometry, wantsBias: false)
      weight.receive(gradients.weight, backend: backend)
      if let bias, !bias.isConstant { bias.receive(backend.channelSums(gradient), backend: backend) }
      if let behind {
        behind.add(
          try backend.convolutionSourceGradient(
            gradient, weight: weight.value, sourceShape: source.shape, geometry: geometry), backend: backend)
      }
    }
    return y
  }

  /// Instance or batch norm with affine parameters, then leaky ReLU.
  ///
  /// - Parameters:
  ///   - x: The input, `[N, C, spatial]`.
  ///   - scale: `[C]`.
  ///   - shift: `[C]`.
  ///   - settings: Constants.
  ///   - running: Statistics that training passes move and evaluation takes in place of the input's.
  package func normalize(
    _ x: Variable, scale: Parameter, shift: Parameter, settings: NormalizationSettings,
    running: RunningStatistics? = nil
  ) throws -> Variable {
    let source = x.value
    let (result, statistics) = try normalized(source, scale, shift, settings, running)
    let saved =
      recomputes(result)
      ? SavedValue(of: result) { [backend] in
        backend.normalize(
          source, scale: scale.value, shift: shift.value, statistics: statistics, settings: settings)
      } : SavedValue(result)
    let y = Variable(result, saved: saved)
    record { [backend, slot = y.gradient, behind = x.gradient] in
      guard let gradient = slot?.take() else { return }
      let gradients = backend.normalizationGradients(
        gradient, source: source, scale: scale.value, shift: shift.value, statistics: statistics,
        settings: settings)
      scale.receive(gradients.scale, backend: backend)
      shift.receive(gradients.shift, backend: backend)
      behind?.add(gradients.source, backend: backend)
    }
    return y
  }

  /// An output head: a pointwise convolution into float32 logits in the plain layout.
  ///
  /// - Parameters:
  ///   - x: The features, `[N, C, spatial]`.
  ///   - weight: `[K, C, 1...]`.
  ///   - bias: `[K]`.
  /// - Returns: `[N, K, spatial]`.
  package func logits(_ x: Variable, weight: Parameter, bias: Parameter) throws -> Variable {
    let y = Variable(
      try backend.logits(x.value, weight: weight.value, bias: bias.value), needsGradient: isRecording)
    record { [backend, slot = y.gradient, saved = x.saved, behind = x.gradient] in
      guard let gradient = slot?.take() else { return }
      let gradients = try backend.logitsGradients(
        backend.plain(gradient), source: saved.tensor(), weight: weight.value)
      weight.receive(gradients.weight, backend: backend)
      bias.receive(gradients.bias, backend: backend)
      behind?.add(gradients.source, backend: backend)
    }
    return y
  }

  /// Transposed convolution with kernel = stride.
  ///
  /// - Parameters:
  ///   - x: The input, `[N, C, spatial]`.
  ///   - weight: `[C, O, stride]`.
  ///   - bias: `[O]`.
  ///   - stride: The factor per axis.
  /// - Returns: `[N, O, spatial * stride]`.
  package func upsample(_ x: Variable, weight: Parameter, bias: Parameter, stride: [Int]) throws -> Variable {
    let result = try backend.upsample(x.value, weight: weight.value, bias: bias.value, stride: stride)
    let source = x.saved
    let saved =
      recomputes(result)
      ? SavedValue(of: result) { [backend] in
        try backend.upsample(source.tensor(), weight: weight.value, bias: bias.value, stride: stride)
      } : SavedValue(result)
    let y = Variable(result, saved: saved)
    record { [backend, slot = y.gradient, saved = x.saved, behind = x.gradient] in
      guard let gradient = slot?.take() else { return }
      let gradients = try backend.upsamplingGradients(
        gradient, source: saved.tensor(), weight: weight.value, stride: stride)
      weight.receive(gradients.weight, backend: backend)
      bias.receive(gradients.bias, backend: backend)
      behind?.add(gradients.source, backend: backend)
    }
    return y
  }

  /// Channels of `a`, then channels of `b`.
  package func concatenate(_ a: Variable, _ b: Variable) -> Variable {
    let result = backend.concatenate(a.value, b.value)
    let saved =
      recomputes(result)
      ? SavedValue(of: result) { [backend, a = a.saved, b = b.saved] in
        try backend.concatenate(a.tensor(), b.tensor())
      } : SavedValue(result)
    let y = Variable(result, saved: saved)
    record {
      [backend, slot = y.gradient, firstChannelCount = a.value.channelCount, a = a.gradient, b = b.gradient]
      in
      guard let gradient = slot?.take() else { return }
      let parts = backend.split(gradient, firstChannelCount: firstChannelCount)
      a?.add(parts.first, backend: backend)
      b?.add(parts.second, backend: backend)
    }
    return y
  }

  /// Leaky ReLU of the sum of two branches.
  package func addActivated(_ a: Variable, _ b: Variable, negativeSlope: Float) -> Variable {
    let y = Variable(backend.residual(a.value, b.value, negativeSlope: negativeSlope))
    record { [backend, slot = y.gradient, result = y.value, branches = [a.gradient, b.gradient]] in
      guard let gradient = slot?.take() else { return }
      for branch in branches {
        branch?.add(
          backend.residualGradient(gradient, result: result, negativeSlope: negativeSlope), backend: backend)
      }
    }
    return y
  }

  /// Means over windows of `kernel` voxels that do not overlap.
  package func averagePool(_ x: Variable, kernel: [Int]) -> Variable {
    let y = Variable(backend.averagePool(x.value, kernel: kernel))
    record { [backend, slot = y.gradient, behind = x.gradient] in
      guard let gradient = slot?.take() else { return }
      behind?.add(backend.averagePoolGradient(gradient, kernel: kernel), backend: backend)
    }
    return y
  }
}
