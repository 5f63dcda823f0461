// Archives made to do harm: each is refused before anything is written.

import Archives
import Foundation
import Reporting
import TestSupport
import Testing

@Suite("Hostile archives")
struct HostileArchiveTests {
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("hostile") }

  private func archive(_ members: [(String, [UInt8])], isCompressed: Bool = true) throws -> [UInt8] {
    let url = folder.appending(path: "\(UUID().uuidString).zip")
    try ZipWriter.write(to: url) { writer in
      for (name, content) in members { try writer.add(name, content, isCompressed: isCompressed) }
    }
    return [UInt8](try Data(contentsOf: url))
  }

  /// The places of the directory's records.
  private func records(in bytes: [UInt8]) -> [Int] {
    bytes.indices.dropLast(3).filter { bytes[$0..<$0 + 4].elementsEqual([0x50, 0x4B, 1, 2]) }
  }

  private func write(_ value: Int, byteCount: Int, at place: Int, of bytes: inout [UInt8]) {
    for i in 0..<byteCount { bytes[place + i] = UInt8(truncatingIfNeeded: value >> (8 * i)) }
  }

  /// Stops the test unless the archive is refused and leaves nothing.
  private func expectRefusal(_ bytes: [UInt8], _ comment: Comment) throws {
    let work = folder.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: work, withIntermediateDirectories: true)
    let url = folder.appending(path: "hostile.zip")
    try Data(bytes).write(to: url)
    #expect(throws: Diagnostic.self, comment) {
      try ZipReader(url).extract(to: work.appending(path: "target"))
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: work.path).isEmpty, comment)
  }

  @Test("Links and devices are refused", arguments: [0xA1FF, 0x21B6, 0x61B6, 0x11B6, 0xC1B6])
  func types(mode: Int) throws {
    var bytes = try archive([("member", Array("/etc/passwd".utf8))])
    let record = try #require(records(in: bytes).first)
    write(mode, byteCount: 2, at: record + 40, of: &bytes)
    try expectRefusal(bytes, "mode \(String(mode, radix: 8))")
  }

  @Test("Two members of one name, and a file that is also a folder, are refused")
  func duplicates() throws {
    var bytes = try archive([("a1", [1]), ("a2", [2])])
    // Both names, in the local headers and in the directory.
    for i in bytes.indices.dropLast() where bytes[i...].starts(with: Array("a2".utf8)) {
      bytes[i + 1] = UInt8(ascii: "1")
    }
    try expectRefusal(bytes, "the same name twice")
    try expectRefusal(try archive([("a", [1]), ("a/b", [2])]), "a below the file a")
    try expectRefusal(try archive([("A/b", [1]), ("a", [2])]), "the file a beside the folder A")
  }

  @Test("A bomb is refused by its sizes, and so are members that share bytes")
  func bombs() throws {
    let zeros = [UInt8](repeating: 0, count: 1 << 20)
    let members = (0..<300).map { ("zeros-\($0)", zeros) }
    try expectRefusal(try archive(members), "300 MB in 300 kB")
    var bytes = try archive((0..<50).map { ("zeros-\($0 + 10)", zeros) })
    let places = records(in: bytes)
    for place in places {
      // Every record claims all of the file.
      write(bytes.count - 100, byteCount: 4, at: place + 20, of: &bytes)
    }
    try expectRefusal(bytes, "members that overlap")
  }

  @Test("Sizes that are lies are found, and nothing stays")
  func lies() throws {
    let zeros = [UInt8](repeating: 0, count: 1 << 16)
    let good = try archive([("first", [1, 2, 3]), ("zeros", zeros)])
    let record = try #require(records(in: good).last)
    for size in [1 << 15, 1 << 17, 0] {
      var bytes = good
      write(size, byteCount: 4, at: record + 24, of: &bytes)
      try expectRefusal(bytes, "\(size) bytes in place of \(zeros.count)")
    }
    var bytes = good
    write(0x7FFF_FFFF, byteCount: 4, at: record + 24, of: &bytes)
    try expectRefusal(bytes, "more than deflate can make")
    bytes = good
    write(good.count, byteCount: 4, at: record + 42, of: &bytes)
    try expectRefusal(bytes, "a member behind the end")
    bytes = good
    bytes[record + 16] ^= 1
    try expectRefusal(bytes, "another checksum")
  }

  @Test("A directory that promises more than it holds is refused")
  func directory() throws {
    var bytes = try archive([("a", [1])])
    let end = bytes.count - 22
    write(0xFFFE, byteCount: 2, at: end + 10, of: &bytes)
    try expectRefusal(bytes, "65534 members")
    bytes = try archive([("a", [1])])
    write(0x7FFF_FFFF, byteCount: 4, at: end + 12, of: &bytes)
    try expectRefusal(bytes, "a directory larger than the file")
    try expectRefusal([], "an empty file")
    try expectRefusal(Array("PK".utf8), "two bytes")
  }

  @Test("Names too long and folders too deep are refused")
  func names() throws {
    let long = String(repeating: "x", count: 256)
    let deep = Array(repeating: "d", count: 40).joined(separator: "/")
    for name in [long, deep, "", "/", "a/../b", ".."] {
      try expectRefusal(try archive([(name, [1])]), "\(name.prefix(20))")
    }
  }
}
