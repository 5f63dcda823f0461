// Opening files that somebody else made: only regular files, so that a pipe or a folder cannot hang a reader.

package import Foundation
package import Reporting

/// The whole content of a regular file; `purpose` names its role in errors, such as "the image".
package func readRegularFile(_ url: URL, as purpose: String) throws(Diagnostic) -> [UInt8] {
  let size = try regularFileSize(url, as: purpose)
  do {
    let handle = try FileHandle(forReadingFrom: url)
    defer { try? handle.close() }
    let data = try handle.readToEnd() ?? Data()
    guard data.count >= size else {
      throw Diagnostic("the file shrank while it was read", found: "\(data.count) of \(size) bytes")
    }
    return [UInt8](data)
  } catch {
    throw Diagnostic(
      "cannot read \(purpose)", at: url.path, expected: "a readable file",
      found: (error as? Diagnostic)?.failure ?? error.localizedDescription,
      remedy: "check the file's permissions")
  }
}

/// The size of a regular file in bytes.
package func regularFileSize(_ url: URL, as purpose: String) throws(Diagnostic) -> Int {
  var status = stat()
  guard stat(url.path, &status) == 0 else {
    throw Diagnostic(
      "cannot find \(purpose)", at: url.path, expected: "an existing file",
      found: String(cString: strerror(errno)), remedy: "correct the path")
  }
  guard status.st_mode & S_IFMT == S_IFREG else {
    throw Diagnostic(
      "cannot read \(purpose)", at: url.path, expected: "a regular file",
      found: status.st_mode & S_IFMT == S_IFDIR ? "a folder" : "a device, pipe or socket",
      remedy: "give the path of a file")
  }
  return Int(status.st_size)
}
