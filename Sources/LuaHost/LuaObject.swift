// Swift objects as Lua sees them: what indexing, calling, printing and the operators do.

/// The operators that an object may define.
package enum LuaOperator: String, Sendable {
  case add = "+"
  case subtract = "-"
  case multiply = "*"
  case divide = "/"
  case power = "^"
  case negate = "unary -"
  case concatenate = ".."
  case less = "<"
  case lessOrEqual = "<="
}

/// A Swift object that Lua code can hold.
///
/// Lua holds a box with a key; the object lives as long as a box or Swift does.
package protocol LuaObject: AnyObject {
  /// The type's name in messages, such as `dataset`.
  var luaTypeName: String { get }
  /// The text of `tostring`.
  var luaDescription: String { get }
  /// Bytes outside Lua's memory that this object holds; asked when a box is made.
  var luaForeignByteCount: Int { get }
  /// Functions and objects from Lua that this object keeps. They live in the box's user value, so that cycles between the
  /// two memory managers die: whatever is not listed here may be gone by the next call.
  var luaAnchors: [LuaValue] { get }
  /// The names that can follow a dot, for completion.
  var luaFieldNames: [String] { get }

  func luaGet(_ key: LuaValue, in state: LuaState) throws -> LuaValue
  func luaSet(_ key: LuaValue, to value: LuaValue, in state: LuaState) throws
  func luaCall(_ arguments: [LuaValue], in state: LuaState) throws -> [LuaValue]
  func luaLength() throws -> LuaValue
  func luaPairs(in state: LuaState) throws -> [(LuaValue, LuaValue)]
  /// The operator's result, or nil when this object knows nothing of it.
  func luaOperate(
    _ operation: LuaOperator, _ left: LuaValue, _ right: LuaValue, in state: LuaState
  ) throws -> LuaValue?
  func luaEquals(_ other: any LuaObject) -> Bool
  /// The end of a `local x <close>`.
  func luaClose() throws
}

extension LuaObject {
  package var luaDescription: String { luaTypeName }
  package var luaForeignByteCount: Int { 0 }
  package var luaAnchors: [LuaValue] { [] }
  package var luaFieldNames: [String] { [] }

  package func luaGet(_ key: LuaValue, in state: LuaState) throws -> LuaValue {
    throw LuaBridgeError("a \(luaTypeName) has no fields")
  }
  package func luaSet(_ key: LuaValue, to value: LuaValue, in state: LuaState) throws {
    throw LuaBridgeError("the fields of a \(luaTypeName) cannot be changed")
  }
  package func luaCall(_ arguments: [LuaValue], in state: LuaState) throws -> [LuaValue] {
    throw LuaBridgeError("attempt to call a \(luaTypeName)")
  }
  package func luaLength() throws -> LuaValue { throw LuaBridgeError("a \(luaTypeName) has no length") }
  package func luaPairs(in state: LuaState) throws -> [(LuaValue, LuaValue)] {
    try luaFieldNames.map { (.string($0), try luaGet(.string($0), in: state)) }
  }
  package func luaOperate(
    _ operation: LuaOperator, _ left: LuaValue, _ right: LuaValue, in state: LuaState
  ) throws -> LuaValue? { nil }
  package func luaEquals(_ other: any LuaObject) -> Bool { self === other }
  package func luaClose() throws {}
}
