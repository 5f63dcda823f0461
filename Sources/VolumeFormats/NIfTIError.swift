// What can be wrong with a NIfTI file, and how it is said.

package import Reporting

/// A NIfTI file that cannot be read or written.
package enum NIfTIError: DiagnosableError, Equatable {
  case notNIfTI(_ path: String, found: String)
  case badHeader(_ path: String, field: String, expected: String, found: String)
  case tooManyAxes(_ path: String, dimensions: [Int])
  /// The header promises more voxels than the file can hold.
  case tooShort(_ path: String, expectedBytes: Int, found: String)
  case damaged(_ path: String, found: String)
  /// Bytes follow a complete compressed image.
  case trailingData(_ path: String, expectedBytes: Int, found: String)
  case notALabelMap(_ path: String, found: String)
  case unsupportedEnding(_ path: String)

  package var diagnostic: Diagnostic {
    switch self {
    case .notNIfTI(let path, let found):
      Diagnostic(
        "not a NIfTI file", at: path, expected: "a header that begins with 348 (NIfTI-1) or 540 (NIfTI-2)",
        found: found, remedy: "convert the image to .nii.gz, or correct the path")
    case .badHeader(let path, let field, let expected, let found):
      Diagnostic(
        "the NIfTI header makes no sense in its field \(field)", at: path, expected: expected, found: found,
        remedy: "write the file again with the program that made it, or repair the header field")
    case .tooManyAxes(let path, let dimensions):
      Diagnostic(
        "the image has more than three axes", at: path, expected: "extents of 1 beyond the third axis",
        found: dimensions.map(String.init).joined(separator: "x"),
        remedy: "split the image into one 3D file per channel: case_0000.nii.gz, case_0001.nii.gz, ...")
    case .tooShort(let path, let expectedBytes, let found):
      Diagnostic(
        "the image is cut off: its header promises more than the file holds", at: path,
        expected: "\(expectedBytes) bytes (header and voxels, decompressed)", found: found,
        remedy: "copy or download the file again; check the free space where it was written")
    case .damaged(let path, let found):
      Diagnostic(
        "the compressed image is damaged", at: path, expected: "gzip data with a right checksum",
        found: found,
        remedy: "copy or download the file again")
    case .trailingData(let path, let expectedBytes, let found):
      Diagnostic(
        "the compressed file holds more than one image", at: path,
        expected: "the end of the file after \(expectedBytes) decompressed bytes", found: found,
        remedy: "decompress the file, check it and compress it again")
    case .notALabelMap(let path, let found):
      Diagnostic(
        "this is no label map", at: path, expected: "whole numbers from -32768 to 32767", found: found,
        remedy: "use the segmentation file, and save labels as integers")
    case .unsupportedEnding(let path):
      Diagnostic(
        "cannot tell the image format from the file name", at: path,
        expected: "a name ending in .nii.gz or .nii",
        found: path.split(separator: "/").last.map(String.init), remedy: "choose one of these endings")
    }
  }
}
