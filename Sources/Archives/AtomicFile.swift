// Files that a user keeps are never half written: temporary file, fsync, rename. Also: folders, and why they refuse.

package import Foundation
package import Reporting

/// Writes a whole file so that a reader sees the old content or the new, never a part.
package func writeAtomically(_ data: Data, to url: URL) throws(Diagnostic) {
  try writeAtomically(to: url) { handle in try handle.write(contentsOf: data) }
}

/// Writes a file piece by piece through `body`, then puts it in place at once.
///
/// The temporary lies beside the target, is synchronised to disk before the rename unless `isKept` is false (for
/// what is only a step on the way), and is removed on failure.
package func writeAtomically(
  to url: URL, isKept: Bool = true, _ body: (FileHandle) throws -> Void
) throws(Diagnostic) {
  let folder = url.deletingLastPathComponent()
  try createFolder(folder)
  let unique = "\(ProcessInfo.processInfo.processIdentifier).\(UInt32.random(in: 0 ... .max))"
  let temporary = folder.appending(path: ".\(url.lastPathComponent).\(unique).tmp")
  do {
    let descriptor = open(temporary.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw Diagnostic(String(cString: strerror(errno))) }
    let handle = FileHandle(fileDescriptor: descriptor, closeOnDealloc: false)
    do {
      try body(handle)
      if isKept { try handle.synchronize() }
      try handle.close()
    } catch {
      try? handle.close()
      throw error
    }
    guard rename(temporary.path, url.path) == 0 else {
      throw Diagnostic("rename failed: \(String(cString: strerror(errno)))")
    }
  } catch let error as Diagnostic where error.expected != nil || error.remedy != nil {
    // What the body could not read or was not given says so itself.
    try? FileManager.default.removeItem(at: temporary)
    throw error
  } catch {
    try? FileManager.default.removeItem(at: temporary)
    throw Diagnostic(
      "cannot write \(url.lastPathComponent)", at: url.path,
      expected: "a folder that can be written, with free space",
      found: (error as? Diagnostic)?.failure ?? error.localizedDescription,
      remedy: "check the folder's permissions, mount and free space (df -h)")
  }
}

/// Copies a regular file as a whole.
///
/// - Parameter purpose: what the file is, for messages: "the plans".
package func copyAtomically(_ source: URL, to target: URL, as purpose: String) throws(Diagnostic) {
  try writeAtomically(Data(readRegularFile(source, as: purpose)), to: target)
}

/// Makes a folder and those above it, unless they are there.
package func createFolder(_ url: URL) throws(Diagnostic) {
  do { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) } catch {
    var ancestor = url.absoluteURL.standardizedFileURL
    while !FileManager.default.fileExists(atPath: ancestor.path), ancestor.path != "/" {
      ancestor.deleteLastPathComponent()
    }
    let values = try? ancestor.resourceValues(forKeys: [.isDirectoryKey])
    throw Diagnostic(
      "cannot make the folder \(url.lastPathComponent)", at: url.path,
      expected: "a folder that can be written",
      found: values?.isDirectory == false
        ? "\(ancestor.path) is a file, not a folder" : error.localizedDescription,
      remedy: "check the path, its mount and its permissions, or choose another folder")
  }
}

/// Makes a folder if it is not there and makes sure that it takes new files, before work is spent on them.
///
/// Temporaries that a killed process left there are removed.
package func requireWritableFolder(_ url: URL) throws(Diagnostic) {
  let wasThere = FileManager.default.fileExists(atPath: url.path)
  try createFolder(url)
  // Named like a temporary, so that what a kill leaves here is removed with the other abandoned ones.
  let unique = "\(ProcessInfo.processInfo.processIdentifier).\(UInt32.random(in: 0 ... .max))"
  let probe = url.appending(path: ".probe.\(unique).tmp")
  let descriptor = open(probe.path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o644)
  let failure = errno
  guard descriptor >= 0 else {
    if !wasThere { try? FileManager.default.removeItem(at: url) }
    throw Diagnostic(
      "the folder \(url.lastPathComponent) takes no files", at: url.path,
      expected: "a folder that can be written", found: String(cString: strerror(failure)),
      remedy: "check the folder's permissions, mount and free space (df -h), or choose another folder")
  }
  close(descriptor)
  unlink(probe.path)
  removeAbandonedTemporaries(in: url)
}

/// Removes temporary files of ``writeAtomically(to:isKept:_:)`` in a folder whose process is gone.
package func removeAbandonedTemporaries(in folder: URL) {
  for name in (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? [] {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    guard name.hasPrefix("."), parts.count >= 4, parts.last == "tmp",
      let process = Int32(parts[parts.count - 3]), process > 0, UInt32(parts[parts.count - 2]) != nil,
      kill(process, 0) != 0, errno == ESRCH
    else { continue }
    try? FileManager.default.removeItem(at: folder.appending(path: name))
  }
}

extension FileHandle {
  /// Writes bytes where they lie, without a copy.
  package func write(bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes
    while let base = rest.baseAddress, !rest.isEmpty {
      let count = Foundation.write(fileDescriptor, base, min(rest.count, 1 << 26))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw POSIXError(POSIXErrorCode(rawValue: errno) ?? .EIO) }
      rest = UnsafeRawBufferPointer(rebasing: rest[count...])
    }
  }
}
