// What a Lua function is, for the identity of a run: its text, what it closes over, and the globals that it reads.

import Archives
import Foundation
import LuaHost
import Reporting
import Tensors

/// The content of a function, apart from where it was written.
struct FunctionIdentity {
  let json: JSON

  /// - Throws: ``Diagnostic`` when the function's text cannot be found, or it closes over what has no content.
  init(of function: LuaFunction, in state: LuaState) throws {
    json = try Self.json(of: function, in: state, depth: 0)
  }

  private static func json(of function: LuaFunction, in state: LuaState, depth: Int) throws -> JSON {
    if let native = function.native { return .string(native.name) }
    guard depth < 8 else { return .string("(nested too deep)") }
    let information = try state.information(on: function)
    // Lua's own functions, such as ipairs, have no text and never change.
    if information.source == "=[C]" { return .string("a function of Lua") }
    let text = try sourceText(of: information, in: state)
    var captured = JSONObject()
    for (name, value) in information.upvalues.sorted(by: { $0.key < $1.key }) {
      captured[name] = try content(of: value, named: name, in: state, depth: depth + 1)
    }
    var globals = JSONObject()
    for name in globalNames(in: text, besides: Set(information.upvalues.keys)) {
      let value = try state.global(name)
      if value.isNil { continue }
      globals[name] = try content(of: value, named: name, in: state, depth: depth + 1)
    }
    return ["text": .string(text), "upvalues": .object(captured), "globals": .object(globals)]
  }

  private static func content(
    of value: LuaValue, named name: String, in state: LuaState, depth: Int
  ) throws -> JSON {
    switch value {
    case .function(let function): return try json(of: function, in: state, depth: depth)
    case .object(let tensor as TensorObject):
      let array = tensor.array
      let bytes = array.elements.withUnsafeBytes { Data($0) }
      return ["tensor": JSON(array.shape), "content": .string(ContentHash(bytes).description)]
    case .object(let loss as LossObject): return try loss.identity(in: state)
    case .object(let object): return .string(object.luaDescription)
    case .reference: return .string("a library")
    case .table(let table):
      // Tables may hold functions, such as a part of the lunette table under a short name.
      guard depth < 8 else { return .string("(nested too deep)") }
      if table.fields.isEmpty || !table.array.isEmpty || !table.others.isEmpty {
        guard table.fields.isEmpty, table.others.isEmpty else { return try value.json(at: name) }
        return .array(
          try table.array.map { try content(of: $0, named: name, in: state, depth: depth + 1) })
      }
      return .object(
        JSONObject(
          try table.fields.sorted { $0.key < $1.key }.map {
            ($0.key, try content(of: $0.value, named: "\(name).\($0.key)", in: state, depth: depth + 1))
          }))
    default: return try value.json(at: name)
    }
  }

  /// The lines of the function as tokens, so that comments and spacing do not count.
  private static func sourceText(of information: LuaFunctionInformation, in state: LuaState) throws -> String
  {
    let whole: String?
    if information.source.hasPrefix("@") {
      whole = try? String(contentsOfFile: String(information.source.dropFirst()), encoding: .utf8)
    } else if information.source.hasPrefix("=In["),
      let number = Int(information.source.dropFirst(4).dropLast())
    {
      whole = try state.get(state.global("In"), .integer(number)).string
    } else {
      whole = information.source.hasPrefix("=") ? nil : information.source
    }
    guard let whole, information.firstLine > 0 else {
      throw Diagnostic(
        "the text of a function cannot be found, so its run has no identity", at: information.shortSource,
        remedy: "define the function in a script or at the prompt")
    }
    let lines = whole.split(separator: "\n", omittingEmptySubsequences: false)
    let part = lines[max(0, information.firstLine - 1)..<min(lines.count, information.lastLine)]
    return LuaLexer.tokens(of: part.joined(separator: "\n")).map(\.text).joined(separator: " ")
  }

  /// Names in the text that may be globals: those that follow neither a dot nor a colon.
  private static func globalNames(in text: String, besides known: Set<String>) -> [String] {
    let tokens = LuaLexer.tokens(of: text)
    var names: Set<String> = []
    for (index, token) in tokens.enumerated() where token.kind == .name && !known.contains(token.text) {
      if index > 0, [".", ":"].contains(tokens[index - 1].text) { continue }
      names.insert(token.text)
    }
    return names.sorted()
  }
}
