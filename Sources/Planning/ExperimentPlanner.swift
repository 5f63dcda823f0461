// The experiment planner: what all configurations share, and which configurations exist.
// Patch, topology and batch size of one configuration are in ExperimentPlanner+Configuration.swift.

import Archives
package import Datasets
import Reporting

/// What a user may change about planning without replacing a heuristic.
package struct PlannerOptions: Sendable, Equatable {
  /// The GPU memory to plan for; `nil` is the planner's default.
  ///
  /// - Units: GB
  package var gpuMemoryTarget: Double?
  /// Three values in the axis order of the files.
  ///
  /// - Units: mm
  package var overwriteTargetSpacing: [Double]?
  package var plansName: String?
  package var preprocessorName = "DefaultPreprocessor"

  package init(
    gpuMemoryTarget: Double? = nil, overwriteTargetSpacing: [Double]? = nil, plansName: String? = nil,
    preprocessorName: String = "DefaultPreprocessor"
  ) {
    self.gpuMemoryTarget = gpuMemoryTarget
    self.overwriteTargetSpacing = overwriteTargetSpacing
    self.plansName = plansName
    self.preprocessorName = preprocessorName
  }
}

/// Decides target spacing, patches, networks and batch sizes from a fingerprint, as nnU-Net does.
package struct ExperimentPlanner {
  package var constants: PlannerConstants
  package var options: PlannerOptions
  package var rules: PlanningRules

  package init(
    constants: PlannerConstants = .standard, options: PlannerOptions = PlannerOptions(),
    rules: PlanningRules = PlanningRules()
  ) {
    self.constants = constants
    self.options = options
    self.rules = rules
  }

  package var plansName: String { options.plansName ?? constants.plansName }
  var gpuMemoryTarget: Double { options.gpuMemoryTarget ?? constants.gpuMemoryTarget }

  /// Remarks on the options that a host should print before planning.
  package var notices: [String] {
    guard constants.noticesOtherMemoryTarget, gpuMemoryTarget != constants.gpuMemoryTarget else { return [] }
    return [
      "\(constants.className) is meant for \(brief(constants.gpuMemoryTarget)) GB; planning for "
        + "\(brief(gpuMemoryTarget)) GB instead"
        + (options.plansName == nil ? ". Give the plans a name of their own (-overwrite_plans_name)" : "")
    ]
  }

  /// Remarks on the options and on the dataset that a host should print before planning.
  package func notices(for dataset: DatasetDescription) -> [String] {
    guard dataset.json["channel_names"] == nil else { return notices }
    return notices + ["\"modality\" in dataset.json is an old name: call it \"channel_names\""]
  }

  /// Plans a dataset from its description and fingerprint; no image is read.
  package func plan(
    dataset: DatasetDescription, datasetName: String, fingerprint: DatasetFingerprint
  ) throws -> Plans {
    try checkInputs(dataset, fingerprint)
    let session = PlanningSession(rules: rules)
    var context = PlanningContext(
      datasetName: datasetName, dataset: dataset, fingerprint: fingerprint, constants: constants,
      gpuMemoryTarget: gpuMemoryTarget)
    let spacing = try targetSpacing(context, session)
    let transpose = try transposeForward(context, spacing, session)
    let shared = SharedDecisions(
      transpose: transpose, spacing: transpose.map { spacing[$0] },
      medianShape: medianResampledShape(fingerprint, spacing: spacing, transpose: transpose),
      normalization: try normalization(context, session), resampling: try resampling(context, session))
    try checkMedianShape(shared)
    context.spacing = shared.spacing
    context.medianShape = shared.medianShape
    context.approximateVoxelCount = product(shared.medianShape) * Double(dataset.trainingCaseCount)
    let configurations = try configurations(context, shared, session)
    let order = try regionOrder(context, session)
    let json = planJSON(context, shared, configurations)
    var plans = try Plans(json: .object(json), source: "\(plansName).json")
    plans.explanations = session.explanations
    plans.regionOrder = order
    return plans
  }

  /// What all configurations have in common, in transposed axis order.
  struct SharedDecisions {
    var transpose: [Int]
    var spacing: [Double]
    var medianShape: [Double]
    var normalization: NormalizationChoice
    var resampling: ResamplingSpecs
  }

  private func checkInputs(_ dataset: DatasetDescription, _ fingerprint: DatasetFingerprint)
    throws(Diagnostic)
  {
    if fingerprint.foregroundIntensities.count != dataset.channelNames.count {
      throw Diagnostic(
        "fingerprint and dataset.json do not belong together", at: dataset.source,
        expected: "\(dataset.channelNames.count) channels as in dataset.json",
        found: "\(fingerprint.foregroundIntensities.count) channels in the fingerprint",
        remedy: "extract the fingerprint again with extract_fingerprint --clean")
    }
    if let spacing = options.overwriteTargetSpacing { try checkSpacing(spacing, "-overwrite_target_spacing") }
    guard gpuMemoryTarget > 0, gpuMemoryTarget.isFinite else {
      throw Diagnostic(
        "the GPU memory target is not usable", at: "-gpu_memory_target", expected: "a positive number of GB",
        found: brief(gpuMemoryTarget), remedy: "leave it out for \(brief(constants.gpuMemoryTarget)) GB")
    }
  }

  private func checkMedianShape(_ shared: SharedDecisions) throws(Diagnostic) {
    if shared.medianShape.allSatisfy({ $0 > 0 }) { return }
    throw Diagnostic(
      "the target spacing leaves nothing of the images", at: "target spacing \(shared.spacing.map(brief))",
      expected: "a median image of at least one voxel along every axis after resampling",
      found: "\(brief(shared.medianShape)) voxels", remedy: "plan with a finer -overwrite_target_spacing")
  }

  private func checkSpacing(_ spacing: [Double], _ place: String) throws(Diagnostic) {
    if spacing.count == 3, spacing.allSatisfy({ $0 > 0 && $0.isFinite }) { return }
    throw Diagnostic(
      "the target spacing is not usable", at: place,
      expected: "three positive numbers (mm, slowest axis first)",
      found: "\(spacing)", remedy: "give one value per axis of the arrays")
  }

  /// The top level in nnU-Net's key order.
  private func planJSON(
    _ context: PlanningContext, _ shared: SharedDecisions, _ configurations: JSONObject
  ) -> JSONObject {
    let fingerprint = context.fingerprint
    let shapes = fingerprint.shapesAfterCrop.map { $0.map(Double.init) }
    let backward = [0, 1, 2].map { axis in shared.transpose.firstIndex(of: axis) ?? axis }
    return [
      "dataset_name": .string(context.datasetName),
      "plans_name": .string(plansName),
      "original_median_spacing_after_transp": JSON(
        shared.transpose.map { median(column($0, of: fingerprint.spacings)) }),
      "original_median_shape_after_transp": JSON(
        shared.transpose.map { roundHalfToEven(median(column($0, of: shapes))) }),
      "image_reader_writer": .string(readerWriter(context)),
      "transpose_forward": JSON(shared.transpose),
      "transpose_backward": JSON(backward),
      "configurations": .object(configurations),
      "experiment_planner_used": .string(constants.className),
      "label_manager": "LabelManager",
      "foreground_intensity_properties_per_channel": fingerprint.intensitiesJSON,
    ]
  }

  /// nnU-Net's reader and writer for the dataset's files, from their ending.
  private func readerWriter(_ context: PlanningContext) -> String {
    let known = [
      "NaturalImage2DIO", "SimpleITKIO", "SimpleITKIOWithReorient", "Tiff3DIO", "NibabelIO",
      "NibabelIOWithReorient",
    ]
    if let wanted = context.dataset.readerWriter, known.contains(wanted) { return wanted }
    switch context.dataset.fileEnding.lowercased() {
    case ".png", ".bmp": return "NaturalImage2DIO"
    case ".nii": return "NibabelIO"
    case ".tif", ".tiff":
      let isFlat = context.fingerprint.shapesAfterCrop.allSatisfy { $0[0] == 1 }
      return isFlat && context.dataset.fileEnding.lowercased() == ".tif" ? "NaturalImage2DIO" : "Tiff3DIO"
    default: return "SimpleITKIO"
    }
  }
}

