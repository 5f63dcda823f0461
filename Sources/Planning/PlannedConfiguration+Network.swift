// What a configuration's `architecture` says of stages and features, and the memory that nnU-Net's measure gives it.

import Archives
package import Reporting

extension PlannedConfiguration {
  /// The preprocessor that there is.
  package static let knownPreprocessor = "DefaultPreprocessor"

  /// Throws if the plans name a preprocessor that is not this program's.
  package func requireKnownPreprocessor() throws(Diagnostic) {
    if preprocessorName == Self.knownPreprocessor { return }
    throw Diagnostic(
      "there is no preprocessor \(preprocessorName)", at: "configuration \(name)",
      expected: Self.knownPreprocessor,
      found: preprocessorName, remedy: "plan again without -preprocessor_name")
  }

  /// Stages with their strides and kernels; `nil` if the architecture names none.
  package var topology: NetworkTopology? {
    guard let strides = architecture["arch_kwargs"]?["strides"]?.array?.compactMap(\.integers),
      let kernels = architecture["arch_kwargs"]?["kernel_sizes"]?.array?.compactMap(\.integers),
      !strides.isEmpty, strides.count == kernels.count,
      (strides + kernels).allSatisfy({ $0.count == patchSize.count })
    else { return nil }
    return NetworkTopology(strides: strides, kernelSizes: kernels, patch: patchSize.map(Double.init))
  }

  /// Feature maps per stage.
  package var featuresPerStage: [Int] { architecture["arch_kwargs"]?["features_per_stage"]?.integers ?? [] }

  /// Whether the network is nnU-Net's residual one.
  package var isResidual: Bool {
    architecture["network_class_name"]?.string?.hasSuffix("ResidualEncoderUNet") ?? false
  }

  /// Feature map elements for one patch.
  ///
  /// - Parameter classCount: entries of `labels` in dataset.json, the background and the ignore label included.
  package func memoryEstimate(classCount: Int) -> MemoryEstimate? {
    let arguments = architecture["arch_kwargs"]
    guard let topology, featuresPerStage.count == topology.stageCount else { return nil }
    func counts(_ key: String, _ count: Int) -> [Int]? {
      let counts =
        arguments?[key]?.integers ?? arguments?[key]?.integer.map { Array(repeating: $0, count: count) }
      return counts?.count == count ? counts : nil
    }
    guard
      let encoder = counts(isResidual ? "n_blocks_per_stage" : "n_conv_per_stage", topology.stageCount),
      let decoder = counts("n_conv_per_stage_decoder", topology.stageCount - 1)
    else { return nil }
    return MemoryEstimate(
      MemoryEstimate.Network(
        topology: topology, features: featuresPerStage, encoderCounts: encoder, decoderCounts: decoder,
        isResidual: isResidual, classCount: classCount))
  }

  /// The GPU memory that training takes on nnU-Net's scale, on which its planners reach the target they plan for.
  ///
  /// - Parameters:
  ///   - classCount: entries of `labels` in dataset.json.
  ///   - planner: whose reference values make the scale.
  /// - Returns: gigabytes, or `nil` if the architecture cannot be read.
  package func gpuMemory(classCount: Int, planner: PlannerConstants) -> Double? {
    guard let estimate = memoryEstimate(classCount: classCount) else { return nil }
    let value = is2D ? planner.referenceValue2D : planner.referenceValue3D
    let batchSize = is2D ? planner.referenceBatchSize2D : planner.referenceBatchSize3D
    return Double(estimate.elementCount) * Double(self.batchSize) / Double(batchSize) / value
      * planner.referenceGPUMemory
  }
}

extension Plans {
  /// The constants of the planner that made the plans, or those of the default one for its network.
  package var plannerConstants: PlannerConstants { (try? .named(plannerName)) ?? .standard }
}
