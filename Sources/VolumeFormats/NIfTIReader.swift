// Reading .nii and .nii.gz: header first, then exactly the voxels that it promises and the file can supply.

import Archives
package import Foundation
import Reporting
import Tensors
package import Volumes

/// Shape and geometry of an image file, without its voxels.
package struct ImageInformation: Sendable {
  /// Extents in array order: z, y, x.
  package var shape: [Int]
  package var geometry: ImageGeometry
  package var dataType: NIfTIDataType
}

/// Reads an image as nnU-Net sees it: `[Z, Y, X]`, scaling applied.
package func readImage(_ url: URL) throws -> Volume<Float> {
  let file = try NIfTIFile(url)
  let geometry = try ImageGeometry(file.header.orientation, source: url.path)
  return Volume(voxels: NDArray(shape: file.shape, elements: file.decodedVoxels()), geometry: geometry)
}

/// Reads a label map; every value must be a whole number that fits 16 bits.
package func readLabels(_ url: URL) throws -> Volume<Int16> {
  let image = try readImage(url)
  let shape = image.shape
  var badIndex: Int?
  let labels = [Int16](unsafeUninitializedCapacity: image.voxels.count) { target, count in
    image.voxels.elements.withUnsafeBufferPointer { source in
      for i in 0..<source.count {
        let value = source[i]
        let isLabel = value >= -32768 && value <= 32767 && value.rounded() == value
        if !isLabel, badIndex == nil { badIndex = i }
        (target.baseAddress.unsafelyUnwrapped + i).initialize(to: isLabel ? Int16(value) : 0)
      }
      count = source.count
    }
  }
  if let badIndex {
    let (z, y, x) = (badIndex / (shape[1] * shape[2]), badIndex / shape[2] % shape[1], badIndex % shape[2])
    throw NIfTIError.notALabelMap(
      url.path, found: "\(image.voxels.elements[badIndex]) at voxel z \(z), y \(y), x \(x)")
  }
  return Volume(voxels: NDArray(shape: shape, elements: labels), geometry: image.geometry)
}

/// Reads only the header of an image.
package func readImageInformation(_ url: URL) throws -> ImageInformation {
  _ = try regularFileSize(url, as: "the image")
  let handle = try FileHandle(forReadingFrom: url)
  defer { try? handle.close() }
  // Far more than a compressed header needs.
  var bytes = [UInt8](try handle.read(upToCount: 1 << 14) ?? Data())
  if bytes.withUnsafeBytes(Gzip.isCompressed) {
    bytes = try NIfTIFile.inflatedHeader(bytes, source: url.path)
  }
  let header = try NIfTIHeader(bytes: bytes, source: url.path)
  return ImageInformation(
    shape: header.extents.reversed(), geometry: try ImageGeometry(header.orientation, source: url.path),
    dataType: header.dataType)
}

/// A checked header with the bytes of its voxels.
struct NIfTIFile {
  var header: NIfTIHeader
  /// Voxel bytes as stored, beginning at `offset`.
  var bytes: [UInt8]
  var offset: Int

  var shape: [Int] { header.extents.reversed() }

  init(_ url: URL) throws {
    let content = try readRegularFile(url, as: "the image")
    if content.withUnsafeBytes(Gzip.isCompressed) {
      self = try NIfTIFile(compressed: content, source: url.path)
      return
    }
    header = try NIfTIHeader(bytes: content, source: url.path)
    let (expected, overflow) = header.voxelByteCount.addingReportingOverflow(header.voxelOffset)
    guard !overflow, content.count >= expected else {
      throw NIfTIError.tooShort(
        url.path, expectedBytes: overflow ? .max : expected, found: "\(content.count) bytes")
    }
    bytes = content
    offset = header.voxelOffset
  }

  private init(compressed content: [UInt8], source: String) throws {
    header = try NIfTIHeader(bytes: try Self.inflatedHeader(content, source: source), source: source)
    let (expected, overflow) = header.voxelByteCount.addingReportingOverflow(header.voxelOffset)
    // Nothing is allocated for a promise that no deflate stream of this length can keep.
    let (supply, _) = content.count.multipliedReportingOverflow(by: Gzip.maximumExpansion)
    guard !overflow, expected <= supply else {
      throw NIfTIError.tooShort(
        source, expectedBytes: overflow ? .max : expected,
        found: "\(content.count) compressed bytes, which expand to at most \(supply)")
    }
    var inflater = ImageInflater(source: source, expectedByteCount: expected)
    bytes = try inflater.run(content)
    offset = header.voxelOffset
  }

  /// The first bytes of a compressed file, as many as the largest header has.
  static func inflatedHeader(_ content: [UInt8], source: String) throws -> [UInt8] {
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
        throw NIfTIError.damaged(source, found: error.found ?? error.failure)
      }
      position += step.consumed
      produced += step.produced
      if step.isFinished { stream.reset() }
      if step.consumed == 0, step.produced == 0 { break }
    }
    if produced < 348 {
      throw NIfTIError.tooShort(
        source, expectedBytes: 352, found: "\(produced) bytes after decompressing \(content.count)")
    }
    return Array(header.prefix(produced))
  }

  /// The voxels as single precision, with slope and intercept applied in double precision as ITK does.
  func decodedVoxels() -> [Float] {
    let hasScaling = header.slope != 1 || header.intercept != 0
    let (slope, intercept) = (header.slope, header.intercept)
    let decoder = VoxelDecoder(
      bytes: bytes, offset: offset, count: header.voxelCount, isSwapped: header.isByteSwapped)
    var voxels: [Float]
    switch header.dataType {
    case .uint8: voxels = decoder.integers(UInt8.self)
    case .int8: voxels = decoder.integers(Int8.self)
    case .int16: voxels = decoder.integers(Int16.self)
    case .uint16: voxels = decoder.integers(UInt16.self)
    case .int32: voxels = decoder.integers(Int32.self)
    case .uint32: voxels = decoder.integers(UInt32.self)
    case .int64: voxels = decoder.integers(Int64.self)
    case .uint64: voxels = decoder.integers(UInt64.self)
    case .float32: voxels = decoder.singles()
    case .float64: return decoder.doubles(slope: slope, intercept: intercept)
    }
    if hasScaling {
      voxels.withUnsafeMutableBufferPointer { voxels in
        for i in 0..<voxels.count { voxels[i] = Float(Double(voxels[i]) * slope + intercept) }
      }
    }
    return voxels
  }
}
