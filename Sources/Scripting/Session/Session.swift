// The session core: execute, complete, inspect, is-complete and history. The REPL, batch runs and notebooks are front ends.

package import LuaHost

/// What came of one input.
package struct Evaluation: Sendable {
  /// The input's number.
  package let number: Int
  /// The results as text; nil when there are none or they are muted.
  package var result: String?
  /// Whether the text is a command's answer, not a value that was kept.
  package var isCommand = false
  package var error: LuaError?
  package var duration: Duration = .zero
}

/// Whether an input can be run.
package enum Completeness: Equatable, Sendable {
  case complete
  case incomplete
  case invalid(String)
}

/// One interpreter with what a user has defined in it.
package final class Session {
  package let state: LuaState
  package let catalog: Catalog
  /// The inputs so far, oldest first.
  package private(set) var history: [String] = []
  /// Receives the text that commands such as `%who` print.
  let write: (String) -> Void

  private let show: LuaValue
  private let begin: LuaValue
  private let finish: LuaValue
  /// The globals of a fresh session, which `%who` leaves out.
  private(set) var initialGlobals: Set<String> = []

  /// Starts a session.
  /// - Parameters:
  ///   - catalog: What the `lunette` table holds.
  ///   - sandbox: How much the session's code may reach.
  ///   - exposesMembers: Whether the members of `lunette` are also plain globals.
  ///   - environment: Where datasets lie, and who shows progress.
  ///   - write: Receives printed text; standard output when nil.
  /// - Throws: ``LuaError`` when memory is short.
  package init(
    catalog: Catalog = .standard, sandbox: SandboxLevel = .full, exposesMembers: Bool = false,
    environment: ScriptEnvironment = ScriptEnvironment(), write: ((String) -> Void)? = nil
  ) throws {
    self.catalog = catalog
    state = try LuaState(sandbox: sandbox)
    if let write { state.redirectOutput(write) }
    ScriptRegistry.of(state).roots = environment.roots
    ScriptRegistry.of(state).progress = environment.progress
    self.write = write ?? { StandardStreams.writeOutput($0) }
    ScriptRegistry.of(state).write = self.write
    let prelude = try state.run(Prelude.source, named: "=prelude")
    show = try state.pin(prelude[0])
    begin = try state.pin(prelude[1])
    finish = try state.pin(prelude[2])
    try catalog.install(in: state)
    if exposesMembers {
      _ = try state.run(
        "for name, value in pairs(lunette) do if _G[name] == nil then _G[name] = value end end",
        named: "=setup")
    }
    initialGlobals = Set(try state.keys(.nil).compactMap(\.string))
  }

  /// Frees the session's state.
  package func close() { state.close() }

  // MARK: execute

  /// Runs an input: a command, or Lua whose last expression is its result.
  package func execute(_ source: String) -> Evaluation {
    var evaluation = Evaluation(number: history.count + 1)
    history.append(source)
    let start = ContinuousClock.now
    state.clearInterrupt()
    do {
      let input = try state.global("In")
      if !input.isNil { try state.set(input, .integer(evaluation.number), .string(source)) }
      if let command = SessionCommand(source) {
        evaluation.isCommand = true
        evaluation.result = try command.run(in: self)
      } else {
        evaluation.result = try evaluate(source, number: evaluation.number)
      }
    } catch let error as LuaError {
      evaluation.error = error
    } catch {
      evaluation.error = LuaError(.runtime, "\(error)", underlying: error)
    }
    evaluation.duration = ContinuousClock.now - start
    return evaluation
  }

  /// Runs Lua text and gives the text of its results.
  func evaluate(_ source: String, number: Int) throws -> String? {
    let name = "=In[\(number)]"
    let input = try InputRewriter(state: state, name: name).rewrite(source)
    _ = try state.call(begin, [.integer(number), .boolean(input.isMuted)])
    return try state.run(input.source, named: name, keepsLocals: true, finisher: finish).first?.string
  }

  /// The text in which a value is shown.
  package func text(of value: LuaValue) throws -> String { try state.call(show, [value]).first?.string ?? "" }

  /// The value that an input gave; nil when it gave none.
  func result(_ number: Int) throws -> LuaValue? {
    let value = try state.get(state.global("Out"), .integer(number))
    return value.isNil ? nil : value
  }

  // MARK: is complete

  /// Whether a front end should run the input or ask for more lines.
  package func isComplete(_ source: String) -> Completeness {
    if SessionCommand(source) != nil { return .complete }
    // As an expression, then as statements. The line end tells an open short string, which no line can close.
    let problems = ["return ", ""].map { syntaxProblem($0 + source + "\n") }
    if problems.contains(nil) { return .complete }
    if problems.contains(where: { $0?.hasSuffix("<eof>") == true }) { return .incomplete }
    return .invalid(problems.last.flatMap(\.self) ?? "")
  }

  private func syntaxProblem(_ source: String) -> String? {
    do {
      try state.compile(source, named: "=input")
      return nil
    } catch let error as LuaError {
      return error.message
    } catch {
      return "\(error)"
    }
  }

  // MARK: history

  /// Forgets the user's globals and starts Out and In anew.
  func reset() throws {
    for name in try state.keys(.nil).compactMap(\.string) where !initialGlobals.contains(name) {
      try state.setGlobal(name, .nil)
    }
    _ = try state.run("Out, In = {}, {}", named: "=reset")
  }

  /// The globals that the user's inputs have made, sorted.
  package func userGlobals() throws -> [String] {
    try state.keys(.nil).compactMap(\.string)
      .filter { !initialGlobals.contains($0) && $0 != "_" && !$0.hasPrefix("__lunette") }.sorted()
  }
}
