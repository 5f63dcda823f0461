// What `x?` and `x??` say: help from the schema, or what can be found out about a value.

import Foundation
package import LuaHost

extension Session {
  /// The value behind a path such as `ds.labels` or `run:plot`; nil when a part of it is missing.
  package func resolve(_ path: String) throws -> LuaValue? {
    let parts = path.split(whereSeparator: { $0 == "." || $0 == ":" }).map(String.init)
    guard let first = parts.first else { return nil }
    var value = try state.global(first)
    for part in parts.dropFirst() {
      guard let next = try? state.get(value, .string(part)) else { return nil }
      value = next
    }
    return value.isNil ? nil : value
  }

  /// Help on a name, or the source of the function behind it; nil when there is nothing under the name.
  package func inspect(_ path: String, wantsSource: Bool = false) throws -> String? {
    guard let value = try resolve(path) else { return parameterHelp(path) }
    if case .reference = value, let schema = catalog.function(named: path) { return schema.documentation }
    switch value {
    case .function(let function):
      if let schema = function.native?.annotation as? FunctionSchema {
        return wantsSource
          ? schema.documentation + "\n\nThis function is part of the engine." : schema.documentation
      }
      return try describe(function, named: path, wantsSource: wantsSource)
    case .object(let object):
      let help = catalog.object(named: object.luaTypeName)?.documentation ?? object.luaTypeName
      return "\(path) is \(try text(of: value))\n\n\(help)"
    default:
      return "\(path) is a \(value.typeName): \(try text(of: value))"
    }
  }

  /// Help on an argument, written as `lunette.train.epochs`.
  private func parameterHelp(_ path: String) -> String? {
    guard let dot = path.lastIndex(of: "."),
      case .function(let function)? = try? resolve(String(path[..<dot])),
      let schema = function.native?.annotation as? FunctionSchema
    else { return nil }
    return schema.parameter(named: String(path[path.index(after: dot)...]))?.documentation
  }

  private func describe(_ function: LuaFunction, named path: String, wantsSource: Bool) throws -> String {
    let information = try state.information(on: function)
    guard information.firstLine > 0, let lines = sourceLines(of: information) else {
      return "\(path) is a function of the Lua library"
    }
    let first = information.firstLine - 1
    var comment = first
    while comment > 0 && lines[comment - 1].drop(while: \.isWhitespace).hasPrefix("--") { comment -= 1 }
    let place = "\(information.shortSource):\(information.firstLine)"
    let end = min(information.lastLine, lines.count)
    let body = wantsSource ? lines[comment..<end] : lines[comment..<min(first + 1, end)]
    return ([place] + body).joined(separator: "\n")
  }

  private func sourceLines(of information: LuaFunctionInformation) -> [String]? {
    let text: String?
    if information.source.hasPrefix("@") {
      text = try? String(contentsOfFile: String(information.source.dropFirst()), encoding: .utf8)
    } else if let number = inputNumber(information.source), history.indices.contains(number - 1) {
      text = history[number - 1]
    } else {
      text = nil
    }
    return text?.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  private func inputNumber(_ chunk: String) -> Int? {
    guard chunk.hasPrefix("=In["), chunk.hasSuffix("]") else { return nil }
    return Int(chunk.dropFirst(4).dropLast())
  }
}
