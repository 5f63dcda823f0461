// nnU-Net's reader classes by name: which files each takes, and which one a dataset gets.

package import Foundation
import Reporting
import Volumes

/// How files become arrays: nnU-Net's reader and writer classes, and one of ours for NumPy files.
package enum ImageReader: String, Sendable, CaseIterable {
  /// Pictures of two axes, with colours as channels and a spacing of 999, 1, 1.
  case naturalImage2D = "NaturalImage2DIO"
  /// Everything that SimpleITK reads, with its geometry.
  case simpleITK = "SimpleITKIO"
  /// TIFF stacks; the spacing comes from a JSON file beside them.
  case tiff3D = "Tiff3DIO"
  /// NIfTI of three axes, with distances as they stand in the header.
  case nibabel = "NibabelIO"
  /// The same, turned to right, anterior, superior.
  case nibabelReoriented = "NibabelIOWithReorient"
  /// Like SimpleITKIO, turned to right, anterior, superior.
  case simpleITKReoriented = "SimpleITKIOWithReorient"
  /// NumPy arrays: `[Y, X]`, `[Z, Y, X]` or `[C, Z, Y, X]`; nnU-Net has no reader for them.
  case numPy = "NumPyIO"

  var isNibabel: Bool { self == .nibabel || self == .nibabelReoriented }
  var turnsToRAS: Bool { self == .nibabelReoriented || self == .simpleITKReoriented }

  /// The formats that the reader opens.
  package func reads(_ format: ImageFormat) -> Bool {
    switch self {
    case .naturalImage2D: [.png, .bmp, .jpeg, .tiff].contains(format)
    case .simpleITK: format != .numpy
    case .simpleITKReoriented: format != .numpy && !format.isPicture
    case .tiff3D: format == .tiff
    case .nibabel, .nibabelReoriented: format == .nifti || format == .niftiPair
    case .numPy: format == .numpy
    }
  }

  /// The reader that nnU-Net takes for a dataset.
  ///
  /// - Parameters:
  ///   - name: what `overwrite_image_reader_writer` says; a name that means nothing is passed over.
  ///   - fileEnding: the dataset's file ending.
  ///   - example: an image of the dataset; whether a TIFF is a picture or a stack cannot be told without it.
  package static func chosen(
    named name: String?, fileEnding: String, example: URL?
  ) throws -> ImageReader {
    if let name, let reader = ImageReader(rawValue: name) { return reader }
    guard let format = ImageFormat(named: fileEnding) else {
      throw ImageFileError.unsupportedEnding(example?.path ?? fileEnding)
    }
    switch format {
    case .png, .bmp, .jpeg: return .naturalImage2D
    case .nrrd, .metaImage, .gipl, .niftiPair: return .simpleITK
    case .numpy: return .numPy
    case .nifti:
      guard fileEnding.lowercased() == ".nii" else { return .simpleITK }
      // NibabelIO opens three axes only; nnU-Net has no reader for the rest.
      guard let example else { return .nibabel }
      return try NIfTIFile(example).header.orientation.dimensionCount == 3 ? .nibabel : .simpleITK
    case .tiff:
      guard let example else { return fileEnding.lowercased() == ".tif" ? .naturalImage2D : .tiff3D }
      let file = try TIFFFile(example, reader: nil)
      return file.isPicture && (fileEnding.lowercased() == ".tif" || !file.isStack)
        ? .naturalImage2D : .tiff3D
    }
  }

  /// The reader for a single file of which nothing else is known.
  static func automatic(for url: URL) throws -> ImageReader? {
    switch try ImageFormat(of: url) {
    case .png, .bmp, .jpeg: .naturalImage2D
    case .numpy: .numPy
    // The file says itself whether it is a picture or a stack.
    case .tiff: nil
    default: .simpleITK
    }
  }
}
