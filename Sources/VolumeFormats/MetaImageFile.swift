// MetaImage files: .mha with header and voxels, .mhd with the voxels in a file of their own; and writing both.

import Archives
import Foundation
import Reporting
import Tensors
import Volumes

/// The text header of a MetaImage file.
struct MetaImageHeader {
  /// Extents x, y, z and those beyond.
  var sizes: [Int]
  var type: ElementType
  /// Values that lie side by side for each voxel.
  var componentCount: Int
  var isBigEndian: Bool
  var isCompressed: Bool
  var isText: Bool
  /// The file of the voxels; nil when they follow the header.
  var dataFile: String?
  /// Bytes before the voxels; -1 says that the voxels are the last bytes of the file.
  var skippedByteCount: Int
  /// Bytes up to the first voxel.
  var byteCount: Int
  private let fields: [String: String]
  private let path: String

  init(_ bytes: [UInt8], path: String) throws(ImageFileError) {
    let isASCII = bytes.prefix(64).allSatisfy { $0 < 0x80 && $0 != 0 }
    guard isASCII, bytes.prefix(256).contains(UInt8(ascii: "=")) else {
      throw .wrongSignature(
        path, format: "MetaImage", expected: "lines \"ObjectType = Image\", \"NDims = 3\", ...",
        found: "\(bytes.count) bytes that begin otherwise")
    }
    var fields: [String: String] = [:]
    var position = 0
    // ElementDataFile ends the header.
    while fields["ElementDataFile"] == nil {
      guard position < bytes.count else {
        throw .tooShort(
          path, expectedBytes: bytes.count + 1, found: "the end of the file before the line ElementDataFile")
      }
      let (line, next) =
        headerLine(bytes, from: position)
        ?? (String(decoding: bytes[position...].prefix(4096), as: UTF8.self), bytes.count)
      position = next
      guard let sign = line.firstIndex(of: "=") else {
        if line.allSatisfy(\.isWhitespace) { continue }
        throw .badHeader(
          path, field: "\"\(line.prefix(40))\"", expected: "\"Name = value\"", found: "no sign =")
      }
      let key = line[..<sign].trimmingCharacters(in: .whitespaces)
      fields[key] = line[line.index(after: sign)...].trimmingCharacters(in: .whitespaces)
    }
    self.fields = fields
    self.path = path
    byteCount = position
    guard let dimension = fields["NDims"].flatMap({ Int($0) }), (2...10).contains(dimension) else {
      throw .badHeader(path, field: "NDims", expected: "2 to 10", found: fields["NDims"] ?? "no such line")
    }
    let typeName = fields["ElementType"]?.uppercased().replacing("_ARRAY", with: "") ?? ""
    guard let type = Self.types[typeName] else {
      throw .badHeader(
        path, field: "ElementType", expected: "one of \(Self.types.keys.sorted().joined(separator: ", "))",
        found: fields["ElementType"] ?? "no such line")
    }
    self.type = type
    let text = fields["DimSize"] ?? ""
    sizes = text.split(separator: " ").compactMap { Int($0) }
    componentCount = 1
    if let count = fields["ElementNumberOfChannels"] {
      guard let count = Int(count), (1...1024).contains(count) else {
        throw .badHeader(path, field: "ElementNumberOfChannels", expected: "1 to 1024", found: count)
      }
      componentCount = count
    }
    guard sizes.count == dimension, text.split(separator: " ").count == dimension,
      checkedByteCount(sizes + [componentCount], type) != nil
    else {
      throw .badHeader(
        path, field: "DimSize", expected: "\(dimension) positive numbers whose product fits 64 bits",
        found: text.isEmpty ? "no such line" : String(text.prefix(80)))
    }
    func isTrue(_ key: String) -> Bool {
      fields[key].map { ["t", "y", "1"].contains($0.lowercased().prefix(1)) } ?? false
    }
    isBigEndian = isTrue("BinaryDataByteOrderMSB") || isTrue("ElementByteOrderMSB")
    isCompressed = isTrue("CompressedData")
    isText = fields["BinaryData"] != nil && !isTrue("BinaryData")
    skippedByteCount = 0
    if let text = fields["HeaderSize"] {
      guard let count = Int(text), count >= -1 else {
        throw .badHeader(path, field: "HeaderSize", expected: "a count, or -1", found: text)
      }
      skippedByteCount = count
    }
    let name = fields["ElementDataFile"] ?? ""
    if name.isEmpty || name.hasPrefix("LIST") || name.contains("%") {
      throw .unsupported(
        path, feature: "ElementDataFile = \(name)", expected: "LOCAL or the name of one file",
        remedy: "save the image as one .mha file")
    }
    dataFile = name.uppercased() == "LOCAL" ? nil : name
  }

