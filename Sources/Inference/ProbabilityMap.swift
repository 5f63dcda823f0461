// Class probabilities of a whole image, in a scratch file that the system pages in and out: classes times voxels
// do not have to fit into memory.

import Archives
package import Foundation
package import Reporting
package import Tensors

/// Probabilities of every class in the axis order of the case's file; they vanish with this object.
package final class ProbabilityMap {
  /// `[K, file axes]`.
  package let shape: [Int]
  private let values: UnsafeMutableBufferPointer<Float>

  /// A map of zeros over an unlinked file in `folder`.
  init(shape: [Int], folder: URL) throws(Diagnostic) {
    self.shape = shape
    let count = shape.reduce(1, *)
    let byteCount = max(1, count * MemoryLayout<Float>.stride)
    func fail() -> Diagnostic {
      Diagnostic(
        "cannot make room for the probabilities", at: folder.path,
        expected: "\(byteCount / 1_048_576) MiB in the folder for temporary files",
        found: String(cString: strerror(errno)), remedy: "free space there, or set TMPDIR to another folder")
    }
    let path = folder.appending(path: "lunette-probabilities-\(UUID().uuidString)").path
    let descriptor = open(path, O_RDWR | O_CREAT | O_EXCL, 0o600)
    guard descriptor >= 0 else { throw fail() }
    defer { close(descriptor) }
    unlink(path)
    // Room is claimed now, because a full disk under a mapping would be a signal instead of an error.
    guard posix_fallocate(descriptor, 0, off_t(byteCount)) == 0 else { throw fail() }
    guard let memory = mmap(nil, byteCount, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0),
      memory != UnsafeMutableRawPointer(bitPattern: -1)
    else { throw fail() }
    // SAFETY: the mapping is page aligned, spans `count` floats and lives until deinit.
    values = UnsafeMutableBufferPointer(
      start: memory.bindMemory(to: Float.self, capacity: count), count: count)
  }

  /// A map of given probabilities.
  package convenience init(
    _ array: NDArray<Float>, folder: URL = FileManager.default.temporaryDirectory
  ) throws(Diagnostic) {
    try self.init(shape: array.shape, folder: folder)
    _ = values.update(fromContentsOf: array.elements)
  }

  deinit { munmap(values.baseAddress, max(1, values.count * MemoryLayout<Float>.stride)) }

  /// Voxels of one class.
  package var voxelCount: Int { shape.dropFirst().reduce(1, *) }

  /// Lends all values in C order.
  package func withValues<R>(_ body: (UnsafeBufferPointer<Float>) throws -> R) rethrows -> R {
    try body(UnsafeBufferPointer(values))
  }

  /// The values as an array, for small images.
  package func array() -> NDArray<Float> { NDArray(shape: shape, elements: Array(values)) }

  /// Writes the compressed array `probabilities` of an npz file, as nnU-Net's ensembling reads it.
  package func write(to url: URL) throws {
    let header = npyHeader
    let pieceLength = 1 << 22
    try ZipWriter.write(to: url) { archive in
      try header.withUnsafeBytes { header in
        var pieces = [header]
        for start in stride(from: 0, to: values.count, by: pieceLength) {
          let piece = values[start..<min(values.count, start + pieceLength)]
          pieces.append(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: piece)))
        }
        try archive.add("probabilities.npy", pieces)
      }
    }
  }

  /// The opening of an npy file of little-endian floats with this shape, padded to 64 bytes.
  private var npyHeader: [UInt8] {
    let extents = shape.map(String.init).joined(separator: ", ")
    let text = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(extents)), }"
    let padding = 63 - (10 + text.utf8.count) % 64
    let dictionary = Array((text + String(repeating: " ", count: padding) + "\n").utf8)
    let length = dictionary.count
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(length & 0xFF), UInt8(length >> 8)] + dictionary
  }

  /// The values for writing; writers on several threads take disjoint voxels.
  var mutableValues: UnsafeMutableBufferPointer<Float> { values }
}
