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
    record { [backend] in
      guard let gradient = y.takeGradient().map(backend.activation) else { return }
      let gradients = try backend.convolutionWeightGradient(
        gradient, source: x.value, weightShape: weight.value.shape, geometry: geometry, wantsBias: bias != nil
      )
      weight.receive(gradients.weight, backend: backend)
      if let bias, let sum = gradients.bias { bias.receive(sum, backend: backend) }
      if x.needsGradient {
        x.receive(
          try backend.convolutionSourceGradient(
            gradient, weight: weight.value, sourceShape: x.value.shape, geometry: geometry), backend: backend)
      }
    }
    return y
  }

  /// Instance norm with affine parameters, then leaky ReLU.
  package func normalize(
    _ x: Variable, scale: Parameter, shift: Parameter, settings: NormalizationSettings
  ) -> Variable {
    let (result, statistics) = backend.normalize(
      x.value, scale: scale.value, shift: shift.value, settings: settings)
    let y = Variable(result)
    record { [backend] in
      guard let gradient = y.takeGradient() else { return }
      let gradients = backend.normalizationGradients(
        gradient, source: x.value, scale: scale.value, shift: shift.value, statistics: statistics,
        settings: settings)
      scale.receive(gradients.scale, backend: backend)
      shift.receive(gradients.shift, backend: backend)
      x.receive(gradients.source, backend: backend)
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
    let y = Variable(try backend.upsample(x.value, weight: weight.value, bias: bias.value, stride: stride))
    record { [backend] in
      guard let gradient = y.takeGradient() else { return }
      let gradients = try backend.upsamplingGradients(
        gradient, source: x.value, weight: weight.value, stride: stride)
      weight.receive(gradients.weight, backend: backend)
      bias.receive(gradients.bias, backend: backend)
      x.receive(gradients.source, backend: backend)
    }
    return y
  }

  /// Channels of `a`, then channels of `b`.
  package func concatenate(_ a: Variable, _ b: Variable) -> Variable {
    let y = Variable(backend.concatenate(a.value, b.value))
    record { [backend] in
      guard let gradient = y.takeGradient() else { return }
      let parts = backend.split(gradient, firstChannelCount: a.value.channelCount)
      a.receive(parts.first, backend: backend)
      b.receive(parts.second, backend: backend)
    }
    return y
  }
}
