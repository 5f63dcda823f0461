// A file's bytes without reading them: mapped read-only, shared between threads.

package import Foundation
package import Reporting

/// A regular file mapped into memory for reading.
///
/// The bytes never change and live as long as the object, so several threads may read them. A file that another
/// program shortens meanwhile cannot be helped; files of this project are only ever replaced as a whole.
package final class MappedFile: Sendable {
  // Never written after initialisation.
  nonisolated(unsafe) private let base: UnsafeRawBufferPointer
  package let path: String

  package var count: Int { base.count }

  package init(_ url: URL, as purpose: String) throws(Diagnostic) {
    path = url.path
    let size = try regularFileSize(url, as: purpose)
    guard size > 0 else {
      base = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    let descriptor = open(url.path, O_RDONLY | O_CLOEXEC)
    defer { if descriptor >= 0 { close(descriptor) } }
    let address = descriptor < 0 ? MAP_FAILED : mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address, address != MAP_FAILED else {
      throw Diagnostic(
        "cannot read \(purpose)", at: url.path, expected: "a readable file",
        found: String(cString: strerror(errno)),
        remedy: "check the file's permissions")
    }
    base = UnsafeRawBufferPointer(start: address, count: size)
  }

  deinit {
    if let address = base.baseAddress { munmap(UnsafeMutableRawPointer(mutating: address), base.count) }
  }

  /// Gives the file's bytes to `body`; the pointer must not outlive the call.
  package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try body(base)
  }

  /// Gives part of the file's bytes to `body`; the range must lie inside the file.
  package func withBytes<R, E: Error>(
    _ range: Range<Int>, _ body: (UnsafeRawBufferPointer) throws(E) -> R
  ) throws(E) -> R {
    try body(UnsafeRawBufferPointer(rebasing: base[range]))
  }
}