  private static let types: [String: ElementType] = [
    "MET_CHAR": .int8, "MET_UCHAR": .uint8, "MET_SHORT": .int16, "MET_USHORT": .uint16, "MET_INT": .int32,
    "MET_UINT": .uint32, "MET_LONG": .int32, "MET_ULONG": .uint32, "MET_LONG_LONG": .int64,
    "MET_ULONG_LONG": .uint64, "MET_FLOAT": .float32, "MET_DOUBLE": .float64,
  ]

  /// The words that this format has for the types that are written.
  static func name(of type: ElementType) -> String {
    switch type {
    case .uint8: "MET_UCHAR"
    case .uint16: "MET_USHORT"
    case .int16: "MET_SHORT"
    default: "MET_FLOAT"
    }
  }

  /// Position, direction and spacing of the first three axes.
  func geometry() throws(ImageFileError) -> ImageGeometry {
    let count = sizes.count
    var spacing =
      try numbers(["ElementSpacing", "ElementSize"], count: count) ?? Array(repeating: 1, count: count)
    let origin =
      try numbers(["Offset", "Origin", "Position"], count: count) ?? Array(repeating: 0, count: count)
    let matrix = try numbers(["TransformMatrix", "Rotation", "Orientation"], count: count * count)
    let axisCount = min(count, 3)
    var direction = [1.0, 0, 0, 0, 1, 0, 0, 0, 1]
    for axis in 0..<axisCount {
      let sign: Double = spacing[axis] < 0 ? -1 : 1
      for row in 0..<axisCount {
        // The file lists the vectors of its axes one after the other.
        direction[3 * row + axis] = sign * (matrix?[axis * count + row] ?? direction[3 * row + axis])
      }
      spacing[axis] = abs(spacing[axis])
    }
    return try ImageGeometry(
      stored: Array(spacing.prefix(axisCount)), direction: direction,
      origin: Array((Array(origin.prefix(axisCount)) + [0]).prefix(3)), path: path)
  }

  /// The numbers of the first of these lines that is there.
  private func numbers(_ keys: [String], count: Int) throws(ImageFileError) -> [Double]? {
    guard let key = keys.first(where: { fields[$0] != nil }), let text = fields[key] else { return nil }
    let values = text.split(separator: " ").compactMap { Double($0) }
    guard values.count == count, values.allSatisfy(\.isFinite) else {
      throw .badHeader(path, field: key, expected: "\(count) finite numbers", found: String(text.prefix(100)))
    }
    return values
  }

  /// What is unusual about the fields, though they can be read.
  var remarks: [String] {
    var remarks: [String] = []
    if isBigEndian, type.byteCount > 1 {
      remarks.append("the bytes are stored in the other order than this machine's")
    }
    if fields["ElementSpacing"] == nil { remarks.append("no ElementSpacing") }
    for key in ["ElementToIntensityFunctionSlope", "ElementToIntensityFunctionOffset"] {
      if let value = fields[key].flatMap({ Double($0) }), value != (key.hasSuffix("Slope") ? 1 : 0) {
        remarks.append("\(key) = \(value) is not heeded, as in SimpleITK")
      }
    }
    return remarks
  }
}

/// A checked MetaImage header, and where its voxels are.
struct MetaImageFile: ImageFile {
  let information: ImageInformation
  private let header: MetaImageHeader
  private let payload: VoxelPayload

