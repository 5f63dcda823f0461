// What a scripted object type is: its fields and methods with their documentation, and the base class that looks them up.

package import LuaHost
import Reporting

/// A field of an object type.
package struct PropertySchema: Sendable {
  package let name: String
  package let type: ParameterType
  package let help: String
  let get: @Sendable (any LuaObject, LuaState) throws -> LuaValue

  /// A field whose value is asked of the object each time.
  package static func field<Object: ScriptObject>(
    _ name: String, _ type: ParameterType, _ help: String,
    _ get: @escaping @Sendable (Object) throws -> LuaValue
  ) -> PropertySchema {
    PropertySchema(name: name, type: type, help: help) { object, _ in
      guard let object = object as? Object else {
        throw LuaBridgeError("the field '\(name)' of another type")
      }
      return try get(object)
    }
  }
}

/// A function that scripts can call, with its body.
package struct Binding: Sendable {
  package let schema: FunctionSchema
  let body: @Sendable (Arguments) throws -> [LuaValue]

  package init(_ schema: FunctionSchema, _ body: @escaping @Sendable (Arguments) throws -> [LuaValue]) {
    self.schema = schema
    self.body = body
  }

  /// A method: the receiver comes first.
  package static func method<Object: ScriptObject>(
    _ schema: FunctionSchema, _ body: @escaping @Sendable (Object, Arguments) throws -> LuaValue
  ) -> Binding {
    Binding(schema) { arguments in
      guard let receiver = arguments.receiver as? Object else {
        throw LuaBridgeError("call it with a colon: \(schema.signature)")
      }
      return [try body(receiver, arguments)]
    }
  }

  /// The function as Lua sees it.
  func makeFunction() -> LuaNativeFunction {
    LuaNativeFunction(schema.name, annotation: schema) { [schema, body] call in
      var given = call.arguments
      var receiver: (any LuaObject)?
      if schema.isMethod {
        receiver = given.first?.object
        guard receiver != nil else { throw LuaBridgeError("call it with a colon: \(schema.signature)") }
        given.removeFirst()
      }
      return try body(Arguments(given, for: schema, receiver: receiver, in: call.state))
    }
  }
}

/// An object type.
package final class ObjectSchema: Sendable {
  package let name: String
  /// What it is, in one sentence.
  package let summary: String
  package let example: String
  package let properties: [PropertySchema]
  package let methods: [Binding]
  /// The same by name, since every access to a field looks here.
  private let propertiesByName: [String: PropertySchema]
  private let methodsByName: [String: Binding]

  package init(
    _ name: String, _ summary: String, example: String, properties: [PropertySchema] = [],
    methods: [Binding] = []
  ) {
    self.name = name
    self.summary = summary
    self.example = example
    self.properties = properties
    self.methods = methods
    propertiesByName = Dictionary(properties.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
    methodsByName = Dictionary(
      methods.map { ($0.schema.shortName, $0) }, uniquingKeysWith: { first, _ in first })
  }

  func property(named name: String) -> PropertySchema? { propertiesByName[name] }
  func method(named name: String) -> Binding? { methodsByName[name] }

  package var memberNames: [String] { properties.map(\.name) + methods.map(\.schema.shortName) }

  /// The help text, as `object?` shows it.
  package var documentation: String {
    var lines = ["\(name): \(summary)"]
    if !properties.isEmpty { lines += ["", "Fields:"] }
    lines += properties.map { "  \($0.name) (\($0.type.description)): \($0.help)" }
    if !methods.isEmpty { lines += ["", "Methods:"] }
    lines += methods.map { "  \($0.schema.signature.dropFirst(name.count)): \($0.schema.summary)" }
    lines +=
      ["", "Example:"] + example.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }
    return lines.joined(separator: "\n")
  }
}

/// An object of the engine whose members come from a schema.
package protocol ScriptObject: LuaObject, SendableMetatype {
  static var schema: ObjectSchema { get }
  /// A field whose name is not in the schema, such as a label or a configuration; nil when there is none.
  func dynamicField(_ name: String) throws -> LuaValue?
  /// The names that `dynamicField` answers, for completion and suggestions.
  var dynamicFieldNames: [String] { get }
}

extension ScriptObject {
  package var luaTypeName: String { Self.schema.name }
  package var luaFieldNames: [String] { dynamicFieldNames + Self.schema.memberNames }
  package var dynamicFieldNames: [String] { [] }
  package func dynamicField(_ name: String) throws -> LuaValue? { nil }

  package func luaGet(_ key: LuaValue, in state: LuaState) throws -> LuaValue {
    guard let name = key.string ?? key.integer.map(String.init) else {
      throw LuaBridgeError("a \(luaTypeName) has no field under a \(key.typeName)")
    }
    if let property = Self.schema.property(named: name) { return try property.get(self, state) }
    if let method = Self.schema.method(named: name) {
      return .function(LuaFunction(ScriptRegistry.of(state).function(for: method)))
    }
    if let value = try dynamicField(name) { return value }
    let near = nearestName(to: name, in: luaFieldNames)
    throw Diagnostic(
      "a \(luaTypeName) has no field '\(name)'", expected: "one of: " + luaFieldNames.joined(separator: ", "),
      remedy: near.map { "did you mean '\($0)'?" })
  }

  package func luaPairs(in state: LuaState) throws -> [(LuaValue, LuaValue)] {
    try (dynamicFieldNames + Self.schema.properties.map(\.name)).map {
      (.string($0), try luaGet(.string($0), in: state))
    }
  }
}
