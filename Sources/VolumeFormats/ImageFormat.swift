// The file formats, by the endings of their names. What each reader class of nnU-Net makes of them is ImageReader's.

package import Foundation

/// A format that images are stored in.
package enum ImageFormat: String, Sendable, CaseIterable {
  case nifti = "NIfTI"
  /// A NIfTI header and its voxels in two files.
  case niftiPair = "NIfTI pair"
  case nrrd = "NRRD"
  case metaImage = "MetaImage"
  case gipl = "GIPL"
  case png = "PNG"
  case bmp = "BMP"
  case jpeg = "JPEG"
  case tiff = "TIFF"
  case numpy = "NumPy"

  /// The endings of the format's files in lower case; the longest come first.
  package var endings: [String] {
    switch self {
    case .nifti: [".nii.gz", ".nii"]
    case .niftiPair: [".hdr.gz", ".img.gz", ".hdr", ".img"]
    case .nrrd: [".nrrd", ".nhdr"]
    case .metaImage: [".mha", ".mhd"]
    case .gipl: [".gipl.gz", ".gipl"]
    case .png: [".png"]
    case .bmp: [".bmp"]
    case .jpeg: [".jpeg", ".jpg"]
    case .tiff: [".tiff", ".tif"]
    case .numpy: [".npy"]
    }
  }

  package static var allEndings: [String] { allCases.flatMap(\.endings) }

  /// The format that a file's name promises, if any.
  package init?(named name: String) {
    let name = name.lowercased()
    guard let format = Self.allCases.first(where: { $0.endings.contains(where: name.hasSuffix) }) else {
      return nil
    }
    self = format
  }

  /// The format that a file's name promises.
  package init(of url: URL) throws(ImageFileError) {
    guard let format = ImageFormat(named: url.lastPathComponent) else {
      throw .unsupportedEnding(url.path)
    }
    self = format
  }

  /// The ending of a name, as long as the format knows it: `.nii.gz`, not `.gz`.
  package static func ending(of name: String) -> String? {
    let lower = name.lowercased()
    return allEndings.first { lower.hasSuffix($0) }.map { String(name.suffix($0.count)) }
  }

  /// Whether the format holds pictures: no spacing, and colour as channels.
  package var isPicture: Bool { self == .png || self == .bmp || self == .jpeg }
}
