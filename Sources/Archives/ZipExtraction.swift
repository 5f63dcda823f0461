// Unpacking an archive into a folder, where every name and every size is suspect.

package import Foundation
package import Reporting

extension ZipReader {
  /// An archive may expand to this much whatever its size.
  private static let harmlessByteCount = 1 << 28
  /// Beyond that it may expand by this factor; weights hardly shrink at all, and texts and label maps by less.
  private static let maximumExpansion = 50

  /// Unpacks all members below `folder`, which must not exist yet; on any error nothing stays.
  ///
  /// Names that leave the folder, links, devices, names that differ only in case, members that share bytes of the
  /// file and sizes that only a bomb has are refused before anything is written.
  package func extract(to folder: URL) throws {
    try checkMembers()
    try makeFolderAtomically(folder) { staging in
      for entry in entries {
        let target = staging.appending(path: entry.name)
        if entry.isFolder {
          try createFolder(target)
        } else {
          try writeAtomically(to: target) { handle in
            try stream(entry) { try handle.write(bytes: $0) }
          }
        }
      }
    }
  }

  /// Stops unless all members can be unpacked without harm.
  package func checkMembers() throws(Diagnostic) {
    var files: Set<String> = []
    var folders: Set<String> = []
    for entry in entries {
      let parts = try safeParts(of: entry)
      guard files.insert(parts.joined(separator: "/").lowercased()).inserted else {
        throw zipError(file.path, expected: "names that differ in more than case", found: entry.name)
      }
      for count in 1..<max(parts.count, 1) {
        folders.insert(parts[..<count].joined(separator: "/").lowercased())
      }
    }
    let names = entries.filter { !$0.isFolder }.map { $0.name }
    if let both = names.first(where: { folders.contains($0.lowercased()) }) {
      throw zipError(file.path, expected: "files and folders of different names", found: both)
    }
    try checkSizes()
  }

  /// The components of a member's name, which must lead to a plain file or a folder below the target.
  private func safeParts(of entry: ZipEntry) throws(Diagnostic) -> [Substring] {
    var parts = entry.name.split(separator: "/", omittingEmptySubsequences: false)
    if entry.isFolder { parts.removeLast() }
    let isSafe =
      !entry.name.contains("\\") && !entry.name.unicodeScalars.contains { $0.value < 32 || $0 == ":" }
      && parts.count <= 32 && parts.allSatisfy { $0 != "" && $0 != "." && $0 != ".." && $0.utf8.count <= 255 }
    let type = entry.mode & 0o170000
    guard isSafe, type == 0 || type == (entry.isFolder ? 0o040000 : 0o100000) else {
      throw zipError(
        file.path, expected: "plain files with names below the folder",
        found: "member \"\(entry.name.prefix(200))\"" + (isSafe ? ", a link or a device" : ""))
    }
    return parts
  }

  private func checkSizes() throws(Diagnostic) {
    var (packed, total) = (0, 0)
    for entry in entries {
      // Sizes were checked against the file's one by one, so sums of this many cannot overflow.
      packed += entry.compressedByteCount
      total += entry.byteCount
    }
    guard packed <= file.count else {
      throw zipError(
        file.path, expected: "members with bytes of their own",
        found: "\(packed) packed bytes in a file of \(file.count)")
    }
    let limit = max(Self.harmlessByteCount, file.count * Self.maximumExpansion)
    guard total <= limit else {
      throw zipError(
        file.path, expected: "at most \(limit) bytes unpacked of \(file.count)", found: "\(total)")
    }
  }
}
