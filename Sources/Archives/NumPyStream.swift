// One array of an .npz file from front to back, for arrays that are too large to hold as a whole.

package import Foundation
package import Reporting
package import Tensors

/// Reads the elements of an array in C order, some at a time.
package final class NumPyStream {
  package let shape: [Int]
  private let dataType: ElementType
  private let member: ZipMemberStream
  private var bytes: [UInt8] = []

  /// Opens the array `name` of an .npz file.
  package init(_ url: URL, array name: String) throws(Diagnostic) {
    let archive = try ZipReader(url)
    guard let entry = archive.entry(named: "\(name).npy") else {
      throw Diagnostic(
        "the file holds no array \"\(name)\"", at: url.path, expected: "\(name).npy in the archive",
        found: archive.entries.map(\.name).joined(separator: ", "),
        remedy: "give a file that --save_probabilities or --npz wrote")
    }
    let source = "\(url.path), array \(name)"
    member = try ZipMemberStream(archive, entry)
    var head = try Self.read(NumPyHeader.prefixLength, from: member)
    let total = NumPyHeader.byteCount(startingWith: head)
    guard total >= head.count, total <= 1 << 16 else {
      throw Diagnostic(
        "cannot read the NumPy file", at: source, expected: "a short header", found: "\(total) bytes",
        remedy: "save the array with numpy.savez_compressed")
    }
    head += try Self.read(total - head.count, from: member)
    let header = try NumPyHeader(head, source: source)
    guard let count = checkedElementCount(header.shape),
      case let (size, overflow) = count.multipliedReportingOverflow(by: header.dataType.byteCount), !overflow,
      member.remainingByteCount == size, !header.isFortranOrder || header.shape.count < 2
    else {
      throw Diagnostic(
        "the NumPy file has the wrong length or order", at: source,
        expected: "\(header.shape) elements of \(header.dataType) in C order",
        found: "\(member.remainingByteCount) bytes\(header.isFortranOrder ? " in Fortran order" : "")",
        remedy: "write or copy the file again")
    }
    shape = header.shape
    dataType = header.dataType
  }

  private static func read(_ count: Int, from member: ZipMemberStream) throws(Diagnostic) -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    try fill(&bytes, from: member)
    return bytes
  }

  private static func fill(_ bytes: inout [UInt8], from member: ZipMemberStream) throws(Diagnostic) {
    var failure: Diagnostic?
    bytes.withUnsafeMutableBytes { target in
      do throws(Diagnostic) { try member.read(into: target) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// The next `count` elements as floats.
  package func floats(_ count: Int) throws(Diagnostic) -> [Float] {
    let size = count * dataType.byteCount
    if bytes.count != size { bytes = [UInt8](repeating: 0, count: size) }
    try Self.fill(&bytes, from: member)
    let type = dataType
    return bytes.withUnsafeBytes { ElementReader(type, $0, count: count).floats() }
  }

  /// All elements that are left, as an array of the whole shape; for a stream that has not been read from.
  package func all() throws(Diagnostic) -> NDArray<Float> {
    NDArray(shape: shape, elements: try floats(shape.reduce(1, *)))
  }
}
