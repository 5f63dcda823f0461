// Which cells of a notebook have to run again after some have changed: by the names they use and set.

/// What a cell of code has to do with its session, as far as its text tells.
package struct CellNames: Equatable {
  /// Names that the cell uses, those of fields left out.
  package private(set) var used: Set<String> = []
  /// Names whose values the cell may change: assigned, declared, or handed to a call that stands alone.
  package private(set) var changed: Set<String> = []
  /// Whether the cell may change something without a name, such as where datasets lie.
  package private(set) var hasEffect = false

  /// Calls that only show something.
  private static let showing: Set<String> = ["print", "display", "lunette.display"]
  /// Names that stand for the results of other cells.
  private static let results: Set<String> = ["_", "Out", "In"]

  package init(_ source: String) {
    let tokens = LuaLexer.tokens(of: source)
    var brackets: [String] = []
    for (index, token) in tokens.enumerated() {
      if token.kind == .name, !isField(index, tokens) { used.insert(token.text) }
      guard token.kind == .symbol || token.kind == .keyword || token.kind == .name else { continue }
      switch token.text {
      case "(", "{", "[": brackets.append(token.text)
      case ")", "}", "]": _ = brackets.popLast()
      case "=" where brackets.last != "{": addTargets(before: index, tokens)
      case "local", "function": addDeclared(after: index, tokens)
      default: break
      }
    }
    addCalls(tokens, source)
    if !used.isDisjoint(with: Self.results) { hasEffect = true }
  }

  private func isField(_ index: Int, _ tokens: [LuaToken]) -> Bool {
    index > 0 && [".", ":"].contains(tokens[index - 1].text)
  }

  /// The variables to the left of an assignment: `a`, and `b` of `b.c[1]`.
  private mutating func addTargets(before end: Int, _ tokens: [LuaToken]) {
    var index = end - 1
    var depth = 0
    while index >= 0 {
      let token = tokens[index]
      if ["]", ")"].contains(token.text) { depth += 1 }
      if ["[", "("].contains(token.text) { depth -= 1 }
      if depth < 0 { return }
      if depth == 0, token.kind == .name, !isField(index, tokens) {
        changed.insert(token.text)
        // What comes before is the list's comma, or another statement.
        guard index > 0, tokens[index - 1].text == "," else { return }
      }
      if token.kind == .keyword { return }
      index -= 1
    }
  }

  /// The names behind `local`, and the base of a function's name.
  private mutating func addDeclared(after start: Int, _ tokens: [LuaToken]) {
    for token in tokens[(start + 1)...] {
      if token.kind == .name { changed.insert(token.text) }
      if tokens[start].text == "function" || ![.name, .symbol].contains(token.kind) { return }
      if token.kind == .symbol, ![",", "<", ">"].contains(token.text) { return }
    }
  }

  /// Calls that stand alone: what is handed to them may change.
  private mutating func addCalls(_ tokens: [LuaToken], _ source: String) {
    let bytes = Array(source.utf8)
    func isFirstOnLine(_ index: Int) -> Bool {
      index == 0
        || bytes[tokens[index - 1].range.upperBound..<tokens[index].range.lowerBound].contains(0x0A)
        || tokens[index - 1].text == ";"
    }
    let starts = tokens.indices.filter { tokens[$0].depth == 0 && isFirstOnLine($0) }
    for (position, start) in starts.enumerated() where tokens[start].kind == .name {
      let end = position + 1 < starts.count ? starts[position + 1] : tokens.count
      let statement = tokens[start..<end]
      let head = statement.prefix { $0.kind == .name || $0.text == "." }
      guard let next = statement.dropFirst(head.count).first,
        next.kind == .string || ["(", "{", ":", "["].contains(next.text),
        // An assignment has an equals sign outside of brackets.
        !statement.contains(where: { $0.text == "=" && $0.depth == 0 })
      else { continue }
      let path = head.map(\.text).joined()
      if Self.showing.contains(path) { continue }
      if path.hasPrefix("lunette.") || tokens[start].text == "require" { hasEffect = true }
      for index in start..<end where tokens[index].kind == .name && !isField(index, tokens) {
        changed.insert(tokens[index].text)
      }
    }
  }
}

extension Notebook {
  /// The places of the cells that have to run, given which have changed since they ran last.
  ///
  /// Those that changed, those that use what these may change, and those that make what all of these use.
  ///
  /// - Parameter removed: the sources of cells that are gone.
  package func cellsToRun(changed: Set<Int>, removed: [String] = []) -> Set<Int> {
    let names = cells.map { $0.kind == .code ? CellNames($0.source) : nil }
    var isOpen = changed
    var altered = removed.reduce(into: Set<String>()) { $0.formUnion(CellNames($1).changed) }
    var hasEffect = removed.contains { CellNames($0).hasEffect }
    for (index, cell) in names.enumerated() {
      guard let cell else { continue }
      if hasEffect || !cell.used.isDisjoint(with: altered) { isOpen.insert(index) }
      guard isOpen.contains(index) else { continue }
      altered.formUnion(cell.changed)
      hasEffect = hasEffect || cell.hasEffect
    }
    guard let last = isOpen.max() else { return [] }
    // Backwards: who makes what is needed.
    var needed: Set<String> = []
    for index in (0...last).reversed() {
      guard let cell = names[index] else { continue }
      guard isOpen.contains(index) || cell.hasEffect || !cell.changed.isDisjoint(with: needed) else {
        continue
      }
      isOpen.insert(index)
      needed.formUnion(cell.used)
    }
    return isOpen
  }
}

extension NotebookRun {
  /// Takes the results of the cells that cannot have changed from an earlier run.
  ///
  /// - Returns: this notebook with those results, and the places of the cells that have to run.
  func reusing(_ earlier: NotebookRun) -> (NotebookRun, Set<Int>) {
    var result = self
    var left = Array(earlier.notebook.cells.indices)
    var changed: Set<Int> = []
    for (index, cell) in notebook.cells.enumerated() where cell.kind == .code {
      let match = left.firstIndex {
        earlier.notebook.cells[$0].kind == .code && earlier.notebook.cells[$0].source == cell.source
      }
      if let match { result.runs[index] = earlier.runs[left.remove(at: match)] }
      if match == nil || result.runs[index]?.hasFailed ?? !cell.source.allSatisfy(\.isWhitespace) {
        changed.insert(index)
      }
    }
    let removed = left.filter { earlier.notebook.cells[$0].kind == .code }.map {
      earlier.notebook.cells[$0].source
    }
    return (result, notebook.cellsToRun(changed: changed, removed: removed))
  }
}
