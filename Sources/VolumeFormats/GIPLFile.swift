// GIPL files, plain or in gzip: a header of 256 bytes in big-endian order, then the voxels. No direction is stored.

import Archives
import Foundation
import Reporting
import Tensors
import Volumes

/// A checked GIPL header, and where its voxels are.
struct GIPLFile: ImageFile {
  static let headerByteCount = 256
  static let magicNumbers: Set<UInt32> = [0xEFFF_E9B0, 0x2AE3_89B8]

  let information: ImageInformation
  private let payload: VoxelPayload

  init(_ url: URL) throws {
    let source = try ImageSource(url)
    var bytes = try source.prefix(1 << 12)
    let isCompressed = bytes.withUnsafeBytes(Gzip.isCompressed)
    if isCompressed { bytes = try Self.inflatedHeader(bytes, path: url.path) }
    guard bytes.count >= Self.headerByteCount else {
      throw ImageFileError.tooShort(
        url.path, expectedBytes: Self.headerByteCount, found: "\(bytes.count) bytes")
    }
    let header = GIPLHeader(bytes)
    guard Self.magicNumbers.contains(header.magic) else {
      throw ImageFileError.wrongSignature(
        url.path, format: "GIPL", expected: "the number EFFFE9B0 at byte 252",
        found: String(header.magic, radix: 16, uppercase: true))
    }
    guard let type = GIPLHeader.types[header.type] else {
      throw ImageFileError.badHeader(
        url.path, field: "image type",
        expected: "an integer or real type (\(GIPLHeader.types.keys.sorted()))",
        found: "\(header.type)")
    }
    var sizes = header.sizes
    // Axes that are not used have an extent of 0 or 1.
    if sizes[3] == 0 { sizes[3] = 1 }
    if sizes[2] == 0 { sizes[2] = 1 }
    guard let byteCount = checkedByteCount(sizes, type) else {
      throw ImageFileError.badHeader(
        url.path, field: "dimensions", expected: "positive extents", found: "\(header.sizes)")
    }
    payload = VoxelPayload(
      source: source, encoding: isCompressed ? .gzip : .raw, offset: isCompressed ? 0 : Self.headerByteCount,
      skippedByteCount: isCompressed ? Self.headerByteCount : 0, byteCount: byteCount)
    try payload.check()
    // A distance that was never set counts as 1.
    let spacing = header.spacing.prefix(3).map { $0 == 0 ? 1 : abs(Double($0)) }
    information = ImageInformation(
      format: .gipl, channelCount: sizes[3], shape: sizes[..<3].reversed(),
      geometry: try ImageGeometry(
        stored: spacing, direction: [1, 0, 0, 0, 1, 0, 0, 0, 1], origin: Array(header.origin.prefix(3)),
        path: url.path), dataType: type, encoding: payload.encoding.rawValue,
      remarks: ["the format stores no direction"] + payload.remarks)
  }

  private static func inflatedHeader(_ bytes: [UInt8], path: String) throws -> [UInt8] {
    var header = [UInt8](repeating: 0, count: headerByteCount)
    var stream = try InflateStream(.gzip)
    do {
      let step = try bytes.withUnsafeBytes { input in
        try header.withUnsafeMutableBytes { try stream.step(from: input, into: $0) }
      }
      return Array(header.prefix(step.produced))
    } catch let error as Diagnostic {
      throw ImageFileError.damaged(path, found: error.found ?? error.failure)
    }
  }

  func decodedVoxels() throws -> [Float] {
    let (bytes, offset) = try payload.unpacked()
    let count = information.shape.reduce(information.channelCount, *)
    return VoxelDecoder(bytes: bytes, offset: offset, count: count, isSwapped: true).decode(
      information.dataType)
  }
}

/// The fields of a GIPL header that mean something here.
private struct GIPLHeader {
  var sizes: [Int]
  var type: Int
  var spacing: [Float]
  var origin: [Double]
  var magic: UInt32

  static let types: [Int: ElementType] = [
    7: .int8, 8: .uint8, 15: .int16, 16: .uint16, 31: .uint32, 32: .int32, 64: .float32, 65: .float64,
  ]

  /// Takes 256 bytes.
  init(_ bytes: [UInt8]) {
    func integer<T: FixedWidthInteger>(_ offset: Int, _: T.Type) -> T {
      bytes.withUnsafeBytes { T(bigEndian: $0.loadUnaligned(fromByteOffset: offset, as: T.self)) }
    }
    sizes = (0..<4).map { Int(integer(2 * $0, UInt16.self)) }
    type = Int(integer(8, UInt16.self))
    spacing = (0..<4).map { Float(bitPattern: integer(10 + 4 * $0, UInt32.self)) }
    origin = (0..<4).map { Double(bitPattern: integer(204 + 8 * $0, UInt64.self)) }
    magic = integer(252, UInt32.self)
  }
}

/// Writes little-endian voxels as GIPL; a name that ends in .gz is compressed.
func writeGIPL(
  voxels: UnsafeRawBufferPointer, _ type: ElementType, _ shape: [Int], _ geometry: ImageGeometry, to url: URL
) throws {
  guard shape.allSatisfy({ $0 <= 65535 }) else {
    throw ImageFileError.cannotHold(
      url.path, expected: "at most 65535 voxels along an axis", found: "\(shape)")
  }
  var header = [UInt8](repeating: 0, count: GIPLFile.headerByteCount)
  func put<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
    withUnsafeBytes(of: value.bigEndian) { header.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }
  for (axis, extent) in (shape.reversed() + [1]).enumerated() { put(UInt16(extent), 2 * axis) }
  let codes: [ElementType: UInt16] = [.uint8: 8, .uint16: 16, .int16: 15]
  put(codes[type] ?? 64, 8)
  let is2D = geometry.axisCount == 2
  let spacing = [geometry.spacing[2], geometry.spacing[1], is2D ? 1 : geometry.spacing[0], 1]
  for (axis, value) in spacing.enumerated() { put(Float(value).bitPattern, 10 + 4 * axis) }
  for (axis, value) in geometry.origin.enumerated() { put(value.bitPattern, 204 + 8 * axis) }
  put(GIPLFile.magicNumbers.max() ?? 0, 252)
  let size = type.byteCount
  var swapped = [UInt8](voxels)
  if size > 1 {
    for start in stride(from: 0, to: swapped.count, by: size) { swapped[start..<start + size].reverse() }
  }
  let isCompressed = url.pathExtension.lowercased() == "gz"
  let content = isCompressed ? try Gzip.compress(header + swapped) : header + swapped
  try writeAtomically(Data(content), to: url)
}
