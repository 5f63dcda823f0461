// NumPy arrays as images: [Y, X], [Z, Y, X] or [C, Z, Y, X]. The format itself is Archives'.

import Archives
import Foundation
import Reporting
import Tensors
import Volumes

/// An .npy file whose shape is that of an image.
struct NumPyImageFile: ImageFile {
  let information: ImageInformation
  private let array: NumPyArray

  init(_ url: URL) throws {
    array = try readNPY(url)
    let shape = array.shape
    guard (2...4).contains(shape.count) else { throw ImageFileError.tooManyAxes(url.path, dimensions: shape) }
    guard shape.allSatisfy({ $0 > 0 }) else {
      throw ImageFileError.badHeader(
        url.path, field: "shape", expected: "positive extents", found: "\(shape)")
    }
    information = ImageInformation(
      format: .numpy, channelCount: shape.count == 4 ? shape[0] : 1,
      shape: Array((shape.count == 2 ? [1] : []) + shape.suffix(3)),
      geometry: shape.count == 2 ? .picture : ImageGeometry(spacing: [1, 1, 1]), dataType: array.dataType,
      encoding: "raw", remarks: ["the format stores no spacing, origin or direction"])
  }

  func decodedVoxels() -> [Float] { array.floats().elements }
}
