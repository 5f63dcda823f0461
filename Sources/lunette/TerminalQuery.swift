// Asking the terminal whether it shows pictures.

import Figures
import Foundation

/// The conversation with the terminal behind the process.
enum TerminalQuery {
  /// A terminal that does not answer in this time shows no pictures.
  /// - Units: ms
  private static let patience: Int32 = 300

  /// What the terminal says it can show; blocks where output goes elsewhere or nobody answers.
  static func graphics() -> TerminalGraphics {
    guard isatty(STDOUT_FILENO) == 1, let reply = ask(TerminalGraphics.query) else { return .blocks }
    return TerminalGraphics(reply: reply)
  }

  /// Sends a query and returns the answer up to the `c` that ends it, without echo and without waiting for a line.
  private static func ask(_ query: String) -> String? {
    let terminal = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC)
    guard terminal >= 0 else { return nil }
    defer { close(terminal) }
    var settings = termios()
    guard tcgetattr(terminal, &settings) == 0 else { return nil }
    var raw = settings
    raw.c_lflag &= ~tcflag_t(ICANON | ECHO)
    guard tcsetattr(terminal, TCSANOW, &raw) == 0 else { return nil }
    defer { tcsetattr(terminal, TCSAFLUSH, &settings) }
    let bytes = Array(query.utf8)
    guard write(terminal, bytes, bytes.count) == bytes.count else { return nil }
    var reply: [UInt8] = []
    var descriptor = pollfd(fd: terminal, events: Int16(POLLIN), revents: 0)
    while reply.count < 1024, poll(&descriptor, 1, patience) > 0 {
      var byte: UInt8 = 0
      guard read(terminal, &byte, 1) == 1 else { break }
      reply.append(byte)
      let text = String(decoding: reply, as: UTF8.self)
      if byte == UInt8(ascii: "c"), text.contains("\u{1B}[?") { return text }
    }
    return nil
  }
}