// MARK: - Heuristics of the whole dataset

extension ExperimentPlanner {
  /// The spacing of 3d_fullres in file order: the median, but finer along a much coarser axis.
  private func targetSpacing(_ context: PlanningContext, _ session: PlanningSession) throws -> [Double] {
    var given: SpacingChoice?
    let decision = try session.decide(rules.targetSpacing, context) { () -> [Double] in
      let choice = defaultTargetSpacing(context.fingerprint)
      given = choice
      return choice.spacing
    }
    try checkSpacing(decision.value, "rule target_spacing")
    session.explain(
      "target_spacing", JSON(decision.value), rule: "target_spacing", overridden: decision.isOverridden,
      standard: decision.standard.map { JSON($0) },
      inputs: [("cases", .integer(context.fingerprint.spacings.count))] + (given?.inputs ?? []),
      reason: given?.reason ?? "")
    return decision.value
  }

  /// A target spacing with what it was decided from.
  private struct SpacingChoice {
    var spacing: [Double]
    var inputs: [(String, JSON)] = []
    var reason: String
  }

  private func defaultTargetSpacing(_ fingerprint: DatasetFingerprint) -> SpacingChoice {
    let shapes = fingerprint.shapesAfterCrop.map { $0.map(Double.init) }
    var spacing = (0..<3).map { percentile(50, of: column($0, of: fingerprint.spacings)) }
    let shape = (0..<3).map { percentile(50, of: column($0, of: shapes)) }
    let inputs = [("median_spacing", JSON(spacing)), ("median_shape_after_crop", JSON(shape))]
    if let given = options.overwriteTargetSpacing {
      return SpacingChoice(
        spacing: given, inputs: inputs, reason: "given by -overwrite_target_spacing (target_spacing in Lua)")
    }
    let coarse = firstMaximum(spacing)
    let others = (0..<3).filter { $0 != coarse }
    let coarsestOther = max(spacing[others[0]], spacing[others[1]])
    let ratios =
      "axis \(coarse) is \(brief(spacing[coarse] / coarsestOther)) times coarser and "
      + "\(brief(min(shape[others[0]], shape[others[1]]) / shape[coarse])) times shorter than the others"
    let threshold = "more than \(brief(constants.anisotropyThreshold)) times"
    guard spacing[coarse] > constants.anisotropyThreshold * coarsestOther,
      shape[coarse] * constants.anisotropyThreshold < min(shape[others[0]], shape[others[1]])
    else {
      return SpacingChoice(
        spacing: spacing, inputs: inputs, reason: "median spacing, since not both are \(threshold): \(ratios)"
      )
    }
    let tenth = percentile(10, of: column(coarse, of: fingerprint.spacings))
    var reason = "the 10th percentile along axis \(coarse), else the median: \(ratios), both \(threshold)"
    spacing[coarse] = tenth
    if tenth < coarsestOther {
      spacing[coarse] = max(coarsestOther, tenth) + 1e-5
      reason += "; not finer than the others"
    }
    return SpacingChoice(
      spacing: spacing, inputs: inputs + [("percentile_10_of_axis_\(coarse)", .number(tenth))], reason: reason
    )
  }

