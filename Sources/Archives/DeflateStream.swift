// zlib's two streams behind move-only Swift values. Container formats (gzip, zip) are in their own files.

import CZlib
package import Reporting

/// How deflated bytes are wrapped.
package enum DeflateWrapping: Sendable {
  case raw
  case gzip
  case zlib

  fileprivate var windowBits: Int32 {
    switch self {
    case .raw: -15
    case .gzip: 31
    case .zlib: 15
    }
  }
}

/// What one step of a stream did.
package struct DeflateStep: Sendable {
  /// Bytes taken from the input.
  package var consumed: Int
  /// Bytes put into the output.
  package var produced: Int
  /// Whether the end of the stream was reached, its checksum included.
  package var isFinished: Bool
}

/// Decompresses one deflate stream piece by piece.
package struct InflateStream: ~Copyable {
  // zlib keeps a pointer to the structure, which therefore must not move.
  private let state: UnsafeMutablePointer<z_stream>

  package init(_ wrapping: DeflateWrapping) throws(Diagnostic) {
    state = .allocate(capacity: 1)
    state.initialize(to: z_stream())
    let status = inflateInit2_(state, wrapping.windowBits, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else {
      throw Diagnostic("zlib cannot start decompressing", found: "status \(status)")
    }
  }

  deinit {
    inflateEnd(state)
    state.deinitialize(count: 1)
    state.deallocate()
  }

  /// Starts over for another stream of the same wrapping.
  package mutating func reset() { inflateReset(state) }

  /// Decompresses as much of `input` as fits into `output`.
  ///
  /// A step that consumes and produces nothing means that more input is needed.
  package mutating func step(
    from input: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) throws(Diagnostic) -> DeflateStep {
    let inputCount = min(input.count, Int(Int32.max))
    let outputCount = min(output.count, Int(Int32.max))
    state.pointee.next_in = UnsafeMutablePointer(mutating: input.bindMemory(to: UInt8.self).baseAddress)
    state.pointee.avail_in = UInt32(inputCount)
    state.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
    state.pointee.avail_out = UInt32(outputCount)
    let status = inputCount == 0 ? Z_BUF_ERROR : inflate(state, Z_NO_FLUSH)
    guard status == Z_OK || status == Z_STREAM_END || status == Z_BUF_ERROR else {
      let message = state.pointee.msg.map { String(cString: $0) } ?? "zlib status \(status)"
      throw Diagnostic("compressed data are damaged", found: message)
    }
    return DeflateStep(
      consumed: inputCount - Int(state.pointee.avail_in),
      produced: outputCount - Int(state.pointee.avail_out),
      isFinished: status == Z_STREAM_END)
  }
}

/// Compresses one deflate stream piece by piece; the bytes depend on the input and the level alone.
package struct DeflateStream: ~Copyable {
  private let state: UnsafeMutablePointer<z_stream>
  private var scratch = [UInt8](repeating: 0, count: 1 << 16)

  package init(_ wrapping: DeflateWrapping, level: Int = 6) throws(Diagnostic) {
    state = .allocate(capacity: 1)
    state.initialize(to: z_stream())
    let status = deflateInit2_(
      state, Int32(level), Z_DEFLATED, wrapping.windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION,
      Int32(MemoryLayout<z_stream>.size))
    guard status == Z_OK else { throw Diagnostic("zlib cannot start compressing", found: "status \(status)") }
  }

  deinit {
    deflateEnd(state)
    state.deinitialize(count: 1)
    state.deallocate()
  }

  /// Compresses `input`, giving pieces of output to `emit`; `isLast` ends the stream.
  package mutating func write(
    _ input: UnsafeRawBufferPointer, isLast: Bool, emit: (UnsafeRawBufferPointer) throws -> Void
  ) throws {
    var rest = UnsafeRawBufferPointer(input)
    repeat {
      let piece = UnsafeRawBufferPointer(rebasing: rest.prefix(1 << 30))
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(piece.count))
      state.pointee.next_in = UnsafeMutablePointer(mutating: piece.bindMemory(to: UInt8.self).baseAddress)
      state.pointee.avail_in = UInt32(piece.count)
      let flush = isLast && rest.isEmpty ? Z_FINISH : Z_NO_FLUSH
      try drain(flush: flush, emit: emit)
    } while !rest.isEmpty
  }

  private mutating func drain(flush: Int32, emit: (UnsafeRawBufferPointer) throws -> Void) throws {
    let state = state
    while true {
      let (count, isFull) = scratch.withUnsafeMutableBufferPointer { buffer in
        state.pointee.next_out = buffer.baseAddress
        state.pointee.avail_out = UInt32(buffer.count)
        _ = deflate(state, flush)
        return (buffer.count - Int(state.pointee.avail_out), state.pointee.avail_out == 0)
      }
      if count > 0 {
        try scratch.withUnsafeBytes { try emit(UnsafeRawBufferPointer(rebasing: $0.prefix(count))) }
      }
      if !isFull { return }
    }
  }
}

/// The CRC-32 of gzip and zip, continued from `start`.
package func crc32Checksum(_ bytes: UnsafeRawBufferPointer, from start: UInt32 = 0) -> UInt32 {
  UInt32(truncatingIfNeeded: crc32_z(UInt(start), bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count))
}
