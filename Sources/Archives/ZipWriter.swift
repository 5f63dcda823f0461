// Writing zip archives: streamed member by member, atomic, the same bytes for the same content.

package import Foundation
import Reporting

/// Receives the members of an archive that is being written.
package final class ZipWriter {
  private let handle: FileHandle
  private var offset = 0
  private var directory: [UInt8] = []
  private var names: Set<String> = []

  private init(_ handle: FileHandle) { self.handle = handle }

  /// Writes an archive atomically; `body` adds its members.
  package static func write(to url: URL, _ body: (ZipWriter) throws -> Void) throws {
    try writeAtomically(to: url) { handle in
      let writer = ZipWriter(handle)
      try body(writer)
      try writer.finish()
    }
  }

  /// Adds a member whose content is `pieces`, one after the other; one that is not compressed begins at a multiple of
  /// `alignment`.
  package func add(
    _ name: String, _ pieces: [UnsafeRawBufferPointer], isCompressed: Bool = true, alignment: Int = 1
  ) throws {
    precondition(names.insert(name).inserted, "two members named \(name)")
    let checksum = pieces.reduce(UInt32(0)) { crc32Checksum($1, from: $0) }
    let byteCount = pieces.reduce(0) { $0 + $1.count }
    let start = offset
    var record = ZipRecord(
      name: name, isCompressed: isCompressed, checksum: checksum, byteCount: byteCount,
      compressedByteCount: byteCount,
      headerOffset: start)
    if !isCompressed { record.align(to: alignment) }
    try write(record.localHeader)
    if isCompressed {
      let payloadStart = offset
      var stream = try DeflateStream(.raw)
      for (i, piece) in pieces.enumerated() {
        try stream.write(piece, isLast: i == pieces.count - 1) { try self.write($0) }
      }
      record.compressedByteCount = offset - payloadStart
      // The compressed size is known only now.
      try handle.seek(toOffset: UInt64(start))
      try handle.write(contentsOf: Data(record.localHeader))
      try handle.seekToEnd()
    } else {
      for piece in pieces { try write(piece) }
    }
    directory += record.directoryRecord
  }

  package func add(_ name: String, _ content: [UInt8], isCompressed: Bool = true) throws {
    try content.withUnsafeBytes { try add(name, [$0], isCompressed: isCompressed) }
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws {
    try handle.write(contentsOf: Data(bytes))
    offset += bytes.count
  }

  private func write(_ bytes: [UInt8]) throws { try bytes.withUnsafeBytes { try write($0) } }

  private func finish() throws {
    let start = offset
    try write(directory)
    var end: [UInt8] = []
    if start > 0xFFFF_FFFE || directory.count > 0xFFFF_FFFE || names.count > 0xFFFE {
      end.append(UInt32(0x0606_4B50), UInt64(44), UInt16(45), UInt16(45), UInt32(0), UInt32(0))
      end.append(UInt64(names.count), UInt64(names.count), UInt64(directory.count), UInt64(start))
      end.append(UInt32(0x0706_4B50), UInt32(0), UInt64(offset), UInt32(1))
    }
    let count = UInt16(clamping: names.count)
    end.append(UInt32(0x0605_4B50), UInt16(0), UInt16(0), count, count)
    end.append(UInt32(clamping: directory.count), UInt32(clamping: start), UInt16(0))
    try write(end)
  }
}

/// The two headers of one member.
private struct ZipRecord {
  var name: String
  var isCompressed: Bool
  var checksum: UInt32
  var byteCount: Int
  var compressedByteCount: Int
  var headerOffset: Int
  /// Bytes of an extra field that only fills.
  var padding = 0

  /// 1 January 1980, midnight: files of the same content are the same.
  static let date: UInt32 = 0x0021_0000
  /// Names are UTF-8.
  static let flags: UInt16 = 0x0800

  /// Decided by the size before compression, so that both versions of the local header are equally long.
  var needsLongSizes: Bool { byteCount > 0xF000_0000 }
  var version: UInt16 { needsLongSizes || headerOffset > 0xFFFF_FFFE ? 45 : 20 }
  var method: UInt16 { isCompressed ? 8 : 0 }
  var shortSizes: (UInt32, UInt32) {
    needsLongSizes ? (.max, .max) : (UInt32(compressedByteCount), UInt32(byteCount))
  }

  /// Lets the content begin at a multiple of `alignment`.
  mutating func align(to alignment: Int) {
    let start = headerOffset + localHeader.count
    guard !start.isMultiple(of: alignment) else { return }
    // A field has four bytes before its content.
    padding = 4 + (alignment - (start + 4) % alignment) % alignment
  }

  var localHeader: [UInt8] {
    var bytes: [UInt8] = []
    bytes.append(
      UInt32(0x0403_4B50), version, Self.flags, method, Self.date, checksum, shortSizes.0, shortSizes.1)
    bytes.append(UInt16(name.utf8.count), UInt16((needsLongSizes ? 20 : 0) + padding))
    bytes += Array(name.utf8)
    if needsLongSizes { bytes.append(UInt16(1), UInt16(16), UInt64(byteCount), UInt64(compressedByteCount)) }
    if padding > 0 {
      // "FB" is the field's mark in PyTorch's files.
      bytes.append(UInt16(0x4246), UInt16(padding - 4))
      bytes += Array(repeating: 0, count: padding - 4)
    }
    return bytes
  }

  var directoryRecord: [UInt8] {
    var extra: [UInt8] = []
    if needsLongSizes { extra.append(UInt64(byteCount), UInt64(compressedByteCount)) }
    if headerOffset > 0xFFFF_FFFE { extra.append(UInt64(headerOffset)) }
    var bytes: [UInt8] = []
    bytes.append(UInt32(0x0201_4B50), version | 0x0300, version, Self.flags, method, Self.date, checksum)
    bytes.append(shortSizes.0, shortSizes.1)
    bytes.append(
      UInt16(name.utf8.count), UInt16(extra.isEmpty ? 0 : extra.count + 4), UInt16(0), UInt16(0), UInt16(0))
    bytes.append(UInt32(0o100644) << 16, UInt32(clamping: headerOffset))
    bytes += Array(name.utf8)
    if !extra.isEmpty { bytes.append(UInt16(1), UInt16(extra.count)) }
    return bytes + extra
  }
}

extension [UInt8] {
  /// Appends numbers in little-endian order.
  fileprivate mutating func append(_ values: any FixedWidthInteger...) {
    for value in values { appendLittleEndian(value) }
  }

  private mutating func appendLittleEndian(_ value: some FixedWidthInteger) {
    Swift.withUnsafeBytes(of: value.littleEndian) { self += $0 }
  }
}
