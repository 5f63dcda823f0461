// Checks a call against its schema: positional or named form, unknown names, types, ranges and defaults.

import LuaHost
import Reporting

struct ArgumentValidator {
  let schema: FunctionSchema

  func validate(_ given: [LuaValue]) throws -> [String: LuaValue] {
    var given = given
    while given.last?.isNil == true { given.removeLast() }
    var values: [String: LuaValue] = [:]
    if let table = namedForm(given) {
      values = try named(table)
    } else {
      guard given.count <= schema.positionalCount else {
        throw Diagnostic(
          schema.positionalCount == 0 && !schema.parameters.isEmpty
            ? "arguments go into one table, by name" : "too many arguments",
          expected: schema.signature, found: "\(given.count) values")
      }
      for (parameter, value) in zip(schema.parameters, given) where !value.isNil {
        values[parameter.name] = value
      }
    }
    for parameter in schema.parameters {
      if let value = values[parameter.name] {
        values[parameter.name] = try check(value, parameter, path: parameter.name)
      } else if parameter.isRequired {
        throw Diagnostic(
          "argument '\(parameter.name)' is missing", expected: parameter.documentation,
          remedy: schema.signature)
      } else if let value = parameter.defaultValue {
        values[parameter.name] = value.luaValue
      }
    }
    return values
  }

  /// The table of named arguments, when the call is made in that form.
  private func namedForm(_ given: [LuaValue]) -> LuaTable? {
    guard given.count == 1, case .table(let table) = given[0] else { return nil }
    let takesTable = schema.positionalCount > 0 && schema.parameters[0].type.acceptsTable
    if !takesTable { return table }
    // A table that could be the first argument itself: it is the arguments when it names one of them.
    if table.fields.keys.contains(where: { schema.parameter(named: $0) != nil }) { return table }
    return table.isEmpty ? table : nil
  }

  private func named(_ table: LuaTable) throws -> [String: LuaValue] {
    var values: [String: LuaValue] = [:]
    for (name, value) in table.fields.sorted(by: { $0.key < $1.key }) {
      if schema.parameter(named: name) != nil {
        values[name] = value
      } else if let others = schema.others {
        values[name] = try check(value, others, path: name)
      } else {
        throw unknown(name, among: schema.parameters, of: nil)
      }
    }
    if !table.array.isEmpty {
      guard let items = schema.items else {
        throw Diagnostic(
          "a value without a name among the arguments", expected: schema.signature,
          found: "\(table.array.count) of them", remedy: "give each value its name, as in the signature")
      }
      values[items] = .array(table.array)
    }
    if let other = table.others.first {
      throw Diagnostic(
        "argument names are words", found: "a \(other.key.typeName) as a name", remedy: schema.signature)
    }
    return values
  }

  private func unknown(_ name: String, among parameters: [ParameterSchema], of owner: String?) -> Diagnostic {
    let known = parameters.map(\.name)
    if let near = nearestName(to: name, in: known),
      let parameter = parameters.first(where: { $0.name == near })
    {
      return Diagnostic(
        "unknown argument '\(name)'", at: owner, remedy: "did you mean '\(near)'?  \(parameter.documentation)"
      )
    }
    return Diagnostic(
      "unknown argument '\(name)'", at: owner,
      expected: known.isEmpty ? "no arguments" : "one of: " + known.joined(separator: ", "))
  }

  // MARK: types

  private func mismatch(_ value: LuaValue, _ parameter: ParameterSchema, path: String) -> Diagnostic {
    Diagnostic(
      "argument '\(path)' has the wrong type", expected: parameter.documentation, found: foundText(value),
      remedy: schema.signature)
  }

  /// The value in the form that bindings read, or an error.
  private func check(_ value: LuaValue, _ parameter: ParameterSchema, path: String) throws -> LuaValue {
    guard let checked = try convert(value, parameter.type, parameter, path: path) else {
      throw mismatch(value, parameter, path: path)
    }
    return checked
  }

