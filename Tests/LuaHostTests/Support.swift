// Helpers of this target's tests.

import Foundation
import LuaHost

/// Runs source text and gives its results.
func run(_ source: String, in state: LuaState, named name: String = "=test") throws -> [LuaValue] {
  try state.run(source, named: name)
}

/// The error with which source text fails; nil when it does not.
func failure(of source: String, in state: LuaState, named name: String = "=test") -> LuaError? {
  do {
    _ = try state.run(source, named: name)
    return nil
  } catch { return error as? LuaError }
}

/// Defines a global function of the engine.
func define(_ name: String, in state: LuaState, _ body: @escaping (LuaCall) throws -> [LuaValue]) throws {
  try state.setGlobal(name, .function(LuaFunction(LuaNativeFunction("engine.\(name)", body))))
}

/// Interrupts a state from another thread after a moment.
func interruptSoon(_ state: LuaState, after seconds: Double = 0.05) {
  let interrupter = state.interrupter
  Thread.detachNewThread {
    Thread.sleep(forTimeInterval: seconds)
    interrupter.interrupt()
  }
}

/// An object that counts how many of its kind live.
final class Counted: LuaObject {
  final class Counter { var live = 0 }

  let counter: Counter
  var callback: LuaValue = .nil
  var foreignBytes = 0

  init(_ counter: Counter) {
    self.counter = counter
    counter.live += 1
  }

  deinit { counter.live -= 1 }

  var luaTypeName: String { "counted" }
  var luaForeignByteCount: Int { foreignBytes }
  var luaAnchors: [LuaValue] { callback.isNil ? [] : [callback] }
  var luaFieldNames: [String] { ["name"] }

  func luaGet(_ key: LuaValue, in state: LuaState) throws -> LuaValue {
    guard key.string == "name" else {
      throw LuaBridgeError("a counted has no field '\(try state.describe(key))'")
    }
    return "Ada"
  }

  func luaCall(_ arguments: [LuaValue], in state: LuaState) throws -> [LuaValue] {
    try state.call(callback, arguments)
  }

  func luaOperate(
    _ operation: LuaOperator, _ left: LuaValue, _ right: LuaValue, in state: LuaState
  ) throws -> LuaValue? { operation == .add ? .string("sum") : nil }
}
