// A network's shape as nnU-Net's plans state it: `network_class_name` and `arch_kwargs`.

package import Archives
package import Backends
package import Reporting

/// The architecture block of a plans file, checked and typed.
package struct ArchitectureSpec: Sendable, Equatable {
  /// The network families that can be built.
  package enum Family: String, Sendable, CaseIterable {
    case plainConvUNet = "PlainConvUNet"
    case residualEncoderUNet = "ResidualEncoderUNet"

    /// The key that says how deep every stage of the encoder is.
    fileprivate var depthKey: String { self == .plainConvUNet ? "n_conv_per_stage" : "n_blocks_per_stage" }
  }

  package var family: Family
  package var featuresPerStage: [Int]
  /// One kernel per stage, one number per spatial axis.
  package var kernelSizes: [[Int]]
  package var strides: [[Int]]
  /// Convolutions, or residual blocks, of every stage of the encoder.
  package var blocksPerStage: [Int]
  package var decoderConvolutionsPerStage: [Int]
  /// Whether the convolutions before a norm have a bias.
  package var hasConvolutionBias: Bool
  /// Epsilon of instance norm.
  package var normEpsilon: Double
  /// Slope of leaky ReLU for negative values.
  package var negativeSlope: Double

  package var stageCount: Int { featuresPerStage.count }
  /// 2 or 3.
  package var dimensionCount: Int { kernelSizes[0].count }

  /// The norm and activation behind every convolution.
  package var normalization: NormalizationSettings {
    NormalizationSettings(epsilon: Float(normEpsilon), negativeSlope: Float(negativeSlope))
  }

  /// Reads the block; `source` names the file in errors.
  package init(_ json: JSON, source: String) throws(Diagnostic) {
    let reader = ArchitectureReader(json: json, source: source)
    let className = try reader.text("network_class_name", in: json)
    let shortName = className.split(separator: ".").last.map(String.init) ?? className
    guard let family = Family(rawValue: shortName) else {
      throw Diagnostic(
        "unknown network", at: source, expected: Family.allCases.map(\.rawValue).joined(separator: " or "),
        found: className, remedy: "plan the dataset with a planner whose network this version can build")
    }
    self.family = family
    let arguments = json["arch_kwargs"] ?? .null
    featuresPerStage = try reader.integers("features_per_stage", in: arguments)
    let count = featuresPerStage.count
    kernelSizes = try reader.lists("kernel_sizes", in: arguments, count: count)
    strides = try reader.lists("strides", in: arguments, count: count)
    blocksPerStage = try reader.integers(family.depthKey, in: arguments, count: count)
    decoderConvolutionsPerStage = try reader.integers(
      "n_conv_per_stage_decoder", in: arguments, count: count - 1)
    hasConvolutionBias = arguments["conv_bias"]?.bool ?? true
    normEpsilon = arguments["norm_op_kwargs"]?["eps"]?.double ?? 1e-5
    negativeSlope = arguments["nonlin_kwargs"]?["negative_slope"]?.double ?? 0.01
    try reader.refuseUnsupported(arguments)
  }
}

/// Reads typed values out of the block with errors that name the key.
private struct ArchitectureReader {
  let json: JSON
  let source: String

  func fail(_ key: String, _ expected: String, _ found: JSON?) -> Diagnostic {
    Diagnostic(
      "architecture is not usable", at: "\(source), key \"\(key)\"", expected: expected,
      found: found?.kind ?? "no such key", remedy: "make the plans again with `lunette plan_experiment`")
  }

  func text(_ key: String, in json: JSON) throws(Diagnostic) -> String {
    guard let text = json[key]?.string else { throw fail(key, "a text", json[key]) }
    return text
  }

  /// A list of integers; one number stands for all stages.
  func integers(_ key: String, in json: JSON, count: Int? = nil) throws(Diagnostic) -> [Int] {
    if let count, let single = json[key]?.integer { return Array(repeating: single, count: count) }
    guard let values = json[key]?.integers, count == nil || values.count == count else {
      throw fail(key, count.map { "\($0) integers" } ?? "a list of integers", json[key])
    }
    return values
  }

  func lists(_ key: String, in json: JSON, count: Int) throws(Diagnostic) -> [[Int]] {
    let lists = json[key]?.array?.compactMap(\.integers) ?? []
    guard lists.count == count, let rank = lists.first?.count, (2...3).contains(rank),
      lists.allSatisfy({ $0.count == rank })
    else { throw fail(key, "\(count) lists of 2 or 3 integers", json[key]) }
    return lists
  }

  func refuseUnsupported(_ arguments: JSON) throws(Diagnostic) {
    if let dropout = arguments["dropout_op"], !dropout.isNull { throw fail("dropout_op", "null", dropout) }
    if let norm = arguments["norm_op"]?.string, !norm.contains("InstanceNorm") {
      throw fail("norm_op", "instance norm", arguments["norm_op"])
    }
    if let activation = arguments["nonlin"]?.string, !activation.contains("LeakyReLU") {
      throw fail("nonlin", "leaky ReLU", arguments["nonlin"])
    }
  }
}
