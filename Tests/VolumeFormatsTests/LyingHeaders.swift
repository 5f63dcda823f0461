// Changes to sound fixtures that make their headers lie.

import Archives
import Foundation
import Testing

enum LyingHeaders {
  struct TextLie: Sendable, CustomTestStringConvertible {
    var file: String
    var old: String
    var new: String
    var testDescription: String { "\(file): \(new)" }
  }

  static let texts: [TextLie] =
    nrrd.map { TextLie(file: "raw.nrrd", old: $0, new: $1) }
    + metaImage.map { TextLie(file: "raw.mha", old: $0, new: $1) }
    + [
      TextLie(file: "int16.nrrd", old: "sizes: 5 4 3", new: "sizes: 5 4 9999"),
      TextLie(file: "int16.nrrd", old: "sizes: 5 4 3", new: "sizes: 5 4 4"),
      TextLie(file: "int16.mha", old: "DimSize = 5 4 3", new: "DimSize = 5 4 9999"),
      TextLie(file: "int16.mha", old: "DimSize = 5 4 3", new: "DimSize = 5 4 4"),
      TextLie(file: "array.npy", old: "(3, 4, 5)", new: "(9, 4, 5)"),
      TextLie(file: "array.npy", old: "(3, 4, 5)", new: "(3, 4, 0)"),
      TextLie(file: "array.npy", old: "(3, 4, 5)", new: "(3,4,-5)"),
      TextLie(file: "array.npy", old: "(3, 4, 5)", new: "(60,)    "),
      TextLie(file: "array.npy", old: "(3, 4, 5)", new: "(3, 4, x)"),
      TextLie(file: "array.npy", old: "<i2", new: "<i8"), TextLie(file: "array.npy", old: "<i2", new: "|O2"),
      TextLie(file: "array.npy", old: "<i2", new: "<U2"),
      TextLie(file: "array.npy", old: "'shape'", new: "'shope'"),
      TextLie(file: "array.npy", old: "'descr'", new: "'dexcr'"),
    ]

  private static let nrrd = [
    ("NRRD0004", "NRRD00x"), ("NRRD0004", "nrrd0004"), ("dimension: 3", "dimension: 0"),
    ("dimension: 3", "dimension: 17"), ("dimension: 3", "dimension: 2"), ("dimension: 3", "dimension: x"),
    ("sizes: 5 4 3", "sizes: 5 4"), ("sizes: 5 4 3", "sizes: 5 4 -3"), ("sizes: 5 4 3", "sizes: 5 4 0"),
    ("sizes: 5 4 3", "sizes: 5 4 4"), ("sizes: 5 4 3", "sizes: 99999 99999 99999"),
    ("sizes: 5 4 3", "sizes: 4294967296 4294967296 4294967296"), ("sizes: 5 4 3", "sizes: 5 4 3 1"),
    ("sizes: 5 4 3", "size: 5 4 3"), ("type: short", "type: block"), ("type: short", "type: double"),
    ("type: short", "typo: short"), ("endian: little", "endian: middle"), ("endian: little\n", ""),
    ("encoding: raw", "encoding: bzip2"), ("encoding: raw", "encoding: gzip"),
    ("encoding: raw", "encoding: hex"),
    ("encoding: raw", "encoding: raw\nbyte skip: -5"), ("encoding: raw", "encoding: raw\nbyte skip: 100"),
    ("encoding: raw", "encoding: raw\nbyte skip: 9223372036854775807"),
    ("encoding: raw", "encoding: raw\nline skip: 1000"),
    ("encoding: raw", "encoding: raw\ndata file: absent.raw"),
    ("encoding: raw", "encoding: raw\ndata file: LIST"),
    ("encoding: raw", "encoding: raw\ndata file: x%03d.raw 1 3 1"),
    ("kinds: domain domain domain", "kinds: domain domain"),
    ("kinds: domain domain domain", "kinds: list list list"),
    ("(0,0,2.5)", "(0,0,0)"), ("(0,0,2.5)", "(0,0,nan)"), ("(0,0,2.5)", "(0,0)"), ("(0,0,2.5)", "none"),
    ("(0,0,2.5)", ""), ("space origin: (-1.5", "space origin: (inf"), ("space origin: (", "space origin: "),
    ("type: short", "no colon here"),
  ]

