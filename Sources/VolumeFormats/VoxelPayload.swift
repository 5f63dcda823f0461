// The voxels of a file as it stores them: raw, compressed or written out as text, never more than the header promises.

import Archives
import Foundation
import Reporting

/// Where the voxels of an image lie and how they are packed.
struct VoxelPayload {
  enum Encoding: String {
    case raw, gzip, zlib, ascii, hex
  }

  var source: ImageSource
  var encoding: Encoding
  /// Where the packed voxels begin in the file.
  var offset: Int
  /// Bytes to pass over after unpacking.
  var skippedByteCount = 0
  /// Bytes of all voxels, unpacked.
  var byteCount: Int

  /// Refuses a promise that a file of this size cannot keep, before anything is allocated for it.
  func check() throws(ImageFileError) {
    let available = max(0, source.byteCount - offset)
    let (needed, overflow) = byteCount.addingReportingOverflow(skippedByteCount)
    let supply: Int
    switch encoding {
    case .raw: supply = available
    case .gzip, .zlib: supply = available.multipliedReportingOverflow(by: Gzip.maximumExpansion).partialValue
    case .hex: supply = available / 2
    // A digit and a space stand for one element of at most eight bytes.
    case .ascii: supply = (available + 1) / 2 * 8
    }
    guard !overflow, needed <= supply else {
      throw .tooShort(
        source.path, expectedBytes: overflow ? .max : encoding == .raw ? offset &+ needed : needed,
        found: encoding == .raw
          ? "\(source.byteCount) bytes"
          : "\(available) bytes of \(encoding.rawValue) data, which can stand for at most \(supply)")
    }
  }

  /// The bytes that hold the voxels, and where these begin.
  func unpacked() throws -> (bytes: [UInt8], offset: Int) {
    try check()
    let content = try source.content()
    guard content.count >= offset else {
      throw ImageFileError.tooShort(
        source.path, expectedBytes: offset + byteCount, found: "\(content.count) bytes")
    }
    switch encoding {
    case .raw:
      guard content.count - offset - skippedByteCount >= byteCount else {
        throw ImageFileError.tooShort(
          source.path, expectedBytes: offset + skippedByteCount + byteCount, found: "\(content.count) bytes")
      }
      return (content, offset + skippedByteCount)
    case .gzip, .zlib:
      let packed = offset == 0 ? content : Array(content[offset...])
      var inflater = ImageInflater(
        source: source.path, expectedByteCount: skippedByteCount + byteCount,
        wrapping: packed.withUnsafeBytes(Gzip.isCompressed) ? .gzip : .zlib)
      return (try inflater.run(packed), skippedByteCount)
    case .hex: return (try hexadecimal(content), 0)
    case .ascii: preconditionFailure("text is decoded by numbers()")
    }
  }

  private func hexadecimal(_ content: [UInt8]) throws(ImageFileError) -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount)
    var high: UInt8?
    for character in content[offset...] where bytes.count < byteCount {
      let digit: UInt8
      switch character {
      case 0x30...0x39: digit = character - 0x30
      case 0x41...0x46: digit = character - 0x41 + 10
      case 0x61...0x66: digit = character - 0x61 + 10
      case 0x09...0x0D, 0x20: continue
      default: throw .damaged(source.path, found: "a character that is no hexadecimal digit")
      }
      if let first = high {
        bytes.append(first << 4 | digit)
        high = nil
      } else {
        high = digit
      }
    }
    guard bytes.count == byteCount else {
      throw .tooShort(source.path, expectedBytes: byteCount, found: "\(bytes.count) bytes in hexadecimal")
    }
    return bytes
  }

  /// Voxels that are written out as numbers.
  func numbers(count: Int) throws -> [Float] {
    try check()
    let content = try source.content()
    var voxels: [Float] = []
    voxels.reserveCapacity(count)
    let isSeparator: (UInt8) -> Bool = { $0 <= 0x20 || $0 == 0x2C }
    for word in content.dropFirst(offset).split(maxSplits: .max, whereSeparator: isSeparator) {
      guard voxels.count < count else { break }
      guard let value = Double(String(decoding: word.prefix(64), as: UTF8.self)) else {
        throw ImageFileError.damaged(
          source.path, found: "\"\(String(decoding: word.prefix(20), as: UTF8.self))\" where a number belongs"
        )
      }
      voxels.append(Float(value))
    }
    guard voxels.count == count else {
      throw ImageFileError.tooShort(source.path, expectedBytes: byteCount, found: "\(voxels.count) numbers")
    }
    return voxels
  }
}
