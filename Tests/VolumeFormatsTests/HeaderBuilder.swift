// Builds NIfTI-1 files byte by byte, sound or broken as a test wants them.

import Archives
import Foundation

struct HeaderBuilder {
  var dim = [3, 4, 3, 2]
  var datatype = 4
  var bitpix: Int?
  var pixdim: [Double] = [1, 1, 1, 1]
  var voxelOffset = 352.0
  var slope = 0.0
  var intercept = 0.0
  var units = 2
  var qform = 0
  var sform = 0
  var quatern: [Double] = [0, 0, 0]
  var qoffset: [Double] = [0, 0, 0]
  var srow = [Double](repeating: 0, count: 12)
  var isBigEndian = false
  var magic = "n+1\0"

  init() {}

  init(_ json: JSON) {
    func number(_ value: JSON) -> Double { value.double ?? .nan }
    dim = json["dim"]?.integers ?? dim
    datatype = json["datatype"]?.integer ?? datatype
    bitpix = json["bitpix"]?.integer
    pixdim = json["pixdim"]?.array?.map(number) ?? pixdim
    slope = json["slope"].map(number) ?? slope
    intercept = json["inter"].map(number) ?? intercept
    units = json["units"]?.integer ?? units
    qform = json["qform"]?.integer ?? 0
    sform = json["sform"]?.integer ?? 0
    quatern = json["quatern"]?.array?.map(number) ?? quatern
    qoffset = json["qoffset"]?.array?.map(number) ?? qoffset
    srow = json["srow"]?.array?.map(number) ?? srow
    isBigEndian = json["bigEndian"]?.bool ?? false
  }

  static let bits = [
    1: 1, 2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64,
    1536: 128, 1792: 128,
  ]

  private func put<T: FixedWidthInteger>(_ value: T, at offset: Int, in bytes: inout [UInt8]) {
    let ordered = isBigEndian ? value.bigEndian : value.littleEndian
    withUnsafeBytes(of: ordered) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
  }

  private func put(_ values: [Double], at offset: Int, in bytes: inout [UInt8]) {
    for (i, value) in values.enumerated() { put(Float(value).bitPattern, at: offset + 4 * i, in: &bytes) }
  }

  var header: [UInt8] {
    var bytes = [UInt8](repeating: 0, count: 352)
    put(Int32(348), at: 0, in: &bytes)
    for (i, extent) in (dim + Array(repeating: 1, count: 8 - dim.count)).enumerated() {
      put(Int16(truncatingIfNeeded: extent), at: 40 + 2 * i, in: &bytes)
    }
    put(Int16(datatype), at: 70, in: &bytes)
    put(Int16(bitpix ?? Self.bits[datatype] ?? 0), at: 72, in: &bytes)
    put(pixdim, at: 76, in: &bytes)
    put([voxelOffset, slope, intercept], at: 108, in: &bytes)
    bytes[123] = UInt8(units)
    put(Int16(qform), at: 252, in: &bytes)
    put(Int16(sform), at: 254, in: &bytes)
    put(quatern + qoffset + srow, at: 256, in: &bytes)
    bytes.replaceSubrange(344..<348, with: Array(magic.utf8))
    return bytes
  }

  /// Voxel `i` holds 5 i + 1, modulo the type's range.
  func voxels(count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    for i in 0..<count {
      let value = 5 * i + 1
      func append<T: FixedWidthInteger>(_ value: T) {
        withUnsafeBytes(of: isBigEndian ? value.bigEndian : value.littleEndian) { bytes += $0 }
      }
      switch datatype {
      case 2, 256: append(UInt8(truncatingIfNeeded: value))
      case 4, 512: append(UInt16(value))
      case 8, 768: append(UInt32(value))
      case 16: append(Float(value).bitPattern)
      case 64: append(Double(value).bitPattern)
      default: append(UInt64(value))
      }
    }
    return bytes
  }

  var file: [UInt8] { header + voxels(count: dim.dropFirst().prefix(dim[0]).reduce(1) { $0 * max(1, $1) }) }
}
