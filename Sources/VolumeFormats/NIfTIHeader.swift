// The fields of a NIfTI-1 or NIfTI-2 header, read from bytes and checked before anything is allocated for voxels.

package import Archives
import CNifti
import Reporting
package import Volumes

extension ElementType {
  /// The type of one value of a NIfTI file, and how many values make up a voxel; nil for what is not read.
  static func nifti(code: Int16) -> (type: ElementType, componentCount: Int)? {
    switch Int32(code) {
    case DT_UINT8: (.uint8, 1)
    case DT_INT8: (.int8, 1)
    case DT_INT16: (.int16, 1)
    case DT_UINT16: (.uint16, 1)
    case DT_INT32: (.int32, 1)
    case DT_UINT32: (.uint32, 1)
    case DT_INT64: (.int64, 1)
    case DT_UINT64: (.uint64, 1)
    case DT_FLOAT32: (.float32, 1)
    case DT_FLOAT64: (.float64, 1)
    case DT_RGB24: (.uint8, 3)
    case DT_RGBA32: (.uint8, 4)
    default: nil
    }
  }

  /// The code of a NIfTI header for the types that are written.
  var niftiCode: Int16 {
    switch self {
    case .bool, .uint8: Int16(DT_UINT8)
    case .int8: Int16(DT_INT8)
    case .int16: Int16(DT_INT16)
    case .uint16: Int16(DT_UINT16)
    case .int32: Int16(DT_INT32)
    case .uint32: Int16(DT_UINT32)
    case .int64: Int16(DT_INT64)
    case .uint64: Int16(DT_UINT64)
    case .float16, .bfloat16, .float32: Int16(DT_FLOAT32)
    case .float64: Int16(DT_FLOAT64)
    }
  }
}

/// A header whose every field makes sense, whatever the file's size.
package struct NIfTIHeader: Sendable, Equatable {
  /// Extents along x, y, z; z is 1 for a 2D image.
  package var extents: [Int]
  /// Images along the fourth or fifth axis.
  package var imageCount: Int
  /// Values per voxel of one image: 3 or 4 for colours.
  package var componentCount: Int
  package var dataType: ElementType
  package var isByteSwapped: Bool
  /// Where the voxels begin in the (decompressed) file.
  package var voxelOffset: Int
  package var slope: Double
  package var intercept: Double
  package var orientation: NIfTIOrientation

  package var channelCount: Int { imageCount * componentCount }
  /// Values of all channels.
  package var valueCount: Int { extents.reduce(channelCount, *) }
  package var voxelByteCount: Int { valueCount * dataType.byteCount }

  /// Bytes that must be at hand to read any header.
  package static let maximumByteCount = 540

  /// Reads the first bytes of a file; `source` names it in errors.
  ///
  /// The header of a pair stands alone, in a file without voxels.
  package init(bytes: [UInt8], source: String, isPair: Bool = false) throws(ImageFileError) {
    let size = bytes.count >= 4 ? bytes.withUnsafeBytes { $0.loadUnaligned(as: Int32.self) } : 0
    switch (size, size.byteSwapped) {
    case (348, _), (_, 348):
      try self.init(RawHeader1(bytes: bytes, source: source).fields, source: source, isPair: isPair)
    case (540, _), (_, 540):
      try self.init(RawHeader2(bytes: bytes, source: source).fields, source: source, isPair: isPair)
    default:
      throw .wrongSignature(
        source, format: "NIfTI", expected: "a header that begins with 348 (NIfTI-1) or 540 (NIfTI-2)",
        found: "\(bytes.count) bytes whose first number is \(size)")
    }
  }

  private init(_ fields: HeaderFields, source: String, isPair: Bool) throws(ImageFileError) {
    func refuse(_ field: String, expected: String, found: String) -> ImageFileError {
      .badHeader(source, field: field, expected: expected, found: found)
    }
    let magic = (isPair ? "ni" : "n+") + "\(fields.orientation.version)"
    guard fields.magic == magic else {
      let meaning = isPair ? "voxels in an .img file beside the header" : "header and voxels in one file"
      throw refuse("magic", expected: "\"\(magic)\" (\(meaning))", found: "\"\(fields.magic)\"")
    }
    (extents, imageCount) = try Self.checkedExtents(fields.dimensions, source: source)
    guard let (dataType, componentCount) = ElementType.nifti(code: fields.dataType) else {
      let name = nifti_datatype_string(Int32(fields.dataType)).map { String(cString: $0) } ?? "unknown"
      throw refuse(
        "datatype",
        expected: "integers, real numbers or colours (int8 to uint64, float32, float64, RGB, RGBA)",
        found: "\(fields.dataType) (\(name))")
    }
    (self.dataType, self.componentCount) = (dataType, componentCount)
    let bitCount = dataType.byteCount * componentCount * 8
    guard Int(fields.bitsPerVoxel) == bitCount else {
      throw refuse(
        "bitpix", expected: "\(bitCount) for datatype \(fields.dataType)", found: "\(fields.bitsPerVoxel)")
    }
    guard checkedByteCount(extents + [imageCount, componentCount], dataType) != nil else {
      throw refuse("dim", expected: "extents whose product fits 64 bits", found: "\(extents)")
    }
    let minimum = isPair ? 0 : fields.orientation.version == 1 ? 352 : 544
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

  private static func checkedExtents(
    _ dimensions: [Int], source: String
  ) throws(ImageFileError) -> (extents: [Int], imageCount: Int) {
    let axisCount = dimensions[0]
    guard (2...7).contains(axisCount) else {
      throw .badHeader(source, field: "dim[0]", expected: "2 to 7 axes", found: "\(axisCount)")
    }
    for axis in 1...min(axisCount, 3) where dimensions[axis] < 1 {
      throw .badHeader(source, field: "dim[\(axis)]", expected: "at least 1", found: "\(dimensions[axis])")
    }
    // Some writers leave 0 where an axis beyond the third has one entry.
    let further = (4..<8).filter { $0 <= axisCount && dimensions[$0] != 1 && dimensions[$0] != 0 }
    if let axis = further.first, dimensions[axis] < 0 {
      throw .badHeader(source, field: "dim[\(axis)]", expected: "at least 1", found: "\(dimensions[axis])")
    }
    guard further.count <= 1, further.allSatisfy({ $0 <= 5 }) else {
      throw .tooManyAxes(source, dimensions: Array(dimensions[1...axisCount]))
    }
    let extents = [dimensions[1], dimensions[2], axisCount >= 3 ? dimensions[3] : 1]
    return (extents, further.first.map { dimensions[$0] } ?? 1)
  }

  private static func checkOrientation(_ orientation: NIfTIOrientation, source: String) throws(ImageFileError)
  {
    func check(_ values: some Sequence<Double>, _ field: String) throws(ImageFileError) {
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
