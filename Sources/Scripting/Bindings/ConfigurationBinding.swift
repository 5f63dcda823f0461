// The configurations of a plan, readable under the names of nnUNetPlans.json.

import Archives
import LuaHost
import Planning
import Reporting

/// One configuration in scripts.
final class ConfigurationObject: ScriptObject {
  let configuration: PlannedConfiguration

  init(_ configuration: PlannedConfiguration) { self.configuration = configuration }

  var luaDescription: String {
    let patch = configuration.patchSize.map(String.init).joined(separator: "×")
    return "configuration \(configuration.name) (patch \(patch), batch \(configuration.batchSize))"
  }

  var dynamicFieldNames: [String] { configuration.json.keys }
  func dynamicField(_ name: String) throws -> LuaValue? { configuration.json[name].map { LuaValue($0) } }

  static let schema = ObjectSchema(
    "configuration", "A configuration of a plan; its fields are the keys of nnUNetPlans.json.",
    example: "local plan = lunette.plan(lunette.dataset(4))\n"
      + "print(plan.configurations[\"3d_fullres\"].patch_size[1])",
    properties: [
      .field("name", .string, "the configuration's name") { (it: ConfigurationObject) in
        .string(it.configuration.name)
      }
    ],
    methods: [
      .method(
        FunctionSchema(
          "configuration:table", "The whole configuration as a table, inheritance resolved.",
          returns: "a table",
          example:
            "local plan = lunette.plan(lunette.dataset(4))\nlocal t = plan.configurations[\"2d\"]:table()")
      ) { (it: ConfigurationObject, _) in LuaValue(.object(it.configuration.json)) }
    ])
}

/// The table of a plan's configurations.
final class ConfigurationsObject: ScriptObject {
  let plans: Plans

  init(_ plans: Plans) { self.plans = plans }

  var luaDescription: String { "configurations " + plans.configurationNames.joined(separator: ", ") }
  func luaLength() throws -> LuaValue { .integer(plans.configurationNames.count) }
  var dynamicFieldNames: [String] { plans.configurationNames }

  func dynamicField(_ name: String) throws -> LuaValue? {
    guard plans.configurationNames.contains(name) else { return nil }
    return .object(ConfigurationObject(try plans.configuration(named: name)))
  }

  static let schema = ObjectSchema(
    "configurations", "The configurations of a plan, by name.",
    example:
      "for name, c in pairs(lunette.plan(lunette.dataset(4)).configurations) do print(name, c.batch_size) end"
  )
}
