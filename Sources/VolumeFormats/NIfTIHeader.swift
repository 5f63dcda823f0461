// The fields of a NIfTI-1 or NIfTI-2 header, read from bytes and checked before anything is allocated for voxels.

import CNifti
import Reporting
package import Volumes

/// How voxels are stored.
package enum NIfTIDataType: Int16, Sendable {
  case uint8 = 2
  case int16 = 4
  case int32 = 8
  case float32 = 16
  case float64 = 64
  case int8 = 256
  case uint16 = 512
  case uint32 = 768
  case int64 = 1024
  case uint64 = 1280

  package var byteCount: Int {
    switch self {
    case .uint8, .int8: 1
    case .int16, .uint16: 2
    case .int32, .uint32, .float32: 4
    case .int64, .uint64, .float64: 8
    }
  }
}

/// A header whose every field makes sense, whatever the file's size.
package struct NIfTIHeader: Sendable, Equatable {
  /// Extents along x, y, z; z is 1 for a 2D image.
  package var extents: [Int]
  package var dataType: NIfTIDataType
  package var isByteSwapped: Bool
  /// Where the voxels begin in the (decompressed) file.
  package var voxelOffset: Int
  package var slope: Double
  package var intercept: Double
  package var orientation: NIfTIOrientation

  package var voxelCount: Int { extents.reduce(1, *) }
  package var voxelByteCount: Int { voxelCount * dataType.byteCount }

  /// Bytes that must be at hand to read any header.
  package static let maximumByteCount = 540

  /// Reads the first bytes of a file; `source` names it in errors.
  package init(bytes: [UInt8], source: String) throws(NIfTIError) {
    let size = bytes.count >= 4 ? bytes.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) } : 0
    switch (size, size.byteSwapped) {
    case (348, _), (_, 348):
      try self.init(RawHeader1(bytes: bytes, source: source).fields, source: source)
    case (540, _), (_, 540):
      try self.init(RawHeader2(bytes: bytes, source: source).fields, source: source)
    default:
      throw .notNIfTI(source, found: "\(bytes.count) bytes whose first number is \(size)")
    }
  }

  private init(_ fields: HeaderFields, source: String) throws(NIfTIError) {
    func refuse(_ field: String, expected: String, found: String) -> NIfTIError {
      .badHeader(source, field: field, expected: expected, found: found)
    }
    let magic = fields.orientation.version == 1 ? "n+1" : "n+2"
    guard fields.magic == magic else {
      throw refuse(
        "magic", expected: "\"\(magic)\" (header and voxels in one file)", found: "\"\(fields.magic)\"")
    }
    extents = try Self.checkedExtents(fields.dimensions, source: source)
    guard let dataType = NIfTIDataType(rawValue: fields.dataType) else {
      let name = nifti_datatype_string(Int32(fields.dataType)).map { String(cString: $0) } ?? "unknown"
      throw refuse(
        "datatype", expected: "one integer or real number per voxel (int8 to uint64, float32, float64)",
        found: "\(fields.dataType) (\(name))")
    }
    self.dataType = dataType
    guard Int(fields.bitsPerVoxel) == dataType.byteCount * 8 else {
      throw refuse(
        "bitpix", expected: "\(dataType.byteCount * 8) for datatype \(dataType)",
        found: "\(fields.bitsPerVoxel)")
    }
    let (_, overflow) = extents.reduce((dataType.byteCount, false)) { total, extent in
      let (product, overflow) = total.0.multipliedReportingOverflow(by: extent)
      return (product, total.1 || overflow)
    }
    guard !overflow else {
      throw refuse("dim", expected: "extents whose product fits 64 bits", found: "\(extents)")
    }
    let minimum = fields.orientation.version == 1 ? 352 : 544
    guard let offset = Int(exactly: fields.voxelOffset), offset >= minimum, offset < 1 << 40 else {
      throw refuse(
        "vox_offset", expected: "a whole number of at least \(minimum)", found: "\(fields.voxelOffset)")
    }
    voxelOffset = offset
    isByteSwapped = fields.isByteSwapped
    // A slope of zero means no slope; NaN is how some writers say that no scaling is set.
    slope = fields.slope.isFinite && fields.slope != 0 ? fields.slope : 1
    intercept = fields.intercept.isFinite ? fields.intercept : 0
    orientation = fields.orientation
    try Self.checkOrientation(orientation, source: source)
  }

  private static func checkedExtents(_ dimensions: [Int], source: String) throws(NIfTIError) -> [Int] {
    let axisCount = dimensions[0]
    guard (2...7).contains(axisCount) else {
      throw .badHeader(source, field: "dim[0]", expected: "2 to 7 axes", found: "\(axisCount)")
    }
    for axis in 1...min(axisCount, 3) where dimensions[axis] < 1 {
      throw .badHeader(source, field: "dim[\(axis)]", expected: "at least 1", found: "\(dimensions[axis])")
    }
    // Some writers leave 0 where an axis beyond the third has one entry.
    for axis in 4..<8 where axis <= axisCount && dimensions[axis] != 1 && dimensions[axis] != 0 {
      throw .tooManyAxes(source, dimensions: Array(dimensions[1...axisCount]))
    }
    return [dimensions[1], dimensions[2], axisCount >= 3 ? dimensions[3] : 1]
  }

  private static func checkOrientation(_ orientation: NIfTIOrientation, source: String) throws(NIfTIError) {
    func check(_ values: some Sequence<Double>, _ field: String) throws(NIfTIError) {
      if let bad = values.first(where: { !$0.isFinite }) {
        throw .badHeader(source, field: field, expected: "finite numbers", found: "\(bad)")
      }
    }
    try check(orientation.pixdim[1...min(orientation.dimensionCount, 3)], "pixdim")
    if orientation.qformCode > 0 { try check(orientation.quaternion, "quatern and qoffset (qform_code > 0)") }
    if orientation.sformCode > 0 { try check(orientation.srow, "srow (sform_code > 0)") }
  }
}

/// The fields both header versions share, in native byte order and unchecked.
struct HeaderFields {
  var magic: String
  var isByteSwapped: Bool
  var dimensions: [Int]
  var dataType: Int16
  var bitsPerVoxel: Int16
  var voxelOffset: Double
  var slope: Double
  var intercept: Double
  var orientation: NIfTIOrientation
}
