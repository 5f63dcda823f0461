// Residual blocks of nnU-Net's encoder, with what may be between branch and sum. N batch, C channels.

import Backends
import Tensors

/// What residual blocks consist of.
package struct ResidualSpec: Hashable, Sendable {
  /// The channels between two pointwise convolutions around the one with a kernel; `nil` for two of equal width.
  package var bottleneckChannelCount: Int?
  /// The probability with which a sample's branch is dropped.
  package var stochasticDepth: Double
  /// Channels of squeeze and excitation over those that it weighs; `nil` for none.
  package var squeezeRatio: Double?

  package init(bottleneckChannelCount: Int? = nil, stochasticDepth: Double = 0, squeezeRatio: Double? = nil) {
    self.bottleneckChannelCount = bottleneckChannelCount
    self.stochasticDepth = stochasticDepth
    self.squeezeRatio = squeezeRatio
  }
}

/// Convolution blocks around which the input passes by: nnU-Net's `BasicBlockD` of two, or `BottleneckD` of three.
struct ResidualBlock {
  /// All are whole but the last.
  ///
  /// It is without activation, which follows the sum; its norm starts at zero, so that the block starts as its shortcut.
  let branch: [ConvolutionBlock]
  let squeeze: SqueezeExcitation?
  /// A pointwise convolution with norm where the channels change.
  let projection: ConvolutionBlock?
  let activation: ActivationLayer?
  let stride: [Int]
  let spec: ResidualSpec

  init(
    _ name: String, inputChannelCount: Int, outputChannelCount: Int, geometry: ConvolutionGeometry,
    block: BlockSpec, spec: ResidualSpec, factory: inout ParameterFactory
  ) {
    self.spec = spec
    stride = geometry.stride
    let ones = stride.map { _ in 1 }
    let pointwise = ConvolutionGeometry(kernel: ones, stride: ones)
    var layers: [(width: Int, geometry: ConvolutionGeometry, spec: BlockSpec)]
    if let width = spec.bottleneckChannelCount {
      layers = [
        (width, pointwise, block.withoutDropout), (width, geometry, block),
        (outputChannelCount, pointwise, block.linear),
      ]
    } else {
      layers = [
        (outputChannelCount, geometry, block),
        (outputChannelCount, ConvolutionGeometry(kernel: geometry.kernel, stride: ones), block.linear),
      ]
    }
    var (branch, width): ([ConvolutionBlock], Int) = ([], inputChannelCount)
    for (i, layer) in layers.enumerated() {
      branch.append(
        ConvolutionBlock(
          "\(name).conv\(i + 1)", inputChannelCount: width, outputChannelCount: layer.width,
          geometry: layer.geometry, spec: layer.spec, startsAtZero: i == layers.count - 1, factory: &factory))
      width = layer.width
    }
    self.branch = branch
    activation = block.activation.map {
      ActivationLayer(("\(name).nonlin\(layers.count)", nil), spec: $0, factory: &factory)
    }
    squeeze = spec.squeezeRatio.map {
      SqueezeExcitation(
        "\(name).squeeze_excitation", channelCount: outputChannelCount, ratio: $0, rank: ones.count,
        factory: &factory)
    }
    // The position in the shortcut's sequence: pooling, where there is any, comes first and has no parameters.
    let position = stride == ones ? 0 : 1
    var projection = block.linear
    projection.hasBias = false
    self.projection =
      inputChannelCount == outputChannelCount
      ? nil
      : ConvolutionBlock(
        "\(name).skip.\(position)", inputChannelCount: inputChannelCount,
        outputChannelCount: outputChannelCount, geometry: pointwise, spec: projection, factory: &factory)
  }

  func forward(_ x: Variable, on tape: Tape) throws -> Variable {
    var y = x
    for block in branch { y = try block.forward(y, on: tape) }
    y = tape.dropout(y, DropoutSettings(.sample, probability: spec.stochasticDepth))
    if let squeeze { y = try squeeze.forward(y, on: tape) }
    var shortcut = stride.allSatisfy { $0 == 1 } ? x : tape.averagePool(x, kernel: stride)
    if let projection { shortcut = try projection.forward(shortcut, on: tape) }
    guard let activation else { return tape.addActivated(y, shortcut, negativeSlope: 1) }
    if let slope = activation.spec.leakySlope {
      return tape.addActivated(y, shortcut, negativeSlope: slope)
    }
    return activation.forward(tape.addActivated(y, shortcut, negativeSlope: 1), on: tape)
  }
}

/// A factor between 0 and 1 per channel, made of the channels' means.
struct SqueezeExcitation {
  let first: WeightAndBias
  let second: WeightAndBias

  init(_ name: String, channelCount: Int, ratio: Double, rank: Int, factory: inout ParameterFactory) {
    let ones = Array(repeating: 1, count: rank)
    let narrow = Self.narrowChannelCount(channelCount, ratio)
    first = WeightAndBias(
      "\(name).fc1", shape: [narrow, channelCount] + ones, biasCount: narrow, factory: &factory)
    second = WeightAndBias(
      "\(name).fc2", shape: [channelCount, narrow] + ones, biasCount: channelCount, factory: &factory)
  }

  /// The nearest multiple of 8 to a share of the channels, at least 8.
  static func narrowChannelCount(_ channelCount: Int, _ ratio: Double) -> Int {
    max(8, Int(Double(channelCount) * ratio + 4) / 8 * 8)
  }

  func forward(_ x: Variable, on tape: Tape) throws -> Variable {
    let plain = tape.plain(x)
    // Volumes keep their last axis, as in the reference, whose means are over two axes.
    let means = tape.mean(plain, axes: [2, 3])
    let length = means.value.shape.dropFirst(4).first ?? 1
    func linear(_ layer: WeightAndBias, _ x: Variable) -> Variable {
      let weight = tape.reshape(tape.watch(layer.weight), to: Array(layer.weight.value.shape.prefix(2)))
      let bias = tape.reshape(tape.watch(layer.bias), to: [layer.bias.value.count, 1])
      return tape.combine(tape.product(weight, x), bias, .add)
    }
    var gate = tape.reshape(means, to: [means.value.shape[0], means.value.shape[1], length])
    gate = tape.map(linear(first, gate), .leakyReLU(slope: 0))
    gate = tape.reshape(tape.map(linear(second, gate), .sigmoid), to: means.value.shape)
    return tape.activation(tape.combine(plain, gate, .multiply), precision: x.value.precision)
  }
}
