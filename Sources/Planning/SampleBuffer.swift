// Memory for the fingerprint's samples: in RAM, or in an unlinked file where RAM would not do.

import Foundation
import Reporting

/// A large block of floats, freed with its owner.
final class SampleBuffer: Sendable {
  // SAFETY: parallel writers take different parts.
  nonisolated(unsafe) let samples: UnsafeMutableBufferPointer<Float>
  private let byteCount: Int

  /// Takes memory; more than half of the machine's is backed by a file in the temporary folder.
  init(count: Int) throws {
    byteCount = max(count, 1) * MemoryLayout<Float>.stride
    var file: Int32 = -1
    var flags = MAP_PRIVATE | MAP_ANONYMOUS
    if UInt64(byteCount) > ProcessInfo.processInfo.physicalMemory / 2 {
      file = try Self.unlinkedFile(byteCount: byteCount)
      flags = MAP_SHARED
    }
    let address = mmap(nil, byteCount, PROT_READ | PROT_WRITE, flags, file, 0)
    if file >= 0 { close(file) }
    guard let address, address != MAP_FAILED else {
      throw Diagnostic(
        "there is not enough memory for the fingerprint's samples", expected: "\(byteCount >> 20) MiB",
        found: String(cString: strerror(errno)), remedy: "free memory, or use fewer channels")
    }
    let floats = address.bindMemory(to: Float.self, capacity: max(count, 1))
    samples = UnsafeMutableBufferPointer(start: floats, count: count)
  }

  /// One of `count` equal parts.
  func part(_ index: Int, of count: Int) -> UnsafeMutableBufferPointer<Float> {
    let size = samples.count / count
    return UnsafeMutableBufferPointer(rebasing: samples[index * size..<(index + 1) * size])
  }

  deinit { munmap(samples.baseAddress, byteCount) }

  private static func unlinkedFile(byteCount: Int) throws -> Int32 {
    let folder = FileManager.default.temporaryDirectory
    let url = folder.appending(path: "lunette-samples-\(UUID().uuidString)")
    let file = open(url.path, O_RDWR | O_CREAT | O_EXCL, 0o600)
    guard file >= 0, unlink(url.path) == 0, ftruncate(file, off_t(byteCount)) == 0 else {
      let reason = String(cString: strerror(errno))
      if file >= 0 { close(file) }
      throw Diagnostic(
        "cannot make a temporary file for the fingerprint's samples", at: folder.path,
        expected: "\(byteCount >> 20) MiB of space", found: reason,
        remedy: "set TMPDIR to a folder with space")
    }
    return file
  }
}
