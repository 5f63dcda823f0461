// Patch size, network topology, features and batch size of one configuration, within the memory there is.

import Archives
import Datasets
import Foundation
import Reporting

/// What was decided about one configuration's network.
struct NetworkPlan {
  var topology: NetworkTopology
  var features: [Int]
  var estimate: MemoryEstimate
  var batchSize: Int
}

extension ExperimentPlanner {
  /// Plans the network for a spacing and median size, and records why.
  func networkPlan(_ context: PlanningContext, _ session: PlanningSession) throws -> NetworkPlan {
    var context = context
    let is2D = context.dimensionCount == 2
    let value = is2D ? constants.referenceValue2D : constants.referenceValue3D
    context.memoryReference = value * (gpuMemoryTarget / constants.referenceGPUMemory)
    let initial = initialPatch(context)
    context.patchSize = initial
    let patch = try patchPlan(context, initial: initial, session)
    context.patchSize = patch.network.topology.patchSize.map(Double.init)
    context.topology = patch.network.topology
    context.features = patch.network.features
    context.estimate = patch.network.estimate
    explainNetwork(context, patch, initial, session)
    let batchSize = try batchSize(context, patch.network, session)
    explainGeometry(context, session)
    return NetworkPlan(
      topology: patch.network.topology, features: patch.network.features, estimate: patch.network.estimate,
      batchSize: batchSize)
  }

  /// A patch of the aspect ratio that is isotropic in millimetres, not larger than the median image.
  private func initialPatch(_ context: PlanningContext) -> [Double] {
    let inverse = context.spacing.map { 1 / $0 }
    let is2D = context.dimensionCount == 2
    let voxelCount = is2D ? constants.initialPatchVoxels2D : constants.initialPatchVoxels3D
    let scale = pow(voxelCount / product(inverse), is2D ? 1 / 2.0 : 1 / 3.0)
    return zip(inverse, context.medianShape).map { min(Double(roundHalfToEven($0 * scale)), $1) }
  }

  /// A candidate network: topology, features and estimate for one patch.
  struct CandidateNetwork {
    var topology: NetworkTopology
    var features: [Int]
    var estimate: MemoryEstimate
  }

  /// A decided patch, the candidates that were too large for the memory, and whether the user chose it.
  struct PatchPlan {
    var network: CandidateNetwork
    var tooLarge: [CandidateNetwork] = []
    var isOverridden = false
    var standard: [Int]?
  }

  private func patchPlan(
    _ context: PlanningContext, initial: [Double], _ session: PlanningSession
  ) throws -> PatchPlan {
    var standard: PatchPlan?
    let decision = try session.decide(rules.patchSize, context) { () -> [Int] in
      let plan = try shrink(context, initial: initial, session)
      standard = plan
      return plan.network.topology.patchSize
    }
    let chosen = decision.value
    if let standard, standard.network.topology.patchSize == chosen { return standard }
    guard chosen.count == context.dimensionCount, chosen.allSatisfy({ $0 > 0 }) else {
      throw Diagnostic(
        "the patch size is not usable", at: "rule patch_size, configuration \(context.configuration ?? "")",
        expected: "\(context.dimensionCount) positive whole numbers", found: "\(chosen)",
        remedy: "return one extent per axis, in transposed order; call default() for the usual patch")
    }
    let network = try candidate(context, patch: chosen.map(Double.init), session)
    return PatchPlan(network: network, isOverridden: true, standard: decision.standard)
  }

  /// Shortens the patch along its relatively longest axis until the network fits the memory.
  private func shrink(
    _ context: PlanningContext, initial: [Double], _ session: PlanningSession
  ) throws -> PatchPlan {
    var network = try candidate(context, patch: initial, session)
    var tooLarge: [CandidateNetwork] = []
    while exceedsMemory(network.estimate, context) {
      let patch = network.topology.patchSize
      tooLarge.append(network)
      let axis = lastMaximum(zip(patch, context.medianShape).map { Double($0) / $1 })
      var tentative = patch.map(Double.init)
      tentative[axis] -= Double(network.topology.divisibility[axis])
      guard tentative[axis] > 0 else { throw noPatchFits(context, network) }
      // The step is the divisibility of the shorter patch, which may be smaller than the current one.
      let step = try topology(context, patch: tentative, session).divisibility[axis]
      var next = patch.map(Double.init)
      next[axis] -= Double(step)
      network = try candidate(context, patch: next, session)
      guard network.topology.patchSize != patch else { throw noPatchFits(context, network) }
    }
    return PatchPlan(network: network, tooLarge: tooLarge)
  }

