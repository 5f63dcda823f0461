// The inputs that are not Lua: `name?`, `name??`, `! command` and the `%` commands.

import Foundation
import LuaHost
import Reporting

/// A command of the session.
enum SessionCommand {
  case help(path: String, wantsSource: Bool)
  case shell(String)
  case magic(name: String, argument: String)

  static let magics: [(name: String, help: String)] = [
    ("help", "shows these commands"),
    ("time CODE", "runs code and shows how long it took"),
    ("timeit CODE", "runs code often and shows mean and spread of its time"),
    ("run FILE ARGS", "runs a script in this session"),
    ("who", "lists the session's variables"),
    ("history [N]", "shows the last inputs"),
    ("save FILE", "writes the inputs of this session to a script"),
    ("reset", "forgets the session's variables"),
  ]

  /// The command that an input is; nil for Lua.
  init?(_ source: String) {
    let text = source.trimmingCharacters(in: .whitespacesAndNewlines)
    if text.hasPrefix("!") {
      self = .shell(text.dropFirst().trimmingCharacters(in: .whitespaces))
    } else if text.hasPrefix("%") {
      let words = text.dropFirst().split(separator: " ", maxSplits: 1).map(String.init)
      self = .magic(name: words.first ?? "help", argument: words.count > 1 ? words[1] : "")
    } else if text.hasSuffix("?"), !text.contains("\n") {
      let path = text.trimmingCharacters(in: CharacterSet(charactersIn: "? "))
      guard !path.isEmpty, path.allSatisfy({ $0.isLetter || $0.isNumber || "_.:".contains($0) }) else {
        return nil
      }
      self = .help(path: path, wantsSource: text.hasSuffix("??"))
    } else {
      return nil
    }
  }

  /// Runs the command and gives the text to show.
  func run(in session: Session) throws -> String? {
    switch self {
    case .help(let path, let wantsSource):
      if let text = try session.inspect(path, wantsSource: wantsSource) { return text }
      let known = try session.state.keys(.nil).compactMap(\.string)
      throw Diagnostic(
        "there is nothing named '\(path)'",
        remedy: nearestName(to: path, in: known).map { "did you mean '\($0)'?" })
    case .shell(let command): return try Self.runShell(command)
    case .magic(let name, let argument): return try Self.runMagic(name, argument, in: session)
    }
  }

  private static func runShell(_ command: String) throws -> String? {
    let process = Process()
    process.executableURL = URL(filePath: "/bin/sh")
    process.arguments = ["-c", command]
    try process.run()
    process.waitUntilExit()
    return process.terminationStatus == 0 ? nil : "(exit status \(process.terminationStatus))"
  }

  private static func runMagic(_ name: String, _ argument: String, in session: Session) throws -> String? {
    switch name {
    case "help": return magics.map { "%\($0.name)  \($0.help)" }.joined(separator: "\n")
    case "time":
      let start = ContinuousClock.now
      let result = try session.evaluate(argument, number: session.history.count)
      session.write((result.map { $0 + "\n" } ?? "") + "took \(durationText(ContinuousClock.now - start))\n")
      return nil
    case "timeit": return try timeRepeatedly(argument, in: session)
    case "run":
      let words = argument.split(separator: " ").map(String.init)
      guard let path = words.first else { throw Diagnostic("%run needs a file", remedy: "%run FILE ARGS") }
      try Script(path: path, arguments: Array(words.dropFirst())).run(in: session.state)
      return nil
    case "who":
      return try session.userGlobals().map { name in
        let value = try session.state.global(name)
        let text = try session.text(of: value).split(separator: "\n").first ?? ""
        return "\(name)  \(value.typeName)  \(text.prefix(70))"
      }.joined(separator: "\n")
    case "history":
      let count = Int(argument) ?? 20
      return session.history.enumerated().suffix(count + 1).dropLast()
        .map { "\($0.offset + 1): \($0.element)" }.joined(separator: "\n")
    case "save": return try save(argument, in: session)
    case "reset":
      try session.reset()
      return nil
    default:
      let names = magics.map { String($0.name.prefix { $0 != " " }) }
      throw Diagnostic(
        "unknown command %\(name)", expected: names.map { "%\($0)" }.joined(separator: " "),
        remedy: nearestName(to: name, in: names).map { "did you mean %\($0)?" })
    }
  }

  private static func save(_ path: String, in session: Session) throws -> String? {
    guard !path.isEmpty else { throw Diagnostic("%save needs a file name", remedy: "%save FILE.lua") }
    let inputs = session.history.filter { SessionCommand($0) == nil }
    let url = URL(filePath: path)
    try Data((inputs.joined(separator: "\n") + "\n").utf8).write(to: url, options: .atomic)
    return "saved \(inputs.count) inputs to \(path)"
  }

  private static func timeRepeatedly(_ source: String, in session: Session) throws -> String {
    let budget = Duration.seconds(1)
    var times: [Double] = []
    let start = ContinuousClock.now
    repeat {
      let before = ContinuousClock.now
      _ = try session.state.run(source, named: "=timeit")
      times.append((ContinuousClock.now - before) / .seconds(1))
    } while times.count < 3 || (ContinuousClock.now - start < budget && times.count < 10_000)
    let mean = times.reduce(0, +) / Double(times.count)
    let spread = (times.map { ($0 - mean) * ($0 - mean) }.reduce(0, +) / Double(times.count - 1)).squareRoot()
    return "\(durationText(.seconds(mean))) ± \(durationText(.seconds(spread))) (mean of \(times.count) runs)"
  }
}

/// A duration in a unit that suits it, such as `12.3 ms`.
func durationText(_ duration: Duration) -> String {
  let seconds = duration / .seconds(1)
  switch seconds {
  case ..<1e-3: return String(format: "%.1f us", seconds * 1e6)
  case ..<1: return String(format: "%.1f ms", seconds * 1e3)
  case ..<120: return String(format: "%.2f s", seconds)
  default: return String(format: "%.1f min", seconds / 60)
  }
}
