// Datasets in which all cases are alike, for planner tests that run anywhere.

import Archives
import Datasets
import Planning

/// A dataset of equal cases.
struct UniformDataset {
  var spacing: [Double]
  var shape: [Int]
  var caseCount: Int
  var channelCount = 1
  var labelCount = 3
  var relativeSize = 1.0

  func description() throws -> DatasetDescription {
    var channels = JSONObject()
    for channel in 0..<channelCount { channels["\(channel)"] = "MRI" }
    var labels: JSONObject = ["background": 0]
    for label in 1..<labelCount { labels["label\(label)"] = .integer(label) }
    return try DatasetDescription(
      json: [
        "channel_names": .object(channels), "labels": .object(labels), "numTraining": .integer(caseCount),
        "file_ending": ".nii.gz",
      ], source: "uniform dataset")
  }

  func fingerprint() -> DatasetFingerprint {
    let statistics = IntensityStatistics(
      maximum: 9, mean: 5, median: 5, minimum: 1, percentiles: (1, 9), standardDeviation: 2)
    return DatasetFingerprint(
      spacings: Array(repeating: spacing, count: caseCount),
      shapesAfterCrop: Array(repeating: shape, count: caseCount),
      foregroundIntensities: Array(repeating: statistics, count: channelCount),
      medianRelativeSizeAfterCropping: relativeSize)
  }

  func plan(
    _ planner: String = "default", options: PlannerOptions = PlannerOptions(),
    rules: PlanningRules = PlanningRules()
  ) throws -> Plans {
    try ExperimentPlanner(constants: .named(planner), options: options, rules: rules)
      .plan(dataset: description(), datasetName: "Dataset001_Uniform", fingerprint: fingerprint())
  }

  static let hippocampus = UniformDataset(spacing: [1, 1, 1], shape: [36, 50, 35], caseCount: 260)
  static let liver = UniformDataset(spacing: [1, 0.7676, 0.7676], shape: [432, 512, 512], caseCount: 131)
  static let prostate = UniformDataset(
    spacing: [3.6, 0.625, 0.625], shape: [20, 320, 320], caseCount: 32, channelCount: 2)
  static let slices = UniformDataset(
    spacing: [999, 1, 1], shape: [1, 512, 512], caseCount: 500, channelCount: 3, labelCount: 2)
  static let brain = UniformDataset(
    spacing: [1, 1, 1], shape: [140, 171, 137], caseCount: 1251, channelCount: 4, labelCount: 4,
    relativeSize: 0.4)
}
