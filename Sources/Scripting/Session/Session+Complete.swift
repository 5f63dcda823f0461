// Completion: names, live fields of tables and objects, named arguments inside a call, and paths inside strings.

import Foundation
import LuaHost

/// What could stand at the cursor.
package struct Completion: Equatable, Sendable {
  /// Where the text that the candidates replace starts, in UTF-8 offsets.
  package let start: Int
  package let candidates: [String]
}

extension Session {
  /// The candidates for the text before `cursor`, a UTF-8 offset.
  package func complete(_ text: String, at cursor: Int) -> Completion {
    let before = String(decoding: Array(text.utf8.prefix(cursor)), as: UTF8.self)
    let tokens = LuaLexer.tokens(of: before)
    let none = Completion(start: cursor, candidates: [])
    if let last = tokens.last, last.kind == .unfinished {
      guard last.text.hasPrefix("\"") || last.text.hasPrefix("'") else { return none }
      return completePath(String(last.text.dropFirst()), cursor: cursor)
    }
    // The word under the cursor, if the cursor touches one.
    var word = ""
    var rest = tokens
    if let last = tokens.last, last.range.upperBound == before.utf8.count,
      last.kind == .name || last.kind == .keyword
    {
      word = last.text
      rest.removeLast()
    }
    let start = cursor - word.utf8.count
    let separator = rest.last?.text
    if separator == "." || separator == ":" {
      let path = pathBefore(rest.dropLast())
      return Completion(
        start: start, candidates: matching(word, fields(of: path, methodsOnly: separator == ":")))
    }
    if separator == "{" || separator == ",", let schema = calledFunction(rest) {
      let used = argumentNames(rest)
      let keys = schema.parameters.map(\.name).filter { !used.contains($0) }.map { "\($0)=" }
      return Completion(start: start, candidates: matching(word, keys + (word.isEmpty ? [] : names())))
    }
    return Completion(start: start, candidates: word.isEmpty ? [] : matching(word, names()))
  }

  private func matching(_ word: String, _ candidates: [String]) -> [String] {
    Array(Set(candidates.filter { $0.hasPrefix(word) })).sorted()
  }

  private func names() -> [String] {
    let globals = ((try? state.keys(.nil)) ?? []).compactMap(\.string).filter { !$0.hasPrefix("__lunette") }
    return globals + LuaLexer.keywords
  }

  private func isName(_ text: String) -> Bool {
    LuaLexer.tokens(of: text).map(\.kind) == [.name]
  }

  private func fields(of path: String?, methodsOnly: Bool) -> [String] {
    guard let path, let value = try? resolve(path) else { return [] }
    if case .object(let object) = value {
      guard methodsOnly else { return object.luaFieldNames }
      return catalog.object(named: object.luaTypeName)?.methods.map(\.schema.shortName)
        ?? object.luaFieldNames
    }
    if case .string = value { return fields(of: "string", methodsOnly: false) }
    return ((try? state.keys(value)) ?? []).compactMap(\.string).filter { isName($0) }
  }

  /// The path `a.b.c` that ends the tokens.
  private func pathBefore(_ tokens: ArraySlice<LuaToken>) -> String? {
    var parts: [String] = []
    var index = tokens.endIndex - 1
    while index >= tokens.startIndex, tokens[index].kind == .name {
      parts.append(tokens[index].text)
      guard index - 1 >= tokens.startIndex, [".", ":"].contains(tokens[index - 1].text) else { break }
      index -= 2
    }
    return parts.isEmpty ? nil : parts.reversed().joined(separator: ".")
  }

  /// The innermost open brace's position among the tokens.
  private func openBrace(_ tokens: [LuaToken]) -> Int? {
    var depth = 0
    for index in tokens.indices.reversed() where tokens[index].kind == .symbol {
      switch tokens[index].text {
      case "}", ")", "]": depth += 1
      case "{", "(", "[":
        if depth == 0 { return tokens[index].text == "{" ? index : nil }
        depth -= 1
      default: break
      }
    }
    return nil
  }

  /// The schema of `f` in `f{ a=1, |` or `f({ a=1, |`.
  private func calledFunction(_ tokens: [LuaToken]) -> FunctionSchema? {
    guard var brace = openBrace(tokens) else { return nil }
    if brace > 0, tokens[brace - 1].text == "(" { brace -= 1 }
    guard let path = pathBefore(tokens[..<brace]) else { return nil }
    if let schema = catalog.function(named: path) { return schema }
    guard case .function(let function)? = try? resolve(path) else {
      return nil
    }
    return function.native?.annotation as? FunctionSchema
  }

  /// The names that the open table of arguments has already.
  private func argumentNames(_ tokens: [LuaToken]) -> Set<String> {
    guard let brace = openBrace(tokens) else { return [] }
    let depth = tokens[brace].depth + 1
    var names: Set<String> = []
    for index in tokens.indices.dropLast() where index > brace && tokens[index].depth == depth {
      if tokens[index].kind == .name && tokens[index + 1].text == "=" { names.insert(tokens[index].text) }
    }
    return names
  }

  private func completePath(_ text: String, cursor: Int) -> Completion {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    let name = parts.last ?? ""
    let folder = parts.dropLast().joined(separator: "/")
    let root = text.hasPrefix("/") && folder.isEmpty ? "/" : (folder.isEmpty ? "." : folder)
    let entries = (try? FileManager.default.contentsOfDirectory(atPath: root)) ?? []
    let candidates = entries.filter { $0.hasPrefix(name) && (name.hasPrefix(".") || !$0.hasPrefix(".")) }.map
    { entry in
      var isFolder: ObjCBool = false
      _ = FileManager.default.fileExists(atPath: "\(root)/\(entry)", isDirectory: &isFolder)
      return isFolder.boolValue ? entry + "/" : entry
    }
    return Completion(start: cursor - name.utf8.count, candidates: candidates.sorted())
  }
}
