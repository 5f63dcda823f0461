// Truncated, lying and damaged files of every format: an error in words, never a crash or a large allocation.

import Archives
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("Broken files of every format", .serialized)
struct BrokenFormatTests {
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("broken-formats") }

  static let cuttable = [
    "int16.nrrd", "raw.nrrd", "hex.nrrd", "int16.mha", "raw.mha", "int16.gipl", "float32.gipl", "grey.png",
    "rgb.png",
    "grey16.png", "table8.png", "grey.bmp", "rgba.bmp", "table.bmp", "grey.jpg", "rgb.jpg",
    "rgb_progressive.jpg",
    "stack.tif", "deflate.tif", "tiles.tif", "lzw.tif", "float32.tif", "grey.tif", "array.npy", "turned.nii",
    "two.nii.gz",
  ]

  static func fixture(_ name: String) throws -> [UInt8] {
    if name == "array.npy" {
      let header = "{'descr': '<i2', 'fortran_order': False, 'shape': (3, 4, 5), }"
      let padded = header + String(repeating: " ", count: 117 - header.count) + "\n"
      return [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + Array(padded.utf8)
        + [UInt8](repeating: 7, count: 120)
    }
    return [UInt8](try Data(contentsOf: ReaderAgreementTests.folder.appending(path: name)))
  }

  /// The error of reading these bytes, or nil if they can be read.
  func error(_ bytes: [UInt8], _ name: String) throws -> Diagnostic? {
    let url = folder.appending(path: name)
    try Data(bytes).write(to: url)
    do {
      _ = try readChannels(url)
      return nil
    } catch let error as any DiagnosableError {
      return error.diagnostic
    } catch let error as Diagnostic {
      return error
    }
  }

  @Test("A file cut at any place is refused", arguments: cuttable)
  func truncations(name: String) throws {
    let bytes = try Self.fixture(name)
    #expect(try error(bytes, name) == nil)
    for cut in 0..<40 {
      let length = bytes.count * cut / 40
      let found = try error(Array(bytes.prefix(length)), name)
      #expect(found != nil, "\(name) at \(length) of \(bytes.count)")
      #expect(found?.location?.isEmpty == false && found?.found?.isEmpty == false)
    }
  }

  /// The largest resident size of the process so far, in bytes.
  static var peakMemory: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_maxrss * 1024
  }

  /// Files of a few kB may cost this much and no more, whatever their headers promise.
  static let memoryBound = 400 << 20

  @Test("A text header that lies is refused", arguments: LyingHeaders.texts)
  func lyingTexts(lie: LyingHeaders.TextLie) throws {
    let before = Self.peakMemory
    let text = String(decoding: try Self.fixture(lie.file), as: Unicode.ASCII.self)
    let bytes = try Self.fixture(lie.file)
    let range = try #require(bytes.firstRange(of: Array(lie.old.utf8)), "\(text.prefix(200))")
    var changed = bytes
    changed.replaceSubrange(range, with: Array(lie.new.utf8))
    let found = try error(changed, lie.file)
    #expect(found != nil, "\(lie.old) -> \(lie.new)")
    #expect(found?.remedy?.isEmpty == false)
    #expect(Self.peakMemory - before < Self.memoryBound)
  }

  @Test("A binary header that lies is refused", arguments: LyingHeaders.binaries)
  func lyingBinaries(lie: LyingHeaders.BinaryLie) throws {
    let before = Self.peakMemory
    var bytes = try Self.fixture(lie.file)
    bytes.replaceSubrange(lie.offset..<(lie.offset + lie.bytes.count), with: lie.bytes)
    if lie.file.hasSuffix(".png") { LyingHeaders.repairPNGChecksum(&bytes) }
    let found = try error(bytes, lie.file)
    #expect(found != nil, "\(lie.bytes) at \(lie.offset)")
    #expect(Self.peakMemory - before < Self.memoryBound)
  }

  @Test("A field of a TIFF page that lies is refused", arguments: LyingHeaders.tiffFields)
  func lyingTIFF(lie: LyingHeaders.TIFFLie) throws {
    let before = Self.peakMemory
    var bytes = try Self.fixture(lie.file)
    let entry = try #require(LyingHeaders.tiffEntry(lie.tag, in: bytes))
    for byte in 0..<4 { bytes[entry + 8 + byte] = UInt8(truncatingIfNeeded: lie.value >> UInt32(8 * byte)) }
    if let count = lie.count {
      for byte in 0..<4 { bytes[entry + 4 + byte] = UInt8(truncatingIfNeeded: count >> UInt32(8 * byte)) }
    }
    #expect(try error(bytes, lie.file) != nil, "tag \(lie.tag) = \(lie.value)")
    #expect(Self.peakMemory - before < Self.memoryBound)
  }

  @Test("Every format has at least twenty truncations and header lies")
  func counts() {
    let formats = Dictionary(grouping: Self.cuttable) { ImageFormat(named: $0) }
    #expect(formats.count == 9, "a pair is NIfTI twice")
    var lies: [ImageFormat: Int] = [:]
    for file in LyingHeaders.texts.map(\.file) + LyingHeaders.binaries.map(\.file)
      + LyingHeaders.tiffFields.map(\.file)
    {
      if let format = ImageFormat(named: file) { lies[format, default: 0] += 1 }
    }
    for format in [ImageFormat.nrrd, .metaImage, .gipl, .png, .bmp, .jpeg, .tiff, .numpy] {
      #expect(
        (lies[format] ?? 0) >= 6, "\(format.rawValue): \(lies[format] ?? 0) lies besides 40 truncations")
    }
    #expect((lies[.nrrd] ?? 0) >= 20 && (lies[.metaImage] ?? 0) >= 20)
  }

  @Test("Flipped bits never crash a reader", arguments: cuttable)
  func flippedBits(name: String) throws {
    let before = Self.peakMemory
    let bytes = try Self.fixture(name)
    for i in 0..<120 {
      var changed = bytes
      // Mostly in the first 400 bytes, where headers are.
      let place = i % 3 == 0 ? i * 131 % bytes.count : i * 7 % min(400, bytes.count)
      changed[place] ^= 1 << UInt8(i % 8)
      _ = try error(changed, name)
    }
    #expect(Self.peakMemory - before < Self.memoryBound)
  }

  @Test("A file under another format's name is refused by its signature")
  func wrongNames() throws {
    let bytes = try Self.fixture("grey.png")
    for name in ["a.nrrd", "a.mha", "a.gipl", "a.bmp", "a.jpg", "a.tif", "a.npy", "a.nii"] {
      #expect(try error(bytes, name) != nil, "\(name)")
    }
    #expect(try error(try Self.fixture("int16.mha"), "a.png") != nil)
  }

  @Test(
    "A detached header without its voxels is refused with the missing name",
    arguments: ["detached.nhdr", "detached.mhd", "pair.hdr"])
  func missingVoxels(name: String) throws {
    let found = try #require(try error(try Self.fixture(name), name))
    #expect(found.found?.contains("No such file") == true)
    #expect(found.location?.contains(name) == false)
  }
}
