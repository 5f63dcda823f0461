// Folders that a user keeps are never half there: everything is written beside, then renamed.

package import Foundation
import Reporting

/// Makes a folder through `body`, which fills the temporary folder it is given; afterwards all of it is in place.
///
/// The temporary lies beside the target, and nothing of it stays on failure; what a kill leaves goes with
/// ``removeAbandonedTemporaries(in:)``.
///
/// - Throws: ``Diagnostic`` if there is something in the target's place, and whatever `body` throws.
package func makeFolderAtomically(_ url: URL, _ body: (URL) throws -> Void) throws {
  let parent = url.deletingLastPathComponent()
  func refuseExisting() throws(Diagnostic) {
    var status = stat()
    guard lstat(url.path, &status) != 0 else {
      throw Diagnostic(
        "the folder \(url.lastPathComponent) is there already", at: url.path,
        expected: "a folder that does not exist yet", found: "an existing one",
        remedy: "choose another folder, or move this one away")
    }
  }
  try refuseExisting()
  try removingEmptyFolders(parent) {
    try createFolder(parent)
    removeAbandonedTemporaries(in: parent)
    let unique = "\(ProcessInfo.processInfo.processIdentifier).\(UInt32.random(in: 0 ... .max))"
    let staging = parent.appending(path: ".\(url.lastPathComponent).\(unique).tmp")
    do {
      try createFolder(staging)
      try body(staging)
      try refuseExisting()
      guard rename(staging.path, url.path) == 0 else {
        throw Diagnostic(
          "cannot make the folder \(url.lastPathComponent)", at: url.path,
          expected: "a folder that can be written", found: String(cString: strerror(errno)),
          remedy: "check the folder's permissions, mount and free space (df -h)")
      }
    } catch {
      try? FileManager.default.removeItem(at: staging)
      throw error
    }
  }
}
