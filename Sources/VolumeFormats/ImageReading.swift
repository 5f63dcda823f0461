// Reading images as nnU-Net's reader classes do, whatever their format. C channels, Z Y X array axes.

package import Foundation
import Reporting
import Tensors
package import Volumes

/// Reads an image of one channel: `[Z, Y, X]`, scaling applied.
package func readImage(_ url: URL) throws -> Volume<Float> { try readImage(url, as: nil) }

/// Reads an image of one channel by a reader class of nnU-Net; nil takes the usual one for the file.
package func readImage(_ url: URL, as reader: ImageReader?) throws -> Volume<Float> {
  let volume = try readChannels(url, as: reader)
  guard volume.shape[0] == 1 else {
    throw ImageFileError.severalChannels(url.path, channelCount: volume.shape[0])
  }
  return Volume(voxels: volume.voxels.reshaped(Array(volume.shape.dropFirst())), geometry: volume.geometry)
}

/// Reads a label map; every value must be a whole number that fits 16 bits.
package func readLabels(_ url: URL) throws -> Volume<Int16> { try readLabels(url, as: nil) }

/// Reads a label map by a reader class of nnU-Net; nil takes the usual one for the file.
package func readLabels(_ url: URL, as reader: ImageReader?) throws -> Volume<Int16> {
  let volume = try readChannels(url, as: reader, isLabelMap: true)
  guard volume.shape[0] == 1 else {
    throw ImageFileError.severalChannels(url.path, channelCount: volume.shape[0])
  }
  let shape = Array(volume.shape.dropFirst())
  guard let labels = wholeNumbers(volume.voxels.elements) else {
    let badIndex = volume.voxels.elements.firstIndex { wholeNumbers([$0]) == nil } ?? 0
    let (z, y, x) = (badIndex / (shape[1] * shape[2]), badIndex / shape[2] % shape[1], badIndex % shape[2])
    throw ImageFileError.notALabelMap(
      url.path, found: "\(volume.voxels.elements[badIndex]) at voxel z \(z), y \(y), x \(x)")
  }
  return Volume(voxels: NDArray(shape: shape, elements: labels), geometry: volume.geometry)
}

/// The values as 16-bit integers, or nil if any is not whole or out of their range.
private func wholeNumbers(_ values: [Float]) -> [Int16]? {
  // At this size a float's last digit is 1: adding it rounds, and leaves the number in the low bits. No branch and no
  // conversion stands in the way of vector instructions.
  let shift: Float = 12_582_912
  var differences: UInt32 = 0
  let labels = [Int16](unsafeUninitializedCapacity: values.count) { target, count in
    count = values.count
    values.withUnsafeBufferPointer { source in
      guard let output = target.baseAddress else { return }
      for i in 0..<source.count {
        let shifted = source[i] + shift
        let number = Int32(bitPattern: shifted.bitPattern &- shift.bitPattern)
        let label = Int16(truncatingIfNeeded: number)
        differences |= UInt32(bitPattern: Int32(label) ^ number) | (shifted - shift == source[i] ? 0 : 1)
        output[i] = label
      }
    }
  }
  return differences == 0 ? labels : nil
}

/// Reads only the header of an image.
package func readImageInformation(_ url: URL) throws -> ImageInformation {
  try openImage(url, ImageFormat(of: url), reader: nil).information
}

/// Reads all channels of a file; colours and images along a fourth axis are channels.
///
/// - Shape: `[C, Z, Y, X]`
package func readChannels(_ url: URL, as reader: ImageReader? = nil) throws -> Volume<Float> {
  try readChannels(url, as: reader, isLabelMap: false)
}

private func readChannels(_ url: URL, as wanted: ImageReader?, isLabelMap: Bool) throws -> Volume<Float> {
  let format = try ImageFormat(of: url)
  let reader = try wanted ?? ImageReader.automatic(for: url)
  if let reader, !reader.reads(format) {
    throw ImageFileError.unsupported(
      url.path, feature: "a \(format.rawValue) file", expected: "a file that \(reader.rawValue) reads",
      remedy: "correct overwrite_image_reader_writer in dataset.json, or image_reader_writer in the plans")
  }
  let file = try openImage(url, format, reader: reader)
  var geometry = file.information.geometry
  if format == .tiff || format == .numpy, reader != .simpleITK, geometry.axisCount == 3,
    let spacing = try SpacingFile.read(besides: url, isLabelMap: isLabelMap)
  {
    geometry.spacing = spacing
  }
  let voxels = NDArray(
    shape: [file.information.channelCount] + file.information.shape, elements: try file.decodedVoxels())
  let volume = Volume(voxels: voxels, geometry: geometry)
  return reader?.turnsToRAS == true ? try volume.turnedToRAS(by: reader, source: url.path) : volume
}
