// The gzip container in memory.

package import Foundation
package import Reporting

/// Reading and writing gzip data.
package enum Gzip {
  /// The largest factor by which deflate can expand; a file cannot supply more than this times its size.
  package static let maximumExpansion = 1032

  /// Whether bytes begin as a gzip member does.
  package static func isCompressed(_ bytes: UnsafeRawBufferPointer) -> Bool {
    bytes.count >= 2 && bytes[0] == 0x1F && bytes[1] == 0x8B
  }

  /// Decompresses all members of `data`; `source` names them in errors.
  ///
  /// More than `limit` bytes of output is an error, which bounds what a small file can cost.
  package static func decompress(
    _ data: [UInt8], source: String = "gzip data", limit: Int = .max
  ) throws(Diagnostic) -> [UInt8] {
    var output: [UInt8] = []
    var scratch = [UInt8](repeating: 0, count: 1 << 18)
    var stream = try InflateStream(.gzip)
    var position = 0
    var isFinished = false
    while position < data.count || !isFinished {
      if isFinished {
        stream.reset()
        isFinished = false
      }
      let step: DeflateStep
      do throws(Diagnostic) {
        step = try inflateStep(&stream, data, from: position, into: &scratch)
      } catch {
        throw Diagnostic(
          "cannot decompress \(source)", at: source, expected: "gzip data with a right checksum",
          found: "\(error.found ?? error.failure) at byte \(position)",
          remedy: "copy or download the file again")
      }
      position += step.consumed
      isFinished = step.isFinished
      guard output.count + step.produced <= limit else {
        throw Diagnostic(
          "\(source) expands to too much", at: source, expected: "at most \(limit) bytes", found: "more")
      }
      output += scratch.prefix(step.produced)
      if step.consumed == 0, step.produced == 0, !isFinished {
        throw Diagnostic(
          "\(source) ends early", at: source, expected: "the end of the gzip data",
          found: "the end of the file after \(data.count) bytes (\(output.count) decompressed)",
          remedy: "copy or download the file again")
      }
    }
    return output
  }

  package static func decompress(
    _ data: Data, source: String = "gzip data", limit: Int = .max
  ) throws(Diagnostic) -> [UInt8] {
    try decompress([UInt8](data), source: source, limit: limit)
  }

  /// One gzip member; the same input always gives the same bytes (no name, no time stamp).
  package static func compress(_ data: [UInt8], level: Int = 6) throws -> [UInt8] {
    var output: [UInt8] = []
    var stream = try DeflateStream(.gzip, level: level)
    try data.withUnsafeBytes { bytes in
      try stream.write(bytes, isLast: true) { output += $0 }
    }
    return output
  }

  package static func compress(_ data: Data, level: Int = 6) throws -> [UInt8] {
    try compress([UInt8](data), level: level)
  }
}

private func inflateStep(
  _ stream: inout InflateStream, _ data: [UInt8], from position: Int, into scratch: inout [UInt8]
) throws(Diagnostic) -> DeflateStep {
  let result = data.withUnsafeBytes { input in
    scratch.withUnsafeMutableBytes { output in
      Result { () throws(Diagnostic) in
        try stream.step(from: UnsafeRawBufferPointer(rebasing: input[position...]), into: output)
      }
    }
  }
  return try result.get()
}