  private func transposeForward(
    _ context: PlanningContext, _ spacing: [Double], _ session: PlanningSession
  ) throws -> [Int] {
    var context = context
    context.spacing = spacing
    let coarse = firstMaximum(spacing)
    let decision = try session.decide(rules.transpose, context) {
      [coarse] + (0..<3).filter { $0 != coarse }
    }
    let transpose = decision.value
    guard transpose.sorted() == [0, 1, 2] else {
      throw Diagnostic(
        "the axis order is not usable", at: "rule transpose", expected: "a permutation of 0, 1, 2",
        found: "\(transpose)", remedy: "return three axis numbers, the coarsest axis first")
    }
    session.explain(
      "transpose_forward", JSON(transpose), rule: "transpose", overridden: decision.isOverridden,
      standard: decision.standard.map { JSON($0) }, inputs: [("target_spacing", JSON(spacing))],
      reason: "axis \(coarse) has the coarsest target spacing and comes first, the others stay in order")
    return transpose
  }

  private func normalization(_ context: PlanningContext, _ session: PlanningSession) throws
    -> NormalizationChoice
  {
    let relativeSize = context.fingerprint.medianRelativeSizeAfterCropping
    let usesMask = relativeSize < constants.nonzeroMaskThreshold
    let decision = try session.decide(rules.normalization, context) {
      let schemes = context.dataset.channelNames.map(Self.normalizationScheme)
      return NormalizationChoice(
        schemes: schemes, usesMask: schemes.map { $0 == "ZScoreNormalization" && usesMask })
    }
    let choice = decision.value
    let count = context.dataset.channelNames.count
    guard choice.schemes.count == count, choice.usesMask.count == count,
      choice.schemes.allSatisfy(NormalizationChoice.knownSchemes.contains)
    else {
      throw Diagnostic(
        "the normalisation is not usable", at: "rule normalization",
        expected:
          "\(count) of \(NormalizationChoice.knownSchemes.joined(separator: ", ")), and a mask flag for each",
        found: "\(choice.schemes) with \(choice.usesMask)", remedy: "return one scheme per channel")
    }
    session.explain(
      "normalization_schemes", choice.json, rule: "normalization", overridden: decision.isOverridden,
      standard: decision.standard?.json,
      inputs: [
        ("channel_names", JSON(context.dataset.channelNames)),
        ("median_relative_size_after_cropping", .number(relativeSize)),
      ],
      reason: "channel names; cropping keeps \(brief(relativeSize)) of the voxels, "
        + (usesMask ? "less than" : "at least") + " \(constants.nonzeroMaskThreshold)")
    return choice
  }

