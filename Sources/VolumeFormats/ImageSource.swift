// A regular file as the readers see it: its size, its first bytes, and all of it when voxels are wanted.

import Archives
import Foundation
import Reporting

/// One file of an image.
struct ImageSource {
  let url: URL
  let byteCount: Int

  var path: String { url.path }

  init(_ url: URL) throws {
    self.url = url
    byteCount = try regularFileSize(url, as: "the image")
  }

  /// The first bytes of the file, fewer if it is shorter.
  func prefix(_ count: Int) throws -> [UInt8] {
    do {
      let handle = try FileHandle(forReadingFrom: url)
      defer { try? handle.close() }
      return [UInt8](try handle.read(upToCount: count) ?? Data())
    } catch {
      throw Diagnostic(
        "cannot read the image", at: url.path, expected: "a readable file", found: error.localizedDescription,
        remedy: "check the file's permissions")
    }
  }

  func content() throws -> [UInt8] { try readRegularFile(url, as: "the image") }
}

/// The number of elements of a header's extents times their size, if it fits and every extent is positive.
func checkedByteCount(_ extents: [Int], _ type: ElementType) -> Int? {
  guard extents.allSatisfy({ $0 > 0 }), let count = checkedElementCount(extents) else { return nil }
  let (product, overflow) = count.multipliedReportingOverflow(by: type.byteCount)
  return overflow ? nil : product
}

/// Splits the lines of a text header; bytes that are no UTF-8 become replacement characters.
func headerLine(_ bytes: [UInt8], from start: Int) -> (text: String, next: Int)? {
  guard let end = bytes[start...].firstIndex(of: 0x0A) else { return nil }
  var text = String(decoding: bytes[start..<end], as: UTF8.self)
  if text.hasSuffix("\r") { text.removeLast() }
  return (text, end + 1)
}