  private func noPatchFits(_ context: PlanningContext, _ network: CandidateNetwork) -> Diagnostic {
    Diagnostic(
      "no patch fits the memory", at: "configuration \(context.configuration ?? "")",
      expected: "a memory estimate of at most \(brief(context.memoryReference))",
      found: "\(network.estimate.elementCount) for a patch of \(brief(network.topology.patchSize))",
      remedy: "plan for more memory (-gpu_memory_target)")
  }

  private func exceedsMemory(_ estimate: MemoryEstimate, _ context: PlanningContext) -> Bool {
    let count = Double(estimate.elementCount)
    if constants.usesResidualEncoder { return count > context.memoryReference }
    return count / Double(referenceBatchSize(context)) * 2 > context.memoryReference
  }

  /// The largest estimate that fits, in words of ``exceedsMemory``.
  func memoryLimit(_ context: PlanningContext) -> Double {
    constants.usesResidualEncoder
      ? context.memoryReference : context.memoryReference * Double(referenceBatchSize(context)) / 2
  }

  func referenceBatchSize(_ context: PlanningContext) -> Int {
    context.dimensionCount == 2 ? constants.referenceBatchSize2D : constants.referenceBatchSize3D
  }

  private func topology(
    _ context: PlanningContext, patch: [Double], _ session: PlanningSession
  ) throws -> NetworkTopology {
    var context = context
    context.patchSize = patch
    let result = try session.decide(rules.topology, context) {
      NetworkTopology(spacing: context.spacing, patch: patch, minimumEdge: constants.minimumFeatureMapEdge)
    }.value
    guard rules.topology != nil else { return result }
    try result.validate(dimensionCount: context.dimensionCount, place: "rule topology")
    return NetworkTopology(strides: result.strides, kernelSizes: result.kernelSizes, patch: patch)
  }

  private func candidate(
    _ context: PlanningContext, patch: [Double], _ session: PlanningSession
  ) throws -> CandidateNetwork {
    var context = context
    let topology = try topology(context, patch: patch, session)
    context.patchSize = topology.patchSize.map(Double.init)
    context.topology = topology
    let maximum =
      context.dimensionCount == 2 ? constants.maximumFeatureCount2D : constants.maximumFeatureCount3D
    let features = try session.decide(rules.features, context) {
      (0..<topology.stageCount).map { min(maximum, constants.baseFeatureCount << min($0, 32)) }
    }.value
    guard features.count == topology.stageCount, features.allSatisfy({ $0 > 0 }) else {
      throw Diagnostic(
        "the feature counts are not usable",
        at: "rule features, configuration \(context.configuration ?? "")",
        expected: "\(topology.stageCount) positive whole numbers, one per stage", found: "\(features)",
        remedy: "return as many as ctx has stages, or change default()'s")
    }
    let estimate = MemoryEstimate(
      topology: topology, features: features, classCount: context.dataset.labels.entries.count,
      constants: constants)
    return CandidateNetwork(topology: topology, features: features, estimate: estimate)
  }

  /// As many patches as fit the memory, but not too large a part of the dataset.
  private func batchSize(
    _ context: PlanningContext, _ network: CandidateNetwork, _ session: PlanningSession
  ) throws -> Int {
    let fitting =
      context.memoryReference / Double(network.estimate.elementCount) * Double(referenceBatchSize(context))
    let patchVoxelCount = Double(network.topology.patchSize.reduce(1, *))
    let cap = context.approximateVoxelCount * constants.maximumDatasetFraction / patchVoxelCount
    let decision = try session.decide(rules.batchSize, context) {
      max(min(roundHalfToEven(fitting), roundHalfToEven(cap)), constants.minimumBatchSize)
    }
    guard decision.value > 0 else {
      throw Diagnostic(
        "the batch size is not usable", at: "rule batch_size, configuration \(context.configuration ?? "")",
        expected: "a positive whole number", found: "\(decision.value)", remedy: "return at least 1")
    }
    explainBatchSize(context, decision, fitting: fitting, cap: cap, session)
    return decision.value
  }
}
