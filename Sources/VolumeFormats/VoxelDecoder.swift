// Stored voxels of any type and byte order to single precision.

import Foundation

/// Reads `count` voxels from `bytes`, which hold them from `offset` on.
struct VoxelDecoder {
  let bytes: [UInt8]
  let offset: Int
  let count: Int
  let isSwapped: Bool

  func integers<T: FixedWidthInteger>(_ type: T.Type) -> [Float] {
    let size = MemoryLayout<T>.size
    return fill { source, i in
      let value = source.loadUnaligned(fromByteOffset: i &* size, as: T.self)
      return Float(isSwapped ? value.byteSwapped : value)
    }
  }

  func singles() -> [Float] {
    fill { source, i in
      let value = source.loadUnaligned(fromByteOffset: i &* 4, as: UInt32.self)
      return Float(bitPattern: isSwapped ? value.byteSwapped : value)
    }
  }

  func doubles(slope: Double, intercept: Double) -> [Float] {
    fill { source, i in
      let value = source.loadUnaligned(fromByteOffset: i &* 8, as: UInt64.self)
      return Float(Double(bitPattern: isSwapped ? value.byteSwapped : value) * slope + intercept)
    }
  }

  @inline(__always)
  private func fill(_ read: (UnsafeRawPointer, Int) -> Float) -> [Float] {
    precondition(offset >= 0 && bytes.count - offset >= count, "voxels outside the bytes")
    return [Float](unsafeUninitializedCapacity: count) { target, initializedCount in
      bytes.withUnsafeBytes { buffer in
        guard count > 0, let base = buffer.baseAddress, let output = target.baseAddress else { return }
        let source = base + offset
        for i in 0..<count { (output + i).initialize(to: read(source, i)) }
        initializedCount = count
      }
    }
  }
}
