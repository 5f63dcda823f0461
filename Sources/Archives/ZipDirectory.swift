// The central directory of a zip archive: where it is, and what it says.

import Reporting

/// Finds and parses the central directory of an archive in memory.
struct ZipDirectory {
  let bytes: UnsafeRawBufferPointer
  let path: String

  /// More members than all folds of all configurations have, predictions included.
  static let maximumEntryCount = 100_000

  mutating func entries() throws(Diagnostic) -> [ZipEntry] {
    var (offset, size, count) = try locate()
    guard count <= Self.maximumEntryCount, count <= size / 46 else {
      throw zipError(
        path, expected: "at most \(min(size / 46, Self.maximumEntryCount)) members", found: "\(count)")
    }
    let end = offset + size
    var entries: [ZipEntry] = []
    while entries.count < count {
      guard end - offset >= 46, bytes.littleEndian(offset, UInt32.self) == 0x0201_4B50 else {
        throw zipError(path, expected: "\(count) directory records", found: "\(entries.count)")
      }
      let lengths = [28, 30, 32].map { Int(bytes.littleEndian(offset + $0, UInt16.self)) }
      guard end - offset - 46 >= lengths.reduce(0, +) else {
        throw zipError(path, expected: "a whole directory record", found: "the end of the directory")
      }
      entries.append(try entry(at: offset, lengths: lengths))
      offset += 46 + lengths.reduce(0, +)
    }
    return entries
  }

  private func locate() throws(Diagnostic) -> (offset: Int, size: Int, count: Int) {
    let lowest = max(0, bytes.count - 22 - 65535)
    var end = bytes.count - 22
    while end >= lowest {
      if bytes.littleEndian(end, UInt32.self) == 0x0605_4B50,
        end + 22 + Int(bytes.littleEndian(end + 20, UInt16.self)) == bytes.count
      {
        break
      }
      end -= 1
    }
    guard end >= lowest, end >= 0 else {
      throw zipError(
        path, expected: "a zip archive with its directory at the end", found: "\(bytes.count) bytes without")
    }
    var count = Int(bytes.littleEndian(end + 10, UInt16.self))
    var size = Int(bytes.littleEndian(end + 12, UInt32.self))
    var offset = Int(bytes.littleEndian(end + 16, UInt32.self))
    if count == 0xFFFF || size == 0xFFFF_FFFF || offset == 0xFFFF_FFFF {
      (offset, size, count) = try locate64(before: end) ?? (offset, size, count)
    }
    guard offset <= end, size <= end - offset else {
      throw zipError(path, expected: "a directory inside the file", found: "\(size) bytes at \(offset)")
    }
    return (offset, size, count)
  }

  private func locate64(before end: Int) throws(Diagnostic) -> (offset: Int, size: Int, count: Int)? {
    guard end >= 20, bytes.littleEndian(end - 20, UInt32.self) == 0x0706_4B50 else { return nil }
    guard let record = Int(exactly: bytes.littleEndian(end - 12, UInt64.self)), record <= bytes.count - 56,
      bytes.littleEndian(record, UInt32.self) == 0x0606_4B50,
      let count = Int(exactly: bytes.littleEndian(record + 32, UInt64.self)),
      let size = Int(exactly: bytes.littleEndian(record + 40, UInt64.self)),
      let offset = Int(exactly: bytes.littleEndian(record + 48, UInt64.self))
    else { throw zipError(path, expected: "a zip64 directory inside the file", found: "a damaged one") }
    return (offset, size, count)
  }

  private func entry(at offset: Int, lengths: [Int]) throws(Diagnostic) -> ZipEntry {
    let name = String(decoding: bytes[offset + 46..<offset + 46 + lengths[0]], as: UTF8.self)
    let flags = bytes.littleEndian(offset + 8, UInt16.self)
    let method = bytes.littleEndian(offset + 10, UInt16.self)
    guard flags & 1 == 0, method == 0 || method == 8 else {
      throw zipError(
        "\(path), member \(name)", expected: "stored or deflated data, not encrypted",
        found: "method \(method)")
    }
    let extra = offset + 46 + lengths[0]
    let (byteCount, compressed, header) = try sizes(at: offset, extra: extra..<extra + lengths[1], name)
    // Deflate cannot expand by more; anything else is a bomb or a lie.
    guard compressed <= bytes.count, header <= bytes.count,
      method == 0 ? byteCount == compressed : byteCount <= (compressed + 1) * Gzip.maximumExpansion
    else {
      throw zipError(
        "\(path), member \(name)", expected: "sizes that the file of \(bytes.count) bytes can supply",
        found: "\(compressed) bytes that claim to expand to \(byteCount)")
    }
    let isUnix = bytes[offset + 5] == 3
    return ZipEntry(
      name: name, isCompressed: method == 8, compressedByteCount: compressed, byteCount: byteCount,
      checksum: bytes.littleEndian(offset + 16, UInt32.self), headerOffset: header,
      mode: isUnix ? bytes.littleEndian(offset + 38, UInt32.self) >> 16 : 0)
  }

  /// Sizes and place of a member, from the zip64 field where the short ones are full.
  private func sizes(
    at offset: Int, extra: Range<Int>, _ name: String
  ) throws(Diagnostic) -> (byteCount: Int, compressed: Int, header: Int) {
    var values = [24, 20, 42].map { Int(bytes.littleEndian(offset + $0, UInt32.self)) }
    guard values.contains(0xFFFF_FFFF) else { return (values[0], values[1], values[2]) }
    var field = extra.lowerBound
    while extra.upperBound - field >= 4 {
      let length = Int(bytes.littleEndian(field + 2, UInt16.self))
      guard extra.upperBound - field - 4 >= length else { break }
      if bytes.littleEndian(field, UInt16.self) == 1 {
        var place = field + 4
        for i in 0..<3 where values[i] == 0xFFFF_FFFF {
          guard field + 4 + length - place >= 8,
            let value = Int(exactly: bytes.littleEndian(place, UInt64.self))
          else {
            throw zipError("\(path), member \(name)", expected: "zip64 sizes", found: "a damaged field")
          }
          values[i] = value
          place += 8
        }
        return (values[0], values[1], values[2])
      }
      field += 4 + length
    }
    return (values[0], values[1], values[2])
  }
}
