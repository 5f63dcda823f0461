// Handles on things that live in Lua: functions, and values that are not copied. A handle does not keep the thing alive;
// an object's anchors or a pin do.

/// The call of a Swift function from Lua.
package struct LuaCall {
  package let state: LuaState
  package let arguments: [LuaValue]

  /// The argument at a position from 0, nil when it is absent.
  package subscript(_ index: Int) -> LuaValue { index < arguments.count ? arguments[index] : .nil }
}

/// A Swift function that Lua can call.
package final class LuaNativeFunction {
  /// The name in tracebacks, such as `lunette.dataset`.
  package let name: String
  package let body: (LuaCall) throws -> [LuaValue]
  /// What the host wants to find again from the function value, such as its schema.
  package let annotation: AnyObject?

  package init(
    _ name: String, annotation: AnyObject? = nil, _ body: @escaping (LuaCall) throws -> [LuaValue]
  ) {
    self.name = name
    self.annotation = annotation
    self.body = body
  }
}

/// A function: one of Lua's, known by its reference, or one of Swift's.
package struct LuaFunction {
  enum Storage {
    case reference(LuaReference)
    case native(LuaNativeFunction)
  }
  let storage: Storage

  package init(_ native: LuaNativeFunction) { storage = .native(native) }
  init(_ reference: LuaReference) { storage = .reference(reference) }

  /// The Swift function behind it, if it is one.
  package var native: LuaNativeFunction? { if case .native(let native) = storage { native } else { nil } }

  /// Calls the function on its state's thread.
  /// - Throws: ``LuaError`` with the traceback down to the line that failed.
  package func call(_ arguments: [LuaValue] = [], in state: LuaState) throws -> [LuaValue] {
    try state.call(.function(self), arguments)
  }
}

/// A value that stays in Lua.
package final class LuaReference {
  let number: Int64
  /// What `type` says of the value.
  package let typeName: String
  private weak var owner: LuaObjectTable?
  private var isPinned = false

  init(_ number: Int64, typeName: String, owner: LuaObjectTable?) {
    self.number = number
    self.typeName = typeName
    self.owner = owner
  }

  deinit { if isPinned { owner?.unpin(number) } }

  /// Keeps the value alive as long as this handle; the value is pinned in Lua already.
  func markPinned() {
    guard !isPinned, let owner else { return }
    isPinned = true
    owner.notePin(number)
  }
}
