// What one parameter of a scripted function is: type, default, range, help and example. Everything that is said or checked
// about a parameter anywhere comes from here.

package import LuaHost

/// A value that a schema can hold as a default.
package indirect enum ScriptLiteral: Sendable, ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral,
  ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByArrayLiteral
{
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case list([ScriptLiteral])

  package init(integerLiteral value: Int) { self = .integer(value) }
  package init(floatLiteral value: Double) { self = .number(value) }
  package init(stringLiteral value: String) { self = .string(value) }
  package init(booleanLiteral value: Bool) { self = .boolean(value) }
  package init(arrayLiteral elements: ScriptLiteral...) { self = .list(elements) }

  package var luaValue: LuaValue {
    switch self {
    case .boolean(let value): .boolean(value)
    case .integer(let value): .integer(value)
    case .number(let value): .number(value)
    case .string(let value): .string(value)
    case .list(let values): .array(values.map(\.luaValue))
    }
  }

  /// The literal as Lua source text.
  package var source: String {
    switch self {
    case .boolean(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): "\(value)"
    case .string(let value): "\"\(value)\""
    case .list(let values): values.isEmpty ? "{}" : "{ " + values.map(\.source).joined(separator: ", ") + " }"
    }
  }
}

/// The type of a parameter.
package indirect enum ParameterType: Sendable {
  case any
  case boolean
  case integer
  case number
  case string
  /// The path of a file or folder.
  case path
  case choice([String])
  case list(ParameterType)
  /// A table of named values, each with a schema.
  case table([ParameterSchema])
  /// A table from names that the user chooses to values of one type.
  case map(ParameterType)
  /// An object of the engine, by its type name.
  case object(String)
  /// A function that changes the result and is part of a run's identity; it receives `(ctx, default)`.
  case override(String)
  /// A function that sees and cannot change; it is not part of a run's identity.
  case observe(String)
  case either([ParameterType])

  /// The type as help texts say it.
  package var description: String {
    switch self {
    case .any: "any value"
    case .boolean: "boolean"
    case .integer: "integer"
    case .number: "number"
    case .string: "string"
    case .path: "path"
    case .choice(let choices): choices.map { "\"\($0)\"" }.joined(separator: " or ")
    case .list(let element): "list of \(element.description)"
    case .table: "table"
    case .map(let element): "table of name = \(element.description)"
    case .object(let name): name
    case .override(let signature): "override \(signature)"
    case .observe(let signature): "observe \(signature)"
    case .either(let types): types.map(\.description).joined(separator: " or ")
    }
  }

  /// The type in LuaCATS annotations.
  package var annotation: String {
    switch self {
    case .any: "any"
    case .boolean, .integer, .number, .string: description
    case .path: "string"
    case .choice(let choices): choices.map { "\"\($0)\"" }.joined(separator: "|")
    case .list(let element): "(\(element.annotation))[]"
    case .table: "table"
    case .map(let element): "table<string, \(element.annotation)>"
    case .object(let name): "lunette.\(name)"
    case .override, .observe: "function"
    case .either(let types): types.map(\.annotation).joined(separator: "|")
    }
  }

  /// Whether a plain table can be a value of this type.
  var acceptsTable: Bool {
    switch self {
    case .any, .list, .table, .map: true
    case .either(let types): types.contains(where: \.acceptsTable)
    default: false
    }
  }
}

/// One parameter of a scripted function.
package struct ParameterSchema: Sendable {
  package let name: String
  package let type: ParameterType
  package let isRequired: Bool
  package let defaultValue: ScriptLiteral?
  package let range: ClosedRange<Double>?
  /// What it does, as one or two sentences.
  package let help: String

  /// An optional parameter, with a default unless its absence has a meaning of its own.
  package init(
    _ name: String, _ type: ParameterType, default defaultValue: ScriptLiteral? = nil,
    in range: ClosedRange<Double>? = nil, _ help: String
  ) {
    self.init(name: name, type: type, isRequired: false, defaultValue: defaultValue, range: range, help: help)
  }

  private init(
    name: String, type: ParameterType, isRequired: Bool, defaultValue: ScriptLiteral?,
    range: ClosedRange<Double>?, help: String
  ) {
    self.name = name
    self.type = type
    self.isRequired = isRequired
    self.defaultValue = defaultValue
    self.range = range
    self.help = help
  }

  package static func required(
    _ name: String, _ type: ParameterType, in range: ClosedRange<Double>? = nil, _ help: String
  ) -> ParameterSchema {
    ParameterSchema(name: name, type: type, isRequired: true, defaultValue: nil, range: range, help: help)
  }

  /// The same parameter for a function that keeps what is not given.
  var withoutDefault: ParameterSchema {
    ParameterSchema(
      name: name, type: type, isRequired: false, defaultValue: nil, range: range,
      help: help)
  }

  /// The parameter's line in help texts, such as `fold (integer, default 0): the held-out fold`.
  package var documentation: String {
    var facts = [type.description]
    if let range { facts.append(rangeText(range)) }
    if isRequired { facts.append("required") }
    if let defaultValue { facts.append("default \(defaultValue.source)") }
    return "\(name) (\(facts.joined(separator: ", "))): \(help)"
  }
}

/// A range as messages say it.
func rangeText(_ range: ClosedRange<Double>) -> String {
  func text(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e9 ? "\(Int(value))" : "\(value)"
  }
  switch (range.lowerBound.magnitude.isInfinite || range.lowerBound <= -1e300, range.upperBound >= 1e300) {
  case (false, true): return "at least \(text(range.lowerBound))"
  case (true, false): return "at most \(text(range.upperBound))"
  case (true, true): return "finite"
  case (false, false): return "\(text(range.lowerBound)) to \(text(range.upperBound))"
  }
}
