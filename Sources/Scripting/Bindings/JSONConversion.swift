// JSON to and from Lua values.

import Archives
import LuaHost
import Reporting

extension LuaValue {
  /// A JSON value as a copy; null becomes nil.
  init(_ json: JSON) {
    switch json {
    case .null: self = .nil
    case .bool(let value): self = .boolean(value)
    case .integer(let value): self = .integer(value)
    case .number(let value): self = .number(value)
    case .string(let value): self = .string(value)
    case .array(let values): self = .array(values.map { LuaValue($0) })
    case .object(let object):
      self = .fields(Dictionary(object.pairs.map { ($0.key, LuaValue($0.value)) }, uniquingKeysWith: { $1 }))
    }
  }

  /// The value as JSON; keys are sorted, an empty table is an empty array.
  /// - Throws: ``Diagnostic`` for functions, objects and mixed tables.
  func json(at path: String) throws -> JSON {
    switch self {
    case .nil: return .null
    case .boolean(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(let value): return .string(value)
    case .table(let table):
      guard table.others.isEmpty, table.fields.isEmpty || table.array.isEmpty else {
        throw Diagnostic("'\(path)' mixes a list and named values", expected: "one or the other")
      }
      if table.fields.isEmpty {
        return .array(try table.array.enumerated().map { try $1.json(at: "\(path)[\($0 + 1)]") })
      }
      return .object(
        JSONObject(
          try table.fields.sorted { $0.key < $1.key }.map {
            ($0.key, try $0.value.json(at: "\(path).\($0.key)"))
          }))
    default:
      throw Diagnostic(
        "'\(path)' cannot be stored as data", expected: "numbers, texts and tables", found: "a \(typeName)")
    }
  }
}

extension JSON {
  /// What a script made of a value, with what its tables cannot hold put back: null, and that something empty is no list.
  func restoring(_ original: JSON) -> JSON {
    guard let others = original.object else { return self }
    if let values = array, values.isEmpty { return .object(JSONObject()) }
    guard var object else { return self }
    for (key, other) in others.pairs {
      if let own = object[key] {
        object[key] = own.restoring(other)
      } else if other.isNull {
        object[key] = .null
      }
    }
    return .object(object)
  }
}
