// niftilib's two header structures to and from bytes. Meaning and checks are in NIfTIHeader.swift.

import Archives
import CNifti
import Volumes

/// The elements of a C array that Swift imports as a tuple.
private func elements<Tuple, Element>(_ tuple: Tuple, as type: Element.Type) -> [Element] {
  withUnsafeBytes(of: tuple) { Array($0.bindMemory(to: type)) }
}

/// Fills a C array that Swift imports as a tuple.
private func fill<Tuple, Element>(_ tuple: inout Tuple, with values: [Element]) {
  withUnsafeMutableBytes(of: &tuple) { target in
    values.withUnsafeBytes {
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(target.count)))
    }
  }
}

/// The text of a C character array up to its first zero.
private func text<Tuple>(_ tuple: Tuple) -> String {
  String(decoding: withUnsafeBytes(of: tuple) { Array($0.prefix { $0 != 0 }) }, as: UTF8.self)
}

/// A NIfTI-1 header in native byte order.
struct RawHeader1 {
  var header = nifti_1_header()
  var isByteSwapped = false

  init(bytes: [UInt8], source: String) throws(ImageFileError) {
    let size = MemoryLayout<nifti_1_header>.size
    guard bytes.count >= size else {
      throw .tooShort(source, expectedBytes: size, found: "\(bytes.count) bytes")
    }
    withUnsafeMutableBytes(of: &header) { target in target.copyBytes(from: bytes.prefix(size)) }
    isByteSwapped = header.sizeof_hdr != 348
    if isByteSwapped { swap_nifti_header(&header, 1) }
  }

  var fields: HeaderFields {
    let dimensions = elements(header.dim, as: Int16.self).map(Int.init)
    return HeaderFields(
      magic: text(header.magic), isByteSwapped: isByteSwapped, dimensions: dimensions,
      dataType: header.datatype,
      bitsPerVoxel: header.bitpix, voxelOffset: Double(header.vox_offset), slope: Double(header.scl_slope),
      intercept: Double(header.scl_inter),
      orientation: NIfTIOrientation(
        version: 1, dimensionCount: dimensions[0],
        pixdim: elements(header.pixdim, as: Float.self).map(Double.init),
        qformCode: Int32(header.qform_code), sformCode: Int32(header.sform_code),
        quaternion: [
          header.quatern_b, header.quatern_c, header.quatern_d, header.qoffset_x, header.qoffset_y,
          header.qoffset_z,
        ].map(Double.init),
        srow: [header.srow_x, header.srow_y, header.srow_z].flatMap {
          elements($0, as: Float.self).map(Double.init)
        },
        xyztUnits: Int32(UInt8(bitPattern: header.xyzt_units))))
  }

  init(_ orientation: NIfTIOrientation, extents: [Int], dataType: ElementType) {
    let dimensions = [min(orientation.dimensionCount, 7)] + extents + Array(repeating: 1, count: 4)
    let srow = orientation.srow.map(Float.init)
    let quaternion = orientation.quaternion.map(Float.init)
    header.sizeof_hdr = 348
    header.regular = CChar(UInt8(ascii: "r"))
    fill(&header.dim, with: dimensions.map { Int16(truncatingIfNeeded: $0) })
    header.datatype = dataType.niftiCode
    header.bitpix = Int16(dataType.byteCount * 8)
    fill(&header.pixdim, with: orientation.pixdim.map(Float.init))
    header.vox_offset = 352
    header.scl_slope = 1
    header.xyzt_units = CChar(truncatingIfNeeded: orientation.xyztUnits)
    header.qform_code = Int16(truncatingIfNeeded: orientation.qformCode)
    header.sform_code = Int16(truncatingIfNeeded: orientation.sformCode)
    (header.quatern_b, header.quatern_c, header.quatern_d) = (quaternion[0], quaternion[1], quaternion[2])
    (header.qoffset_x, header.qoffset_y, header.qoffset_z) = (quaternion[3], quaternion[4], quaternion[5])
    fill(&header.srow_x, with: Array(srow[0..<4]))
    fill(&header.srow_y, with: Array(srow[4..<8]))
    fill(&header.srow_z, with: Array(srow[8..<12]))
    fill(&header.magic, with: Array("n+1\0".utf8))
  }

  /// Header and an empty list of extensions: 352 bytes.
  var bytes: [UInt8] { withUnsafeBytes(of: header) { Array($0) } + [0, 0, 0, 0] }
}

/// A NIfTI-2 header in native byte order.
struct RawHeader2 {
  var header = nifti_2_header()
  var isByteSwapped = false

  init(bytes: [UInt8], source: String) throws(ImageFileError) {
    let size = MemoryLayout<nifti_2_header>.size
    guard bytes.count >= size else {
      throw .tooShort(source, expectedBytes: size, found: "\(bytes.count) bytes")
    }
    withUnsafeMutableBytes(of: &header) { target in target.copyBytes(from: bytes.prefix(size)) }
    isByteSwapped = header.sizeof_hdr != 540
    if isByteSwapped { swap_nifti_header(&header, 2) }
  }

  var fields: HeaderFields {
    // Extents stay within Int; a negative or huge one is refused later.
    let dimensions = elements(header.dim, as: Int64.self).map { Int(clamping: $0) }
    return HeaderFields(
      magic: text(header.magic), isByteSwapped: isByteSwapped, dimensions: dimensions,
      dataType: header.datatype,
      bitsPerVoxel: header.bitpix, voxelOffset: Double(header.vox_offset), slope: header.scl_slope,
      intercept: header.scl_inter,
      orientation: NIfTIOrientation(
        version: 2, dimensionCount: dimensions[0], pixdim: elements(header.pixdim, as: Double.self),
        qformCode: header.qform_code, sformCode: header.sform_code,
        quaternion: [
          header.quatern_b, header.quatern_c, header.quatern_d, header.qoffset_x, header.qoffset_y,
          header.qoffset_z,
        ],
        srow: [header.srow_x, header.srow_y, header.srow_z].flatMap { elements($0, as: Double.self) },
        xyztUnits: header.xyzt_units))
  }

  init(_ orientation: NIfTIOrientation, extents: [Int], dataType: ElementType) {
    let dimensions = [min(orientation.dimensionCount, 7)] + extents + Array(repeating: 1, count: 4)
    let quaternion = orientation.quaternion
    header.sizeof_hdr = 540
    fill(&header.magic, with: Array("n+2\0\r\n\u{1A}\n".utf8))
    header.datatype = dataType.niftiCode
    header.bitpix = Int16(dataType.byteCount * 8)
    fill(&header.dim, with: dimensions.map(Int64.init))
    fill(&header.pixdim, with: orientation.pixdim)
    header.vox_offset = 544
    header.scl_slope = 1
    header.xyzt_units = orientation.xyztUnits
    header.qform_code = orientation.qformCode
    header.sform_code = orientation.sformCode
    (header.quatern_b, header.quatern_c, header.quatern_d) = (quaternion[0], quaternion[1], quaternion[2])
    (header.qoffset_x, header.qoffset_y, header.qoffset_z) = (quaternion[3], quaternion[4], quaternion[5])
    fill(&header.srow_x, with: Array(orientation.srow[0..<4]))
    fill(&header.srow_y, with: Array(orientation.srow[4..<8]))
    fill(&header.srow_z, with: Array(orientation.srow[8..<12]))
  }

  /// Header and an empty list of extensions: 544 bytes.
  var bytes: [UInt8] { withUnsafeBytes(of: header) { Array($0) } + [0, 0, 0, 0] }
}
