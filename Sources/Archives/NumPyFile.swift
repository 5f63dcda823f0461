// NumPy's .npy format: one array with a short text header. The .npz container is in NPZFile.swift.

package import Foundation
package import Reporting
package import Tensors

/// An array read from a NumPy file; elements are converted when they are asked for.
package struct NumPyArray: Sendable {
  package let shape: [Int]
  package let dataType: ElementType
  /// Elements in C order, little endian.
  private let bytes: [UInt8]
  private let source: String

  package var count: Int { bytes.count / dataType.byteCount }

  package func floats() -> NDArray<Float> { NDArray(shape: shape, elements: read { $0.floats() }) }
  package func doubles() -> NDArray<Double> { NDArray(shape: shape, elements: read { $0.doubles() }) }
  package func uint8s() throws(Diagnostic) -> NDArray<UInt8> { try integers() }
  package func int16s() throws(Diagnostic) -> NDArray<Int16> { try integers() }
  package func int32s() throws(Diagnostic) -> NDArray<Int32> { try integers() }
  package func int64s() throws(Diagnostic) -> NDArray<Int64> { try integers() }

  /// The elements as integers; values that do not fit are an error.
  package func integers<T: FixedWidthInteger & Sendable>() throws(Diagnostic) -> NDArray<T> {
    let elements = read { reader in
      Result { () throws(Diagnostic) in try reader.integers(T.self, source: source) }
    }
    return NDArray(shape: shape, elements: try elements.get())
  }

  private func read<R>(_ body: (ElementReader) -> R) -> R {
    bytes.withUnsafeBytes { body(ElementReader(dataType, $0, count: count)) }
  }
}

extension NumPyArray {
  /// Reads the bytes of an .npy file; `source` names them in errors.
  package init(npy file: [UInt8], source: String) throws(Diagnostic) {
    let header = try NumPyHeader(file, source: source)
    guard let count = checkedElementCount(header.shape),
      case let (size, overflow) = count.multipliedReportingOverflow(by: header.dataType.byteCount), !overflow,
      file.count - header.byteCount == size
    else {
      throw Diagnostic(
        "the NumPy file has the wrong length", at: source,
        expected: "\(header.shape) elements of \(header.dataType)",
        found: "\(file.count - header.byteCount) bytes after the header",
        remedy: "write or copy the file again")
    }
    self.source = source
    shape = header.shape
    dataType = header.dataType
    let payload = Array(file[header.byteCount...])
    bytes = header.isFortranOrder && shape.count > 1 ? Self.reordered(payload, header, count: count) : payload
  }

  /// Column-major elements in row-major order.
  private static func reordered(_ payload: [UInt8], _ header: NumPyHeader, count: Int) -> [UInt8] {
    let positions = NDArray(shape: header.shape.reversed(), elements: Array(0..<count))
    let order = positions.transposed(Array(header.shape.indices.reversed())).elements
    let size = header.dataType.byteCount
    var result = [UInt8](repeating: 0, count: payload.count)
    for (target, source) in order.enumerated() {
      for byte in 0..<size { result[target * size + byte] = payload[source * size + byte] }
    }
    return result
  }
}

/// Reads an .npy file.
package func readNPY(_ url: URL) throws(Diagnostic) -> NumPyArray {
  try NumPyArray(npy: try readRegularFile(url, as: "the NumPy file"), source: url.path)
}

/// Writes an array as an .npy file, atomically.
package func writeNPY<Element: FileElement>(_ array: NDArray<Element>, to url: URL) throws(Diagnostic) {
  try writeAtomically(to: url) { handle in
    try handle.write(contentsOf: Data(NumPyHeader.bytes(shape: array.shape, dataType: Element.elementType)))
    try array.elements.withUnsafeBytes { try handle.write(contentsOf: Data($0)) }
  }
}

/// The header of an .npy file.
struct NumPyHeader {
  var shape: [Int]
  var dataType: ElementType
  var isFortranOrder: Bool
  /// Magic, version, length and text.
  var byteCount: Int

