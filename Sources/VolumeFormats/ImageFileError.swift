// What can be wrong with an image file of any format, and how it is said.

package import Reporting

/// An image file that cannot be read or written.
package enum ImageFileError: DiagnosableError, Equatable {
  /// The file does not begin as its name says.
  case wrongSignature(_ path: String, format: String, expected: String, found: String)
  case badHeader(_ path: String, field: String, expected: String, found: String)
  case tooManyAxes(_ path: String, dimensions: [Int])
  /// The header promises more voxels than the file can hold.
  case tooShort(_ path: String, expectedBytes: Int, found: String)
  case damaged(_ path: String, found: String)
  /// Bytes follow a complete compressed image.
  case trailingData(_ path: String, expectedBytes: Int, found: String)
  /// A sound file that uses a part of its format that is not read here.
  case unsupported(_ path: String, feature: String, expected: String, remedy: String)
  case severalChannels(_ path: String, channelCount: Int)
  case notALabelMap(_ path: String, found: String)
  case unsupportedEnding(_ path: String)
  /// The format cannot hold these voxels without loss.
  case cannotHold(_ path: String, expected: String, found: String)

  package var diagnostic: Diagnostic {
    switch self {
    case .wrongSignature(let path, let format, let expected, let found):
      Diagnostic(
        "not a \(format) file", at: path, expected: expected, found: found,
        remedy: "give the file the ending of its real format, or correct the path")
    case .badHeader(let path, let field, let expected, let found):
      Diagnostic(
        "the image's header makes no sense in its field \(field)", at: path, expected: expected, found: found,
        remedy: "write the file again with the program that made it, or repair the header field")
    case .tooManyAxes(let path, let dimensions):
      Diagnostic(
        "the image has too many axes", at: path,
        expected: "two or three axes, and at most one more for channels",
        found: dimensions.map(String.init).joined(separator: "×"),
        remedy: "split the image into one 3D file per channel: case_0000.nii.gz, case_0001.nii.gz, ...")
    case .tooShort(let path, let expectedBytes, let found):
      Diagnostic(
        "the image is cut off: its header promises more than the file holds", at: path,
        expected: "\(expectedBytes) bytes (header and voxels, decompressed)", found: found,
        remedy: "copy or download the file again; check the free space where it was written")
    case .damaged(let path, let found):
      Diagnostic(
        "the image is damaged", at: path, expected: "data that decode without an error", found: found,
        remedy: "copy or download the file again")
    case .trailingData(let path, let expectedBytes, let found):
      Diagnostic(
        "the compressed file holds more than one image", at: path,
        expected: "the end of the file after \(expectedBytes) decompressed bytes", found: found,
        remedy: "decompress the file, check it and compress it again")
    case .unsupported(let path, let feature, let expected, let remedy):
      Diagnostic(
        "the image uses a feature that is not read here", at: path, expected: expected, found: feature,
        remedy: remedy)
    case .severalChannels(let path, let channelCount):
      Diagnostic(
        "the file holds several channels where one is wanted", at: path, expected: "one value per voxel",
        found: "\(channelCount) channels",
        remedy: "save one channel, such as a grey image; colour tables count as colour")
    case .notALabelMap(let path, let found):
      Diagnostic(
        "this is no label map", at: path, expected: "whole numbers from -32768 to 32767", found: found,
        remedy: "use the segmentation file, and save labels as integers")
    case .unsupportedEnding(let path):
      Diagnostic(
        "cannot tell the image format from the file name", at: path,
        expected: "a name ending in one of " + ImageFormat.allEndings.joined(separator: ", "),
        found: path.split(separator: "/").last.map(String.init), remedy: "choose one of these endings")
    case .cannotHold(let path, let expected, let found):
      Diagnostic(
        "the format cannot hold this image", at: path, expected: expected, found: found,
        remedy: "choose another ending, such as .nii.gz")
    }
  }
}
