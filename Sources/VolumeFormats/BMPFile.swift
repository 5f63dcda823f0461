// BMP pictures: colour tables, 16, 24 and 32 bits, uncompressed; and writing grey ones.

import Archives
import Foundation
import Reporting
import Tensors

/// A checked BMP header, and how its pixels become channels.
///
/// A colour table whose entry `i` is the grey `i` gives one channel of indices; any other table gives three.
struct BMPFile: ImageFile {
  let information: ImageInformation
  private let header: BMPHeader
  private let source: ImageSource
  private let palette: [[UInt8]]
  private let channels: Channels

  private enum Channels {
    /// The stored indices.
    case indices
    /// The table's colours.
    case table
    /// Parts of each pixel's bits: red, green, blue and perhaps alpha.
    case masks([UInt32])
  }

  init(_ url: URL) throws {
    source = try ImageSource(url)
    let bytes = try source.prefix(14 + 124 + 16 + 1024)
    header = try BMPHeader(bytes, path: url.path)
    (palette, channels) = try Self.colours(header, bytes, path: url.path)
    let needed = header.pixelOffset + header.rowByteCount * header.height
    guard source.byteCount >= needed else {
      throw ImageFileError.tooShort(url.path, expectedBytes: needed, found: "\(source.byteCount) bytes")
    }
    let channelCount =
      switch channels {
      case .indices: 1
      case .table: 3
      case .masks(let masks): masks.count
      }
    information = ImageInformation(
      format: .bmp, channelCount: channelCount, shape: [1, header.height, header.width], geometry: .picture,
      dataType: .uint8, encoding: "raw",
      remarks: channelCount == 3 && !palette.isEmpty ? ["colours come from a table"] : [])
  }

  private static func colours(
    _ header: BMPHeader, _ bytes: [UInt8], path: String
  ) throws(ImageFileError) -> ([[UInt8]], Channels) {
    guard header.bitCount <= 8 else {
      let standard: [UInt32] =
        header.bitCount == 16 ? [0x7C00, 0x3E0, 0x1F] : [0xFF0000, 0xFF00, 0xFF]
      let masks = header.masks.isEmpty ? standard : header.masks
      guard masks.allSatisfy({ $0 != 0 }) else {
        throw .badHeader(
          path, field: "colour masks", expected: "bits for red, green and blue", found: "\(masks)")
      }
      return ([], .masks(masks))
    }
    let count = header.colourCount == 0 ? 1 << header.bitCount : header.colourCount
    let end = header.paletteOffset + header.paletteEntrySize * count
    guard count <= 1 << header.bitCount, end <= bytes.count, end <= header.pixelOffset else {
      throw .badHeader(
        path, field: "colour table", expected: "at most \(1 << header.bitCount) colours before the pixels",
        found: "\(count)")
    }
    let palette = (0..<count).map { entry in
      // Blue comes first.
      (0..<3).map { bytes[header.paletteOffset + entry * header.paletteEntrySize + 2 - $0] }
    }
    let isGrey = palette.enumerated().allSatisfy { index, colour in colour.allSatisfy { Int($0) == index } }
    let isBlackAndWhite = palette == [[0, 0, 0], [255, 255, 255]]
    return (palette, isGrey || isBlackAndWhite ? .indices : .table)
  }

  func decodedVoxels() throws -> [Float] {
    let bytes = try source.content()
    let (width, height) = (header.width, header.height)
    var voxels = [Float](repeating: 0, count: information.channelCount * width * height)
    let bitCount = header.bitCount
    for y in 0..<height {
      let stored = header.isTopDown ? y : height - 1 - y
      let row = header.pixelOffset + stored * header.rowByteCount
      guard row + header.rowByteCount <= bytes.count else {
        throw ImageFileError.tooShort(source.path, expectedBytes: row, found: "\(bytes.count) bytes")
      }
      for x in 0..<width {
        var pixel: UInt32 = 0
        if bitCount < 8 {
          let shift = 8 - bitCount - x * bitCount % 8
          pixel = UInt32(bytes[row + x * bitCount / 8] >> UInt8(shift)) & (1 << UInt32(bitCount) - 1)
        } else {
          for byte in 0..<bitCount / 8 {
            pixel |= UInt32(bytes[row + x * (bitCount / 8) + byte]) << UInt32(8 * byte)
          }
        }
        try store(pixel, y * width + x, in: &voxels)
      }
    }
    return voxels
  }

