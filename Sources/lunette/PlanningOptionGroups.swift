// The options of planning and preprocessing that more than one command takes.

import ArgumentParser
import Pipelines
import Reporting

/// How experiments are planned.
struct PlannerOptions: ParsableArguments {
  @Option(name: .dashed("pl"), help: ArgumentHelp("Planner.", valueName: "planner"))
  var planner = "ExperimentPlanner"

  @Option(
    name: .dashed("gpu_memory_target"),
    help: ArgumentHelp(
      "GPU memory in GB to plan for; the planner's own target if not given. Give -overwrite_plans_name with it.",
      valueName: "GB"))
  var memoryTarget: Double?

  @Option(
    name: .dashed("preprocessor_name"),
    help: ArgumentHelp("Preprocessor to name in the plans.", valueName: "name"))
  var preprocessor = "DefaultPreprocessor"

  @Option(
    name: .dashed("overwrite_target_spacing"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "Target spacing of 3d_fullres in millimetres, three numbers in array order (z y x).", valueName: "mm"))
  var targetSpacing: [Double] = []

  @Option(name: .dashed("overwrite_plans_name"), help: ArgumentHelp("Name for the plans.", valueName: "name"))
  var plansName: String?

  /// The options as planning takes them.
  func request() throws(Diagnostic) -> PlanningRequest {
    try Unsupported.require(preprocessor, toBe: "DefaultPreprocessor", for: "-preprocessor_name")
    guard targetSpacing.isEmpty || targetSpacing.count == 3, targetSpacing.allSatisfy({ $0 > 0 }) else {
      throw Diagnostic(
        "-overwrite_target_spacing is not usable", expected: "three positive numbers in millimetres, z y x",
        found: targetSpacing.map { "\($0)" }.joined(separator: " "), remedy: "-overwrite_target_spacing 1 1 1"
      )
    }
    if let memoryTarget, !(memoryTarget > 0) {
      throw Diagnostic(
        "-gpu_memory_target is not usable", expected: "a positive number of GB", found: "\(memoryTarget)",
        remedy: "-gpu_memory_target 8")
    }
    return PlanningRequest(
      planner: planner, memoryTarget: memoryTarget,
      targetSpacing: targetSpacing.isEmpty ? nil : targetSpacing,
      plansName: plansName)
  }
}

/// What to preprocess.
struct ConfigurationOptions: ParsableArguments {
  @Option(
    name: .customShort("c"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "Configurations to preprocess; those that the plans lack are skipped.", valueName: "configuration"))
  var configurations = ["2d", "3d_fullres", "3d_lowres"]

  @Option(
    name: .dashed("np"), parsing: .upToNextOption,
    help: ArgumentHelp("Accepted; the threads of one process do the work.", valueName: "count"))
  var processCounts: [Int] = []
}
