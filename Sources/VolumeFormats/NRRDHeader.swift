// The text header of an NRRD file. Which bytes are the voxels is NRRDFile's business; the geometry is ITK's reading.

import Archives
import Foundation
import Reporting
import Volumes

/// The fields of an NRRD header, checked one by one.
struct NRRDHeader {
  /// Extents in the order of the file: fastest axis first.
  var sizes: [Int]
  var type: ElementType
  var isBigEndian = false
  var encoding = VoxelPayload.Encoding.raw
  /// The file of the voxels, if it is another one.
  var dataFile: String?
  var skippedLineCount = 0
  /// Bytes before the voxels; -1 says that the voxels are the last bytes of the file.
  var skippedByteCount = 0
  /// Bytes up to the end of the blank line.
  var byteCount: Int
  private let fields: [String: String]
  private let path: String

  /// Reads the first bytes of a file, in which the whole header must lie.
  init(_ bytes: [UInt8], path: String) throws(ImageFileError) {
    guard let (magic, start) = headerLine(bytes, from: 0), magic.hasPrefix("NRRD000"), magic.utf8.count == 8
    else {
      throw .wrongSignature(
        path, format: "NRRD", expected: "a first line \"NRRD0001\" to \"NRRD0009\"",
        found: "\(bytes.count) bytes that begin otherwise")
    }
    var fields: [String: String] = [:]
    var position = start
    while true {
      guard let (line, next) = headerLine(bytes, from: position) else {
        // A detached header may end without a blank line.
        guard fields["data file"] != nil, position == bytes.count else {
          throw .tooShort(
            path, expectedBytes: bytes.count + 1, found: "the end of the file inside the header")
        }
        break
      }
      position = next
      if line.isEmpty { break }
      if line.hasPrefix("#") { continue }
      guard let colon = line.firstIndex(of: ":") else {
        throw .badHeader(
          path, field: "\"\(line.prefix(40))\"", expected: "\"field: value\"", found: "no colon")
      }
      // "key:=value" belongs to whoever wrote it.
      if line[colon...].hasPrefix(":=") { continue }
      let key = Self.canonical(String(line[..<colon]))
      fields[key] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
      if key == "data file", fields[key]?.hasPrefix("LIST") == true {
        throw .unsupported(
          path, feature: "voxels in several files", expected: "one data file", remedy: Self.rewrite)
      }
    }
    byteCount = position
    self.fields = fields
    self.path = path
    sizes = []
    type = .uint8
    try readSizes()
    try readStorage()
  }

  private static let rewrite = "save the image as one .nrrd file, raw or gzip"

  private static func canonical(_ key: String) -> String {
    switch key.lowercased() {
    case "datafile": "data file"
    case "lineskip": "line skip"
    case "byteskip": "byte skip"
    case "axismins": "axis mins"
    case "centerings": "centers"
    case let key: key
    }
  }

  private mutating func readSizes() throws(ImageFileError) {
    guard let dimension = fields["dimension"].flatMap({ Int($0) }), (1...16).contains(dimension) else {
      throw .badHeader(
        path, field: "dimension", expected: "a number of axes", found: fields["dimension"] ?? "no such field")
    }
    let text = fields["sizes"] ?? ""
    sizes = text.split(separator: " ").compactMap { Int($0) }
    guard let typeName = fields["type"], let type = Self.types[typeName.lowercased()] else {
      throw .badHeader(
        path, field: "type", expected: "an integer type, float or double",
        found: fields["type"] ?? "no such field")
    }
    self.type = type
    guard sizes.count == dimension, text.split(separator: " ").count == dimension,
      checkedByteCount(sizes, type) != nil
    else {
      throw .badHeader(
        path, field: "sizes", expected: "\(dimension) positive numbers whose product fits 64 bits",
        found: text.isEmpty ? "no such field" : String(text.prefix(80)))
    }
  }

  private mutating func readStorage() throws(ImageFileError) {
    let names: [String: VoxelPayload.Encoding] = [
      "raw": .raw, "gzip": .gzip, "gz": .gzip, "ascii": .ascii, "text": .ascii, "txt": .ascii, "hex": .hex,
    ]
    guard let name = fields["encoding"]?.lowercased(), let encoding = names[name] else {
      throw .unsupported(
        path, feature: "encoding \(fields["encoding"] ?? "(not given)")",
        expected: "encoding raw, gzip, ascii or hex", remedy: Self.rewrite)
    }
    self.encoding = encoding
    switch fields["endian"]?.lowercased() {
    case "little": isBigEndian = false
    case "big": isBigEndian = true
    case nil where type.byteCount == 1 || encoding == .ascii: break
    default:
      throw .badHeader(
        path, field: "endian", expected: "little or big", found: fields["endian"] ?? "no such field")
    }
    if let text = fields["line skip"] {
      guard let count = Int(text), count >= 0 else {
        throw .badHeader(path, field: "line skip", expected: "a count", found: text)
      }
      skippedLineCount = count
    }
    if let text = fields["byte skip"] {
      guard let count = Int(text), count >= 0 || count == -1 && encoding == .raw else {
        throw .badHeader(path, field: "byte skip", expected: "a count, or -1 for raw voxels", found: text)
      }
      skippedByteCount = count
    }
    if let name = fields["data file"] {
      guard !name.isEmpty, !name.contains("%") else {
        throw .unsupported(
          path, feature: "data file \(name)", expected: "the name of one file", remedy: Self.rewrite)
      }
      dataFile = name
    }
  }