  private static let metaImage = [
    ("NDims = 3", "NDims = 1"), ("NDims = 3", "NDims = 11"), ("NDims = 3", "NDims = 2"),
    ("NDims = 3", "NDim = 3"),
    ("NDims = 3", "NDims = x"), ("DimSize = 5 4 3", "DimSize = 5 4"), ("DimSize = 5 4 3", "DimSize = 5 4 -3"),
    ("DimSize = 5 4 3", "DimSize = 5 4 0"), ("DimSize = 5 4 3", "DimSize = 5 4 4"),
    ("DimSize = 5 4 3", "DimSize = 99999 99999 99999"),
    ("DimSize = 5 4 3", "DimSize = 4294967296 4294967296 4294967296"), ("DimSize", "Dimsize"),
    ("MET_SHORT", "MET_DOUBLE"), ("MET_SHORT", "MET_STRING"), ("ElementType", "ElementTyp"),
    ("ElementSpacing = 0", "ElementSpacing = nan 0"),
    ("ElementSpacing = 0.69999999999999996", "ElementSpacing = 0"),
    ("Offset = -1.5", "Offset = inf"), ("Offset = -1.5", "Offset = "),
    ("TransformMatrix = 0.95533648912560598 0.29552020666133955 0", "TransformMatrix = 0 0 0"),
    ("TransformMatrix = 0.95533648912560598", "TransformMatrix ="),
    ("CompressedData = False", "CompressedData = True"),
    ("ElementDataFile = LOCAL", "ElementDataFile = absent.raw"),
    ("ElementDataFile = LOCAL", "ElementDataFile = LIST"),
    ("ElementDataFile = LOCAL", "ElementDataFile ="), ("ElementDataFile = LOCAL", "ElementDataFils = LOCAL"),
    ("NDims = 3", "NDims = 3\nElementNumberOfChannels = 2"),
    ("NDims = 3", "NDims = 3\nElementNumberOfChannels = -1"),
    ("NDims = 3", "NDims = 3\nHeaderSize = 9223372036854775807"), ("NDims = 3", "NDims = 3\nHeaderSize = -7"),
    ("BinaryData = True", "BinaryData = False"),
  ]

  struct BinaryLie: Sendable, CustomTestStringConvertible {
    var file: String
    var offset: Int
    var bytes: [UInt8]
    var testDescription: String { "\(file): \(bytes) at \(offset)" }
  }

  static let binaries: [BinaryLie] =
    gipl.map { BinaryLie(file: "int16.gipl", offset: $0, bytes: $1) }
    + png.map { BinaryLie(file: "rgb.png", offset: $0, bytes: $1) }
    + bmp.map { BinaryLie(file: $0, offset: $1, bytes: $2) }
    + jpeg.map { BinaryLie(file: "rgb.jpg", offset: $0, bytes: $1) }
    + [
      BinaryLie(file: "stack.tif", offset: 0, bytes: [0x4A]),
      BinaryLie(file: "stack.tif", offset: 2, bytes: [41]),
      BinaryLie(file: "stack.tif", offset: 4, bytes: [0xFF, 0xFF, 0xFF, 0x7F]),
      BinaryLie(file: "stack.tif", offset: 4, bytes: [0, 0, 0, 0]),
    ]

  private static let gipl: [(Int, [UInt8])] = [
    (0, [0xFF, 0xFF]), (2, [0xFF, 0xFF]), (4, [0xFF, 0xFF]), (6, [0xFF, 0xFF]),
    (0, [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF]), (0, [0, 0]), (2, [0, 0]), (8, [0, 1]),
    (8, [0, 144]),
    (8, [0, 65]), (8, [0, 0]), (10, [0x7F, 0xC0, 0, 0]), (14, [0x7F, 0x80, 0, 0]),
    (204, [0x7F, 0xF0, 0, 0, 0, 0, 0, 0]), (252, [0, 0, 0, 0]), (252, [0xEF, 0xFF, 0xE9, 0xB1]), (4, [0, 4]),
    (0, [0, 6]), (2, [0, 5]), (8, [0, 64]),
  ]

  private static let png: [(Int, [UInt8])] = [
    (0, [0x88]), (4, [0x0A]), (16, [0x7F, 0xFF, 0xFF, 0xFF]), (20, [0x7F, 0xFF, 0xFF, 0xFF]),
    (16, [0, 1, 0, 0, 0, 1, 0, 0]), (16, [0, 0, 0, 0]), (20, [0, 0, 0, 0]), (16, [0xFF, 0xFF, 0xFF, 0xFF]),
    (24, [3]), (24, [16]), (24, [1]), (25, [3]), (25, [5]), (25, [6]), (26, [1]), (27, [1]), (28, [2]),
    (16, [0, 0, 0, 8]), (20, [0, 0, 0, 7]), (12, Array("JHDR".utf8)), (8, [0, 0, 0, 14]),
    (8, [0x7F, 0xFF, 0xFF, 0xFF]),
  ]

