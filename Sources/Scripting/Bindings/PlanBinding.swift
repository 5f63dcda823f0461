// `lunette.plan`: experiment plans as an object, made by the planner or read from a file.

import Archives
import Datasets
import Foundation
import LuaHost
import Pipelines
import Planning
import Reporting
import Tensors

/// Plans in scripts.
final class PlanObject: ScriptObject {
  let plans: Plans
  /// The dataset they were made for, when it is at hand.
  let dataset: RawDataset?
  /// The plans with reasons; for plans read from a file they are worked out at the first question.
  private var explained: Plans?

  init(_ plans: Plans, dataset: RawDataset?) {
    self.plans = plans
    self.dataset = dataset
  }

  var luaDescription: String {
    "plan \(plans.plansName) of \(plans.datasetName) (\(plans.configurationNames.joined(separator: ", ")))"
  }

  var dynamicFieldNames: [String] { plans.json.keys.filter { $0 != "configurations" } }
  func dynamicField(_ name: String) throws -> LuaValue? { plans.json[name].map { LuaValue($0) } }

  func withReasons() throws -> Plans {
    if let explained { return explained }
    let found = try plans.explained()
    explained = found
    return found
  }

  static let schema = ObjectSchema(
    "plan",
    "What was decided for a dataset, per configuration; other fields are the keys of nnUNetPlans.json.",
    example: "local plan = lunette.plan(lunette.dataset(4))\nprint(plan:why(\"3d_fullres.patch_size\"))",
    properties: [
      .field("name", .string, "the plans' name, such as nnUNetPlans") { (it: PlanObject) in
        .string(it.plans.plansName)
      },
      .field("dataset", .object("dataset"), "the dataset, when it is at hand") { (it: PlanObject) in
        it.dataset.map { .object(DatasetObject($0)) } ?? .nil
      },
      .field("configurations", .object("configurations"), "the configurations by name") { (it: PlanObject) in
        .object(ConfigurationsObject(it.plans))
      },
    ],
    methods: [whyMethod, tableMethod, diffMethod, deriveMethod, memoryMethod, saveMethod])

  private static let whyMethod = Binding.method(
    FunctionSchema(
      "plan:why", "Says which rule decided a value, from what, and whether it was overridden.",
      details: "Plans read from a file are planned again from the fingerprint beside them, and compared.",
      parameters: [
        .required(
          "path", .string, "a value such as 3d_fullres.patch_size; a configuration alone gives a table of all"
        )
      ], returns: "text; nil and a message when nothing is known of the value",
      example: "print(lunette.plan(lunette.dataset(4)):why(\"3d_fullres.patch_size\"))")
  ) { (it: PlanObject, arguments) in
    let path = try arguments.string("path")
    let plans = try it.withReasons()
    if plans.configurationNames.contains(path) { return .string(plans.explanationTable(of: path)) }
    if let explanation = plans.why(path) { return .string(explanation.text) }
    throw Diagnostic(
      "nothing explains '\(path)'",
      remedy: nearestName(to: path, in: plans.explanations.map(\.path)).map { "did you mean '\($0)'?" })
  }

  private static let tableMethod = Binding.method(
    FunctionSchema(
      "plan:table", "The whole plans file as a table.", returns: "a table",
      example: "local t = lunette.plan(lunette.dataset(4)):table()")
  ) { (it: PlanObject, _) in LuaValue(.object(it.plans.json)) }

  private static let diffMethod = Binding.method(
    FunctionSchema(
      "plan:diff", "Lists the values in which two plans differ.",
      parameters: [.required("other", .object("plan"), "the plan to compare with")],
      returns: "a list of tables with path, mine and theirs",
      example: "local plan = lunette.plan(lunette.dataset(4))\n"
        + "for _, d in ipairs(plan:diff(plan:derive{ name=\"b\", [\"2d\"]={ batch_size=2 } })) do print(d.path) end"
    )
  ) { (it: PlanObject, arguments) in
    let other: PlanObject = try arguments.object("other")
    return .array(
      it.plans.differences(from: other.plans).map { difference in
        .fields([
          "path": .string(difference.path), "mine": difference.mine.map { LuaValue($0) } ?? .nil,
          "theirs": difference.theirs.map { LuaValue($0) } ?? .nil,
        ])
      })
  }