  private static let types: [String: ElementType] = {
    var types: [String: ElementType] = ["float": .float32, "double": .float64]
    let names: [(ElementType, [String])] = [
      (.int8, ["signed char", "int8", "int8_t"]),
      (.uint8, ["uchar", "unsigned char", "uint8", "uint8_t"]),
      (.int16, ["short", "short int", "signed short", "signed short int", "int16", "int16_t"]),
      (.uint16, ["ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"]),
      (.int32, ["int", "signed int", "int32", "int32_t"]),
      (.uint32, ["uint", "unsigned int", "uint32", "uint32_t"]),
      (
        .int64,
        [
          "longlong", "long long", "long long int", "signed long long", "signed long long int", "int64",
          "int64_t",
        ]
      ),
      (.uint64, ["ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"]),
    ]
    for (type, spellings) in names { for name in spellings { types[name] = type } }
    return types
  }()
}

// MARK: - Axes and geometry

extension NRRDHeader {
  /// The axis that holds channels, in file order, and the geometry of the others.
  struct Layout {
    var channelAxis: Int?
    var geometry: ImageGeometry
  }

  /// Kinds of axes that are not places in space.
  private static let spatialKinds: Set = ["domain", "space", "time", "???", "none", "unknown"]

  func layout() throws(ImageFileError) -> Layout {
    let kinds = (fields["kinds"] ?? "").lowercased().split(separator: " ").map(String.init)
    guard kinds.isEmpty || kinds.count == sizes.count else {
      throw .badHeader(
        path, field: "kinds", expected: "\(sizes.count) words", found: fields["kinds"] ?? "")
    }
    let others = kinds.indices.filter { !Self.spatialKinds.contains(kinds[$0]) }
    // Without a word on kinds, a fourth axis holds images one after the other.
    let channelAxis = others.first ?? (sizes.count == 4 ? 3 : nil)
    let axes = sizes.indices.filter { $0 != channelAxis }
    guard others.count <= 1, axes.count == 2 || axes.count == 3 else {
      throw .tooManyAxes(path, dimensions: sizes)
    }
    return Layout(channelAxis: channelAxis, geometry: try geometry(axes: axes))
  }

  private func geometry(axes: [Int]) throws(ImageFileError) -> ImageGeometry {
    var vectors: [[Double]]
    var origin = [0.0, 0, 0]
    if let directions = fields["space directions"] {
      let count = try spaceDimension()
      vectors = try spaceVectors(directions, axes: axes, count: count)
      if let text = fields["space origin"] {
        origin = try vector(text, field: "space origin", count: count)
      }
      let flips = spaceFlips()
      for row in 0..<3 {
        origin[row] *= flips[row]
        for axis in vectors.indices { vectors[axis][row] *= flips[row] }
      }
    } else {
      let spacings = try numbers("spacings")
      let minima = try numbers("axis mins")
      let centers = (fields["centers"] ?? "").lowercased().split(separator: " ")
      // One axis without a beginning leaves the origin unknown.
      let hasOrigin = minima.map { minima in axes.allSatisfy { minima[$0].isFinite } } ?? false
      vectors = []
      for (index, axis) in axes.enumerated() {
        let spacing = spacings.map { $0[axis].isNaN ? 1 : $0[axis] } ?? 1
        vectors.append((0..<3).map { $0 == index ? spacing : 0 })
        if let low = minima?[axis], hasOrigin {
          // A cell's value belongs to its middle.
          let isNode = centers.indices.contains(axis) && centers[axis] == "node"
          origin[index] = isNode ? low : low + spacing / 2
        }
      }
    }
    return try ImageGeometry(axisVectors: vectors, origin: origin, path: path)
  }

  private func spaceDimension() throws(ImageFileError) -> Int {
    if let space = fields["space"]?.lowercased() {
      return space.hasSuffix("time") || ["rast", "last", "lpst"].contains(space) ? 4 : 3
    }
    guard let count = fields["space dimension"].flatMap({ Int($0) }), (1...4).contains(count) else {
      throw .badHeader(
        path, field: "space dimension", expected: "1 to 4, or the field \"space\"",
        found: fields["space dimension"] ?? "no such field")
    }
    return count
  }

  /// Signs from the named space to left, posterior, superior; spaces without such a name are taken as they are.
  private func spaceFlips() -> [Double] {
    switch fields["space"]?.lowercased().replacing("-time", with: "") {
    case "right-anterior-superior", "ras", "rast": [-1, -1, 1]
    case "left-anterior-superior", "las", "last": [1, -1, 1]
    default: [1, 1, 1]
    }
  }

