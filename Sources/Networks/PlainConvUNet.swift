// nnU-Net's default network: an encoder of strided convolution stacks, a decoder of transposed convolutions with skips,
// and an output head per decoder resolution.
// N batch, C image channels, K output channels; stage 0 is the finest.

package import Backends
package import Tensors

/// The plain convolutional U-Net, in 2D or 3D.
package final class PlainConvUNet: SegmentationNetwork {
  package let backend: any Backend
  package let parameters: [Parameter]
  private let encoder: [ConvolutionStack]
  private let upsampling: [WeightAndBias]
  private let decoder: [ConvolutionStack]
  private let heads: [WeightAndBias]
  private let spec: ArchitectureSpec

  package var headCount: Int { heads.count }

  package init(
    _ spec: ArchitectureSpec, inputChannelCount: Int, outputChannelCount: Int, seed: Int, backend: any Backend
  ) {
    self.spec = spec
    self.backend = backend
    var factory = ParameterFactory(seed: seed, backend: backend)
    let settings = NormalizationSettings(
      epsilon: Float(spec.normEpsilon), negativeSlope: Float(spec.negativeSlope))
    let features = spec.featuresPerStage
    let last = spec.stageCount - 1
    encoder = (0...last).map { i in
      ConvolutionStack(
        "encoder.stages.\(i).0", count: spec.convolutionsPerStage[i],
        inputChannelCount: i == 0 ? inputChannelCount : features[i - 1], outputChannelCount: features[i],
        kernel: spec.kernelSizes[i], stride: spec.strides[i], settings: settings, factory: &factory)
    }
    decoder = (0..<last).map { j in
      ConvolutionStack(
        "decoder.stages.\(j)", count: spec.decoderConvolutionsPerStage[j],
        inputChannelCount: 2 * features[last - 1 - j], outputChannelCount: features[last - 1 - j],
        kernel: spec.kernelSizes[last - 1 - j], stride: spec.kernelSizes[0].map { _ in 1 },
        settings: settings,
        factory: &factory)
    }
    upsampling = (0..<last).map { j in
      WeightAndBias(
        "decoder.transpconvs.\(j)",
        shape: [features[last - j], features[last - 1 - j]] + spec.strides[last - j],
        biasCount: features[last - 1 - j], factory: &factory)
    }
    heads = (0..<last).map { j in
      WeightAndBias(
        "decoder.seg_layers.\(j)",
        shape: [outputChannelCount, features[last - 1 - j]] + spec.kernelSizes[0].map { _ in 1 },
        biasCount: outputChannelCount, factory: &factory)
    }
    parameters = factory.parameters
  }

  package func forward(_ input: Tensor, heads wanted: Int, on tape: Tape) throws -> [Variable] {
    precondition(
      (1...headCount).contains(wanted), "\(wanted) heads asked of a network with \(headCount)")
    var x = Variable(input, needsGradient: false)
    var skips: [Variable] = []
    for stage in encoder {
      x = try stage.forward(x, on: tape)
      skips.append(x)
    }
    skips.removeLast()
    let pointwise = ConvolutionGeometry(
      kernel: spec.kernelSizes[0].map { _ in 1 }, stride: spec.kernelSizes[0].map { _ in 1 })
    var outputs: [Variable] = []
    for (j, stage) in decoder.enumerated() {
      let stride = spec.strides[spec.stageCount - 1 - j]
      let up = try tape.upsample(x, weight: upsampling[j].weight, bias: upsampling[j].bias, stride: stride)
      x = try stage.forward(tape.concatenate(up, skips.removeLast()), on: tape)
      if headCount - j <= wanted {
        outputs.append(
          try tape.convolve(x, weight: heads[j].weight, bias: heads[j].bias, geometry: pointwise))
      }
    }
    return outputs.reversed()
  }

  package func aliases(of name: String) -> [String] {
    let own = [name] + moduleAlias(of: name)
    guard name.hasPrefix("encoder.") else { return Array(own.dropFirst()) }
    return Array((own + own.map { "decoder.\($0)" }).dropFirst())
  }

  /// Every block lists its layers a second time by position.
  private func moduleAlias(of name: String) -> [String] {
    for (part, position) in [(".conv.", 0), (".norm.", 1)]
    where name.contains(part) && name.contains(".convs.") {
      return [name.replacing(part, with: ".all_modules.\(position).")]
    }
    return []
  }
}
