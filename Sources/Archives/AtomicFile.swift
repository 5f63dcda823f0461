// Files that a user keeps are never half written: temporary file, fsync, rename.

package import Foundation
package import Reporting

/// Writes a whole file so that a reader sees the old content or the new, never a part.
package func writeAtomically(_ data: Data, to url: URL) throws(Diagnostic) {
  try writeAtomically(to: url) { handle in try handle.write(contentsOf: data) }
}

/// Writes a file piece by piece through `body`, then puts it in place at once.
///
/// The temporary lies beside the target, is synchronised to disk before the rename, and is removed on failure.
package func writeAtomically(to url: URL, _ body: (FileHandle) throws -> Void) throws(Diagnostic) {
  let folder = url.deletingLastPathComponent()
  let unique = "\(ProcessInfo.processInfo.processIdentifier).\(UInt32.random(in: 0 ... .max))"
  let temporary = folder.appending(path: ".\(url.lastPathComponent).\(unique).tmp")
  do {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    guard FileManager.default.createFile(atPath: temporary.path, contents: nil) else {
      throw Diagnostic("the folder refuses new files")
    }
    let handle = try FileHandle(forWritingTo: temporary)
    do {
      try body(handle)
      try handle.synchronize()
      try handle.close()
    } catch {
      try? handle.close()
      throw error
    }
    guard rename(temporary.path, url.path) == 0 else {
      throw Diagnostic("rename failed: \(String(cString: strerror(errno)))")
    }
  } catch {
    try? FileManager.default.removeItem(at: temporary)
    throw Diagnostic(
      "cannot write \(url.lastPathComponent)", at: url.path,
      expected: "a folder that can be written, with free space",
      found: (error as? Diagnostic)?.failure ?? error.localizedDescription,
      remedy: "check the folder's permissions, mount and free space (df -h)")
  }
}
