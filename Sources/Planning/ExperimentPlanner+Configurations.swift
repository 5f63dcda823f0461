// Which configurations exist: 2d, 3d_fullres, and 3d_lowres with the cascade where a patch sees too little of an image.

import Archives
import Datasets
import Foundation
import Reporting

extension ExperimentPlanner {
  /// All configurations in nnU-Net's order.
  func configurations(
    _ context: PlanningContext, _ shared: SharedDecisions, _ session: PlanningSession
  ) throws -> JSONObject {
    var result = JSONObject()
    var flat = context
    flat.configuration = "2d"
    flat.spacing = Array(shared.spacing.dropFirst())
    flat.medianShape = Array(shared.medianShape.dropFirst())
    let plan2D = try networkPlan(flat, session)
    session.explain("2d.batch_dice", .bool(true), rule: "batch_dice", reason: "slices see a part of an image")
    result["2d"] = .object(configurationJSON(flat, plan2D, shared, batchDice: true))
    guard shared.medianShape[0] != 1 else { return result }
    var full = context
    full.configuration = "3d_fullres"
    let fullPlan = try networkPlan(full, session)
    let lowres = try lowresPlan(full, fullPlan, session)
    if let lowres {
      var json = configurationJSON(lowres.context, lowres.plan, shared, batchDice: false)
      json["median_image_size_in_voxels"] = JSON(lowres.context.medianShape.map { Int($0) })
      json["next_stage"] = "3d_cascade_fullres"
      result["3d_lowres"] = .object(json)
    }
    result["3d_fullres"] = .object(configurationJSON(full, fullPlan, shared, batchDice: lowres != nil))
    explainBatchDice(hasLowres: lowres != nil, session)
    if lowres != nil {
      result["3d_cascade_fullres"] = ["inherits_from": "3d_fullres", "previous_stage": "3d_lowres"]
    }
    return result
  }

  private func explainBatchDice(hasLowres: Bool, _ session: PlanningSession) {
    session.explain(
      "3d_fullres.batch_dice", .bool(hasLowres), rule: "batch_dice",
      inputs: [("wants_lowres", .bool(hasLowres))],
      reason: hasLowres ? "patches see a small part of an image" : "patches see most of an image")
    if hasLowres {
      session.explain(
        "3d_lowres.batch_dice", .bool(false), rule: "batch_dice", reason: "patches see most of an image")
    }
  }

  /// A low resolution with its network.
  private struct LowresCandidate {
    var context: PlanningContext
    var plan: NetworkPlan
    /// Voxels of the median image at this resolution, before rounding its size.
    var medianVoxelCount: Double
  }

  /// The plan of 3d_lowres, if it is wanted.
  private func lowresPlan(
    _ full: PlanningContext, _ fullPlan: NetworkPlan, _ session: PlanningSession
  ) throws -> (context: PlanningContext, plan: NetworkPlan)? {
    let fullVoxelCount = product(full.medianShape)
    let patchVoxelCount = Double(fullPlan.topology.patchSize.reduce(1, *))
    let coverage = patchVoxelCount / fullVoxelCount
    var context = full
    context.configuration = "3d_lowres"
    context.patchSize = fullPlan.topology.patchSize.map(Double.init)
    context.topology = fullPlan.topology
    context.features = fullPlan.features
    context.estimate = fullPlan.estimate
    var search = LowresSearch(
      planner: self, full: full, fullPatchVoxelCount: patchVoxelCount, session: session)
    let decision = try session.decide(rules.wantsLowres, context) {
      try search.advance { $0.coverage < constants.lowresCreationThreshold }
      return search.candidate != nil && search.reduction >= constants.minimumLowresReduction
    }
    let wanted = decision.value
    if wanted {
      try search.advance {
        $0.coverage < constants.lowresCreationThreshold || $0.reduction < constants.minimumLowresReduction
      }
    }
    if !wanted { session.forget(configuration: "3d_lowres") }
    explainLowres(decision, coverage: coverage, search, session)
    guard wanted, let candidate = search.candidate else { return nil }
    session.explain(
      "3d_lowres.spacing", JSON(candidate.context.spacing), rule: "lowres_spacing",
      inputs: [
        ("3d_fullres.spacing", JSON(full.spacing)),
        ("3d_fullres.median_image_size_in_voxels", JSON(full.medianShape)),
        ("lowres_creation_threshold", .number(constants.lowresCreationThreshold)),
      ],
      reason:
        "\(search.stepCount) steps of \(brief((constants.lowresSpacingFactor - 1) * 100)) percent, the axes more "
        + "than 2 times finer than the coarsest first, until a patch covers \(brief(search.coverage)) of the median "
        + "image")
    return (candidate.context, candidate.plan)
  }

