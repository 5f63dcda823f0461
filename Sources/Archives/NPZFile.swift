// NumPy's .npz container: a zip archive of .npy members.

package import Foundation
package import Reporting
package import Tensors

/// Reads all arrays of an .npz file by name.
package func readNPZ(_ url: URL) throws(Diagnostic) -> [String: NumPyArray] {
  let archive = try ZipReader(url)
  var arrays: [String: NumPyArray] = [:]
  for entry in archive.entries where entry.name.hasSuffix(".npy") {
    let name = String(entry.name.dropLast(4))
    arrays[name] = try NumPyArray(npy: try archive.data(of: entry), source: "\(url.path), array \(name)")
  }
  return arrays
}

/// Writes arrays one by one into a compressed .npz file.
package struct NPZWriter {
  private let archive: ZipWriter

  /// Writes the file atomically; `body` adds the arrays.
  package static func write(to url: URL, _ body: (NPZWriter) throws -> Void) throws {
    try ZipWriter.write(to: url) { try body(NPZWriter(archive: $0)) }
  }

  /// Adds one array, compressed unless told otherwise.
  package func add<Element: FileElement>(
    _ name: String, _ array: NDArray<Element>, isCompressed: Bool = true
  ) throws {
    let header = NumPyHeader.bytes(shape: array.shape, dataType: Element.elementType)
    try header.withUnsafeBytes { header in
      try array.elements.withUnsafeBytes { elements in
        try archive.add("\(name).npy", [header, elements], isCompressed: isCompressed)
      }
    }
  }
}
