// TIFF pictures and stacks through libtiff: what the pages make together, and their voxels.

import Archives
import CTIFF
import Foundation
import Reporting
import Tensors
import Volumes

/// A TIFF file whose pages are alike and fit into the file.
///
/// As an array it is `[page, y, x, sample]` or, with samples in planes, `[page, sample, y, x]`; axes of one entry
/// fall away unless the description of the first page lists them. Two axes are a grey picture; three are a picture
/// if the last (or else the first) has three or four entries, and otherwise a stack.
/// - Source: what tifffile and scikit-image give for such files.
struct TIFFFile: ImageFile {
  let information: ImageInformation
  /// Extents of the array, slowest axis first.
  let dimensions: [Int]
  private let pages: TIFFPages
  private let channelsLast: Bool

  /// Whether nnU-Net's pictures reader takes the file.
  var isPicture: Bool { Self.colourAxis(dimensions) != .stack }
  /// Whether nnU-Net's stack reader takes the file.
  var isStack: Bool { dimensions.count == 3 }

  private enum ColourAxis {
    case none, first, last, stack
  }

  private static func colourAxis(_ dimensions: [Int]) -> ColourAxis {
    if dimensions.count == 2 { return .none }
    guard dimensions.count == 3 else { return .stack }
    if dimensions[2] == 3 || dimensions[2] == 4 { return .last }
    return dimensions[0] == 3 || dimensions[0] == 4 ? .first : .stack
  }

  /// Opens a file as one of nnU-Net's readers would; nil decides by what the file holds.
  init(_ url: URL, reader: ImageReader?) throws {
    pages = try TIFFPages(url)
    dimensions = pages.dimensions
    let usesStack =
      switch reader {
      case .tiff3D: true
      case .naturalImage2D: false
      default:
        Self.colourAxis(dimensions) == .stack || Self.colourAxis(dimensions) == .first && pages.count > 1
      }
    let axis = usesStack ? .stack : Self.colourAxis(dimensions)
    guard axis != .stack || dimensions.count == 3, usesStack || axis != .stack else {
      throw ImageFileError.unsupported(
        url.path, feature: "an array of \(dimensions.map(String.init).joined(separator: "×"))",
        expected: usesStack
          ? "a stack of three axes, which is what Tiff3DIO reads"
          : "a grey or colour picture, which is what NaturalImage2DIO reads",
        remedy: "save one file per channel, with one page per slice")
    }
    channelsLast = axis == .last
    var shape = dimensions
    var channelCount = 1
    switch axis {
    case .none: shape = [1] + dimensions
    case .first:
      channelCount = dimensions[0]
      shape = [1] + dimensions.dropFirst()
    case .last:
      channelCount = dimensions[2]
      shape = [1] + dimensions.dropLast()
    case .stack: break
    }
    information = ImageInformation(
      format: .tiff, channelCount: channelCount, shape: shape,
      geometry: axis == .stack ? ImageGeometry(spacing: [1, 1, 1]) : .picture, dataType: pages.type,
      encoding: pages.encoding,
      remarks: axis == .stack ? ["the format stores no spacing; a file CASE.json beside it can give one"] : []
    )
  }

  func decodedVoxels() throws -> [Float] {
    let values = try pages.decode()
    return channelsLast ? channelsFirst(values, channelCount: information.channelCount) : values
  }
}

/// The pages of a file, which all have one size and type.
private struct TIFFPages {
  let count: Int
  let type: ElementType
  let dimensions: [Int]
  let encoding: String
  private let first: nni_tiff_page
  private let content: [UInt8]
  private let path: String
  /// Pages that are small copies of others are passed over.
  private let indices: [UInt32]

  /// The largest factor by which each kind of compression can expand.
  private static let expansions: [UInt16: (name: String, factor: Int)] = [
    1: ("raw", 1), 5: ("LZW", 4096), 8: ("deflate", Gzip.maximumExpansion),
    32946: ("deflate", Gzip.maximumExpansion), 32773: ("PackBits", 128),
  ]

