// An .npy file whose elements stay in the file until they are looked at.

package import Foundation
package import Reporting

/// A mapped array in C order.
package struct MappedNumPyFile: Sendable {
  package let shape: [Int]
  package let dataType: ElementType
  private let file: MappedFile
  private let headerByteCount: Int

  /// Long enough for every header that NumPy writes for plain arrays.
  private static let longestHeader = 1 << 16

  package init(_ url: URL) throws(Diagnostic) {
    file = try MappedFile(url, as: "the NumPy file")
    let head = file.withBytes { Array($0.prefix(Self.longestHeader)) }
    let header = try NumPyHeader(head, source: url.path)
    guard let count = checkedElementCount(header.shape),
      case let (size, overflow) = count.multipliedReportingOverflow(by: header.dataType.byteCount), !overflow,
      file.count - header.byteCount == size
    else {
      throw Diagnostic(
        "the NumPy file has the wrong length", at: url.path,
        expected: "\(header.shape) elements of \(header.dataType)",
        found: "\(file.count - header.byteCount) bytes after the header",
        remedy: "write or copy the file again")
    }
    guard !header.isFortranOrder || header.shape.count < 2 else {
      throw Diagnostic(
        "the NumPy file is in column order", at: url.path, expected: "C order", found: "Fortran order",
        remedy: "save numpy.ascontiguousarray(array)")
    }
    shape = header.shape
    dataType = header.dataType
    headerByteCount = header.byteCount
  }

  /// Bytes of the elements.
  package var byteCount: Int { file.count - headerByteCount }

  /// Gives the elements' bytes to `body`, little endian and perhaps not aligned.
  package func withElements<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try file.withBytes(headerByteCount..<file.count, body)
  }

  /// Reads every page once, so that the elements are in memory if there is room for them.
  ///
  /// - Returns: a sum of what was read, so that the reading is not left away.
  @discardableResult
  package func touch() -> UInt8 {
    file.withBytes { bytes in
      Swift.stride(from: 0, to: bytes.count, by: 4096).reduce(0) { $0 &+ bytes[$1] }
    }
  }
}