  private static let deriveMethod = Binding.method(
    FunctionSchema(
      "plan:derive", "Makes new plans with some values replaced, checked and repaired.",
      details:
        "A patch is enlarged to multiples of what the network divides it by, the median size follows the "
        + "spacing, and lists per stage become as long as the strides. Values that change what preprocessing does "
        + "give the configuration a data folder of its own. Keys of the network, such as features_per_stage, may be "
        + "named directly; a new configuration needs inherits_from.",
      parameters: [.required("name", .string, "the new plans' name")],
      positional: 0,
      others: ParameterSchema(
        "configuration", .map(.any), "values to replace in a configuration, named as in nnUNetPlans.json"),
      returns: "a plan",
      example: "local small = lunette.plan(lunette.dataset(4)):derive{ name=\"small\",\n"
        + "  [\"3d_fullres\"]={ patch_size={32,48,32}, batch_size=4 } }")
  ) { (it: PlanObject, arguments) in
    var changes: [String: JSONObject] = [:]
    for (name, value) in arguments.values where name != "name" {
      var change = try value.json(at: name).object ?? JSONObject()
      let present = it.plans.json["configurations"]?[name]
      for (key, value) in change.pairs { change[key] = present?[key].map(value.restoring) ?? value }
      changes[name] = change
    }
    let derived = try ((try? it.withReasons()) ?? it.plans)
      .deriving(name: arguments.string("name"), changes: changes)
    return .object(PlanObject(derived, dataset: it.dataset))
  }

  private static let memoryMethod = Binding.method(
    FunctionSchema(
      "plan:memory", "Predicts the memory that training a configuration takes.",
      details:
        "GPU memory is on nnU-Net's scale, on which its planners reach the target they plan for. CPU memory is "
        + "the peak of the process, apart from preprocessed cases, which the system may take back.",
      parameters: [
        .required("configuration", .string, "a configuration's name"),
        ParameterSchema(
          "precision", .choice(["fp32", "bf16"]), default: "fp32", "how activations are stored on the CPU"),
      ],
      returns: "a table with cpu_gb, gpu_gb, parts (GB by use), elements (feature map elements at batch 1), "
        + "batch_size and elements_per_batch; cpu_gb and parts are missing when the dataset is not at hand",
      example: "print(lunette.plan(lunette.dataset(4)):memory(\"3d_fullres\").cpu_gb)")
  ) { (it: PlanObject, arguments) in
    let configuration = try it.plans.configuration(named: arguments.string("configuration"))
    let classCount = it.dataset?.description.labels.entries.count ?? 2
    guard let estimate = configuration.memoryEstimate(classCount: classCount) else {
      throw Diagnostic("the configuration names no stages", at: configuration.name)
    }
    let gpu = configuration.gpuMemory(classCount: classCount, planner: it.plans.plannerConstants)
    var fields: [String: LuaValue] = [
      "elements": .integer(estimate.elementCount), "batch_size": .integer(configuration.batchSize),
      "elements_per_batch": .integer(estimate.elementCount * configuration.batchSize),
      "gpu_gb": gpu.map { .number($0) } ?? .nil,
    ]
    if let description = it.dataset?.description {
      let memory = try TrainingMemory(
        TrainingWorkload(
          configuration, labels: description.labels, channelCount: description.channelNames.count,
          precision: Precision(name: arguments.string("precision")) ?? .float32))
      fields["cpu_gb"] = .number(Double(memory.neededByteCount) / 1e9)
      fields["parts"] = .fields(
        Dictionary(
          memory.parts.map { ($0.name, LuaValue.number(Double($0.byteCount) / 1e9)) },
          uniquingKeysWith: { $1 }))
    }
    return .fields(fields)
  }