  private func explainLowres(
    _ decision: Decision<Bool>, coverage: Double, _ search: LowresSearch, _ session: PlanningSession
  ) {
    let threshold = brief(constants.lowresCreationThreshold)
    var reason = "the 3d_fullres patch covers \(brief(coverage)) of the median image, "
    reason +=
      coverage < constants.lowresCreationThreshold ? "less than \(threshold)" : "at least \(threshold)"
    if search.candidate != nil {
      let reduction = brief(constants.minimumLowresReduction)
      reason += "; lowres has \(brief(search.reduction)) times fewer voxels, "
      reason +=
        search.reduction < constants.minimumLowresReduction
        ? "less than \(reduction)" : "at least \(reduction)"
    }
    session.explain(
      "wants_lowres", .bool(decision.value), rule: "wants_lowres", overridden: decision.isOverridden,
      standard: decision.standard.map { .bool($0) },
      inputs: [
        ("coverage", .number(coverage)),
        ("lowres_creation_threshold", .number(constants.lowresCreationThreshold)),
        ("minimum_lowres_reduction", .number(constants.minimumLowresReduction)),
      ], reason: reason)
  }

  /// Coarsens the spacing step by step, the finest axes first.
  private struct LowresSearch {
    let planner: ExperimentPlanner
    let full: PlanningContext
    let session: PlanningSession
    private(set) var candidate: LowresCandidate?
    private(set) var stepCount = 0
    private var patchVoxelCount: Double
    private var spacing: [Double]

    init(
      planner: ExperimentPlanner, full: PlanningContext, fullPatchVoxelCount: Double, session: PlanningSession
    ) {
      self.planner = planner
      self.full = full
      self.session = session
      patchVoxelCount = fullPatchVoxelCount
      spacing = full.spacing
    }

    var medianVoxelCount: Double { candidate?.medianVoxelCount ?? product(full.medianShape) }
    var coverage: Double { patchVoxelCount / medianVoxelCount }
    var reduction: Double { product(full.medianShape) / medianVoxelCount }

    mutating func advance(while condition: (LowresSearch) -> Bool) throws {
      while condition(self) { try step() }
    }

    private mutating func step() throws {
      let coarsest = spacing.max() ?? 1
      let fine = spacing.indices.filter { coarsest / spacing[$0] > 2 }
      for axis in fine.isEmpty ? Array(spacing.indices) : fine {
        spacing[axis] *= planner.constants.lowresSpacingFactor
      }
      stepCount += 1
      let shape = spacing.indices.map { full.spacing[$0] / spacing[$0] * full.medianShape[$0] }
      let voxelCount = product(shape)
      var context = full
      context.configuration = "3d_lowres"
      context.spacing = spacing
      context.medianShape = shape.map { Double(roundHalfToEven($0)) }
      context.approximateVoxelCount = voxelCount * Double(full.dataset.trainingCaseCount)
      let plan = try planner.networkPlan(context, session)
      patchVoxelCount = Double(plan.topology.patchSize.reduce(1, *))
      candidate = LowresCandidate(context: context, plan: plan, medianVoxelCount: voxelCount)
    }
  }

  /// A configuration in nnU-Net's key order.
  private func configurationJSON(
    _ context: PlanningContext, _ plan: NetworkPlan, _ shared: SharedDecisions, batchDice: Bool
  ) -> JSONObject {
    let name = context.configuration ?? ""
    let sharesData = constants.sharesDefaultData && name != "3d_lowres"
    let topology = plan.topology
    let architecture = ArchitectureFields(
      isResidual: constants.usesResidualEncoder, dimensionCount: context.dimensionCount,
      features: plan.features,
      kernels: topology.kernelSizes.map { JSON($0) }, strides: topology.strides.map { JSON($0) },
      encoderCounts: (0..<topology.stageCount).map(constants.encoderCount),
      decoderCounts: (0..<(topology.stageCount - 1)).map(constants.decoderCount))
    let resampling = shared.resampling
    return [
      "data_identifier": .string("\(sharesData ? Plans.defaultName : plansName)_\(name)"),
      "preprocessor_name": .string(options.preprocessorName),
      "batch_size": .integer(plan.batchSize),
      "patch_size": JSON(topology.patchSize),
      "median_image_size_in_voxels": JSON(context.medianShape),
      "spacing": JSON(context.spacing),
      "normalization_schemes": JSON(shared.normalization.schemes),
      "use_mask_for_norm": JSON(shared.normalization.usesMask),
      "resampling_fn_data": .string(resampling.images.functionName),
      "resampling_fn_seg": .string(resampling.segmentations.functionName),
      "resampling_fn_data_kwargs": .object(resampling.images.arguments),
      "resampling_fn_seg_kwargs": .object(resampling.segmentations.arguments),
      "resampling_fn_probabilities": .string(resampling.probabilities.functionName),
      "resampling_fn_probabilities_kwargs": .object(resampling.probabilities.arguments),
      "architecture": architecture.json,
      "batch_dice": .bool(batchDice),
    ]
  }
}