  private static let bmp: [(String, Int, [UInt8])] = [
    ("rgb.bmp", 0, [0x43]), ("rgb.bmp", 10, [0xFF, 0xFF, 0xFF, 0x7F]), ("rgb.bmp", 10, [0, 0, 0, 0]),
    ("rgb.bmp", 10, [0xFF, 0, 0, 0]), ("rgb.bmp", 14, [41]), ("rgb.bmp", 14, [0xFF, 0xFF, 0xFF, 0xFF]),
    ("rgb.bmp", 18, [0xFF, 0xFF, 0xFF, 0x7F]), ("rgb.bmp", 18, [0, 0, 0, 0x80]),
    ("rgb.bmp", 18, [0, 0, 0, 0]),
    ("rgb.bmp", 22, [0xFF, 0xFF, 0xFF, 0x7F]), ("rgb.bmp", 22, [0, 0, 0, 0]),
    ("rgb.bmp", 22, [0, 0, 0, 0x80]),
    ("rgb.bmp", 28, [7]), ("rgb.bmp", 28, [0]), ("rgb.bmp", 28, [64]), ("rgb.bmp", 28, [32]),
    ("rgb.bmp", 30, [1]),
    ("rgb.bmp", 30, [4]), ("rgb.bmp", 18, [70]), ("rgb.bmp", 22, [70]), ("table.bmp", 46, [0xFF, 0xFF]),
    ("table.bmp", 46, [0]), ("table.bmp", 46, [2]), ("rgb565.bmp", 54, [0, 0, 0, 0]),
  ]

  /// Offsets of the frame header of the fixture are looked up, because tables precede it.
  private static let jpeg: [(Int, [UInt8])] = {
    guard let bytes = try? BrokenFormatTests.fixture("rgb.jpg"),
      let frame = bytes.indices.dropLast().first(where: { bytes[$0] == 0xFF && bytes[$0 + 1] == 0xC0 })
    else { return [] }
    return [
      (0, [0xFE]), (2, [0xFE]), (frame + 4, [9]), (frame + 5, [0xFF, 0xDC, 0xFF, 0xDC]),
      (frame + 5, [0, 200]),
      (frame + 7, [2, 0]), (frame + 7, [0, 0]), (frame + 9, [0]), (frame + 9, [200]), (frame + 9, [4]),
      (frame + 11, [0x00]), (frame + 11, [0xFF]), (frame + 2, [0, 1]), (frame + 12, [9]), (frame + 1, [0xC3]),
    ]
  }()

  struct TIFFLie: Sendable, CustomTestStringConvertible {
    var file = "stack.tif"
    var tag: Int
    var value: UInt32
    var count: UInt32?
    var testDescription: String { "\(file): tag \(tag) = \(value)" }
  }

  static let tiffFields: [TIFFLie] =
    [
      (256, 0), (256, 100), (256, 0x7FFF_FFFF), (256, 0xFFFF_FFFF), (257, 0), (257, 100), (257, 0x7FFF_FFFF),
      (257, 0xFFFF_FFFF), (258, 7), (258, 64), (258, 0), (259, 99), (259, 7), (259, 8), (259, 50000),
      (273, 0xFFFF_FF00),
      (273, 0x7FFF_FFFF), (277, 0), (277, 3), (277, 65535), (278, 0), (262, 6),
    ].map { TIFFLie(tag: $0.0, value: $0.1) }
    + [
      TIFFLie(file: "float32.tif", tag: 339, value: 9), TIFFLie(file: "tiles.tif", tag: 322, value: 0),
      TIFFLie(file: "tiles.tif", tag: 322, value: 0x7FFF_FFF0),
      TIFFLie(file: "tiles.tif", tag: 323, value: 0), TIFFLie(file: "deflate.tif", tag: 256, value: 60000),
      TIFFLie(file: "deflate.tif", tag: 257, value: 0x7FFF_FFFF),
      TIFFLie(file: "deflate.tif", tag: 279, value: 3),
      TIFFLie(file: "stack.tif", tag: 273, value: 8, count: 0x7FFF_FFFF),
    ]

  /// Where the entry of a tag lies in the first directory of a little-endian file.
  static func tiffEntry(_ tag: Int, in bytes: [UInt8]) -> Int? {
    func word(_ offset: Int) -> Int { Int(bytes[offset]) | Int(bytes[offset + 1]) << 8 }
    let directory = word(4) | word(6) << 16
    return (0..<word(directory)).map { directory + 2 + 12 * $0 }.first { word($0) == tag }
  }

  /// Makes the checksum of the header chunk right again, so that the lie is not found by it.
  static func repairPNGChecksum(_ bytes: inout [UInt8]) {
    let sum = bytes[12..<29].withUnsafeBytes { crc32Checksum($0) }
    for byte in 0..<4 { bytes[29 + byte] = UInt8(truncatingIfNeeded: sum >> UInt32(24 - 8 * byte)) }
  }
}
