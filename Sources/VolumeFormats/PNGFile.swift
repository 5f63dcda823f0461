// PNG pictures through libpng, as nnU-Net's pictures reader sees them; and writing grey ones.

import Archives
import CPNG
import Foundation
import Reporting

/// A PNG file whose header is sound.
///
/// Colour tables become red, green, blue; colours of 16 bits keep their upper byte; a grey of one bit is 0 or 1.
/// - Source: what scikit-image's reader gives for such files.
struct PNGFile: ImageFile {
  let information: ImageInformation
  private let content: [UInt8]
  private let sampleSize: Int

  static let signature: [UInt8] = [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]

  init(_ url: URL) throws {
    content = try ImageSource(url).content()
    guard content.starts(with: Self.signature) else {
      throw ImageFileError.wrongSignature(
        url.path, format: "PNG", expected: "the PNG signature",
        found: "\(content.count) bytes that begin otherwise")
    }
    // The library makes room for a row before anybody can look at the width.
    try Self.checkSize(content, path: url.path)
    let info = try Self.read(content, into: nil, path: url.path)
    guard info.color_type != 4 else {
      throw ImageFileError.unsupported(
        url.path, feature: "grey with an alpha channel", expected: "grey, RGB or RGBA",
        remedy: "save the image without transparency")
    }
    let (width, height, channelCount) = (Int(info.width), Int(info.height), Int(info.channel_count))
    sampleSize = Int(info.sample_size)
    information = ImageInformation(
      format: .png, channelCount: channelCount, shape: [1, height, width], geometry: .picture,
      dataType: sampleSize == 2 ? .uint16 : .uint8, encoding: "deflate", remarks: Self.remarks(info))
    path = url.path
  }

  private let path: String

  private static func checkSize(_ content: [UInt8], path: String) throws(ImageFileError) {
    guard content.count >= 33, content[12..<16].elementsEqual("IHDR".utf8) else {
      throw .damaged(path, found: "\(content.count) bytes without a header chunk")
    }
    func long(_ offset: Int) -> Int { content[offset..<(offset + 4)].reduce(0) { $0 << 8 | Int($1) } }
    let samples = [0: 1, 2: 3, 3: 1, 4: 2, 6: 4][Int(content[25])] ?? 1
    let (rowBits, overflow) = long(16).multipliedReportingOverflow(by: samples * Int(content[24]))
    let (total, overflow2) = ((rowBits + 7) / 8).multipliedReportingOverflow(by: long(20))
    let (supply, _) = content.count.multipliedReportingOverflow(by: Gzip.maximumExpansion)
    guard !overflow, !overflow2, total <= supply else {
      throw .tooShort(
        path, expectedBytes: overflow || overflow2 ? .max : total,
        found: "\(content.count) bytes, which can stand for at most \(supply)")
    }
  }

  private static func remarks(_ info: nni_png_info) -> [String] {
    var remarks: [String] = []
    if info.color_type == 3 { remarks.append("colours come from a table") }
    if info.bit_depth == 16, info.color_type != 0 {
      remarks.append("colours of 16 bits are read as 8 bits, as scikit-image does")
    }
    if info.bit_depth < 8, info.color_type == 0 {
      remarks.append(
        info.bit_depth == 1
          ? "one bit per pixel, read as 0 and 1" : "\(info.bit_depth) bits per pixel, stretched to 0...255")
    }
    return remarks
  }

  func decodedVoxels() throws -> [Float] {
    let count = information.shape.reduce(information.channelCount, *)
    var pixels = [UInt8](repeating: 0, count: count * sampleSize)
    _ = try Self.read(content, into: &pixels, path: path)
    let values = VoxelDecoder(bytes: pixels, offset: 0, count: count, isSwapped: false)
      .decode(information.dataType)
    return channelsFirst(values, channelCount: information.channelCount)
  }

  @discardableResult
  private static func read(
    _ content: [UInt8], into pixels: UnsafeMutablePointer<[UInt8]>?, path: String
  ) throws(ImageFileError) -> nni_png_info {
    var info = nni_png_info()
    var message = [CChar](repeating: 0, count: Int(nni_message_size) + 1)
    let status: Int32
    if let pixels {
      let size = pixels.pointee.count
      status = pixels.pointee.withUnsafeMutableBufferPointer {
        nni_png_read(content, content.count, &info, $0.baseAddress, size, &message)
      }
    } else {
      status = nni_png_read(content, content.count, &info, nil, 0, &message)
    }
    guard status == 0 else { throw .damaged(path, found: text(message)) }
    return info
  }
}

/// The text of a C character array up to its first zero.
func text(_ characters: [CChar]) -> String {
  String(decoding: characters.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
}

/// Writes a grey picture of 8 or 16 bits; samples of 16 bits are little endian.
func writePNG(_ pixels: UnsafeRawBufferPointer, sampleSize: Int, width: Int, height: Int, to url: URL) throws
{
  func bigEndian(_ value: Int) -> [UInt8] {
    (0..<4).map { UInt8(truncatingIfNeeded: value >> (24 - 8 * $0)) }
  }
  func chunk(_ name: String, _ content: [UInt8]) -> [UInt8] {
    let body = Array(name.utf8) + content
    return bigEndian(content.count) + body + bigEndian(Int(body.withUnsafeBytes { crc32Checksum($0) }))
  }
  let header = bigEndian(width) + bigEndian(height) + [UInt8(8 * sampleSize), 0, 0, 0, 0]
  var packed: [UInt8] = []
  var stream = try DeflateStream(.zlib)
  for y in 0..<height {
    var row: [UInt8] = [0]
    row += pixels[(y * width * sampleSize)..<((y + 1) * width * sampleSize)]
    if sampleSize == 2 { for x in 0..<width { row.swapAt(1 + 2 * x, 2 + 2 * x) } }
    try row.withUnsafeBytes { try stream.write($0, isLast: y == height - 1) { packed += $0 } }
  }
  let file = PNGFile.signature + chunk("IHDR", header) + chunk("IDAT", packed) + chunk("IEND", [])
  try writeAtomically(Data(file), to: url)
}
