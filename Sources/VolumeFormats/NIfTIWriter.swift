// Writing .nii and .nii.gz: little endian, one file, atomically, the same bytes for the same content.

import Archives
package import Foundation
import Reporting
import Tensors
package import Volumes

/// Writes a label map as nnU-Net does: 8 bits when the largest possible label is below 255, else 16 bits.
///
/// An image read from NIfTI gets its dim, pixdim, qform, sform and unit fields back bit for bit.
package func writeLabels(_ volume: Volume<Int16>, to url: URL, maximumLabel: Int) throws {
  let isByte = maximumLabel < 255
  let limit = isByte ? 255 : 65535
  if let index = volume.voxels.elements.firstIndex(where: { $0 < 0 || Int($0) > limit }) {
    throw Diagnostic(
      "cannot write a label map", at: url.path, expected: "labels from 0 to \(limit)",
      found: "label \(volume.voxels.elements[index])", remedy: "map negative labels before writing")
  }
  if isByte {
    let bytes = volume.voxels.elements.map { UInt8(truncatingIfNeeded: $0) }
    try bytes.withUnsafeBytes { try writeNIfTI(voxels: $0, .uint8, volume.shape, volume.geometry, to: url) }
  } else {
    let words = volume.voxels.elements.map { UInt16(bitPattern: $0) }
    try words.withUnsafeBytes { try writeNIfTI(voxels: $0, .uint16, volume.shape, volume.geometry, to: url) }
  }
}

/// Writes an image in single precision.
package func writeImage(_ volume: Volume<Float>, to url: URL) throws {
  try volume.voxels.elements.withUnsafeBytes {
    try writeNIfTI(voxels: $0, .float32, volume.shape, volume.geometry, to: url)
  }
}

private func writeNIfTI(
  voxels: UnsafeRawBufferPointer, _ dataType: NIfTIDataType, _ shape: [Int], _ geometry: ImageGeometry,
  to url: URL
) throws {
  precondition(shape.count == 3, "an image is [Z, Y, X], not \(shape)")
  let name = url.lastPathComponent.lowercased()
  guard name.hasSuffix(".nii.gz") || name.hasSuffix(".nii") else {
    throw NIfTIError.unsupportedEnding(url.path)
  }
  let orientation = writtenOrientation(geometry, shape: shape)
  let extents = Array(shape.reversed())
  let header =
    orientation.version == 2 || extents.contains { $0 > 32767 }
    ? RawHeader2(orientation, extents: extents, dataType: dataType).bytes
    : RawHeader1(orientation, extents: extents, dataType: dataType).bytes
  try writeAtomically(to: url) { handle in
    guard name.hasSuffix(".gz") else {
      try handle.write(contentsOf: Data(header))
      try handle.write(contentsOf: Data(voxels))
      return
    }
    var stream = try DeflateStream(.gzip)
    try header.withUnsafeBytes {
      try stream.write($0, isLast: false) { try handle.write(contentsOf: Data($0)) }
    }
    try stream.write(voxels, isLast: true) { try handle.write(contentsOf: Data($0)) }
  }
}

/// The header fields an image came with, unless its geometry has changed since then.
private func writtenOrientation(_ geometry: ImageGeometry, shape: [Int]) -> NIfTIOrientation {
  guard let stored = geometry.nifti, let original = try? ImageGeometry(stored, source: ""),
    original.spacing == geometry.spacing, original.origin == geometry.origin,
    original.direction == geometry.direction, stored.dimensionCount >= 3 || shape[0] == 1
  else { return NIfTIOrientation(of: geometry) }
  return stored
}
