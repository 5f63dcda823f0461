// A folder of results that comes into being as a whole.

package import Foundation

/// Fills a new folder and puts it in the place of `url`; until it is complete, what lies there stays as it is.
///
/// What a killed process left beside it is removed.
package func replacingFolder<R>(at url: URL, _ fill: (URL) throws -> R) throws -> R {
  let parent = url.deletingLastPathComponent()
  try createFolder(parent)
  removeAbandonedTemporaries(in: parent)
  let unique = "\(ProcessInfo.processInfo.processIdentifier).\(UInt32.random(in: 0 ... .max))"
  let temporary = parent.appending(path: ".\(url.lastPathComponent).\(unique).tmp")
  let old = parent.appending(path: ".\(url.lastPathComponent)-old.\(unique).tmp")
  try createFolder(temporary)
  do {
    let result = try fill(temporary)
    let isThere = FileManager.default.fileExists(atPath: url.path)
    if isThere { try FileManager.default.moveItem(at: url, to: old) }
    do { try FileManager.default.moveItem(at: temporary, to: url) } catch {
      if isThere { try? FileManager.default.moveItem(at: old, to: url) }
      throw error
    }
    if isThere { try? FileManager.default.removeItem(at: old) }
    return result
  } catch {
    try? FileManager.default.removeItem(at: temporary)
    throw error
  }
}
