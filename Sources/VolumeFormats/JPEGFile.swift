// JPEG pictures through libjpeg. They are read only: lossy compression cannot hold labels.

import Archives
import CJPEG
import Foundation
import Reporting

/// A JPEG file whose header is sound.
struct JPEGFile: ImageFile {
  let information: ImageInformation
  private let content: [UInt8]
  private let path: String

  /// Every block of 64 pixels takes one bit at least.
  private static let maximumPixelsPerByte = 512

  init(_ url: URL) throws {
    path = url.path
    content = try ImageSource(url).content()
    guard content.starts(with: [0xFF, 0xD8, 0xFF]) else {
      throw ImageFileError.wrongSignature(
        url.path, format: "JPEG", expected: "the bytes FF D8 FF",
        found: "\(content.count) bytes that begin otherwise"
      )
    }
    let info = try Self.read(content, into: nil, path: url.path)
    let (width, height) = (Int(info.width), Int(info.height))
    let (supply, _) = content.count.multipliedReportingOverflow(by: Self.maximumPixelsPerByte)
    guard width * height <= supply else {
      throw ImageFileError.tooShort(
        url.path, expectedBytes: width * height / Self.maximumPixelsPerByte, found: "\(content.count) bytes")
    }
    information = ImageInformation(
      format: .jpeg, channelCount: Int(info.channel_count), shape: [1, height, width], geometry: .picture,
      dataType: .uint8, encoding: "JPEG", remarks: ["lossy compression: never use it for label maps"])
  }

  func decodedVoxels() throws -> [Float] {
    let count = information.shape.reduce(information.channelCount, *)
    var pixels = [UInt8](repeating: 0, count: count)
    try Self.read(content, into: &pixels, path: path)
    let values = VoxelDecoder(bytes: pixels, offset: 0, count: count, isSwapped: false).decode(.uint8)
    return channelsFirst(values, channelCount: information.channelCount)
  }

  @discardableResult
  private static func read(
    _ content: [UInt8], into pixels: UnsafeMutablePointer<[UInt8]>?, path: String
  ) throws(ImageFileError) -> nni_jpeg_info {
    var info = nni_jpeg_info()
    var message = [CChar](repeating: 0, count: 201)
    let status: Int32
    if let pixels {
      let size = pixels.pointee.count
      status = pixels.pointee.withUnsafeMutableBufferPointer {
        nni_jpeg_read(content, content.count, &info, $0.baseAddress, size, &message)
      }
    } else {
      status = nni_jpeg_read(content, content.count, &info, nil, 0, &message)
    }
    guard status == 0 else { throw .damaged(path, found: text(message)) }
    return info
  }
}