  private func spaceVectors(
    _ text: String, axes: [Int], count: Int
  ) throws(ImageFileError) -> [[Double]] {
    var words: [String] = []
    var rest = text[...]
    while let first = rest.first(where: { $0 != " " && $0 != "\t" }) {
      rest = rest.drop { $0 == " " || $0 == "\t" }
      let end: Substring.Index
      if first == "(" {
        end = rest.firstIndex(of: ")").map { rest.index(after: $0) } ?? rest.endIndex
      } else {
        end = rest.firstIndex { $0 == " " || $0 == "\t" } ?? rest.endIndex
      }
      words.append(String(rest[..<end]))
      rest = rest[end...]
    }
    guard words.count == sizes.count else {
      throw .badHeader(
        path, field: "space directions", expected: "\(sizes.count) vectors or \"none\"",
        found: String(text.prefix(100)))
    }
    var vectors: [[Double]] = []
    for axis in axes { vectors.append(try vector(words[axis], field: "space directions", count: count)) }
    return vectors
  }

  /// `(a,b,c)` as three numbers; a second axis of space alone gets a third of zero.
  private func vector(_ text: String, field: String, count: Int) throws(ImageFileError) -> [Double] {
    let inner = text.trimmingCharacters(in: .whitespaces)
    let values = inner.dropFirst().dropLast().split(separator: ",").map {
      Double($0.trimmingCharacters(in: .whitespaces))
    }
    let numbers = values.compactMap(\.self)
    guard inner.hasPrefix("("), inner.hasSuffix(")"), numbers.count == count, values.count == count,
      numbers.allSatisfy(\.isFinite)
    else {
      throw .badHeader(
        path, field: field, expected: "vectors of \(count) finite numbers: (1,0,0)",
        found: String(text.prefix(100)))
    }
    return Array((numbers + [0, 0]).prefix(3))
  }

  /// One number per axis, if the field is there.
  private func numbers(_ field: String) throws(ImageFileError) -> [Double]? {
    guard let text = fields[field] else { return nil }
    let values = text.split(separator: " ").compactMap { Double($0) }
    guard values.count == sizes.count, !values.contains(where: \.isInfinite) else {
      throw .badHeader(
        path, field: field, expected: "\(sizes.count) numbers", found: String(text.prefix(80)))
    }
    return values
  }

  /// What is unusual about the fields, though they can be read.
  var remarks: [String] {
    var remarks: [String] = []
    if fields["space directions"] == nil {
      remarks.append("no space directions: position and direction are unknown")
    }
    if let units = fields["space units"],
      units.lowercased().replacing("\"", with: "").split(separator: " ").contains(where: { $0 != "mm" })
    {
      remarks.append("space units \(units) are not heeded: distances are taken as millimetres")
    }
    if let space = fields["space"]?.lowercased(), space.contains("handed") || space.contains("scanner") {
      remarks.append(
        "the space \"\(space)\" says nothing about the patient; it is taken as left, posterior, superior")
    }
    if isBigEndian, type.byteCount > 1 {
      remarks.append("the bytes are stored in the other order than this machine's")
    }
    return remarks
  }
}

extension ImageGeometry {
  /// The geometry of an image whose axes x, y (and z) step by these vectors, in LPS and millimetres.
  init(axisVectors vectors: [[Double]], origin: [Double], path: String) throws(ImageFileError) {
    let lengths = vectors.map { vector in vector.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    guard lengths.allSatisfy({ $0 > 0 && $0.isFinite }), origin.allSatisfy(\.isFinite) else {
      throw .badHeader(
        path, field: "spacing", expected: "distances above 0 mm, and a finite origin",
        found: "\(lengths) mm, origin \(origin)")
    }
    var columns = zip(vectors, lengths).map { vector, length in vector.map { $0 / length } }
    if columns.count == 2 { columns.append([0, 0, 1]) }
    let direction = (0..<3).flatMap { row in (0..<3).map { columns[$0][row] } }
    try self.init(stored: lengths, direction: direction, origin: origin, path: path)
  }

  /// The geometry of an image of two or three axes; a singular direction is refused, a skewed one kept.
  init(stored spacing: [Double], direction: [Double], origin: [Double], path: String) throws(ImageFileError) {
    let d = direction
    let determinant =
      d[0] * (d[4] * d[8] - d[5] * d[7]) - d[1] * (d[3] * d[8] - d[5] * d[6])
      + d[2] * (d[3] * d[7] - d[4] * d[6])
    guard determinant.isFinite, abs(determinant) > 1e-12 else {
      throw .badHeader(
        path, field: "direction", expected: "three independent axes",
        found: direction.map { "\($0)" }.joined(separator: " "))
    }
    guard spacing.allSatisfy({ $0 > 0 && $0.isFinite }), origin.allSatisfy(\.isFinite) else {
      throw .badHeader(
        path, field: "spacing and origin", expected: "distances above 0 mm, and a finite origin",
        found: "\(spacing) mm, origin \(origin)")
    }
    // nnU-Net gives 2D images a slice distance that no plan mistakes for an in-plane spacing.
    let is2D = spacing.count == 2
    self.init(
      spacing: [is2D ? 999 * max(spacing[0], spacing[1]) : spacing[2], spacing[1], spacing[0]],
      origin: origin, direction: direction, axisCount: is2D ? 2 : 3)
  }
}