  init(_ url: URL) throws {
    path = url.path
    content = try ImageSource(url).content()
    guard content.starts(with: Array("II".utf8)) || content.starts(with: Array("MM".utf8)) else {
      throw ImageFileError.wrongSignature(
        url.path, format: "TIFF", expected: "\"II\" or \"MM\"",
        found: "\(content.count) bytes that begin otherwise")
    }
    let file = try TIFFHandle(content, path: url.path)
    var first = nni_tiff_page()
    var description: String?
    var indices: [UInt32] = []
    var index: UInt32 = 0
    while true {
      var page = nni_tiff_page()
      guard try file.select(index, &page) else { break }
      if page.is_reduced == 0 {
        if indices.isEmpty {
          first = page
          description = file.description
        } else if !page.isLike(first) {
          throw ImageFileError.unsupported(
            url.path, feature: "page \(index) of \(page.width)×\(page.height) pixels, unlike the first",
            expected: "pages of one size and type", remedy: "save the stack without thumbnails or overviews")
        }
        indices.append(index)
      }
      index += 1
    }
    guard !indices.isEmpty else {
      throw ImageFileError.damaged(url.path, found: "no page with an image")
    }
    (self.first, self.indices, count) = (first, indices, indices.count)
    type = try Self.elementType(first, path: url.path)
    guard let (name, factor) = Self.expansions[first.compression] else {
      throw ImageFileError.unsupported(
        url.path, feature: "compression \(first.compression)",
        expected: "no compression, deflate, LZW or PackBits",
        remedy: "save the image with deflate (zlib) compression")
    }
    encoding = name
    try Self.checkSize(first, pageCount: indices.count, supply: content.count, factor: factor, path: url.path)
    dimensions = try Self.dimensions(first, pageCount: indices.count, description, path: url.path)
  }

  private static func elementType(_ page: nni_tiff_page, path: String) throws(ImageFileError) -> ElementType {
    let types: [[Int]: ElementType] = [
      [1, 1]: .bool, [1, 8]: .uint8, [1, 16]: .uint16, [1, 32]: .uint32, [1, 64]: .uint64, [2, 8]: .int8,
      [2, 16]: .int16, [2, 32]: .int32, [2, 64]: .int64, [3, 16]: .float16, [3, 32]: .float32,
      [3, 64]: .float64,
    ]
    // Samples without a declared meaning are unsigned.
    let format = page.sample_format == 4 ? 1 : Int(page.sample_format)
    guard let type = types[[format, Int(page.bit_count)]],
      type != .bool || page.sample_count == 1 && page.is_tiled == 0
    else {
      throw .unsupported(
        path,
        feature: "\(page.sample_count) samples of \(page.bit_count) bits in format \(page.sample_format)",
        expected: "integers of 8 to 64 bits, real numbers of 16 to 64 bits, or single bits",
        remedy: "save the image with one of these types")
    }
    guard page.photometric != 6, page.depth <= 1 else {
      throw .unsupported(
        path, feature: page.depth > 1 ? "slices inside one page" : "colours as luminance and chroma",
        expected: "grey or RGB, one slice per page", remedy: "save the image anew with such pages")
    }
    return type
  }

  private static func checkSize(
    _ page: nni_tiff_page, pageCount: Int, supply: Int, factor: Int, path: String
  ) throws(ImageFileError) {
    let (width, height) = (Int(page.width), Int(page.height))
    let rowBits = width * Int(page.sample_count) * Int(page.bit_count)
    let (pageSize, overflow) = ((rowBits + 7) / 8).multipliedReportingOverflow(by: height)
    let (total, overflow2) = pageSize.multipliedReportingOverflow(by: pageCount)
    let (most, _) = supply.multipliedReportingOverflow(by: factor)
    guard width > 0, height > 0, page.sample_count > 0 else {
      throw .badHeader(
        path, field: "ImageWidth, ImageLength, SamplesPerPixel", expected: "positive numbers",
        found: "\(width), \(height), \(page.sample_count)")
    }
    guard !overflow, !overflow2, total <= most else {
      throw .tooShort(
        path, expectedBytes: overflow || overflow2 ? .max : total,
        found: "\(supply) bytes" + (factor > 1 ? ", which can stand for at most \(most)" : ""))
    }
  }

  private static func dimensions(
    _ page: nni_tiff_page, pageCount: Int, _ description: String?, path: String
  ) throws -> [Int] {
    let (width, height, samples) = (Int(page.width), Int(page.height), Int(page.sample_count))
    var full = pageCount > 1 ? [pageCount] : []
    if samples > 1, page.is_planar != 0 { full.append(samples) }
    full += [height, width]
    if samples > 1, page.is_planar == 0 { full.append(samples) }
    guard let description else { return full }
    // tifffile's own note of the shape keeps axes of one entry.
    if description.hasPrefix("{"), let json = try? JSON(parsing: description, source: path),
      let shape = json["shape"]?.integers, checkedElementCount(shape) == checkedElementCount(full),
      shape.filter({ $0 != 1 }) == full.filter({ $0 != 1 }), shape.count <= 4
    {
      return shape
    }
    let axes = seriesAxes(description)
    guard axes.count <= 1 else {
      throw ImageFileError.unsupported(
        path, feature: "a stack along \(axes.joined(separator: " and "))", expected: "slices only",
        remedy: "save one file per channel and time point")
    }
    return full
  }