  private static func normalizationScheme(_ channelName: String) -> String {
    switch channelName.lowercased() {
    case "ct": "CTNormalization"
    case "nonorm": "NoNormalization"
    case "rescale_to_0_1": "RescaleTo01Normalization"
    case "rgb_to_0_1": "RGBTo01Normalization"
    default: "ZScoreNormalization"
    }
  }

  private func resampling(_ context: PlanningContext, _ session: PlanningSession) throws -> ResamplingSpecs {
    let decision = try session.decide(rules.resampling, context) { constants.resampling.specs }
    session.explain(
      "resampling", .string(decision.value.images.functionName), rule: "resampling",
      overridden: decision.isOverridden, standard: decision.standard.map { .string($0.images.functionName) },
      inputs: [("planner", .string(constants.className))], reason: "the way of \(constants.className)")
    return decision.value
  }

  private func regionOrder(_ context: PlanningContext, _ session: PlanningSession) throws -> [Int]? {
    let labels = context.dataset.labels
    guard labels.hasRegions, let declared = labels.regionsClassOrder, rules.regionOrder != nil else {
      return nil
    }
    let order = try session.decide(rules.regionOrder, context) { declared }.value
    guard order.count == labels.foregroundRegions.count else {
      throw Diagnostic(
        "the painting order of regions is not usable", at: "rule region_order",
        expected: "\(labels.foregroundRegions.count) label values, one per region", found: "\(order)",
        remedy: "return the label to paint for each region, in the order of \"labels\"")
    }
    session.explain(
      "regions_class_order", JSON(order), rule: "region_order", overridden: true, standard: JSON(declared),
      reason: "")
    return order
  }

  /// The median image size after resampling, in transposed order; may be fractional.
  private func medianResampledShape(
    _ fingerprint: DatasetFingerprint, spacing target: [Double], transpose: [Int]
  ) -> [Double] {
    let shapes = zip(fingerprint.spacings, fingerprint.shapesAfterCrop).map { spacing, shape in
      (0..<3).map { axis in Double(roundHalfToEven(spacing[axis] / target[axis] * Double(shape[axis]))) }
    }
    return transpose.map { median(column($0, of: shapes)) }
  }
}
