// The arguments of one call after the schema has checked them and filled in the defaults.

package import LuaHost
import Reporting

/// Checked arguments by name.
package struct Arguments {
  package let state: LuaState
  package let schema: FunctionSchema
  package private(set) var values: [String: LuaValue]
  /// The object before the colon, for methods.
  package let receiver: (any LuaObject)?

  /// - Throws: ``Diagnostic`` naming the argument, what it should be and what it is.
  package init(
    _ given: [LuaValue], for schema: FunctionSchema, receiver: (any LuaObject)? = nil, in state: LuaState
  ) throws {
    self.state = state
    self.schema = schema
    self.receiver = receiver
    values = try ArgumentValidator(schema: schema).validate(given)
  }

  package subscript(_ name: String) -> LuaValue { values[name] ?? .nil }

  /// Whether the caller gave the argument, or it has a default.
  package func has(_ name: String) -> Bool { !self[name].isNil }

  // The schema has checked the types, so a mismatch here is a mistake in a binding.

  package func integer(_ name: String) throws -> Int { try require(name, self[name].integer) }
  package func number(_ name: String) throws -> Double { try require(name, self[name].number) }
  package func string(_ name: String) throws -> String { try require(name, self[name].string) }
  package func boolean(_ name: String) throws -> Bool { try require(name, self[name].boolean) }
  package func table(_ name: String) throws -> LuaTable { try require(name, self[name].table) }
  package func function(_ name: String) throws -> LuaFunction { try require(name, self[name].function) }

  package func integers(_ name: String) throws -> [Int] {
    try require(name, self[name].table?.array.compactMap(\.integer))
  }
  package func numbers(_ name: String) throws -> [Double] {
    try require(name, self[name].table?.array.compactMap(\.number))
  }
  package func strings(_ name: String) throws -> [String] {
    try require(name, self[name].table?.array.compactMap(\.string))
  }

  package func object<Object>(_ name: String, _ type: Object.Type = Object.self) throws -> Object {
    try require(name, self[name].object as? Object)
  }

  private func require<Value>(_ name: String, _ value: Value?) throws -> Value {
    guard let value else {
      throw Diagnostic(
        "argument '\(name)' is missing", expected: schema.parameter(named: name)?.documentation)
    }
    return value
  }
}
