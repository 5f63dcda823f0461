// Folders that a user keeps are never half there: everything is written beside, then put in place at once.

package import Foundation
import Reporting

/// Makes a folder through `body`, which fills the temporary folder it is given; afterwards all of it is in place.
///
/// The temporary lies beside the target, and nothing of it stays on failure; what a kill leaves goes with
/// ``removeAbandonedTemporaries(in:)``.
///
/// - Parameter replaces: whether a folder in the target's place gives way; it stays as it is until the new one is complete.
/// - Throws: ``Diagnostic`` if there is something in the target's place that may not be replaced, and whatever `body` throws.
package func makeFolderAtomically<R>(
  _ url: URL, replacing replaces: Bool = false, _ body: (URL) throws -> R
) throws -> R {
  let parent = url.deletingLastPathComponent()
  if !replaces { try refuseExisting(url) }
  return try removingEmptyFolders(parent) {
    try createFolder(parent)
    removeAbandonedTemporaries(in: parent)
    let unique = "\(ProcessInfo.processInfo.processIdentifier).\(UInt32.random(in: 0 ... .max))"
    let staging = parent.appending(path: ".\(url.lastPathComponent).\(unique).tmp")
    // After an exchange this is where the old folder lies.
    defer { try? FileManager.default.removeItem(at: staging) }
    try createFolder(staging)
    let result = try body(staging)
    if replaces, isThere(url) {
      try exchange(staging, url)
    } else {
      try refuseExisting(url)
      guard rename(staging.path, url.path) == 0 else { throw cannotMake(url, errno) }
    }
    return result
  }
}

private func isThere(_ url: URL) -> Bool {
  var status = stat()
  return lstat(url.path, &status) == 0
}

private func refuseExisting(_ url: URL) throws(Diagnostic) {
  guard isThere(url) else { return }
  throw Diagnostic(
    "the folder \(url.lastPathComponent) is there already", at: url.path,
    expected: "a folder that does not exist yet", found: "an existing one",
    remedy: "choose another folder, or move this one away")
}

private func cannotMake(_ url: URL, _ code: Int32) -> Diagnostic {
  Diagnostic(
    "cannot make the folder \(url.lastPathComponent)", at: url.path,
    expected: "a folder that can be written", found: String(cString: strerror(code)),
    remedy: "check the folder's permissions, mount and free space (df -h)")
}

/// Lets two paths change their meaning in one step, so that there is no moment without a folder.
private func exchange(_ new: URL, _ old: URL) throws(Diagnostic) {
  // Linux has a call for it, which the Swift headers leave out.
  typealias Rename =
    @convention(c) (Int32, UnsafePointer<CChar>, Int32, UnsafePointer<CChar>, UInt32) -> Int32
  let exchanging: UInt32 = 2
  if let symbol = dlsym(nil, "renameat2"),
    unsafeBitCast(symbol, to: Rename.self)(AT_FDCWD, new.path, AT_FDCWD, old.path, exchanging) == 0
  {
    return
  }
  // Some network file systems cannot: there the old folder stands aside for the moment between two renames.
  let aside = new.appendingPathExtension("old")
  guard rename(old.path, aside.path) == 0 else { throw cannotMake(old, errno) }
  guard rename(new.path, old.path) == 0 else {
    let code = errno
    rename(aside.path, old.path)
    throw cannotMake(old, code)
  }
  try? FileManager.default.removeItem(at: aside)
}
