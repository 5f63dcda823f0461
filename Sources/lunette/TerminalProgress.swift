// Progress on a terminal as a bar that updates in place, elsewhere as a plain line every few seconds.

import Reporting
import Synchronization

/// Draws the progress of the work to standard error, and remarks that stay to standard output.
package final class TerminalProgress: ProgressSink {
  /// What bars and lines are written with, so that tests can listen.
  package struct Output: Sendable {
    package var isTerminal: Bool
    package var width: @Sendable () -> Int
    package var line: @Sendable (String) -> Void
    package var raw: @Sendable (String) -> Void

    package init(
      isTerminal: Bool, width: @escaping @Sendable () -> Int, line: @escaping @Sendable (String) -> Void,
      raw: @escaping @Sendable (String) -> Void
    ) {
      self.isTerminal = isTerminal
      self.width = width
      self.line = line
      self.raw = raw
    }

    /// The process's own streams.
    package static var standard: Output {
      Output(
        isTerminal: Console.errorIsTerminal, width: { Console.width }, line: { Console.print($0) },
        raw: { Console.writeError($0) })
    }
  }

  private struct Stage {
    var line: ProgressLine
    let started: ContinuousClock.Instant
    var lastShown: ContinuousClock.Instant?
  }

  private struct State {
    /// Open stages, the innermost last.
    var stages: [Stage] = []
    var barIsShown = false
  }

  /// How often a bar is redrawn, and how often a plain line is written.
  private static let barInterval: Duration = .milliseconds(100)
  private static let lineInterval: Duration = .seconds(10)
  private static let eraseLine = "\r\u{1B}[K"

  private let output: Output
  private let showsBars: Bool
  private let clock = ContinuousClock()
  private let state = Mutex(State())

  /// Creates a sink; without bars only remarks and the summary of each stage are shown.
  package init(output: Output = .standard, showsBars: Bool = true) {
    self.output = output
    self.showsBars = showsBars
  }

  package func begin(_ stage: String, total: Int) {
    state.withLock { state in
      state.stages.append(Stage(line: ProgressLine(stage: stage, total: total), started: clock.now))
      show(&state)
    }
  }

  package func update(completed: Int, detail: String) {
    state.withLock { state in
      guard !state.stages.isEmpty else { return }
      // Threads report out of order; progress never runs backwards.
      let last = state.stages.count - 1
      state.stages[last].line.completed = max(completed, state.stages[last].line.completed)
      state.stages[last].line.detail = detail
      show(&state)
    }
  }

  package func end() {
    state.withLock { state in
      guard var stage = state.stages.popLast() else { return }
      // Stages inside a stage come and go in its line.
      guard state.stages.isEmpty else { return }
      erase(&state)
      stage.line.elapsed = clock.now - stage.started
      output.raw(stage.line.summary + "\n")
    }
  }

  package func note(_ line: String) {
    state.withLock { state in
      erase(&state)
      output.line(line)
      if output.isTerminal { draw(&state) }
    }
  }

  /// Shows the state of the work unless it was shown a moment ago.
  private func show(_ state: inout State) {
    guard showsBars, let stage = state.stages.first else { return }
    let interval = output.isTerminal ? Self.barInterval : Self.lineInterval
    // A log gets its first line once there is something to tell.
    let reference = stage.lastShown ?? (output.isTerminal ? nil : stage.started)
    if let reference, clock.now - reference < interval { return }
    state.stages[0].lastShown = clock.now
    if output.isTerminal {
      draw(&state)
    } else if let line = line(of: state) {
      output.raw(line.plain + "\n")
    }
  }

  private func draw(_ state: inout State) {
    guard showsBars, let line = line(of: state) else { return }
    output.raw(Self.eraseLine + line.bar(width: output.width() - 1))
    state.barIsShown = true
  }

  /// The outermost stage, with the one inside it as its detail.
  private func line(of state: State) -> ProgressLine? {
    guard let outer = state.stages.first else { return nil }
    var line = outer.line
    line.elapsed = clock.now - outer.started
    if state.stages.count > 1, let inner = state.stages.last?.line {
      line.detail = "\(inner.stage) \(inner.completed)/\(inner.total)"
    }
    return line
  }

  private func erase(_ state: inout State) {
    guard state.barIsShown else { return }
    output.raw(Self.eraseLine)
    state.barIsShown = false
  }
}
