// The inputs of earlier sessions, one per line with escaped line ends, appended as they are made.

package import Foundation

package struct HistoryFile {
  package let url: URL
  /// Inputs that are read back at the start.
  private static let kept = 5000

  package init(url: URL) { self.url = url }

  /// The user's own file: `$XDG_STATE_HOME/lunette/history`, by default under `~/.local/state`.
  package static var standard: HistoryFile {
    let environment = ProcessInfo.processInfo.environment
    let state =
      environment["XDG_STATE_HOME"].map { URL(filePath: $0) }
      ?? FileManager.default.homeDirectoryForCurrentUser.appending(path: ".local/state")
    return HistoryFile(url: state.appending(path: "lunette/history"))
  }

  package func read() -> [String] {
    guard let text = try? String(contentsOf: url, encoding: .utf8) else { return [] }
    return text.split(separator: "\n").suffix(Self.kept).map { unescaped(String($0)) }
  }

  /// Appends an input; a history that cannot be written is not worth an error.
  package func append(_ input: String) {
    let line = input.replacing("\\", with: "\\\\").replacing("\n", with: "\\n") + "\n"
    try? FileManager.default.createDirectory(
      at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
    if let handle = try? FileHandle(forWritingTo: url) {
      defer { try? handle.close() }
      _ = try? handle.seekToEnd()
      try? handle.write(contentsOf: Data(line.utf8))
    } else {
      try? Data(line.utf8).write(to: url)
    }
  }

  private func unescaped(_ line: String) -> String {
    var result = ""
    var isEscaped = false
    for character in line {
      if isEscaped {
        result.append(character == "n" ? "\n" : character)
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else {
        result.append(character)
      }
    }
    return result
  }
}