  private func store(_ pixel: UInt32, _ position: Int, in voxels: inout [Float]) throws(ImageFileError) {
    let pixelCount = header.width * header.height
    switch channels {
    case .indices: voxels[position] = Float(pixel)
    case .table:
      guard pixel < palette.count else {
        throw .damaged(source.path, found: "colour \(pixel) of a table of \(palette.count)")
      }
      for channel in 0..<3 {
        voxels[channel * pixelCount + position] = Float(palette[Int(pixel)][channel])
      }
    case .masks(let masks):
      for (channel, mask) in masks.enumerated() {
        let largest = mask >> UInt32(mask.trailingZeroBitCount)
        let value = (pixel & mask) >> UInt32(mask.trailingZeroBitCount)
        voxels[channel * pixelCount + position] =
          largest == 255 ? Float(value) : Float(UInt64(value) * 255 / UInt64(largest))
      }
    }
  }
}

/// The fields of a BMP header, checked.
private struct BMPHeader {
  var width: Int
  var height: Int
  var isTopDown: Bool
  var bitCount: Int
  var colourCount: Int
  var paletteOffset: Int
  var paletteEntrySize: Int
  var pixelOffset: Int
  var masks: [UInt32] = []

  /// Rows are padded to four bytes.
  var rowByteCount: Int { (width * bitCount + 31) / 32 * 4 }

  init(_ bytes: [UInt8], path: String) throws(ImageFileError) {
    guard bytes.starts(with: Array("BM".utf8)), bytes.count >= 26 else {
      throw .wrongSignature(
        path, format: "BMP", expected: "\"BM\" and a header",
        found: "\(bytes.count) bytes that begin otherwise")
    }
    func word(_ offset: Int) -> Int { Int(bytes[offset]) | Int(bytes[offset + 1]) << 8 }
    func long(_ offset: Int) -> Int { word(offset) | word(offset + 2) << 16 }
    pixelOffset = long(10)
    let size = long(14)
    let isOld = size == 12
    guard isOld || [40, 52, 56, 64, 108, 124].contains(size), bytes.count >= 14 + max(size, 12) else {
      throw .badHeader(path, field: "header size", expected: "12, 40, 108 or 124 bytes", found: "\(size)")
    }
    width = isOld ? word(18) : Int(Int32(truncatingIfNeeded: long(18)))
    let rows = isOld ? word(20) : Int(Int32(truncatingIfNeeded: long(22)))
    bitCount = isOld ? word(24) : word(28)
    isTopDown = rows < 0
    height = abs(rows)
    guard width > 0, height > 0 else {
      throw .badHeader(
        path, field: "width and height", expected: "positive extents", found: "\(width), \(rows)")
    }
    guard [1, 2, 4, 8, 16, 24, 32].contains(bitCount) else {
      throw .badHeader(
        path, field: "bits per pixel", expected: "1, 2, 4, 8, 16, 24 or 32", found: "\(bitCount)")
    }
    let compression = isOld ? 0 : long(30)
    guard compression == 0 || [3, 6].contains(compression) && bitCount >= 16 else {
      throw .unsupported(
        path, feature: "compression \(compression)", expected: "uncompressed pixels",
        remedy: "save the image as .png, or as .bmp without compression")
    }
    colourCount = isOld ? 0 : long(46)
    paletteOffset = 14 + size
    paletteEntrySize = isOld ? 3 : 4
    if compression != 0 {
      let count = size >= 56 || compression == 6 ? 4 : 3
      guard bytes.count >= 54 + 4 * count else {
        throw .tooShort(path, expectedBytes: 54 + 4 * count, found: "\(bytes.count) bytes")
      }
      masks = (0..<count).map { UInt32(truncatingIfNeeded: long(54 + 4 * $0)) }
      if masks.last == 0, count == 4 { masks.removeLast() }
    }
    guard pixelOffset >= 14 + size, pixelOffset < 1 << 30 else {
      throw .badHeader(
        path, field: "pixel offset", expected: "at least \(14 + size)", found: "\(pixelOffset)")
    }
  }
}

/// Writes a grey picture of 8 bits.
func writeBMP(_ pixels: [UInt8], width: Int, height: Int, to url: URL) throws {
  var file: [UInt8] = Array("BM".utf8)
  func put(_ value: Int, _ count: Int) {
    for byte in 0..<count { file.append(UInt8(truncatingIfNeeded: value >> (8 * byte))) }
  }
  let rowByteCount = (width + 3) / 4 * 4
  let offset = 14 + 40 + 1024
  put(offset + rowByteCount * height, 4)
  put(0, 4)
  put(offset, 4)
  put(40, 4)
  put(width, 4)
  put(height, 4)
  put(1, 2)
  put(8, 2)
  put(0, 4)
  put(rowByteCount * height, 4)
  // Pixels per metre, as other programs write them for 96 per inch.
  put(3780, 4)
  put(3780, 4)
  put(256, 4)
  put(256, 4)
  for grey in 0..<256 {
    put(grey | grey << 8 | grey << 16, 4)
  }
  for y in (0..<height).reversed() {
    file += pixels[(y * width)..<((y + 1) * width)]
    put(0, rowByteCount - width)
  }
  try writeAtomically(Data(file), to: url)
}
