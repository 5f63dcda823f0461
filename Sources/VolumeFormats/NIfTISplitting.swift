// Taking a NIfTI file of several images apart, voxels as they are stored: no type, scale or header field changes.

import Archives
package import Foundation
import Reporting
import Volumes

/// Writes each image along the fourth axis of a NIfTI file to a file of its own.
///
/// A file of one image is copied as it is.
/// - Returns: the files written, in order.
package func splitNIfTI(_ url: URL, named target: (Int) -> URL) throws -> [URL] {
  let file = try NIfTIFile(url)
  guard file.header.imageCount > 1 else {
    try writeAtomically(Data(try readRegularFile(url, as: "the image")), to: target(0))
    return [target(0)]
  }
  let content = try file.unpackedFile()
  let version = file.header.orientation.version
  let headerByteCount = version == 1 ? 352 : 544
  var header = Array(content.bytes[..<headerByteCount])
  // dim[0] and dim[4] on; the marker after the header says that no extensions follow.
  let width = version == 1 ? 2 : 8
  let start = version == 1 ? 40 : 16
  func put(_ value: Int, axis: Int) {
    for byte in 0..<width {
      let place = file.header.isByteSwapped ? width - 1 - byte : byte
      header[start + axis * width + place] = UInt8(truncatingIfNeeded: value >> (8 * byte))
    }
  }
  put(3, axis: 0)
  for axis in 4..<8 { put(1, axis: axis) }
  header.replaceSubrange((headerByteCount - 4)..., with: [0, 0, 0, 0])
  let offset =
    version == 1
    ? withUnsafeBytes(of: Float(352).bitPattern) { Array($0) } : withUnsafeBytes(of: Int64(544)) { Array($0) }
  let offsetPlace = version == 1 ? 108 : 168
  header.replaceSubrange(
    offsetPlace..<(offsetPlace + offset.count), with: file.header.isByteSwapped ? offset.reversed() : offset)
  let imageByteCount = file.header.voxelByteCount / file.header.imageCount
  return try (0..<file.header.imageCount).map { index in
    let begin = content.offset + index * imageByteCount
    let image = header + content.bytes[begin..<(begin + imageByteCount)]
    let output = target(index)
    let isCompressed = output.pathExtension.lowercased() == "gz"
    try writeAtomically(Data(isCompressed ? try Gzip.compress(image) : image), to: output)
    return output
  }
}
