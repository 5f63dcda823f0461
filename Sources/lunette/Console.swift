// Writing to the two output streams, unbuffered and in order.

import Foundation

/// The program's standard output and standard error.
enum Console {
  /// Prints a line to standard output.
  static func print(_ line: String) {
    FileHandle.standardOutput.write(Data((line + "\n").utf8))
  }

  /// Writes text to standard error as it is.
  static func writeError(_ text: String) {
    FileHandle.standardError.write(Data(text.utf8))
  }

  /// Prints a remark to standard error, with the program's name before it.
  static func remark(_ line: String) {
    writeError("lunette: \(line)\n")
  }

  static var errorIsTerminal: Bool { isatty(FileHandle.standardError.fileDescriptor) == 1 }

  /// The columns of the terminal behind standard error, 80 if there is none.
  static var width: Int { size(of: .standardError)?.columns ?? 80 }

  /// The columns of the terminal behind a stream, and its pixels across if it tells; `nil` if it is none.
  static func size(of stream: FileHandle) -> (columns: Int, pixelWidth: Int?)? {
    var size = winsize()
    guard ioctl(stream.fileDescriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return nil }
    return (Int(size.ws_col), size.ws_xpixel > 0 ? Int(size.ws_xpixel) : nil)
  }
}
