// Unpacking an archive into a folder, where every name is suspect.

package import Foundation
package import Reporting

extension ZipReader {
  /// Unpacks all members below `folder`, which must not exist yet; on any error nothing stays.
  ///
  /// Names that leave the folder, links, devices and names that differ only in case are refused before anything is
  /// written, and so is an archive that expands to more than `limit` bytes.
  package func extract(to folder: URL, limit: Int = 1 << 36) throws(Diagnostic) {
    try checkNames(limit: limit)
    guard !FileManager.default.fileExists(atPath: folder.path) else {
      throw Diagnostic(
        "cannot unpack the archive", at: folder.path, expected: "a folder that does not exist yet",
        found: "an existing one", remedy: "choose another folder or remove this one")
    }
    let staging = folder.deletingLastPathComponent().appending(
      path: ".\(folder.lastPathComponent).\(ProcessInfo.processInfo.processIdentifier).unpacking")
    do {
      try FileManager.default.createDirectory(at: staging, withIntermediateDirectories: true)
      for entry in entries {
        let target = staging.appending(path: entry.name)
        if entry.isFolder {
          try FileManager.default.createDirectory(at: target, withIntermediateDirectories: true)
        } else {
          try writeAtomically(Data(try data(of: entry)), to: target)
        }
      }
      try FileManager.default.moveItem(at: staging, to: folder)
    } catch {
      try? FileManager.default.removeItem(at: staging)
      throw (error as? Diagnostic)
        ?? Diagnostic("cannot unpack the archive", at: folder.path, found: error.localizedDescription)
    }
  }

  private func checkNames(limit: Int) throws(Diagnostic) {
    var seen: Set<String> = []
    var total = 0
    for entry in entries {
      let parts = entry.name.split(separator: "/", omittingEmptySubsequences: false)
      let isSafe =
        !entry.name.isEmpty && !entry.name.hasPrefix("/") && !entry.name.contains("\\")
        && !entry.name.unicodeScalars.contains { $0.value < 32 || $0 == ":" }
        && !parts.contains("..") && !parts.contains(".") && !parts.dropLast().contains("")
      let type = entry.mode & 0o170000
      guard isSafe, type == 0 || type == 0o100000 || type == 0o040000 else {
        throw zipError(
          file.path, expected: "plain files with names below the folder", found: "member \"\(entry.name)\"")
      }
      guard seen.insert(entry.name.lowercased()).inserted else {
        throw zipError(file.path, expected: "names that differ in more than case", found: entry.name)
      }
      guard entry.byteCount <= limit - total else {
        throw zipError(file.path, expected: "at most \(limit) bytes unpacked", found: "more")
      }
      total += entry.byteCount
    }
  }
}
