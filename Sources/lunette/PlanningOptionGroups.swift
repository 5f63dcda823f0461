// The options of planning and preprocessing that more than one command takes.

import Archives
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
    help: ArgumentHelp(
      "Preprocessor to name in the plans; preprocessing itself knows DefaultPreprocessor only.",
      valueName: "name"))
  var preprocessor = "DefaultPreprocessor"

  @Option(
    name: .dashed("overwrite_target_spacing"), parsing: .upToNextOption,
    help: ArgumentHelp(
      "Target spacing of 3d_fullres in millimetres, three numbers in array order (z y x).", valueName: "mm"))
  var targetSpacing: [Double] = []

  @Option(name: .dashed("overwrite_plans_name"), help: ArgumentHelp("Name for the plans.", valueName: "name"))
  var plansName: String?

  @Option(
    name: .customLong("set"),
    help: ArgumentHelp(
      "A decided value to replace, such as 3d_fullres.batch_size=4 or 3d_fullres.patch_size=[64,64,64]; may be repeated. Needs -overwrite_plans_name.",
      valueName: "path=value"))
  var settings: [String] = []

  @Option(
    name: .customLong("why"),
    help: ArgumentHelp(
      "A value to explain, such as 3d_fullres.patch_size; may be repeated.", valueName: "path"))
  var questions: [String] = []

  /// The options as planning takes them.
  func request() throws(Diagnostic) -> PlanningRequest {
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
    var request = PlanningRequest(
      planner: planner, memoryTarget: memoryTarget,
      targetSpacing: targetSpacing.isEmpty ? nil : targetSpacing,
      plansName: plansName)
    request.preprocessorName = preprocessor
    request.questions = questions
    request.changes = try changes()
    return request
  }

  /// The values of `--set`, by configuration.
  private func changes() throws(Diagnostic) -> [String: JSONObject] {
    if !settings.isEmpty, plansName == nil {
      throw Diagnostic(
        "--set needs a name for the plans", expected: "-overwrite_plans_name NAME", found: "no name",
        remedy: "plans that are not the planner's must not take its plans' place: give them another name")
    }
    var changes: [String: JSONObject] = [:]
    for setting in settings {
      let sides = setting.split(separator: "=", maxSplits: 1).map(String.init)
      let path = sides[0].split(separator: ".", maxSplits: 1).map(String.init)
      guard sides.count == 2, path.count == 2 else {
        throw Diagnostic(
          "--set is not usable", expected: "CONFIGURATION.KEY=VALUE", found: setting,
          remedy: "--set 3d_fullres.batch_size=4")
      }
      // What is not JSON is a text.
      let value = (try? JSON(parsing: Array(sides[1].utf8), source: "--set")) ?? .string(sides[1])
      changes[path[0], default: JSONObject()][path[1]] = value
    }
    return changes
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
  @Option(
    name: .customLong("memory-cap"),
    help: ArgumentHelp(
      "Memory that preprocessing may take; more than that predicted is refused. What the machine has available if not given.",
      valueName: "GB"))
  var memoryCap: Double?

  /// The cap in bytes.
  func memoryCapBytes() throws(Diagnostic) -> Int? {
    guard let memoryCap else { return nil }
    guard memoryCap > 0, memoryCap < 1e6 else {
      throw Diagnostic(
        "--memory-cap is not usable", expected: "a positive number of GB", found: "\(memoryCap)",
        remedy: "--memory-cap 8")
    }
    return Int(memoryCap * 1e9)
  }
}
