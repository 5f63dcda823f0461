// Folders that appear as a whole, and replace others as a whole.

import Archives
import Foundation
import Reporting
import Testing

@Suite struct AtomicFolderTests {
  private let root: URL
  private var target: URL { root.appending(path: "a/b") }

  init() throws {
    root = FileManager.default.temporaryDirectory.appending(path: "atomic-folder-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: root, withIntermediateDirectories: true)
  }

  private func write(_ name: String, in folder: URL) throws {
    try Data(name.utf8).write(to: folder.appending(path: name))
  }

  private func names(_ folder: URL) -> [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []).sorted()
  }

  private struct Failure: Error {}

  @Test("A new folder takes the place of the old one, and nothing lies beside it")
  func replacement() throws {
    defer { try? FileManager.default.removeItem(at: root) }
    try makeFolderAtomically(target) { try write("old", in: $0) }
    try makeFolderAtomically(target, replacing: true) { new in
      try write("new", in: new)
      #expect(names(target) == ["old"])
    }
    #expect(names(target) == ["new"])
    #expect(names(target.deletingLastPathComponent()) == ["b"])
  }

  @Test("Work that fails leaves the old folder, or none")
  func failure() throws {
    defer { try? FileManager.default.removeItem(at: root) }
    #expect(throws: Failure.self) { try makeFolderAtomically(target) { _ in throw Failure() } }
    #expect(names(root).isEmpty)
    try makeFolderAtomically(target) { try write("old", in: $0) }
    #expect(throws: Failure.self) {
      try makeFolderAtomically(target, replacing: true) { new in
        try write("new", in: new)
        throw Failure()
      }
    }
    #expect(names(target) == ["old"])
    #expect(names(target.deletingLastPathComponent()) == ["b"])
  }

  @Test("An existing folder is refused unless it may be replaced")
  func refusal() throws {
    defer { try? FileManager.default.removeItem(at: root) }
    try makeFolderAtomically(target) { try write("old", in: $0) }
    #expect(throws: Diagnostic.self) { try makeFolderAtomically(target) { try write("new", in: $0) } }
    #expect(names(target) == ["old"])
  }
}