  static let magic: [UInt8] = [0x93] + Array("NUMPY".utf8)
  static let codes: [(String, ElementType)] = [
    ("|b1", .bool), ("|u1", .uint8), ("|i1", .int8), ("<u2", .uint16), ("<i2", .int16), ("<u4", .uint32),
    ("<i4", .int32), ("<u8", .uint64), ("<i8", .int64), ("<f2", .float16), ("<f4", .float32),
    ("<f8", .float64),
  ]

  init(_ file: [UInt8], source: String) throws(Diagnostic) {
    func refuse(_ expected: String, _ found: String) -> Diagnostic {
      Diagnostic(
        "cannot read the NumPy file", at: source, expected: expected, found: found,
        remedy: "save the array with numpy.save as a plain numeric array")
    }
    guard file.count >= Self.prefixLength, file.starts(with: Self.magic) else {
      throw refuse("the NumPy signature", "\(file.count) bytes that begin otherwise")
    }
    guard (1...3).contains(file[6]) else { throw refuse("format version 1, 2 or 3", "\(file[6])") }
    byteCount = Self.byteCount(startingWith: file)
    guard byteCount <= file.count else {
      throw refuse("a header of \(byteCount) bytes", "\(file.count) bytes")
    }
    let text = String(decoding: file[(file[6] >= 2 ? 12 : 10)..<byteCount], as: UTF8.self)
    guard let code = Self.value(of: "descr", in: text), let order = Self.value(of: "fortran_order", in: text),
      let shapeText = Self.value(of: "shape", in: text), shapeText.hasPrefix("("),
      let end = shapeText.firstIndex(of: ")")
    else { throw refuse("descr, fortran_order and shape", String(text.prefix(80))) }
    let name = code.dropFirst().prefix { $0 != "'" && $0 != "\"" }
    guard
      let dataType = Self.codes.first(where: {
        $0.0 == name || $0.0.dropFirst() == name.dropFirst() && name.first == "="
      })
    else { throw refuse("a little-endian number type", String(code.prefix(20))) }
    self.dataType = dataType.1
    isFortranOrder = order.hasPrefix("True")
    var shape: [Int] = []
    for part in shapeText[..<end].dropFirst().split(separator: ",") {
      let digits = part.filter { $0 != " " && $0 != "L" }
      if digits.isEmpty { continue }
      guard let extent = Int(digits), extent >= 0 else {
        throw refuse("extents", String(shapeText.prefix(40)))
      }
      shape.append(extent)
    }
    self.shape = shape
  }

  /// So many bytes tell how long the header is; there is no shorter one.
  static let prefixLength = 12

  /// The length of the whole header by its first ``prefixLength`` bytes: that of the text stands in two bytes, or in four
  /// from version 2 on.
  static func byteCount(startingWith prefix: [UInt8]) -> Int {
    let start = prefix[6] >= 2 ? 12 : 10
    return (8..<start).reversed().reduce(0) { $0 << 8 | Int(prefix[$1]) } + start
  }

  /// The text after a key of the header's dictionary.
  private static func value(of key: String, in text: String) -> Substring? {
    guard let range = text.range(of: "'\(key)':") else { return nil }
    return text[range.upperBound...].drop { $0 == " " }
  }

  /// The header NumPy itself would write: version 1, padded to a multiple of 64 bytes.
  static func bytes(shape: [Int], dataType: ElementType) -> [UInt8] {
    let code = codes.first { $0.1 == dataType }?.0 ?? "|V2"
    let extents = shape.map(String.init).joined(separator: ", ") + (shape.count == 1 ? "," : "")
    var text = "{'descr': '\(code)', 'fortran_order': False, 'shape': (\(extents)), }"
    text += String(repeating: " ", count: 63 - (10 + text.utf8.count) % 64) + "\n"
    let length = text.utf8.count
    return magic + [1, 0, UInt8(length & 255), UInt8(length >> 8)] + Array(text.utf8)
  }
}
