// The header of a safetensors file, believed only after every offset has been checked.

import Reporting

struct SafetensorsHeader {
  struct Entry {
    var name: String
    var dataType: ElementType
    var shape: [Int]
    /// The bytes' place in the file.
    var range: Range<Int>
  }

  /// In the order of their bytes.
  var entries: [Entry] = []
  var metadata: [String: String] = [:]

  private static let codes: [(String, ElementType)] = [
    ("BOOL", .bool), ("U8", .uint8), ("I8", .int8), ("U16", .uint16), ("I16", .int16), ("U32", .uint32),
    ("I32", .int32), ("U64", .uint64), ("I64", .int64), ("F16", .float16), ("BF16", .bfloat16),
    ("F32", .float32),
    ("F64", .float64),
  ]

  static func code(_ type: ElementType) -> String { codes.first { $0.1 == type }?.0 ?? "" }

  init(_ file: MappedFile) throws(Diagnostic) {
    let path = file.path
    guard file.count >= 8 else {
      throw Self.error(path, expected: "at least 8 bytes", found: "a file that ends after \(file.count)")
    }
    let length = file.withBytes { $0.littleEndian(0, UInt64.self) }
    guard length <= UInt64(file.count - 8), length <= 100_000_000 else {
      throw Self.error(
        path, expected: "a header within the file's \(file.count) bytes", found: "\(length) bytes")
    }
    let start = 8 + Int(length)
    let text = file.withBytes(8..<start) { Array($0) }
    guard case .object(let header) = try JSON(parsing: text, source: path) else {
      throw Self.error(path, expected: "a JSON object as header", found: "another JSON value")
    }
    for (name, value) in header.pairs {
      if name == "__metadata__" {
        for (key, text) in value.object?.pairs ?? [] { metadata[key] = text.string }
      } else {
        entries.append(try Self.entry(name, value, start: start, fileSize: file.count, path))
      }
    }
    entries.sort { ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound) }
    var end = start
    for entry in entries {
      guard entry.range.lowerBound == end else {
        throw Self.error(
          "\(path), tensor \(entry.name)", expected: "bytes from \(end - start) on, without gap or overlap",
          found: "bytes from \(entry.range.lowerBound - start) on")
      }
      end = entry.range.upperBound
    }
    guard end == file.count else {
      throw Self.error(path, expected: "\(end) bytes", found: "\(file.count) bytes")
    }
  }

  private static func entry(
    _ name: String, _ value: JSON, start: Int, fileSize: Int, _ path: String
  ) throws(Diagnostic) -> Entry {
    let place = "\(path), tensor \(name)"
    guard let code = value["dtype"]?.string, let type = codes.first(where: { $0.0 == code })?.1 else {
      throw error(place, expected: "a known dtype", found: value["dtype"]?.kind ?? "none")
    }
    guard let shape = value["shape"]?.integers, let count = checkedElementCount(shape),
      case let (size, overflow) = count.multipliedReportingOverflow(by: type.byteCount), !overflow
    else {
      throw error(place, expected: "a shape of non-negative extents", found: value["shape"]?.kind ?? "none")
    }
    guard let offsets = value["data_offsets"]?.integers, offsets.count == 2, offsets[0] >= 0,
      offsets[0] <= offsets[1]
    else {
      throw error(
        place, expected: "two rising offsets", found: value["data_offsets"]?.text(indent: nil) ?? "none")
    }
    guard offsets[1] <= fileSize - start else {
      throw error(
        place, expected: "\(offsets[1]) bytes or more behind the header",
        found: "a file that ends after \(fileSize - start) of them")
    }
    guard offsets[1] - offsets[0] == size else {
      throw error(
        place, expected: "\(size) bytes for \(code) \(shape)", found: "\(offsets[1] - offsets[0]) bytes")
    }
    return Entry(name: name, dataType: type, shape: shape, range: start + offsets[0]..<start + offsets[1])
  }

  private static func error(_ place: String, expected: String, found: String) -> Diagnostic {
    Diagnostic(
      "cannot read the safetensors file", at: place, expected: expected, found: found,
      remedy: "the file is damaged or incomplete; write or copy it again")
  }
}
