// A network's shape as nnU-Net's plans state it: `network_class_name` and `arch_kwargs`. The keys are read by
// ArchitectureReader.

package import Archives
import Backends
package import Reporting

/// The architecture block of a plans file, checked and typed.
package struct ArchitectureSpec: Sendable, Equatable {
  /// The network families that can be built.
  package enum Family: String, Sendable, CaseIterable {
    case plainConvUNet = "PlainConvUNet"
    case residualEncoderUNet = "ResidualEncoderUNet"

    /// The key that says how deep every stage of the encoder is.
    fileprivate var depthKey: String { self == .plainConvUNet ? "n_conv_per_stage" : "n_blocks_per_stage" }

    /// The keys of `arch_kwargs` that the family knows.
    fileprivate var keys: [String] {
      let common = [
        "n_stages", "features_per_stage", "conv_op", "kernel_sizes", "strides", depthKey,
        "n_conv_per_stage_decoder", "conv_bias", "norm_op", "norm_op_kwargs", "dropout_op",
        "dropout_op_kwargs", "nonlin", "nonlin_kwargs", "deep_supervision",
      ]
      return switch self {
      case .plainConvUNet: common + ["nonlin_first"]
      case .residualEncoderUNet:
        common + [
          "block", "bottleneck_channels", "stem_channels", "stochastic_depth_p", "squeeze_excitation",
          "squeeze_excitation_reduction_ratio",
        ]
      }
    }
  }

  package var family: Family
  package var featuresPerStage: [Int]
  /// One kernel per stage, one number per spatial axis.
  package var kernelSizes: [[Int]]
  package var strides: [[Int]]
  /// Convolutions, or residual blocks, of every stage of the encoder.
  package var blocksPerStage: [Int]
  package var decoderConvolutionsPerStage: [Int]
  /// What is in a block of convolution, dropout, norm and activation.
  package var block: BlockSpec
  /// What residual blocks consist of, per stage; empty in other families.
  package var residualBlocks: [ResidualSpec] = []
  /// Features of the residual encoder's stem.
  package var stemChannelCount: Int

  package var stageCount: Int { featuresPerStage.count }
  /// 2 or 3.
  package var dimensionCount: Int { kernelSizes[0].count }

  /// Reads the block; `source` names the file in errors.
  ///
  /// A key that is missing has the value that it has in nnU-Net's Python: no norm, no activation, no bias.
  package init(_ json: JSON, source: String) throws(Diagnostic) {
    guard let className = json["network_class_name"]?.string else {
      throw Diagnostic(
        "architecture is not usable", at: "\(source), key \"network_class_name\"", expected: "a text",
        found: json["network_class_name"]?.kind ?? "no such key",
        remedy: "make the plans again with `lunette plan_experiment`")
    }
    let shortName = className.split(separator: ".").last.map(String.init) ?? className
    guard let family = Family(rawValue: shortName) else {
      throw Diagnostic(
        "unknown network", at: source, expected: Family.allCases.map(\.rawValue).joined(separator: " or "),
        found: className, remedy: "plan the dataset with a planner whose network this version can build")
    }
    self.family = family
    let reader = ArchitectureReader(arguments: json["arch_kwargs"] ?? .null, source: source)
    try reader.requireKnownKeys(family.keys, of: family.rawValue)
    let count = try reader.stageCount()
    let rank = try reader.rank()
    featuresPerStage = try reader.counts("features_per_stage", count: count)
    kernelSizes = try reader.extents("kernel_sizes", count: count, rank: rank)
    strides = try reader.extents("strides", count: count, rank: rank)
    blocksPerStage = try reader.counts(family.depthKey, count: count)
    decoderConvolutionsPerStage = try reader.counts("n_conv_per_stage_decoder", count: count - 1)
    block = try reader.block(rank: rank)
    stemChannelCount = featuresPerStage[0]
    _ = try reader.flag("deep_supervision", default: false)
    if family == .residualEncoderUNet {
      residualBlocks = try reader.residualBlocks(count: count)
      stemChannelCount = try reader.optionalCount("stem_channels") ?? featuresPerStage[0]
    }
    try requireExtentsThatFit(reader)
  }

  /// Stops at kernels and strides whose features could not be put together again.
  private func requireExtentsThatFit(_ reader: ArchitectureReader) throws(Diagnostic) {
    guard strides[0].allSatisfy({ $0 == 1 }) else {
      throw reader.fail(
        "strides", "1 along every axis of the first stage, so that the output is as fine as the image",
        found: "\(strides[0])")
    }
    for (stage, kernel) in kernelSizes.enumerated() {
      // An even kernel loses a voxel unless a stride follows, which only the deepest stage's first convolution can have
      // to itself.
      let isSingle =
        stage == stageCount - 1 && blocksPerStage[stage] == 1
        && (residualBlocks.isEmpty || residualBlocks[stage].bottleneckChannelCount != nil)
      for (axis, extent) in kernel.enumerated() where extent % 2 == 0 {
        guard isSingle, strides[stage][axis] > 1 else {
          throw reader.fail(
            "kernel_sizes", "odd numbers, since even kernels change the features' extents",
            found: "\(kernel) at stage \(stage)")
        }
      }
    }
  }

  /// Stops at images that the strides do not divide.
  func require(fits input: [Int]) throws(Diagnostic) {
    var factors = Array(repeating: 1, count: dimensionCount)
    for stride in strides { factors = zip(factors, stride).map { $0 * $1 } }
    guard input.count == dimensionCount + 2, zip(input.dropFirst(2), factors).allSatisfy({ $0 % $1 == 0 })
    else {
      throw Diagnostic(
        "the images do not fit the network", expected: "\(dimensionCount) extents that \(factors) divides",
        found: "\(input.dropFirst(2))", remedy: "take a patch size that the product of all strides divides")
    }
  }
}
