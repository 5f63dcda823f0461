// The texts of progress, and when they are shown.

import Reporting
import Synchronization
import Testing
import lunette

@Suite struct ProgressLineTests {
  @Test("A bar shows count, rate and time left within the width")
  func bar() {
    let line = ProgressLine(stage: "preprocess", total: 10, completed: 5, elapsed: .seconds(2))
    #expect(line.bar(width: 80) == "preprocess [###############...............] 5/10  2.5/s, 2.0 s left")
    for width in 1..<90 { #expect(line.bar(width: width).count <= width) }
  }

  @Test("Slow work shows seconds for each step and the time left in minutes")
  func slow() {
    let line = ProgressLine(
      stage: "train", total: 100, completed: 4, detail: "loss 0.5", elapsed: .seconds(80))
    #expect(line.plain == "train: 4/100, 20 s each, 32:00 left, loss 0.5")
  }

  @Test(
    "Durations read as people say them",
    arguments: [(4.25, "4.3 s"), (42, "42 s"), (187, "3:07"), (3765, "1:02:45")])
  func durations(seconds: Double, text: String) {
    #expect(ProgressLine.text(of: .seconds(seconds)) == text)
  }

  @Test("An unfinished stage says how far it came")
  func summary() {
    #expect(
      ProgressLine(stage: "a", total: 3, completed: 2, elapsed: .seconds(1)).summary == "a: 2 of 3 in 1.0 s")
    #expect(ProgressLine(stage: "a", total: 3, completed: 3, elapsed: .seconds(1)).summary == "a: 3 in 1.0 s")
  }
}

@Suite struct TerminalProgressTests {
  /// What was written, in order.
  private final class Record: Sendable {
    let texts = Mutex<[String]>([])
    func output(isTerminal: Bool) -> TerminalProgress.Output {
      TerminalProgress.Output(
        isTerminal: isTerminal, width: { 60 },
        line: { text in self.texts.withLock { $0.append("out: " + text) } },
        raw: { text in self.texts.withLock { $0.append(text) } })
    }
  }

  @Test("Away from a terminal quick work writes its summary alone, without control characters")
  func log() {
    let record = Record()
    let progress = TerminalProgress(output: record.output(isTerminal: false))
    progress.begin("plan", total: 3)
    for step in 1...3 { progress.update(completed: step, detail: "case \(step)") }
    progress.note("done")
    progress.end()
    let texts = record.texts.withLock { $0 }
    #expect(texts.count == 2)
    #expect(texts.first == "out: done")
    #expect(texts.last?.hasPrefix("plan: 3 in ") == true)
    #expect(!texts.joined().contains("\u{1B}"))
  }

  @Test("On a terminal a remark erases the bar, and the bar comes back below it")
  func terminal() {
    let record = Record()
    let progress = TerminalProgress(output: record.output(isTerminal: true))
    progress.begin("plan", total: 3)
    progress.note("remark")
    progress.end()
    let texts = record.texts.withLock { $0 }
    let remark = texts.firstIndex(of: "out: remark") ?? 0
    #expect(remark > 0 && texts[remark - 1] == "\r\u{1B}[K")
    #expect(texts[remark + 1].contains("plan"))
    #expect(texts.last?.hasPrefix("plan: 0 of 3") == true)
  }

  @Test("A stage inside a stage shows in its line and leaves no line of its own")
  func nested() {
    let record = Record()
    let progress = TerminalProgress(output: record.output(isTerminal: true))
    progress.begin("predict", total: 2)
    progress.begin("tiles", total: 8)
    progress.note("remark")
    progress.end()
    progress.end()
    let texts = record.texts.withLock { $0 }
    #expect(texts.contains { $0.contains("predict") && $0.contains("tiles 0/8") })
    #expect(texts.filter { $0.hasSuffix("\n") }.count == 1)
    #expect(texts.last?.hasPrefix("predict: 0 of 2") == true)
  }

  @Test("Progress never runs backwards when threads report out of order")
  func order() {
    let record = Record()
    let progress = TerminalProgress(output: record.output(isTerminal: false))
    progress.begin("plan", total: 3)
    progress.update(completed: 3, detail: "")
    progress.update(completed: 2, detail: "")
    progress.end()
    #expect(record.texts.withLock { $0.last?.hasPrefix("plan: 3 in ") } == true)
  }
}