  /// The axes, beyond y and x, along which ImageJ or an OME header says that pages follow each other.
  private static func seriesAxes(_ description: String) -> [String] {
    let names: [(String, String)]
    if description.hasPrefix("ImageJ=") {
      names = [("\nchannels=", "channels"), ("\nslices=", "slices"), ("\nframes=", "frames")]
    } else if description.contains("<OME") {
      names = [(" SizeC=\"", "channels"), (" SizeZ=\"", "slices"), (" SizeT=\"", "frames")]
    } else {
      return []
    }
    return names.filter { key, _ in
      guard let range = description.range(of: key) else { return false }
      return (Int(description[range.upperBound...].prefix { $0.isNumber }) ?? 1) > 1
    }.map(\.1)
  }

  func decode() throws -> [Float] {
    let file = try TIFFHandle(content, path: path)
    let (width, height) = (Int(first.width), Int(first.height))
    let planeSamples = first.is_planar != 0 ? 1 : Int(first.sample_count)
    let planeCount = first.is_planar != 0 ? Int(first.sample_count) : 1
    let rowByteCount = (width * planeSamples * Int(first.bit_count) + 7) / 8
    let valueCount = width * height * Int(first.sample_count)
    var voxels: [Float] = []
    voxels.reserveCapacity(valueCount * indices.count)
    var pixels = [UInt8](repeating: 0, count: rowByteCount * height * planeCount)
    var index: UInt32 = 0
    for wanted in indices {
      var page = nni_tiff_page()
      repeat {
        guard try file.select(index, &page) else {
          throw ImageFileError.damaged(path, found: "page \(index) is missing")
        }
        index += 1
      } while index <= wanted
      try file.read(into: &pixels, rowByteCount: rowByteCount)
      if type == .bool {
        for y in 0..<height {
          for x in 0..<width {
            voxels.append(Float(pixels[y * rowByteCount + x / 8] >> UInt8(7 - x % 8) & 1))
          }
        }
      } else {
        voxels += VoxelDecoder(bytes: pixels, offset: 0, count: valueCount, isSwapped: false).decode(type)
      }
    }
    return voxels
  }
}

extension nni_tiff_page {
  fileprivate func isLike(_ other: nni_tiff_page) -> Bool {
    width == other.width && height == other.height && sample_count == other.sample_count
      && bit_count == other.bit_count && sample_format == other.sample_format && is_planar == other.is_planar
      && compression == other.compression && is_tiled == other.is_tiled
  }
}

/// libtiff's view of bytes in memory; the bytes live as long as it does.
private final class TIFFHandle {
  private let content: UnsafeMutableBufferPointer<UInt8>
  private let file: OpaquePointer
  private let path: String

  init(_ bytes: [UInt8], path: String) throws(ImageFileError) {
    self.path = path
    content = .allocate(capacity: bytes.count)
    _ = content.initialize(from: bytes)
    var message = [CChar](repeating: 0, count: 201)
    // Tables of the library may take a few times the file's size, but no header can ask for more.
    guard
      let file = nni_tiff_open(
        content.baseAddress, bytes.count, bytes.count * Gzip.maximumExpansion + 1 << 20, &message)
    else {
      content.deallocate()
      throw .damaged(path, found: text(message))
    }
    self.file = file
  }

  deinit {
    nni_tiff_close(file)
    content.deallocate()
  }

  var description: String? { nni_tiff_description(file).map { String(cString: $0) } }

  /// Goes to a page; pages are visited in order.
  ///
  /// - Returns: false if there are no more.
  func select(_ index: UInt32, _ page: inout nni_tiff_page) throws(ImageFileError) -> Bool {
    switch nni_tiff_select(file, index, &page) {
    case 0: return true
    case 1: return false
    default: throw .damaged(path, found: String(cString: nni_tiff_message(file)))
    }
  }

  func read(into pixels: inout [UInt8], rowByteCount: Int) throws(ImageFileError) {
    guard nni_tiff_row_size(file) == rowByteCount else {
      throw .damaged(path, found: "rows of \(nni_tiff_row_size(file)) bytes where \(rowByteCount) belong")
    }
    let count = pixels.count
    let status = pixels.withUnsafeMutableBufferPointer { nni_tiff_read(file, $0.baseAddress, count) }
    guard status == 0 else { throw .damaged(path, found: String(cString: nni_tiff_message(file))) }
  }
}