  private func convert(
    _ value: LuaValue, _ type: ParameterType, _ parameter: ParameterSchema, path: String
  ) throws -> LuaValue? {
    switch type {
    case .any: return value
    case .boolean: return value.boolean.map(LuaValue.boolean)
    case .integer:
      return try inRange(value.integer.map(Double.init), parameter, path).map { .integer(Int($0)) }
    case .number:
      if let number = value.number, !number.isFinite {
        throw Diagnostic("argument '\(path)' is not a finite number", expected: parameter.documentation)
      }
      return try inRange(value.number, parameter, path).map { .number($0) }
    case .string, .path: return value.string.map(LuaValue.string)
    case .choice(let choices): return try choice(value, choices, parameter, path: path)
    case .list(let element): return try list(value, element, parameter, path: path)
    case .table(let members): return try table(value, members, path: path)
    case .map(let element): return try map(value, element, parameter, path: path)
    case .object(let name): return value.object?.luaTypeName == name ? value : nil
    case .override, .observe: return value.function == nil ? nil : value
    case .either(let types):
      for type in types {
        if let checked = try? convert(value, type, parameter, path: path) { return checked }
      }
      return nil
    }
  }

  private func inRange(_ number: Double?, _ parameter: ParameterSchema, _ path: String) throws -> Double? {
    guard let number, let range = parameter.range else { return number }
    guard range.contains(number) else {
      throw Diagnostic(
        "argument '\(path)' is out of range", expected: parameter.documentation, found: "\(number)")
    }
    return number
  }

  private func choice(
    _ value: LuaValue, _ choices: [String], _ parameter: ParameterSchema, path: String
  ) throws -> LuaValue? {
    guard let text = value.string else { return nil }
    if choices.contains(text) { return value }
    throw Diagnostic(
      "argument '\(path)' has an unknown value", expected: parameter.documentation, found: "\"\(text)\"",
      remedy: nearestName(to: text, in: choices).map { "did you mean \"\($0)\"?" })
  }

  private func list(
    _ value: LuaValue, _ element: ParameterType, _ parameter: ParameterSchema, path: String
  ) throws -> LuaValue? {
    guard let table = value.table else { return nil }
    guard table.fields.isEmpty, table.others.isEmpty else {
      throw Diagnostic(
        "argument '\(path)' is not a list without gaps", expected: parameter.documentation,
        found: foundText(value))
    }
    return .array(
      try table.array.enumerated().map { index, item in
        guard let checked = try convert(item, element, parameter, path: "\(path)[\(index + 1)]") else {
          throw Diagnostic(
            "argument '\(path)[\(index + 1)]' has the wrong type", expected: element.description,
            found: foundText(item))
        }
        return checked
      })
  }

  private func table(_ value: LuaValue, _ members: [ParameterSchema], path: String) throws -> LuaValue? {
    guard let given = value.table else { return nil }
    guard given.array.isEmpty, given.others.isEmpty else { return nil }
    var result = LuaTable()
    for (name, value) in given.fields.sorted(by: { $0.key < $1.key }) {
      guard let member = members.first(where: { $0.name == name }) else {
        throw unknown(name, among: members, of: path)
      }
      result[name] = try check(value, member, path: "\(path).\(name)")
    }
    for member in members where result[member.name].isNil {
      if member.isRequired {
        throw Diagnostic("argument '\(path).\(member.name)' is missing", expected: member.documentation)
      }
      if let value = member.defaultValue { result[member.name] = value.luaValue }
    }
    return .table(result)
  }

  private func map(
    _ value: LuaValue, _ element: ParameterType, _ parameter: ParameterSchema, path: String
  ) throws -> LuaValue? {
    guard let table = value.table, table.array.isEmpty, table.others.isEmpty else { return nil }
    return .fields(
      try table.fields.reduce(into: [:]) { result, field in
        guard let checked = try convert(field.value, element, parameter, path: "\(path).\(field.key)") else {
          throw Diagnostic(
            "argument '\(path).\(field.key)' has the wrong type", expected: element.description,
            found: foundText(field.value))
        }
        result[field.key] = checked
      })
  }
}

/// A value as messages show what was found.
private func foundText(_ value: LuaValue) -> String {
  switch value {
  case .string(let text): "the string \"\(text.prefix(60))\""
  case .integer(let number): "the number \(number)"
  case .number(let number): "the number \(number)"
  case .boolean(let flag): "\(flag)"
  default: "a \(value.typeName)"
  }
}
