// The text of a progress line: bar, count, rate, time left. Pure, so that tests can read it.

/// What is known of a running stage.
package struct ProgressLine: Equatable {
  package var stage: String
  package var total: Int
  package var completed: Int
  package var detail: String
  package var elapsed: Duration

  package init(stage: String, total: Int, completed: Int = 0, detail: String = "", elapsed: Duration = .zero)
  {
    self.stage = stage
    self.total = total
    self.completed = completed
    self.detail = detail
    self.elapsed = elapsed
  }

  /// The line with a bar, at most `width` columns wide.
  package func bar(width: Int) -> String {
    let figures = " \(completed)/\(total)  \(pace)"
    let room = width - stage.count - figures.count - 3 - (detail.isEmpty ? 0 : detail.count + 2)
    var line = stage
    if room >= 8 {
      let length = min(room, 30)
      let filled = total > 0 ? min(length, length * completed / total) : length
      line +=
        " [" + String(repeating: "#", count: filled) + String(repeating: ".", count: length - filled) + "]"
    }
    line += figures
    if !detail.isEmpty { line += "  " + detail }
    return line.count > width ? String(line.prefix(max(0, width))) : line
  }

  /// The line for a log file.
  package var plain: String {
    "\(stage): \(completed)/\(total), \(pace)" + (detail.isEmpty ? "" : ", \(detail)")
  }

  /// The line when the stage is over.
  package var summary: String {
    "\(stage): \(completed == total ? "\(total)" : "\(completed) of \(total)") in \(Self.text(of: elapsed))"
  }

  /// Rate and time left, as far as they can be told.
  private var pace: String {
    let seconds = Self.seconds(elapsed)
    guard completed > 0, seconds > 0 else { return Self.text(of: elapsed) }
    let rate = Double(completed) / seconds
    let rateText = rate >= 1 ? "\(Self.rounded(rate))/s" : "\(Self.rounded(1 / rate)) s each"
    guard completed < total else { return "\(rateText), \(Self.text(of: elapsed))" }
    let left = Duration.seconds(Double(total - completed) / rate)
    return "\(rateText), \(Self.text(of: left)) left"
  }

  /// A duration as people say it: `4.2 s`, `3:07`, `1:02:45`, `5 d 3 h`.
  package static func text(of duration: Duration) -> String {
    let seconds = Self.seconds(duration)
    if seconds < 60 { return "\(rounded(seconds)) s" }
    let whole = Int(seconds)
    if whole >= 48 * 3600 { return "\(whole / 86_400) d \(whole / 3600 % 24) h" }
    let tail = twoDigits(whole % 60)
    return whole < 3600 ? "\(whole / 60):\(tail)" : "\(whole / 3600):\(twoDigits(whole / 60 % 60)):\(tail)"
  }

  private static func seconds(_ duration: Duration) -> Double {
    Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }

  private static func twoDigits(_ number: Int) -> String { number < 10 ? "0\(number)" : "\(number)" }

  /// One digit behind the point for small numbers, none for large ones.
  private static func rounded(_ value: Double) -> String {
    value < 10 ? "\((value * 10).rounded() / 10)" : "\(Int(value.rounded()))"
  }
}
