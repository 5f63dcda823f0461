// From the metamethods of a box to the members of LuaObject.

import CLuaShims

enum LuaMetamethods {
  /// Runs the metamethod that C calls by a negative key.
  static func answer(_ key: Int, _ values: [LuaValue], in state: LuaState) throws -> [LuaValue] {
    let first = values.first ?? .nil
    let second = values.count > 1 ? values[1] : .nil
    if key == NNL_META_INDEX, let object = first.object { return [try object.luaGet(second, in: state)] }
    if let operation = operators[key] { return [try operate(operation, first, second, in: state)] }
    if key == NNL_META_EQUAL {
      guard let left = first.object, let right = second.object else { return [false] }
      return [.boolean(left.luaEquals(right))]
    }
    guard let object = first.object else {
      throw LuaBridgeError("a method of an object was called without it")
    }
    switch key {
    case NNL_META_NEWINDEX:
      try object.luaSet(second, to: values.count > 2 ? values[2] : .nil, in: state)
      return []
    case NNL_META_CALL: return try object.luaCall(Array(values.dropFirst()), in: state)
    case NNL_META_TOSTRING: return [.string(object.luaDescription)]
    case NNL_META_LENGTH: return [try object.luaLength()]
    case NNL_META_PAIRS: return [pairs(try object.luaPairs(in: state)), first, .nil]
    case NNL_META_CLOSE:
      try object.luaClose()
      return []
    default: throw LuaBridgeError("unknown metamethod \(key)")
    }
  }

  private static let operators: [Int: LuaOperator] = [
    NNL_META_ADD: .add, NNL_META_SUBTRACT: .subtract, NNL_META_MULTIPLY: .multiply, NNL_META_DIVIDE: .divide,
    NNL_META_POWER: .power, NNL_META_NEGATE: .negate, NNL_META_CONCATENATE: .concatenate,
    NNL_META_LESS: .less,
    NNL_META_LESS_EQUAL: .lessOrEqual,
  ]

  private static func operate(
    _ operation: LuaOperator, _ left: LuaValue, _ right: LuaValue, in state: LuaState
  ) throws -> LuaValue {
    if let result = try left.object?.luaOperate(operation, left, right, in: state) { return result }
    if let result = try right.object?.luaOperate(operation, left, right, in: state) { return result }
    if operation == .concatenate { return .string(try state.describe(left) + state.describe(right)) }
    throw LuaBridgeError("no operator \(operation.rawValue) between \(left.typeName) and \(right.typeName)")
  }

  /// An iterator over pairs that were gathered beforehand.
  private static func pairs(_ pairs: [(LuaValue, LuaValue)]) -> LuaValue {
    var position = 0
    return .function(
      LuaFunction(
        LuaNativeFunction("next field") { _ in
          guard position < pairs.count else { return [.nil] }
          defer { position += 1 }
          return [pairs[position].0, pairs[position].1]
        }))
  }
}
