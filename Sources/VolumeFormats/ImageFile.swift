// An opened image file: its checked header, and its voxels on demand. Each format has a type of its own.

package import Archives
import Foundation
import Reporting
package import Volumes

/// What an image file says about itself, without its voxels.
package struct ImageInformation: Sendable {
  package var format: ImageFormat
  /// Values per voxel: colours, or the images along a fourth axis.
  package var channelCount: Int
  /// Extents in array order: z, y, x.
  package var shape: [Int]
  package var geometry: ImageGeometry
  package var dataType: ElementType
  /// How the voxels are stored, such as `raw` or `gzip`.
  package var encoding: String
  /// What is odd about the header or the file, in words.
  package var remarks: [String] = []

  /// Bytes of all channels as stored, before compression.
  package var voxelByteCount: Int { shape.reduce(channelCount * dataType.byteCount, *) }
}

/// A file whose header makes sense and whose size can hold what it promises.
protocol ImageFile {
  var information: ImageInformation { get }

  /// All voxels in single precision.
  ///
  /// - Shape: `[C, Z, Y, X]`
  func decodedVoxels() throws -> [Float]
}

/// Opens an image by its name's ending and checks its header; voxels are not decoded yet.
func openImage(_ url: URL, _ format: ImageFormat, reader: ImageReader?) throws -> any ImageFile {
  switch format {
  case .nifti: try NIfTIFile(url, reader: reader)
  case .niftiPair: try NIfTIFile(pair: url, reader: reader)
  case .nrrd: try NRRDFile(url)
  case .metaImage: try MetaImageFile(url)
  case .gipl: try GIPLFile(url)
  case .png: try PNGFile(url)
  case .bmp: try BMPFile(url)
  case .jpeg: try JPEGFile(url)
  case .tiff: try TIFFFile(url, reader: reader)
  case .numpy: try NumPyImageFile(url)
  }
}

extension ImageGeometry {
  /// The geometry of pictures: a slice distance that no plan mistakes for an in-plane spacing.
  ///
  /// - Source: nnU-Net.
  static var picture: ImageGeometry { ImageGeometry(spacing: [999, 1, 1], axisCount: 2) }
}
