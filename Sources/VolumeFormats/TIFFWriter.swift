// Writing TIFF: one page per slice, deflate, little endian, with the note of the shape that tifffile reads.

import Archives
import Foundation
import Reporting

/// Writes little-endian voxels as a grey picture or stack.
///
/// - Shape: `[Z, Y, X]`; a picture has one slice and says so by `isPicture`.
func writeTIFF(
  voxels: UnsafeRawBufferPointer, _ type: ElementType, _ shape: [Int], isPicture: Bool, to url: URL
) throws {
  let pageByteCount = shape[1] * shape[2] * type.byteCount
  let pages = try (0..<shape[0]).map { z in
    var packed: [UInt8] = []
    var stream = try DeflateStream(.zlib)
    let page = UnsafeRawBufferPointer(rebasing: voxels[(z * pageByteCount)..<((z + 1) * pageByteCount)])
    try stream.write(page, isLast: true) { packed += $0 }
    return packed
  }
  let extents = (isPicture ? Array(shape.dropFirst()) : shape).map(String.init).joined(separator: ", ")
  // An even length keeps what follows on even offsets.
  var description = Array("{\"shape\": [\(extents)]}".utf8) + [0]
  if description.count % 2 == 1 { description.append(0) }

  let entryCount = 11
  let directoryByteCount = 2 + 12 * entryCount + 4
  let descriptionOffset = 8 + directoryByteCount * pages.count
  var offset = descriptionOffset + description.count
  guard offset + pages.reduce(0, { $0 + $1.count + 1 }) < 1 << 32 else {
    throw ImageFileError.cannotHold(
      url.path, expected: "less than 4 GB of compressed voxels",
      found: "\(pages.count) pages of \(pageByteCount) bytes")
  }
  var head: [UInt8] = Array("II".utf8)
  func put(_ value: Int, _ count: Int) {
    for byte in 0..<count { head.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
  }
  put(42, 2)
  put(8, 4)
  for (index, page) in pages.enumerated() {
    /// Tag, type (2 text, 3 of 16 bits, 4 of 32 bits), count, value or offset.
    let entries: [(Int, Int, Int, Int)] = [
      (256, 4, 1, shape[2]), (257, 4, 1, shape[1]), (258, 3, 1, 8 * type.byteCount), (259, 3, 1, 8),
      (262, 3, 1, 1), (270, 2, description.count, descriptionOffset), (273, 4, 1, offset), (277, 3, 1, 1),
      (278, 4, 1, shape[1]), (279, 4, 1, page.count), (339, 3, 1, type.isInteger ? 1 : 3),
    ]
    put(entries.count, 2)
    for (tag, kind, count, value) in entries {
      put(tag, 2)
      put(kind, 2)
      put(count, 4)
      put(value, 4)
    }
    put(index + 1 < pages.count ? 8 + directoryByteCount * (index + 1) : 0, 4)
    offset += page.count + page.count % 2
  }
  try writeAtomically(to: url) { handle in
    try handle.write(contentsOf: Data(head + description))
    for page in pages { try handle.write(contentsOf: Data(page.count % 2 == 0 ? page : page + [0])) }
  }
}