  private static let saveMethod = Binding.method(
    FunctionSchema(
      "plan:save", "Writes the plans, to the dataset's preprocessed folder or to a file.",
      parameters: [ParameterSchema("path", .path, "a file; the dataset's folder when left out")],
      returns: "the path", example: "lunette.plan(lunette.dataset(4)):save()")
  ) { (it: PlanObject, arguments) in
    if arguments.has("path") {
      let url = fileURL(try arguments.string("path"))
      try it.plans.write(to: url)
      return .string(url.path)
    }
    let folder = try ScriptRegistry.of(arguments.state).roots.preprocessedFolder(of: it.plans.datasetName)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    if let dataset = it.dataset {
      try it.plans.datasetJSON(dataset.description).write(to: folder.appending(path: "dataset.json"))
    }
    try it.plans.save(in: folder)
    return .string(folder.appending(path: "\(it.plans.plansName).json").path)
  }
}

extension PlanObject {
  /// Saves the plans into the dataset's folder, unless plans of that name lie there that say something else.
  func saveUnlessSaved(in roots: DatasetRoots) throws {
    let folder = try roots.preprocessedFolder(of: plans.datasetName)
    let url = folder.appending(path: "\(plans.plansName).json")
    if let dataset {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      let description = folder.appending(path: "dataset.json")
      if !fileExists(description) { try plans.datasetJSON(dataset.description).write(to: description) }
    }
    guard fileExists(url) else {
      try plans.save(in: folder)
      return
    }
    let present = try Plans(contentsOf: url)
    let foreign = Set(present.configurationNames).subtracting(plans.configurationNames)
    let differences = plans.differences(from: present)
      .filter { difference in !foreign.contains { difference.path == "configurations.\($0)" } }
    guard differences.isEmpty else {
      throw Diagnostic(
        "the dataset's folder holds other plans of this name", at: url.path,
        expected: "the same \(differences.prefix(4).map(\.path).joined(separator: ", "))",
        remedy: "give the plan a name of its own: lunette.plan{ name=... } or plan:derive{ name=... }")
    }
  }
}

extension Binding {
  static let plan = Binding(
    FunctionSchema(
      "lunette.plan", "Plans a dataset, or reads plans from a file.",
      details: "The same decisions as nnU-Net's planners, unless a rule replaces one.",
      parameters: [
        .required(
          "dataset", .either([.object("dataset"), .path, .integer]), "a dataset, its number, or a plans file"),
        ParameterSchema("fingerprint", .object("fingerprint"), "a fingerprint in place of the dataset's own"),
        ParameterSchema(
          "planner", .string, default: "ExperimentPlanner", "nnU-Net's planner, or ResEncM, ResEncL, ResEncXL"
        ),
        ParameterSchema("memory_gb", .number, in: 0.01...10_000, "the GPU memory to plan for, in GB"),
        ParameterSchema("target_spacing", .list(.number), "three millimetres in the axis order of the files"),
        ParameterSchema("name", .string, "a name for the plans in place of the planner's own"),
        PlanningRulesBinding.parameter,
      ], returns: "a plan; nil and a message when a plans file is not there",
      example: "local plan = lunette.plan{ dataset=lunette.dataset(4),\n"
        + "  rules={ target_spacing=function(ctx, default) return {1, 1, 1} end } }")
  ) { arguments in
    let pipeline = ScriptRegistry.pipeline(of: arguments.state)
    let dataset: RawDataset
    if let object = arguments["dataset"].object as? DatasetObject {
      dataset = object.dataset
    } else if let path = arguments["dataset"].string {
      let url = fileURL(path)
      guard fileExists(url) else { return absence("there is no plans file \(url.path)") }
      return [.object(PlanObject(try Plans(contentsOf: url), dataset: nil))]
    } else {
      dataset = try pipeline.openDataset(String(arguments.integer("dataset")))
    }
    let planner = try ExperimentPlanner(
      constants: .named(arguments.string("planner")),
      options: PlannerOptions(
        gpuMemoryTarget: arguments["memory_gb"].number,
        overwriteTargetSpacing: arguments.has("target_spacing") ? arguments.numbers("target_spacing") : nil,
        plansName: arguments["name"].string),
      rules: PlanningRulesBinding.rules(from: arguments["rules"].table, in: arguments.state))
    let given = arguments["fingerprint"].object as? FingerprintObject
    let fingerprint = try given?.fingerprint ?? pipeline.extractFingerprint(of: dataset)
    let plans = try planner.plan(
      dataset: dataset.description, datasetName: dataset.name, fingerprint: fingerprint)
    return [.object(PlanObject(plans, dataset: dataset))]
  }
}
