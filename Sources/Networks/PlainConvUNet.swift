// nnU-Net's default network: an encoder of strided convolution stacks under the shared decoder.
// N batch, C image channels, K output channels; stage 0 is the finest.

package import Backends
package import Tensors

/// The plain convolutional U-Net, in 2D or 3D.
package final class PlainConvUNet: SegmentationNetwork {
  package let backend: any Backend
  package let parameters: [Parameter]
  package let buffers: [Parameter]
  package let inputChannelCount: Int
  package var dimensionCount: Int { spec.dimensionCount }
  private let spec: ArchitectureSpec
  private let encoder: [ConvolutionStack]
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
    encoder = features.indices.map { i in
      ConvolutionStack(
        "encoder.stages.\(i).0", count: spec.blocksPerStage[i],
        inputChannelCount: i == 0 ? inputChannelCount : features[i - 1], outputChannelCount: features[i],
        kernel: spec.kernelSizes[i], stride: spec.strides[i], spec: spec.block, factory: &factory)
    }
    decoder = UNetDecoder(spec, outputChannelCount: outputChannelCount, factory: &factory)
    parameters = factory.parameters
    buffers = factory.buffers
  }

  package func forward(_ input: Tensor, heads wanted: Int, on tape: Tape) throws -> [Variable] {
    try spec.require(fits: input.shape)
    var x = Variable(input, needsGradient: false)
    let skips = try encoder.map { stage in
      x = try stage.forward(x, on: tape)
      return x
    }
    return try decoder.forward(skips, heads: wanted, on: tape)
  }
}
