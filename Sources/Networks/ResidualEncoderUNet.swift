// nnU-Net's residual network: a stem and stages of residual blocks under the shared decoder.
// N batch, C image channels, K output channels; stage 0 is the finest.

package import Backends
package import Tensors

/// The U-Net with a residual encoder, in 2D or 3D.
package final class ResidualEncoderUNet: SegmentationNetwork {
  package let backend: any Backend
  package let parameters: [Parameter]
  package let buffers: [Parameter]
  package let inputChannelCount: Int
  package var dimensionCount: Int { spec.dimensionCount }
  private let spec: ArchitectureSpec
  private let stem: ConvolutionStack
  private let encoder: [[ResidualBlock]]
  private let decoder: UNetDecoder

  package var headCount: Int { decoder.headCount }

  package init(
    _ spec: ArchitectureSpec, inputChannelCount: Int, outputChannelCount: Int, seed: Int, backend: any Backend
  ) {
    self.backend = backend
    self.spec = spec
    self.inputChannelCount = inputChannelCount
    var factory = ParameterFactory(seed: seed, backend: backend)
    let features = spec.featuresPerStage
    let ones = Array(repeating: 1, count: spec.dimensionCount)
    stem = ConvolutionStack(
      "encoder.stem", count: 1, inputChannelCount: inputChannelCount,
      outputChannelCount: spec.stemChannelCount,
      kernel: spec.kernelSizes[0], stride: ones, spec: spec.block, factory: &factory)
    encoder = features.indices.map { i in
      let width = i == 0 ? spec.stemChannelCount : features[i - 1]
      return (0..<spec.blocksPerStage[i]).map { b in
        ResidualBlock(
          "encoder.stages.\(i).blocks.\(b)", inputChannelCount: b > 0 ? features[i] : width,
          outputChannelCount: features[i],
          geometry: ConvolutionGeometry(
            kernel: spec.kernelSizes[i], stride: b == 0 ? spec.strides[i] : ones), block: spec.block,
          spec: spec.residualBlocks[i], factory: &factory)
      }
    }
    decoder = UNetDecoder(spec, outputChannelCount: outputChannelCount, factory: &factory)
    parameters = factory.parameters
    buffers = factory.buffers
  }

  package func forward(_ input: Tensor, heads wanted: Int, on tape: Tape) throws -> [Variable] {
    try spec.require(fits: input.shape)
    var x = try stem.forward(Variable(input, needsGradient: false), on: tape)
    let skips = try encoder.map { stage in
      for block in stage { x = try block.forward(x, on: tape) }
      return x
    }
    return try decoder.forward(skips, heads: wanted, on: tape)
  }
}
