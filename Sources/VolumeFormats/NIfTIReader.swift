// Reading .nii, .nii.gz and pairs of .hdr and .img: header first, then exactly the voxels that it promises.

import Archives
import Foundation
import Reporting
import Tensors
import Volumes

/// A checked header, and where its voxels are.
struct NIfTIFile: ImageFile {
  let header: NIfTIHeader
  let information: ImageInformation
  private let payload: VoxelPayload

  /// Far more than a compressed header needs.
  private static let prefixByteCount = 1 << 14

  /// Opens header and voxels in one file.
  init(_ url: URL, reader: ImageReader? = nil) throws {
    let source = try ImageSource(url)
    let (bytes, isCompressed) = try Self.headerBytes(source)
    try self.init(
      header: NIfTIHeader(bytes: bytes, source: url.path), format: .nifti, voxels: source,
      isCompressed: isCompressed, reader: reader)
  }

  /// Opens a header with its voxels in a file beside it; either name will do.
  init(pair url: URL, reader: ImageReader? = nil) throws {
    let header = try ImageSource(Self.sibling(of: url, "hdr"))
    let (bytes, _) = try Self.headerBytes(header)
    let voxels = try ImageSource(Self.sibling(of: url, "img"))
    let isCompressed = try voxels.prefix(2).withUnsafeBytes(Gzip.isCompressed)
    try self.init(
      header: NIfTIHeader(bytes: bytes, source: header.path, isPair: true), format: .niftiPair,
      voxels: voxels,
      isCompressed: isCompressed, reader: reader)
  }

  private init(
    header: NIfTIHeader, format: ImageFormat, voxels: ImageSource, isCompressed: Bool, reader: ImageReader?
  ) throws {
    self.header = header
    if reader?.isNibabel == true, header.orientation.dimensionCount != 3 {
      throw ImageFileError.badHeader(
        voxels.path, field: "dim[0]", expected: "3 axes, which is what \(reader?.rawValue ?? "") reads",
        found: "\(header.orientation.dimensionCount)")
    }
    var geometry = try ImageGeometry(
      header.orientation, ignoringUnits: reader?.isNibabel == true, source: voxels.path)
    // A label map for several images is one image.
    if header.channelCount > 1 { geometry.nifti?.dimensionCount = 3 }
    payload = VoxelPayload(
      source: voxels, encoding: isCompressed ? .gzip : .raw, offset: isCompressed ? 0 : header.voxelOffset,
      skippedByteCount: isCompressed ? header.voxelOffset : 0, byteCount: header.voxelByteCount)
    try payload.check()
    information = ImageInformation(
      format: format, channelCount: header.channelCount, shape: header.extents.reversed(), geometry: geometry,
      dataType: header.dataType, encoding: payload.encoding.rawValue, remarks: header.remarks)
  }

  /// The other file of a pair: `.hdr` for `.img`, and the other way about.
  private static func sibling(of url: URL, _ ending: String) -> URL {
    let name = url.lastPathComponent
    guard let stored = ImageFormat.ending(of: name) else { return url }
    let stem = String(name.dropLast(stored.count))
    let folder = url.deletingLastPathComponent()
    let plain = folder.appending(path: stem + "." + ending)
    let packed = folder.appending(path: stem + "." + ending + ".gz")
    return FileManager.default.fileExists(atPath: plain.path)
      || !FileManager.default.fileExists(atPath: packed.path) ? plain : packed
  }

  private static func headerBytes(_ source: ImageSource) throws -> (bytes: [UInt8], isCompressed: Bool) {
    let bytes = try source.prefix(prefixByteCount)
    guard bytes.withUnsafeBytes(Gzip.isCompressed) else { return (bytes, false) }
    return (try inflatedHeader(bytes, source: source.path), true)
  }

  /// The first bytes of a compressed file, as many as the largest header has.
  private static func inflatedHeader(_ content: [UInt8], source: String) throws -> [UInt8] {
    var stream = try InflateStream(.gzip)
    var header = [UInt8](repeating: 0, count: NIfTIHeader.maximumByteCount)
    var (position, produced) = (0, 0)
    while produced < header.count {
      let step: DeflateStep
      do {
        step = try content.withUnsafeBytes { input in
          try header.withUnsafeMutableBytes { output in
            try stream.step(
              from: UnsafeRawBufferPointer(rebasing: input[position...]),
              into: UnsafeMutableRawBufferPointer(rebasing: output[produced...]))
          }
        }
      } catch let error as Diagnostic {
        throw ImageFileError.damaged(source, found: error.found ?? error.failure)
      }
      position += step.consumed
      produced += step.produced
      if step.isFinished { stream.reset() }
      if step.consumed == 0, step.produced == 0 { break }
    }
    if produced < 348 {
      throw ImageFileError.tooShort(
        source, expectedBytes: 352, found: "\(produced) bytes after decompressing \(content.count)")
    }
    return Array(header.prefix(produced))
  }

  /// Header and voxels of a file that holds both, decompressed, and where the voxels begin.
  func unpackedFile() throws -> (bytes: [UInt8], offset: Int) {
    precondition(information.format == .nifti, "the header of a pair lies elsewhere")
    return try payload.unpacked()
  }

  /// The voxels as single precision, with slope and intercept applied in double precision as ITK does.
  func decodedVoxels() throws -> [Float] {
    let (bytes, offset) = try payload.unpacked()
    let hasScaling = header.slope != 1 || header.intercept != 0
    let (slope, intercept) = (header.slope, header.intercept)
    let decoder = VoxelDecoder(
      bytes: bytes, offset: offset, count: header.valueCount, isSwapped: header.isByteSwapped)
    if header.dataType == .float64 { return decoder.doubles(slope: slope, intercept: intercept) }
    var voxels = decoder.decode(header.dataType)
    // Colours are not scaled.
    if header.componentCount > 1 { return channelsFirst(voxels, channelCount: header.componentCount) }
    if hasScaling {
      voxels.withUnsafeMutableBufferPointer { voxels in
        for i in 0..<voxels.count { voxels[i] = Float(Double(voxels[i]) * slope + intercept) }
      }
    }
    return voxels
  }
}

extension NIfTIHeader {
  /// What is unusual about the fields, though they can be read.
  var remarks: [String] {
    var remarks: [String] = []
    if orientation.qformCode <= 0, orientation.sformCode <= 0 {
      remarks.append("neither qform nor sform is set: position and direction are unknown")
    }
    if isByteSwapped { remarks.append("the bytes are stored in the other order than this machine's") }
    if slope != 1 || intercept != 0 {
      remarks.append("stored values are scaled by \(slope) and moved by \(intercept)")
    }
    let units = orientation.xyztUnits & 7
    if units == 1 || units == 3 {
      remarks.append(
        "distances are given in \(units == 1 ? "metres" : "micrometres"); NibabelIO takes them as they stand")
    }
    for axis in 1...min(3, orientation.dimensionCount) where orientation.pixdim[axis] <= 0 {
      remarks.append("pixdim[\(axis)] is \(orientation.pixdim[axis])")
    }
    return remarks
  }
}
