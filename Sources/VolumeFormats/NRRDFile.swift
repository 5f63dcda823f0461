// NRRD files: .nrrd with header and voxels, .nhdr with the voxels in a file of their own; and writing .nrrd.

import Archives
import Foundation
import Reporting
import Tensors
import Volumes

/// A checked NRRD header, and where its voxels are.
struct NRRDFile: ImageFile {
  let information: ImageInformation
  private let header: NRRDHeader
  private let layout: NRRDHeader.Layout
  private let payload: VoxelPayload

  /// A header may carry texts of its own, but hardly this many.
  static let maximumHeaderByteCount = 1 << 20

  init(_ url: URL) throws {
    let source = try ImageSource(url)
    let start = try source.prefix(Self.maximumHeaderByteCount)
    header = try NRRDHeader(start, path: url.path)
    layout = try header.layout()
    guard let byteCount = checkedByteCount(header.sizes, header.type) else {
      preconditionFailure("the header has checked this")
    }
    var voxels = source
    var offset = header.byteCount
    if let name = header.dataFile {
      voxels = try ImageSource(URL(filePath: name, relativeTo: url.deletingLastPathComponent()).absoluteURL)
      offset = 0
    }
    if header.skippedLineCount > 0 {
      let head = header.dataFile == nil ? start : try voxels.prefix(Self.maximumHeaderByteCount)
      for _ in 0..<header.skippedLineCount {
        guard let line = headerLine(head, from: offset) else {
          throw ImageFileError.badHeader(
            url.path, field: "line skip", expected: "at most as many lines as the file begins with",
            found: "\(header.skippedLineCount)")
        }
        offset = line.next
      }
    }
    var skipped = header.skippedByteCount
    if skipped == -1 { skipped = max(0, voxels.byteCount - offset - byteCount) }
    payload = VoxelPayload(
      source: voxels, encoding: header.encoding, offset: offset, skippedByteCount: skipped,
      byteCount: byteCount)
    try payload.check()
    var spatial = header.sizes
    let channelCount = layout.channelAxis.map { spatial.remove(at: $0) } ?? 1
    if spatial.count == 2 { spatial.append(1) }
    information = ImageInformation(
      format: .nrrd, channelCount: channelCount, shape: spatial.reversed(), geometry: layout.geometry,
      dataType: header.type, encoding: header.encoding.rawValue,
      remarks: header.remarks + payload.remarks)
  }

  func decodedVoxels() throws -> [Float] {
    let count = header.sizes.reduce(1, *)
    let values: [Float]
    if header.encoding == .ascii {
      values = try payload.numbers(count: count)
    } else {
      let (bytes, offset) = try payload.unpacked()
      values = VoxelDecoder(bytes: bytes, offset: offset, count: count, isSwapped: header.isBigEndian)
        .decode(header.type)
    }
    guard let axis = layout.channelAxis, axis < header.sizes.count - 1 else { return values }
    // The file's fastest axis is the array's last.
    let shape = Array(header.sizes.reversed())
    let channel = shape.count - 1 - axis
    let order = [channel] + shape.indices.filter { $0 != channel }
    return NDArray(shape: shape, elements: values).transposed(order).elements
  }
}

extension VoxelPayload {
  /// Bytes that follow the voxels: the file is read, but somebody wrote more than the header tells.
  var remarks: [String] {
    let excess = source.byteCount - offset - skippedByteCount - byteCount
    return encoding == .raw && excess > 0 ? ["\(excess) bytes follow the voxels and are not read"] : []
  }
}

/// Writes little-endian voxels with gzip, as SimpleITK would lay them out.
func writeNRRD(
  voxels: UnsafeRawBufferPointer, _ type: ElementType, _ shape: [Int], _ geometry: ImageGeometry, to url: URL
) throws {
  let axisCount = geometry.axisCount == 2 && shape[0] == 1 ? 2 : 3
  func join(_ values: [Double]) -> String { values.map { number($0) }.joined(separator: ",") }
  let directions = (0..<axisCount).map { axis in
    "("
      + join((0..<axisCount).map { geometry.direction[3 * $0 + axis] * geometry.spacing[2 - axis] }) + ")"
  }
  let typeNames: [ElementType: String] = [
    .uint8: "unsigned char", .int8: "signed char", .uint16: "unsigned short", .int16: "short",
    .uint32: "unsigned int", .int32: "int", .uint64: "unsigned long long", .int64: "long long",
    .float64: "double",
  ]
  let space =
    axisCount == 3 ? "space: left-posterior-superior" : "space dimension: 2"
  let header = """
    NRRD0004
    type: \(typeNames[type] ?? "float")
    dimension: \(axisCount)
    \(space)
    sizes: \(shape.reversed().prefix(axisCount).map(String.init).joined(separator: " "))
    space directions: \(directions.joined(separator: " "))
    kinds: \(Array(repeating: "domain", count: axisCount).joined(separator: " "))
    endian: little
    encoding: gzip
    space origin: (\(join(Array(geometry.origin.prefix(axisCount)))))


    """
  try writeAtomically(to: url) { handle in
    try handle.write(contentsOf: Data(header.utf8))
    var stream = try DeflateStream(.gzip)
    try stream.write(voxels, isLast: true) { try handle.write(contentsOf: Data($0)) }
  }
}

/// A number in the fewest digits that give it back exactly, without a useless fraction or a negative zero.
func number(_ value: Double) -> String {
  if value == 0 { return "0" }
  let text = "\(value)"
  return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
}
