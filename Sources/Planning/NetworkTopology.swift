// Strides, kernels and divisibility that follow from a patch and its spacing; and the size of the resulting network.

import Archives
package import Reporting

/// The stages of a U-Net and the patch that fits them.
package struct NetworkTopology: Sendable, Equatable {
  /// Downsampling on entry of each stage; the first is all ones.
  package var strides: [[Int]]
  /// Kernel extents per stage.
  package var kernelSizes: [[Int]]
  /// What each axis of the patch must be a multiple of.
  package var divisibility: [Int]
  /// The patch, enlarged to multiples of ``divisibility``.
  package var patchSize: [Int]

  package var stageCount: Int { strides.count }

  /// Spacings of axes that are pooled together, and of axes with a kernel above 1, differ by less than this factor.
  private static let comparableSpacingRatio = 2.0

  /// Derives the topology: axes are pooled while they are long enough and not coarser than the others.
  package init(spacing: [Double], patch: [Double], minimumEdge: Int) {
    var size = patch
    var spacing = spacing
    let axes = Array(patch.indices)
    var kernel = axes.map { _ in 1 }
    var strides = [axes.map { _ in 1 }]
    var kernels: [[Int]] = []
    while true {
      let longEnough = axes.filter { size[$0] >= Double(2 * minimumEdge) }
      guard let finest = longEnough.map({ spacing[$0] }).min() else { break }
      let pooled = longEnough.filter { spacing[$0] / finest < Self.comparableSpacingRatio }
      if pooled.count == 1, size[pooled[0]] < Double(3 * minimumEdge) { break }
      let finestOfAll = spacing.min() ?? finest
      for axis in axes where spacing[axis] / finestOfAll < Self.comparableSpacingRatio { kernel[axis] = 3 }
      kernels.append(kernel)
      strides.append(axes.map { pooled.contains($0) ? 2 : 1 })
      for axis in pooled {
        spacing[axis] *= 2
        size[axis] = (size[axis] / 2).rounded(.up)
      }
    }
    kernels.append(axes.map { _ in 3 })
    self.init(strides: strides, kernelSizes: kernels, patch: patch)
  }

  /// Takes given stages and pads the patch to what they need.
  package init(strides: [[Int]], kernelSizes: [[Int]], patch: [Double]) {
    self.strides = strides
    self.kernelSizes = kernelSizes
    let divisibility = patch.indices.map { axis in strides.reduce(1) { $0 * $1[axis] } }
    self.divisibility = divisibility
    patchSize = zip(patch, divisibility).map { size, divisor in
      Int((size / Double(divisor)).rounded(.up)) * divisor
    }
  }

  /// Throws unless strides and kernels make a network of `dimensionCount` axes; `place` names the source in errors.
  package func validate(dimensionCount: Int, place: String) throws(Diagnostic) {
    let isUsable =
      !strides.isEmpty && strides.count == kernelSizes.count && strides[0].allSatisfy { $0 == 1 }
      && (strides + kernelSizes).allSatisfy { $0.count == dimensionCount && $0.allSatisfy { $0 > 0 } }
      && kernelSizes.allSatisfy { $0.allSatisfy { $0 % 2 == 1 } }
    if isUsable { return }
    throw Diagnostic(
      "the topology is not usable", at: place,
      expected:
        "as many kernels as strides, \(dimensionCount) positive numbers each, kernels odd, first stride all 1",
      found: "strides \(strides), kernels \(kernelSizes)", remedy: "return both lists, one entry per stage")
  }

  /// Strides and kernels for explanations.
  var json: JSON {
    ["strides": .array(strides.map { JSON($0) }), "kernel_sizes": .array(kernelSizes.map { JSON($0) })]
  }
}

/// How many feature map elements a network makes for one patch: nnU-Net's measure of GPU memory.
package struct MemoryEstimate: Sendable, Equatable {
  /// Feature map elements at batch 1, without deep supervision.
  package let elementCount: Int

  /// What decides the count: stages, their convolutions or blocks, and the outputs.
  package struct Network {
    package var topology: NetworkTopology
    package var features: [Int]
    /// Convolutions (plain) or blocks (residual) per encoder stage.
    package var encoderCounts: [Int]
    /// Convolutions per decoder stage, finest first, as in the plans.
    package var decoderCounts: [Int]
    package var isResidual: Bool
    /// Entries of `labels` in dataset.json, the background and the ignore label included.
    package var classCount: Int
  }

  /// Counts the outputs of all convolutions of a planner's network.
  package init(topology: NetworkTopology, features: [Int], classCount: Int, constants: PlannerConstants) {
    self.init(
      Network(
        topology: topology, features: features,
        encoderCounts: (0..<topology.stageCount).map(constants.encoderCount),
        decoderCounts: (0..<(topology.stageCount - 1)).map(constants.decoderCount),
        isResidual: constants.usesResidualEncoder, classCount: classCount))
  }

  /// Counts the outputs of all convolutions.
  package init(_ network: Network) {
    let features = network.features
    var size = network.topology.patchSize
    var voxelCounts: [Int] = []
    var total = 0
    for (stage, strides) in network.topology.strides.enumerated() {
      size = zip(size, strides).map { $0 / $1 }
      let voxelCount = size.reduce(1, *)
      voxelCounts.append(voxelCount)
      var convolutionCount = network.encoderCounts[stage]
      if network.isResidual {
        if stage == 0 { total += features[0] * voxelCount }  // the stem
        let changes = stage > 0 && (features[stage] != features[stage - 1] || strides.contains { $0 > 1 })
        convolutionCount = 2 * convolutionCount + (changes ? 1 : 0)
      }
      total += convolutionCount * features[stage] * voxelCount
    }
    for stage in 0..<(network.topology.stageCount - 1) {
      total += (network.decoderCounts[stage] + 1) * features[stage] * voxelCounts[stage]
    }
    elementCount = total + network.classCount * voxelCounts[0]
  }
}
