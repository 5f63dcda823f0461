// All that scripts can reach, and the pages made of it: the Markdown reference and the stubs for editors.

package import LuaHost

/// The functions and object types of the `lunette` table.
package struct Catalog: Sendable {
  package let functions: [Binding]
  package let objects: [ObjectSchema]

  package init(functions: [Binding], objects: [ObjectSchema]) {
    self.functions = functions
    self.objects = objects
  }

  /// Puts the functions into the global table `lunette`, and into `require`'s reach.
  package func install(in state: LuaState) throws {
    let registry = ScriptRegistry.of(state)
    _ = try state.run("lunette = {} if package then package.loaded.lunette = lunette end", named: "=setup")
    // A function with others below its name, such as lunette.tensor, becomes a table that can be called.
    for binding in functions where hasMembers(binding) {
      _ = try state.run(
        "local f = ... \(binding.schema.name) = setmetatable({}, { __call = function(_, ...) return f(...) end })",
        named: "=setup", arguments: [.function(LuaFunction(registry.function(for: binding)))])
    }
    for binding in functions where !hasMembers(binding) {
      let path = binding.schema.name.split(separator: ".").dropFirst().map(String.init)
      guard let name = path.last else { continue }
      var table = try state.global("lunette")
      for part in path.dropLast() {
        var next = try state.get(table, .string(part))
        if next.isNil {
          try state.set(table, .string(part), .table(LuaTable()))
          next = try state.get(table, .string(part))
        }
        table = next
      }
      try state.set(table, .string(name), .function(LuaFunction(registry.function(for: binding))))
    }
  }

  private func hasMembers(_ binding: Binding) -> Bool {
    functions.contains { $0.schema.name.hasPrefix(binding.schema.name + ".") }
  }

  /// The function of a name, with or without the leading `lunette.`.
  package func function(named name: String) -> FunctionSchema? {
    functions.map(\.schema).first { $0.name == name || $0.name == "lunette." + name }
  }

  package func object(named name: String) -> ObjectSchema? { objects.first { $0.name == name } }

  // MARK: generated pages

  /// The reference page `lua-api.md`.
  package var markdownReference: String {
    var lines = [
      "# Lua reference", "",
      "For those who write scripts. Made from the schemas in the program: change them, not this page.", "",
      "Every function takes its leading arguments by position, or all of them in one table by name.", "",
    ]
    for binding in functions { lines += section(binding.schema, level: "##") }
    for object in objects {
      lines += ["## \(object.name)", "", object.summary, "", "```lua", object.example, "```", ""]
      if !object.properties.isEmpty { lines += ["| field | type | meaning |", "|---|---|---|"] }
      lines += object.properties.map { "| `\($0.name)` | \(cell($0.type.description)) | \(cell($0.help)) |" }
      if !object.properties.isEmpty { lines.append("") }
      for method in object.methods { lines += section(method.schema, level: "###") }
    }
    return lines.joined(separator: "\n").replacing("\n\n\n", with: "\n\n")
  }

  private func cell(_ text: String) -> String { text.replacing("|", with: "\\|") }

  private func section(_ schema: FunctionSchema, level: String) -> [String] {
    var lines = ["\(level) \(schema.name)", "", "`\(schema.signature)`", "", schema.summary, ""]
    if !schema.details.isEmpty { lines += [schema.details, ""] }
    let parameters = schema.parameters + (schema.others.map { [$0] } ?? [])
    if !parameters.isEmpty {
      lines += ["| argument | type | default | meaning |", "|---|---|---|---|"]
      for parameter in parameters { lines += rows(parameter, prefix: "") }
      lines.append("")
    }
    if !schema.returns.isEmpty { lines += ["Returns \(schema.returns)", ""] }
    return lines + ["```lua", schema.example, "```", ""]
  }

  private func rows(_ parameter: ParameterSchema, prefix: String) -> [String] {
    let name = prefix + parameter.name
    let value = parameter.defaultValue.map { "`\($0.source)`" } ?? (parameter.isRequired ? "required" : "")
    let range = parameter.range.map { " (\(rangeText($0)))" } ?? ""
    var rows = [
      "| `\(name)` | \(cell(parameter.type.description))\(range) | \(value) | \(cell(parameter.help)) |"
    ]
    if case .table(let members) = parameter.type {
      rows += members.flatMap { self.rows($0, prefix: name + ".") }
    }
    return rows
  }

  /// LuaCATS stubs for editors, `lunette.lua`.
  package var stubs: String {
    var lines = ["---@meta", "-- Made from the schemas in the program.", "", "lunette = {}", ""]
    for table in Set(functions.compactMap { tableName($0.schema) }).sorted() {
      lines += ["\(table) = {}", ""]
    }
    for binding in functions { lines += stub(binding.schema, as: binding.schema.name) }
    for object in objects {
      lines += ["---\(object.summary)", "---@class lunette.\(object.name)"]
      lines += object.properties.map { "---@field \($0.name) \($0.type.annotation) \($0.help)" }
      lines += ["local \(object.name) = {}", ""]
      for method in object.methods { lines += stub(method.schema, as: method.schema.name) }
    }
    return lines.joined(separator: "\n")
  }

  private func tableName(_ schema: FunctionSchema) -> String? {
    let parts = schema.name.split(separator: ".")
    return parts.count > 2 ? parts.dropLast().joined(separator: ".") : nil
  }

  private func stub(_ schema: FunctionSchema, as name: String) -> [String] {
    var lines = ["---\(schema.summary)"]
    let isNamed =
      schema.positionalCount < schema.parameters.count || schema.others != nil || schema.items != nil
    let positional =
      isNamed ? schema.parameters.prefix(min(1, schema.positionalCount)) : schema.parameters[...]
    if isNamed {
      let fields = schema.parameters.map { "\($0.name)\($0.isRequired ? "" : "?"): \($0.type.annotation)" }
      let table = "{ " + fields.joined(separator: ", ") + " }"
      let type = ([table] + positional.map(\.type.annotation)).joined(separator: "|")
      lines.append("---@param arguments \(type)")
    } else {
      lines += positional.map {
        "---@param \($0.name)\($0.isRequired ? "" : "?") \($0.type.annotation) \($0.help)"
      }
    }
    let names = isNamed ? "arguments" : positional.map(\.name).joined(separator: ", ")
    return lines + ["function \(name)(\(names)) end", ""]
  }
}
