// Zip archives and gzip data: round trips, zip64, hostile names and lies about sizes.

import Archives
import Foundation
import Reporting
import TestSupport
import Testing

@Suite("Zip and gzip")
struct ZipTests {
  static let fixtures = Goldens.repository.appending(path: "Tests/ArchivesTests/Fixtures")
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("zip") }

  func archive(_ members: [(String, [UInt8])], isCompressed: Bool = true) throws -> URL {
    let url = folder.appending(path: "\(UUID().uuidString).zip")
    try ZipWriter.write(to: url) { writer in
      for (name, content) in members { try writer.add(name, content, isCompressed: isCompressed) }
    }
    return url
  }

  @Test("Members survive a round trip", arguments: [false, true])
  func roundTrip(isCompressed: Bool) throws {
    let members: [(String, [UInt8])] = [
      ("a/b.txt", Array("hello".utf8)), ("empty", []), ("long", (0..<200_000).map { UInt8($0 % 251) }),
    ]
    let reader = try ZipReader(try archive(members, isCompressed: isCompressed))
    #expect(reader.entries.map(\.name) == members.map(\.0))
    for (name, content) in members {
      #expect(try reader.data(of: try #require(reader.entry(named: name))) == content)
    }
    let target = folder.appending(path: "unpacked-\(isCompressed)")
    try reader.extract(to: target)
    #expect(try Data(contentsOf: target.appending(path: "a/b.txt")) == Data("hello".utf8))
    #expect(throws: Diagnostic.self) { try reader.extract(to: target) }
  }

  @Test("A member with zip64 sizes is read")
  func zip64() throws {
    let reader = try ZipReader(Self.fixtures.appending(path: "zip64.zip"))
    #expect(try reader.data(of: try #require(reader.entries.first)) == Array("hello".utf8))
  }

  @Test(
    "Names that leave the folder are refused before anything is written",
    arguments: [
      "../evil", "/etc/evil", "a/../../evil", "a\\..\\evil", "c:evil", "a/./b", "a//b", "line\nbreak",
    ])
  func traversal(name: String) throws {
    let reader = try ZipReader(try archive([("good", [1]), (name, [2])]))
    let target = folder.appending(path: "target")
    #expect(throws: Diagnostic.self) { try reader.extract(to: target) }
    #expect(!FileManager.default.fileExists(atPath: target.path))
    #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "evil").path))
  }

  @Test("Names that differ only in case and links are refused")
  func otherTraps() throws {
    let target = folder.appending(path: "target")
    #expect(throws: Diagnostic.self) {
      try ZipReader(try archive([("a", [1]), ("A", [2])])).extract(to: target)
    }
    let url = try archive([("link", Array("/etc/passwd".utf8))])
    var bytes = [UInt8](try Data(contentsOf: url))
    let record = try #require(bytes.indices.first { bytes[$0...].starts(with: [0x50, 0x4B, 1, 2]) })
    bytes[record + 41] = 0xA1
    try Data(bytes).write(to: url)
    #expect(throws: Diagnostic.self) { try ZipReader(url).extract(to: target) }
    #expect(!FileManager.default.fileExists(atPath: target.path))
  }

  @Test("A damaged archive never gives wrong content")
  func damaged() throws {
    let content = Array("the quick brown fox jumps over the lazy dog".utf8)
    let bytes = [UInt8](try Data(contentsOf: try archive([("text", content)])))
    let url = folder.appending(path: "damaged.zip")
    for i in 0..<bytes.count {
      var changed = bytes
      changed[i] ^= 0x55
      try Data(changed).write(to: url)
      if let reader = try? ZipReader(url), let entry = reader.entries.first,
        let data = try? reader.data(of: entry)
      {
        #expect(data == content, "byte \(i)")
      }
      try Data(bytes.prefix(i)).write(to: url)
      #expect(throws: Diagnostic.self, "cut at \(i)") { try ZipReader(url) }
    }
  }

  @Test("Gzip survives a round trip, members join, limits hold")
  func gzip() throws {
    let content = (0..<100_000).map { UInt8($0 % 7) }
    let packed = try Gzip.compress(content)
    #expect(packed.count < 5000)
    #expect(try Gzip.decompress(packed) == content)
    #expect(try Gzip.decompress(packed + packed) == content + content)
    #expect(try Gzip.decompress(try Gzip.compress([UInt8]())) == [])
    #expect(throws: Diagnostic.self) { try Gzip.decompress(packed, limit: 99_999) }
    for cut in stride(from: 1, to: packed.count, by: 7) {
      #expect(throws: Diagnostic.self) { try Gzip.decompress(Array(packed.prefix(cut))) }
    }
    #expect(throws: Diagnostic.self) { try Gzip.decompress(packed + [1, 2, 3]) }
  }
}
