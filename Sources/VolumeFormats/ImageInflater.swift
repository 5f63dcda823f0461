// Decompressing the voxels of one image, with a clear verdict on everything that is not exactly one image.

import Archives
import Reporting

/// Inflates `expectedByteCount` bytes and checks what follows them.
///
/// Several gzip members may make up one image (block compression does that); a member after the image is refused.
struct ImageInflater {
  let source: String
  let expectedByteCount: Int
  let wrapping: DeflateWrapping
  private var position = 0
  private var produced = 0
  private var isFinished = false

  init(source: String, expectedByteCount: Int, wrapping: DeflateWrapping = .gzip) {
    self.source = source
    self.expectedByteCount = expectedByteCount
    self.wrapping = wrapping
  }

  mutating func run(_ content: [UInt8]) throws -> [UInt8] {
    var stream = try InflateStream(wrapping)
    var image = [UInt8](repeating: 0, count: expectedByteCount)
    try content.withUnsafeBytes { input in
      try image.withUnsafeMutableBytes { output in try fill(output, from: input, &stream) }
      try finishMember(of: input, &stream)
      try checkEnd(of: input)
    }
    return image
  }

  private mutating func fill(
    _ output: UnsafeMutableRawBufferPointer, from input: UnsafeRawBufferPointer, _ stream: inout InflateStream
  ) throws {
    while produced < output.count {
      if isFinished {
        let rest = UnsafeRawBufferPointer(rebasing: input[position...])
        guard wrapping == .gzip, Gzip.isCompressed(rest) else {
          throw ImageFileError.tooShort(
            source, expectedBytes: expectedByteCount,
            found: "\(produced) bytes"
              + (rest.isEmpty ? "" : ", then \(rest.count) bytes that are not gzip data"))
        }
        stream.reset()
        isFinished = false
      }
      let step = try step(input, into: UnsafeMutableRawBufferPointer(rebasing: output[produced...]), &stream)
      produced += step.produced
      if step.consumed == 0, step.produced == 0, !isFinished { throw cutOff(input) }
    }
  }

  /// Runs to the end of the current member, whose checksum counts; padding after the voxels is thrown away.
  private mutating func finishMember(of input: UnsafeRawBufferPointer, _ stream: inout InflateStream) throws {
    var scratch = [UInt8](repeating: 0, count: 1 << 16)
    while !isFinished {
      let done = try scratch.withUnsafeMutableBytes { output throws -> DeflateStep in
        try step(input, into: output, &stream)
      }
      if done.consumed == 0, done.produced == 0, !isFinished { throw cutOff(input) }
    }
  }

  private func checkEnd(of input: UnsafeRawBufferPointer) throws(ImageFileError) {
    let rest = UnsafeRawBufferPointer(rebasing: input[position...])
    // Only of gzip is it known that two members in a row mean two images or one.
    if rest.isEmpty || wrapping != .gzip { return }
    throw .trailingData(
      source, expectedBytes: expectedByteCount,
      found: Gzip.isCompressed(rest)
        ? "another gzip member of \(rest.count) bytes or less"
        : "\(rest.count) more bytes that are not gzip data")
  }

  private mutating func step(
    _ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer, _ stream: inout InflateStream
  ) throws -> DeflateStep {
    do {
      let step = try stream.step(from: UnsafeRawBufferPointer(rebasing: input[position...]), into: output)
      position += step.consumed
      isFinished = step.isFinished
      return step
    } catch {
      throw ImageFileError.damaged(
        source, found: "\(error.found ?? error.failure) near byte \(position) of \(input.count)")
    }
  }

  private func cutOff(_ input: UnsafeRawBufferPointer) -> ImageFileError {
    .tooShort(
      source, expectedBytes: expectedByteCount,
      found: "\(produced) bytes; the compressed data (\(input.count) bytes) end before their checksum")
  }
}
