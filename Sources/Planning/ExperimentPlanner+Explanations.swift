// The planner's reasons in words: why a configuration has its spacing, patch, stages, features and batch size.

import Archives
import Foundation

extension ExperimentPlanner {
  /// Why spacing and median size are what they are.
  func explainGeometry(_ context: PlanningContext, _ session: PlanningSession) {
    let name = context.configuration ?? ""
    let is2D = context.dimensionCount == 2
    if name != "3d_lowres" {
      session.explain(
        "\(name).spacing", JSON(context.spacing), like: "target_spacing",
        inputs: [
          ("target_spacing", session.explanation(of: "target_spacing")?.value ?? .null),
          ("transpose_forward", session.explanation(of: "transpose_forward")?.value ?? .null),
        ],
        reason: is2D
          ? "the target spacing in transposed order, without the first axis"
          : "the target spacing in transposed order")
    }
    session.explain(
      "\(name).median_image_size_in_voxels", JSON(context.medianShape), rule: "median_image_size",
      inputs: [
        ("spacing", JSON(context.spacing)), ("cases", .integer(context.fingerprint.spacings.count)),
      ],
      reason: name == "3d_lowres"
        ? "the median size of 3d_fullres at this spacing"
        : "median over the cases of the size after cropping, resampled to this spacing")
  }

  /// Why patch, stages and features are what they are.
  func explainNetwork(
    _ context: PlanningContext, _ patch: PatchPlan, _ initial: [Double], _ session: PlanningSession
  ) {
    let name = context.configuration ?? ""
    let topology = patch.network.topology
    var inputs: [(String, JSON)] = [
      ("spacing", JSON(context.spacing)), ("median_image_size_in_voxels", JSON(context.medianShape)),
      ("initial_patch", JSON(initial)), ("memory_gb", .number(gpuMemoryTarget)),
      ("memory_reference", .number(context.memoryReference)),
      ("estimate", .integer(patch.network.estimate.elementCount)),
      ("multiples_of", JSON(topology.divisibility)),
    ]
    if !patch.tooLarge.isEmpty { inputs.append(("too_large", trail(patch.tooLarge))) }
    session.explain(
      "\(name).patch_size", JSON(topology.patchSize), rule: "patch_size", overridden: patch.isOverridden,
      standard: patch.standard.map { JSON($0) }, inputs: inputs, reason: patchReason(context, patch, initial))
    session.explain(
      "\(name).topology", topology.json, rule: "topology", overridden: rules.topology != nil,
      inputs: [("spacing", JSON(context.spacing)), ("patch_size", JSON(topology.patchSize))],
      reason: topologyReason(context, topology))
    let maximum =
      context.dimensionCount == 2 ? constants.maximumFeatureCount2D : constants.maximumFeatureCount3D
    session.explain(
      "\(name).features", JSON(patch.network.features), rule: "features", overridden: rules.features != nil,
      inputs: [
        ("stages", .integer(topology.stageCount)), ("base_features", .integer(constants.baseFeatureCount)),
        ("maximum_features", .integer(maximum)),
      ],
      reason: "\(constants.baseFeatureCount) in the first stage, doubled per stage, at most \(maximum)")
  }

  private func patchReason(_ context: PlanningContext, _ patch: PatchPlan, _ initial: [Double]) -> String {
    let divisors = brief(patch.network.topology.divisibility)
    let start = "isotropic in millimetres and not larger than the median image it would be \(brief(initial))"
    if patch.tooLarge.isEmpty {
      return "\(start); that fits the memory, enlarged to multiples of \(divisors)"
    }
    return "\(start); the axis longest against the median image was shortened \(patch.tooLarge.count) times, "
      + "to an estimate of \(patch.network.estimate.elementCount) feature map elements against "
      + "\(brief(memoryLimit(context))) for \(brief(gpuMemoryTarget)) GB; multiples of \(divisors)"
  }

  /// The first and the last patches that did not fit, with their estimates.
  private func trail(_ candidates: [CandidateNetwork]) -> JSON {
    let texts = candidates.map { "\(brief($0.topology.patchSize)): \($0.estimate.elementCount)" }
    let shown = 6
    if texts.count <= shown { return JSON(texts) }
    return JSON(texts.prefix(2) + ["... \(texts.count - shown + 1) more"] + texts.suffix(shown - 3))
  }

  private func topologyReason(_ context: PlanningContext, _ topology: NetworkTopology) -> String {
    let counts = context.spacing.indices.map { axis in topology.strides.filter { $0[axis] > 1 }.count }
    let coarsest = zip(topology.patchSize, topology.divisibility).map { $0 / $1 }
    let edge = constants.minimumFeatureMapEdge
    return
      "\(topology.stageCount) stages: axes are halved \(counts) times, down to \(brief(coarsest)); an axis is "
      + "halved while its map has at least \(2 * edge) voxels and its spacing is less than 2 times the finest one's, "
      + "a last single axis from \(3 * edge)"
  }

  /// Why the batch size is what it is.
  ///
  /// - Parameters:
  ///   - fitting: patches that the memory allows.
  ///   - cap: patches that hold the allowed share of the dataset.
  func explainBatchSize(
    _ context: PlanningContext, _ decision: Decision<Int>, fitting: Double, cap: Double,
    _ session: PlanningSession
  ) {
    let percent = brief(constants.maximumDatasetFraction * 100)
    let smaller = min(roundHalfToEven(fitting), roundHalfToEven(cap))
    var reason = "the memory allows \(brief(fitting)) patches"
    reason +=
      roundHalfToEven(cap) < roundHalfToEven(fitting)
      ? ", but \(percent) percent of the dataset's voxels are only \(brief(cap))"
      : ", and \(percent) percent of the dataset's voxels are \(brief(cap))"
    if smaller < constants.minimumBatchSize { reason += "; at least \(constants.minimumBatchSize)" }
    session.explain(
      "\(context.configuration ?? "").batch_size", .integer(decision.value), rule: "batch_size",
      overridden: decision.isOverridden, standard: decision.standard.map { .integer($0) },
      inputs: [
        ("memory_gb", .number(gpuMemoryTarget)), ("memory_reference", .number(context.memoryReference)),
        ("reference_batch_size", .integer(referenceBatchSize(context))),
        ("estimate", .integer(context.estimate?.elementCount ?? 0)),
        ("patch_size", JSON(context.patchSize.map { Int($0) })),
        ("dataset_voxels", .number(context.approximateVoxelCount)),
        ("largest_share_of_dataset", .number(constants.maximumDatasetFraction)),
      ], reason: reason)
  }
}
