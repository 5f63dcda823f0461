// The decoder that both U-Nets share: transposed convolutions with skips, convolution stacks, and an output head per
// resolution. Stage 0 is the deepest here, as in nnU-Net's names.

import Backends
import Tensors

/// From the encoder's features to logits.
struct UNetDecoder {
  private let upsampling: [WeightAndBias]
  private let stacks: [ConvolutionStack]
  private let heads: [WeightAndBias]
  private let spec: ArchitectureSpec

  var headCount: Int { heads.count }

  init(_ spec: ArchitectureSpec, outputChannelCount: Int, factory: inout ParameterFactory) {
    self.spec = spec
    let features = spec.featuresPerStage
    let last = spec.stageCount - 1
    let ones = Array(repeating: 1, count: spec.dimensionCount)
    stacks = (0..<last).map { j in
      ConvolutionStack(
        "decoder.stages.\(j)", count: spec.decoderConvolutionsPerStage[j],
        inputChannelCount: 2 * features[last - 1 - j], outputChannelCount: features[last - 1 - j],
        kernel: spec.kernelSizes[last - 1 - j], stride: ones, spec: spec.block, factory: &factory)
    }
    upsampling = (0..<last).map { j in
      WeightAndBias(
        "decoder.transpconvs.\(j)",
        shape: [features[last - j], features[last - 1 - j]] + spec.strides[last - j],
        biasCount: features[last - 1 - j], hasBias: spec.block.hasBias, factory: &factory)
    }
    heads = (0..<last).map { j in
      WeightAndBias(
        "decoder.seg_layers.\(j)", shape: [outputChannelCount, features[last - 1 - j]] + ones,
        biasCount: outputChannelCount, factory: &factory)
    }
  }

  /// Logits of the finest `wanted` resolutions, finest first.
  ///
  /// - Parameters:
  ///   - skips: The encoder's features, finest first; the last is where the decoder starts.
  ///   - wanted: How many heads are computed.
  ///   - tape: The tape of the forward pass.
  func forward(_ skips: [Variable], heads wanted: Int, on tape: Tape) throws -> [Variable] {
    precondition(
      (1...headCount).contains(wanted), "\(wanted) heads asked of a network with \(headCount)")
    var x = skips[skips.count - 1]
    var outputs: [Variable] = []
    for (j, stack) in stacks.enumerated() {
      let stride = spec.strides[spec.stageCount - 1 - j]
      let up = try tape.upsample(x, weight: upsampling[j].weight, bias: upsampling[j].bias, stride: stride)
      x = try stack.forward(tape.concatenate(up, skips[skips.count - 2 - j]), on: tape)
      if headCount - j <= wanted {
        outputs.append(try tape.logits(x, weight: heads[j].weight, bias: heads[j].bias))
      }
    }
    return outputs.reversed()
  }
}
