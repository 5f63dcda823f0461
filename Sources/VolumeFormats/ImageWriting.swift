// Writing label maps and images in the format that the file's name promises, atomically and without loss.

import Archives
package import Foundation
import Reporting
import Tensors
package import Volumes

/// Writes a label map as nnU-Net does: 8 bits when the largest possible label is below 255, else 16 bits.
///
/// An image read from NIfTI gets its dim, pixdim, qform, sform and unit fields back bit for bit; one that a reader
/// has turned gets the axes of its file back.
package func writeLabels(_ volume: Volume<Int16>, to url: URL, maximumLabel: Int) throws {
  let isByte = maximumLabel < 255
  let limit = isByte ? 255 : 65535
  if let index = volume.voxels.elements.firstIndex(where: { $0 < 0 || Int($0) > limit }) {
    throw Diagnostic(
      "cannot write a label map", at: url.path, expected: "labels from 0 to \(limit)",
      found: "label \(volume.voxels.elements[index])", remedy: "map negative labels before writing")
  }
  let stored = volume.turnedBack()
  if isByte {
    let bytes = stored.voxels.elements.map { UInt8(truncatingIfNeeded: $0) }
    try bytes.withUnsafeBytes { try write($0, .uint8, stored.shape, stored.geometry, to: url) }
  } else {
    let words = stored.voxels.elements.map { UInt16(bitPattern: $0) }
    try words.withUnsafeBytes { try write($0, .uint16, stored.shape, stored.geometry, to: url) }
  }
}

/// Writes an image in single precision; PNG and BMP take whole numbers from 0 up only.
package func writeImage(_ volume: Volume<Float>, to url: URL) throws {
  let stored = volume.turnedBack()
  if try ImageFormat(of: url).isPicture {
    let largest = stored.voxels.elements.max() ?? 0
    guard stored.voxels.elements.allSatisfy({ $0 >= 0 && $0 <= 65535 && $0.rounded() == $0 }) else {
      throw ImageFileError.cannotHold(
        url.path, expected: "whole numbers from 0 to 65535", found: "other values, the largest \(largest)")
    }
    if largest < 256 {
      let bytes = stored.voxels.elements.map { UInt8($0) }
      try bytes.withUnsafeBytes { try write($0, .uint8, stored.shape, stored.geometry, to: url) }
    } else {
      let words = stored.voxels.elements.map { UInt16($0) }
      try words.withUnsafeBytes { try write($0, .uint16, stored.shape, stored.geometry, to: url) }
    }
    return
  }
  try stored.voxels.elements.withUnsafeBytes {
    try write($0, .float32, stored.shape, stored.geometry, to: url)
  }
}

/// Writes `[Z, Y, X]` voxels of 8 or 16 bits or in single precision.
private func write(
  _ voxels: UnsafeRawBufferPointer, _ type: ElementType, _ shape: [Int], _ geometry: ImageGeometry,
  to url: URL
) throws {
  precondition(shape.count == 3, "an image is [Z, Y, X], not \(shape)")
  let format = try ImageFormat(of: url)
  if format.isPicture, shape[0] != 1 {
    throw ImageFileError.cannotHold(url.path, expected: "one slice", found: "\(shape[0]) slices")
  }
  switch format {
  case .nifti: try writeNIfTI(voxels: voxels, type, shape, geometry, to: url)
  case .nrrd where url.pathExtension.lowercased() == "nrrd":
    try writeNRRD(voxels: voxels, type, shape, geometry, to: url)
  case .metaImage: try writeMetaImage(voxels: voxels, type, shape, geometry, to: url)
  case .gipl: try writeGIPL(voxels: voxels, type, shape, geometry, to: url)
  case .png: try writePNG(voxels, sampleSize: type.byteCount, width: shape[2], height: shape[1], to: url)
  case .bmp:
    guard type == .uint8 else {
      throw ImageFileError.cannotHold(url.path, expected: "values of 8 bits", found: "values of 16 bits")
    }
    try writeBMP([UInt8](voxels), width: shape[2], height: shape[1], to: url)
  case .tiff:
    let isPicture = geometry.axisCount == 2 && shape[0] == 1
    try writeTIFF(voxels: voxels, type, shape, isPicture: isPicture, to: url)
    if !isPicture { try SpacingFile.write(geometry.spacing, besides: url) }
  case .numpy:
    let isPicture = geometry.axisCount == 2 && shape[0] == 1
    try writeNPY(voxels, type, isPicture ? Array(shape.dropFirst()) : shape, to: url)
    if !isPicture { try SpacingFile.write(geometry.spacing, besides: url) }
  case .jpeg, .niftiPair, .nrrd:
    throw ImageFileError.cannotHold(
      url.path, expected: "a format that is written: .nii.gz, .nrrd, .mha, .gipl, .png, .bmp, .tif or .npy",
      found: format == .jpeg ? "JPEG, which is lossy" : "a header apart from its voxels")
  }
}

private func writeNPY(_ voxels: UnsafeRawBufferPointer, _ type: ElementType, _ shape: [Int], to url: URL)
  throws
{
  func array<T: FileElement>(_: T.Type) -> NDArray<T> {
    NDArray(shape: shape, elements: Array(voxels.bindMemory(to: T.self)))
  }
  switch type {
  case .uint8: try Archives.writeNPY(array(UInt8.self), to: url)
  case .uint16: try Archives.writeNPY(array(UInt16.self), to: url)
  default: try Archives.writeNPY(array(Float.self), to: url)
  }
}
