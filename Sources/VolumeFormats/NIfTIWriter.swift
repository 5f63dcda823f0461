// Writing .nii and .nii.gz: little endian, one file, atomically, the same bytes for the same content.

import Archives
import Foundation
import Reporting
import Volumes

/// Writes voxels that are little endian already; an image read from NIfTI gets its geometry fields back bit for bit.
func writeNIfTI(
  voxels: UnsafeRawBufferPointer, _ dataType: ElementType, _ shape: [Int], _ geometry: ImageGeometry,
  to url: URL
) throws {
  precondition(shape.count == 3, "an image is [Z, Y, X], not \(shape)")
  let name = url.lastPathComponent.lowercased()
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
  guard let stored = geometry.nifti, stored.dimensionCount >= 3 || shape[0] == 1 else {
    return NIfTIOrientation(of: geometry)
  }
  let isUnchanged = [false, true].contains { ignoringUnits in
    guard let original = try? ImageGeometry(stored, ignoringUnits: ignoringUnits, source: "") else {
      return false
    }
    return original.spacing == geometry.spacing && original.origin == geometry.origin
      && original.direction == geometry.direction
  }
  return isUnchanged ? stored : NIfTIOrientation(of: geometry)
}
