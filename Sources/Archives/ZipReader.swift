// Reading zip archives, stored and deflated, zip64 included. Nothing in the directory is believed unchecked.

package import Foundation
package import Reporting

/// One member of a zip archive.
package struct ZipEntry: Sendable, Equatable {
  package var name: String
  package var isCompressed: Bool
  package var compressedByteCount: Int
  package var byteCount: Int
  package var checksum: UInt32
  package var headerOffset: Int
  /// Unix file type and permission bits, or 0 if the archive has none.
  package var mode: UInt32

  package var isFolder: Bool { name.hasSuffix("/") }
}

/// A zip archive, mapped into memory.
package struct ZipReader: Sendable {
  package let entries: [ZipEntry]
  package let file: MappedFile
  private let indices: [String: Int]

  package init(_ url: URL) throws(Diagnostic) {
    file = try MappedFile(url, as: "the archive")
    let path = url.path
    entries = try file.withBytes { bytes throws(Diagnostic) in
      var directory = ZipDirectory(bytes: bytes, path: path)
      return try directory.entries()
    }
    var indices: [String: Int] = [:]
    for (i, entry) in entries.enumerated() where indices.updateValue(i, forKey: entry.name) != nil {
      throw zipError(path, expected: "different names", found: "\(entry.name) twice")
    }
    self.indices = indices
  }

  /// The member of a name, if there is one.
  package func entry(named name: String) -> ZipEntry? { indices[name].map { entries[$0] } }

  /// The content of a member, with its length and checksum verified.
  package func data(of entry: ZipEntry) throws(Diagnostic) -> [UInt8] {
    var content: [UInt8] = []
    // A small member that claims to be huge must not cost the memory before it is found out.
    content.reserveCapacity(min(entry.byteCount, max(1 << 20, 4 * entry.compressedByteCount)))
    do { try stream(entry) { content += $0 } } catch {
      throw (error as? Diagnostic) ?? zipError(file.path, expected: "member \(entry.name)", found: "\(error)")
    }
    return content
  }

  func payloadOffset(of entry: ZipEntry, _ bytes: UnsafeRawBufferPointer) throws(Diagnostic) -> Int {
    let header = entry.headerOffset
    guard bytes.count - 30 >= header, bytes.littleEndian(header, UInt32.self) == 0x0403_4B50 else {
      throw zipError(file.path, expected: "a member at byte \(header)", found: "something else")
    }
    let nameLength = Int(bytes.littleEndian(header + 26, UInt16.self))
    let start = header + 30 + nameLength + Int(bytes.littleEndian(header + 28, UInt16.self))
    guard start <= bytes.count, bytes.count - start >= entry.compressedByteCount else {
      throw zipError(
        file.path, expected: "\(entry.compressedByteCount) bytes of \(entry.name)",
        found: "\(max(0, bytes.count - start)) bytes")
    }
    guard String(decoding: bytes[header + 30..<header + 30 + nameLength], as: UTF8.self) == entry.name else {
      throw zipError(file.path, expected: "member \(entry.name)", found: "another name at its place")
    }
    return start
  }

  /// Gives a member's content to `body` piece by piece; its length and checksum are verified at the end.
  package func stream(_ entry: ZipEntry, _ body: (UnsafeRawBufferPointer) throws -> Void) throws {
    let member = try ZipMemberStream(self, entry)
    var buffer = [UInt8](repeating: 0, count: min(1 << 18, entry.byteCount))
    try buffer.withUnsafeMutableBytes { buffer in
      while member.remainingByteCount > 0 {
        let piece = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(member.remainingByteCount))
        try member.read(into: piece)
        try body(UnsafeRawBufferPointer(piece))
      }
    }
  }
}

func zipError(_ path: String, expected: String, found: String) -> Diagnostic {
  Diagnostic(
    "cannot read the archive", at: path, expected: expected, found: found,
    remedy: "copy or download the file again")
}

extension UnsafeRawBufferPointer {
  /// A little-endian number; the caller has checked that it lies inside.
  func littleEndian<T: FixedWidthInteger>(_ offset: Int, _ type: T.Type) -> T {
    T(littleEndian: loadUnaligned(fromByteOffset: offset, as: type))
  }
}
