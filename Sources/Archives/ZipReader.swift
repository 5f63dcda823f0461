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
    let path = "\(file.path), member \(entry.name)"
    var checksum: UInt32 = 0
    try file.withBytes { bytes in
      let start = try payloadOffset(of: entry, bytes)
      let payload = UnsafeRawBufferPointer(rebasing: bytes[start..<start + entry.compressedByteCount])
      func emit(_ piece: UnsafeRawBufferPointer) throws {
        checksum = crc32Checksum(piece, from: checksum)
        try body(piece)
      }
      if entry.isCompressed {
        try Self.inflate(payload, entry.byteCount, path, emit)
      } else {
        try emit(payload)
      }
    }
    guard checksum == entry.checksum else {
      throw zipError(
        path, expected: "checksum \(String(entry.checksum, radix: 16))", found: String(checksum, radix: 16))
    }
  }

  private static func inflate(
    _ payload: UnsafeRawBufferPointer, _ byteCount: Int, _ path: String,
    _ emit: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var stream = try InflateStream(.raw)
    var buffer = [UInt8](repeating: 0, count: 1 << 18)
    var (position, produced) = (0, 0)
    while true {
      let result = buffer.withUnsafeMutableBytes { output in
        Result { () throws(Diagnostic) in
          try stream.step(from: UnsafeRawBufferPointer(rebasing: payload[position...]), into: output)
        }
      }
      guard case .success(let step) = result else {
        throw zipError(path, expected: "deflated data", found: "damaged data near byte \(position)")
      }
      position += step.consumed
      produced += step.produced
      if produced > byteCount { break }
      if step.produced > 0 {
        try buffer.withUnsafeBytes { try emit(UnsafeRawBufferPointer(rebasing: $0.prefix(step.produced))) }
      }
      if step.isFinished || step.consumed == 0 && step.produced == 0 { break }
    }
    guard produced == byteCount else {
      throw zipError(
        path, expected: "\(byteCount) bytes", found: produced > byteCount ? "more" : "\(produced) bytes")
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
