// The safetensors format: a JSON header, then the bytes of all tensors without gaps. Reading maps the file.

package import Foundation
package import Reporting
package import Tensors

/// One tensor to be written.
package struct SafetensorsEntry {
  package let name: String
  package let dataType: ElementType
  package let shape: [Int]
  fileprivate let withBytes: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void

  package init<Element: FileElement>(_ name: String, _ array: NDArray<Element>) {
    self.name = name
    dataType = Element.elementType
    shape = array.shape
    withBytes = { body in try array.elements.withUnsafeBytes { try body($0) } }
  }

  /// A tensor of any type from its little-endian bytes.
  package init(_ name: String, dataType: ElementType, shape: [Int], bytes: [UInt8]) {
    precondition(
      bytes.count == shape.reduce(dataType.byteCount, *), "\(bytes.count) bytes do not fill \(shape)")
    self.name = name
    self.dataType = dataType
    self.shape = shape
    withBytes = { body in try bytes.withUnsafeBytes { try body($0) } }
  }

  fileprivate var byteCount: Int { shape.reduce(dataType.byteCount, *) }
}

/// A tensor inside a mapped file; its bytes may be read from several threads.
package struct MappedTensor: Sendable {
  package let name: String
  package let dataType: ElementType
  package let shape: [Int]
  private let file: MappedFile
  private let range: Range<Int>

  fileprivate init(name: String, dataType: ElementType, shape: [Int], file: MappedFile, range: Range<Int>) {
    self.name = name
    self.dataType = dataType
    self.shape = shape
    self.file = file
    self.range = range
  }

  package var count: Int { range.count / dataType.byteCount }

  /// Gives the little-endian bytes to `body`, aligned to the element size; the pointer must not outlive the call.
  package func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try file.withBytes(range, body)
  }

  package func floats() -> NDArray<Float> {
    NDArray(shape: shape, elements: withBytes { ElementReader(dataType, $0, count: count).floats() })
  }

  package func doubles() -> NDArray<Double> {
    NDArray(shape: shape, elements: withBytes { ElementReader(dataType, $0, count: count).doubles() })
  }

  /// The elements as integers; values that do not fit are an error.
  package func integers<T: FixedWidthInteger & Sendable>(_ type: T.Type = T.self) throws(Diagnostic)
    -> NDArray<T>
  {
    let elements = try withBytes { bytes throws(Diagnostic) in
      try ElementReader(dataType, bytes, count: count).integers(type, source: "\(file.path), tensor \(name)")
    }
    return NDArray(shape: shape, elements: elements)
  }
}

/// A safetensors file opened for reading.
package struct SafetensorsFile: Sendable {
  /// Tensors in the order of their bytes.
  package let tensors: [MappedTensor]
  package let metadata: [String: String]
  package let path: String
  private let indices: [String: Int]

  package func contains(_ name: String) -> Bool { indices[name] != nil }

  package func tensor(named name: String) throws(Diagnostic) -> MappedTensor {
    guard let index = indices[name] else {
      let near = nearestName(to: name, in: indices.keys).map { ", the closest is \($0)" } ?? ""
      throw Diagnostic(
        "a tensor is missing", at: path, expected: "a tensor named \(name)",
        found: "\(tensors.count) others\(near)",
        remedy: "write the file again with this version")
    }
    return tensors[index]
  }

  /// Maps a file and checks its whole header; the payload is not read.
  package static func open(_ url: URL) throws(Diagnostic) -> SafetensorsFile {
    try SafetensorsFile(MappedFile(url, as: "the safetensors file"))
  }

  private init(_ file: MappedFile) throws(Diagnostic) {
    path = file.path
    let header = try SafetensorsHeader(file)
    metadata = header.metadata
    tensors = header.entries.map {
      MappedTensor(name: $0.name, dataType: $0.dataType, shape: $0.shape, file: file, range: $0.range)
    }
    indices = Dictionary(tensors.enumerated().map { ($1.name, $0) }) { first, _ in first }
  }
}

// MARK: - Writing

extension SafetensorsFile {
  /// Payloads begin at a multiple of this many bytes.
  static let alignment = 64

  /// Writes tensors atomically and streamed; the same content gives the same bytes.
  ///
  /// Wider elements come first, so that every tensor is aligned to its element size. What is not kept for long need
  /// not reach the disk (`isKept`).
  package static func write(
    _ entries: [SafetensorsEntry], metadata: [(String, String)] = [], to url: URL, isKept: Bool = true
  ) throws(Diagnostic) {
    precondition(Set(entries.map(\.name)).count == entries.count, "two tensors share a name")
    var ordered: [SafetensorsEntry] = []
    for size in [8, 4, 2, 1] { ordered += entries.filter { $0.dataType.byteCount == size } }
    var header = JSONObject()
    if !metadata.isEmpty {
      header["__metadata__"] = .object(JSONObject(metadata.map { ($0.0, JSON.string($0.1)) }))
    }
    var offset = 0
    for entry in ordered {
      header[entry.name] = [
        "dtype": .string(SafetensorsHeader.code(entry.dataType)), "shape": JSON(entry.shape),
        "data_offsets": JSON([offset, offset + entry.byteCount]),
      ]
      offset += entry.byteCount
    }
    var text = Array(JSON.object(header).text(indent: nil).utf8)
    let padding = (alignment - (8 + text.count) % alignment) % alignment
    text += Array(repeating: UInt8(ascii: " "), count: padding)
    let length = withUnsafeBytes(of: UInt64(text.count).littleEndian) { Array($0) }
    try writeAtomically(to: url, isKept: isKept) { handle in
      try handle.write(contentsOf: Data(length + text))
      for entry in ordered { try entry.withBytes { try handle.write(bytes: $0) } }
    }
  }
}