  init(_ url: URL) throws {
    let source = try ImageSource(url)
    header = try MetaImageHeader(source.prefix(NRRDFile.maximumHeaderByteCount), path: url.path)
    let sizes = header.sizes
    guard sizes.count <= 4, sizes.count < 4 || header.componentCount == 1 else {
      throw ImageFileError.tooManyAxes(url.path, dimensions: sizes)
    }
    guard let byteCount = checkedByteCount(sizes + [header.componentCount], header.type) else {
      preconditionFailure("the header has checked this")
    }
    var voxels = source
    var offset = header.byteCount
    if let name = header.dataFile {
      voxels = try ImageSource(URL(filePath: name, relativeTo: url.deletingLastPathComponent()).absoluteURL)
      offset = 0
    }
    if header.skippedByteCount == -1, !header.isCompressed, !header.isText {
      offset = max(offset, voxels.byteCount - byteCount)
    } else if header.skippedByteCount > 0 {
      (offset, _) = offset.addingReportingOverflow(header.skippedByteCount)
      guard offset >= 0, offset <= voxels.byteCount else {
        throw ImageFileError.badHeader(
          url.path, field: "HeaderSize", expected: "at most the \(voxels.byteCount) bytes of the file",
          found: "\(header.skippedByteCount)")
      }
    }
    payload = VoxelPayload(
      source: voxels, encoding: header.isText ? .ascii : header.isCompressed ? .zlib : .raw, offset: offset,
      byteCount: byteCount)
    try payload.check()
    let spatial = Array((Array(sizes.prefix(3)) + [1]).prefix(3))
    information = ImageInformation(
      format: .metaImage, channelCount: header.componentCount * (sizes.count == 4 ? sizes[3] : 1),
      shape: spatial.reversed(), geometry: try header.geometry(), dataType: header.type,
      encoding: payload.encoding.rawValue, remarks: header.remarks + payload.remarks)
  }

  func decodedVoxels() throws -> [Float] {
    let count = header.sizes.reduce(header.componentCount, *)
    if header.isText {
      return channelsFirst(try payload.numbers(count: count), channelCount: header.componentCount)
    }
    let (bytes, offset) = try payload.unpacked()
    let decoder = VoxelDecoder(bytes: bytes, offset: offset, count: count, isSwapped: header.isBigEndian)
    return channelsFirst(decoder.decode(header.type), channelCount: header.componentCount)
  }
}

/// Writes little-endian voxels as .mha, compressed, or as .mhd with a .zraw file beside it.
func writeMetaImage(
  voxels: UnsafeRawBufferPointer, _ type: ElementType, _ shape: [Int], _ geometry: ImageGeometry, to url: URL
) throws {
  let axisCount = geometry.axisCount == 2 && shape[0] == 1 ? 2 : 3
  var packed: [UInt8] = []
  var stream = try DeflateStream(.zlib)
  try stream.write(voxels, isLast: true) { packed += $0 }
  func join(_ values: [Double]) -> String { values.map { number($0) }.joined(separator: " ") }
  let matrix = (0..<axisCount).flatMap { axis in (0..<axisCount).map { geometry.direction[3 * $0 + axis] } }
  let isDetached = url.pathExtension.lowercased() == "mhd"
  let voxelFile = url.deletingPathExtension().appendingPathExtension("zraw")
  let header = """
    ObjectType = Image
    NDims = \(axisCount)
    BinaryData = True
    BinaryDataByteOrderMSB = False
    CompressedData = True
    CompressedDataSize = \(packed.count)
    TransformMatrix = \(join(matrix))
    Offset = \(join(Array(geometry.origin.prefix(axisCount))))
    CenterOfRotation = \(join(Array(repeating: 0, count: axisCount)))
    ElementSpacing = \(join(Array(geometry.spacing.reversed().prefix(axisCount))))
    DimSize = \(shape.reversed().prefix(axisCount).map(String.init).joined(separator: " "))
    ElementType = \(MetaImageHeader.name(of: type))
    ElementDataFile = \(isDetached ? voxelFile.lastPathComponent : "LOCAL")

    """
  // The header comes last: where it lies, its voxels are there.
  if isDetached { try writeAtomically(Data(packed), to: voxelFile) }
  try writeAtomically(to: url) { handle in
    try handle.write(contentsOf: Data(header.utf8))
    if !isDetached { try handle.write(contentsOf: Data(packed)) }
  }
}
