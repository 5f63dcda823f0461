// Work that fails leaves no empty folders behind.

package import Foundation

/// Runs work that makes a folder; if the work fails, the folders that it made and left empty are removed.
package func removingEmptyFolders<R>(_ folder: URL, after work: () throws -> R) rethrows -> R {
  var made: [URL] = []
  var ancestor = folder.absoluteURL.standardizedFileURL
  while ancestor.path != "/", !FileManager.default.fileExists(atPath: ancestor.path) {
    made.append(ancestor)
    ancestor.deleteLastPathComponent()
  }
  do { return try work() } catch {
    // A folder with anything in it refuses to go.
    for url in made where rmdir(url.path) != 0 { break }
    throw error
  }
}
