// One member of a zip archive piece by piece, for what is too large to hold as a whole.

import Foundation
package import Reporting

/// Reads a member from front to back; its length and checksum are verified at the end.
package final class ZipMemberStream {
  private let archive: ZipReader
  private let entry: ZipEntry
  private let path: String
  /// Where the member's data begin in the archive.
  private let start: Int
  private var inflater: InflateStream?
  private var consumed = 0
  private var produced = 0
  private var checksum: UInt32 = 0

  package init(_ archive: ZipReader, _ entry: ZipEntry) throws(Diagnostic) {
    self.archive = archive
    self.entry = entry
    path = "\(archive.file.path), member \(entry.name)"
    start = try archive.file.withBytes { bytes throws(Diagnostic) in
      try archive.payloadOffset(of: entry, bytes)
    }
    if entry.isCompressed { inflater = try InflateStream(.raw) }
    if entry.byteCount == 0 { try checkEnd() }
  }

  /// Bytes that have not been read yet.
  package var remainingByteCount: Int { entry.byteCount - produced }

  /// Fills the buffer; the member has to hold that much more.
  package func read(into target: UnsafeMutableRawBufferPointer) throws(Diagnostic) {
    guard target.count <= remainingByteCount else {
      throw zipError(path, expected: "\(target.count) more bytes", found: "\(remainingByteCount)")
    }
    var filled = 0
    while filled < target.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: target[filled...])
      let count = try step(into: rest)
      guard count > 0 else {
        throw zipError(path, expected: "\(entry.byteCount) bytes", found: "\(produced)")
      }
      checksum = crc32Checksum(UnsafeRawBufferPointer(rebasing: rest[..<count]), from: checksum)
      filled += count
      produced += count
    }
    if remainingByteCount == 0, !target.isEmpty { try checkEnd() }
  }

  /// Stops unless the member ends here, with the checksum that the archive tells.
  private func checkEnd() throws(Diagnostic) {
    if entry.isCompressed {
      let count = try withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { byte in
        Result { () throws(Diagnostic) in try step(into: byte) }
      }.get()
      guard count == 0 else { throw zipError(path, expected: "\(entry.byteCount) bytes", found: "more") }
    }
    guard checksum == entry.checksum else {
      throw zipError(
        path, expected: "checksum \(String(entry.checksum, radix: 16))",
        found: String(checksum, radix: 16))
    }
  }

  /// Puts the next bytes into the buffer and says how many; none at the end.
  private func step(into target: UnsafeMutableRawBufferPointer) throws(Diagnostic) -> Int {
    let first = start + consumed
    let last = start + entry.compressedByteCount
    // The stream leaves its place only for this call: move-only values are not lent from optionals.
    guard var stream = inflater.take() else {
      archive.file.withBytes { bytes in
        target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[first..<first + target.count]))
      }
      consumed += target.count
      return target.count
    }
    let result = archive.file.withBytes { bytes in
      Result { () throws(Diagnostic) in
        try stream.step(from: UnsafeRawBufferPointer(rebasing: bytes[first..<last]), into: target)
      }
    }
    inflater = consume stream
    guard case .success(let step) = result else {
      throw zipError(path, expected: "deflated data", found: "damaged data near byte \(consumed)")
    }
    consumed += step.consumed
    return step.produced
  }
}
