// Values as they pass between Lua and Swift. Plain values and tables are copies; functions, objects and other things that
// have an identity are handles.

/// A Lua value on the Swift side.
package enum LuaValue {
  case `nil`
  case boolean(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case table(LuaTable)
  case function(LuaFunction)
  case object(any LuaObject)
  /// A table, coroutine or foreign userdata that was not copied.
  case reference(LuaReference)

  package var isNil: Bool { if case .nil = self { true } else { false } }

  /// The name of the type as messages say it; an object says its own.
  package var typeName: String {
    switch self {
    case .nil: "nil"
    case .boolean: "boolean"
    case .integer: "integer"
    case .number: "number"
    case .string: "string"
    case .table: "table"
    case .function: "function"
    case .object(let object): object.luaTypeName
    case .reference(let reference): reference.typeName
    }
  }

  package var boolean: Bool? { if case .boolean(let value) = self { value } else { nil } }

  /// The whole number, also from a float without a fraction.
  package var integer: Int? {
    switch self {
    case .integer(let value): value
    case .number(let value): Int(exactly: value)
    default: nil
    }
  }

  package var number: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  package var string: String? { if case .string(let value) = self { value } else { nil } }
  package var table: LuaTable? { if case .table(let value) = self { value } else { nil } }
  package var function: LuaFunction? { if case .function(let value) = self { value } else { nil } }
  package var object: (any LuaObject)? { if case .object(let value) = self { value } else { nil } }
}

/// A copy of a Lua table.
package struct LuaTable {
  /// The values at 1, 2, 3 and so on.
  package var array: [LuaValue]
  /// The values under string keys.
  package var fields: [String: LuaValue]
  /// What is left: numbers outside the array, booleans and handles as keys.
  package var others: [(key: LuaValue, value: LuaValue)]

  package init(
    array: [LuaValue] = [], fields: [String: LuaValue] = [:], others: [(key: LuaValue, value: LuaValue)] = []
  ) {
    self.array = array
    self.fields = fields
    self.others = others
  }

  package var isEmpty: Bool { array.isEmpty && fields.isEmpty && others.isEmpty }

  package subscript(_ key: String) -> LuaValue {
    get { fields[key] ?? .nil }
    set { fields[key] = newValue }
  }
}

extension LuaValue {
  /// A table of an array's values.
  package static func array(_ values: [LuaValue]) -> LuaValue { .table(LuaTable(array: values)) }
  package static func array(_ values: [Int]) -> LuaValue { .array(values.map(LuaValue.integer)) }
  package static func array(_ values: [Double]) -> LuaValue { .array(values.map(LuaValue.number)) }
  package static func array(_ values: [String]) -> LuaValue { .array(values.map(LuaValue.string)) }
  /// A table with string keys.
  package static func fields(_ fields: [String: LuaValue]) -> LuaValue { .table(LuaTable(fields: fields)) }
}

extension LuaValue: ExpressibleByIntegerLiteral, ExpressibleByFloatLiteral, ExpressibleByStringLiteral,
  ExpressibleByBooleanLiteral
{
  // Not by a nil literal: where a `LuaValue?` is wanted, `nil` would then mean a value.
  package init(integerLiteral value: Int) { self = .integer(value) }
  package init(floatLiteral value: Double) { self = .number(value) }
  package init(stringLiteral value: String) { self = .string(value) }
  package init(booleanLiteral value: Bool) { self = .boolean(value) }
}
