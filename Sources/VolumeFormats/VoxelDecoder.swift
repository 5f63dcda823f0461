// Stored voxels of any type and byte order to single precision, channels first.

import Archives
import Foundation
import Tensors

/// Reads `count` voxels from `bytes`, which hold them from `offset` on.
struct VoxelDecoder {
  let bytes: [UInt8]
  let offset: Int
  let count: Int
  let isSwapped: Bool

  func decode(_ type: ElementType) -> [Float] {
    switch type {
    case .bool, .uint8: integers(UInt8.self)
    case .int8: integers(Int8.self)
    case .int16: integers(Int16.self)
    case .uint16: integers(UInt16.self)
    case .int32: integers(Int32.self)
    case .uint32: integers(UInt32.self)
    case .int64: integers(Int64.self)
    case .uint64: integers(UInt64.self)
    case .float16:
      words { Float(Float16(bitPattern: $0)) }
    case .bfloat16:
      words { Float(bitPattern: UInt32($0) << 16) }
    case .float32: singles()
    case .float64: doubles(slope: 1, intercept: 0)
    }
  }

  func integers<T: FixedWidthInteger>(_ type: T.Type) -> [Float] {
    let size = MemoryLayout<T>.size
    return fill(size) { source, i in
      let value = source.loadUnaligned(fromByteOffset: i &* size, as: T.self)
      return Float(isSwapped ? value.byteSwapped : value)
    }
  }

  private func words(_ convert: (UInt16) -> Float) -> [Float] {
    fill(2) { source, i in
      let value = source.loadUnaligned(fromByteOffset: i &* 2, as: UInt16.self)
      return convert(isSwapped ? value.byteSwapped : value)
    }
  }

  func singles() -> [Float] {
    fill(4) { source, i in
      let value = source.loadUnaligned(fromByteOffset: i &* 4, as: UInt32.self)
      return Float(bitPattern: isSwapped ? value.byteSwapped : value)
    }
  }

  func doubles(slope: Double, intercept: Double) -> [Float] {
    fill(8) { source, i in
      let value = source.loadUnaligned(fromByteOffset: i &* 8, as: UInt64.self)
      return Float(Double(bitPattern: isSwapped ? value.byteSwapped : value) * slope + intercept)
    }
  }

  @inline(__always)
  private func fill(_ size: Int, _ read: (UnsafeRawPointer, Int) -> Float) -> [Float] {
    precondition(offset >= 0 && (bytes.count - offset) / size >= count, "voxels outside the bytes")
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

/// Values that lie channel by channel for every voxel, as one image after the other.
func channelsFirst(_ values: [Float], channelCount: Int) -> [Float] {
  guard channelCount > 1 else { return values }
  let voxelCount = values.count / channelCount
  return [Float](unsafeUninitializedCapacity: values.count) { target, initializedCount in
    values.withUnsafeBufferPointer { source in
      guard let output = target.baseAddress else { return }
      for channel in 0..<channelCount {
        for i in 0..<voxelCount {
          (output + (channel &* voxelCount &+ i)).initialize(to: source[i &* channelCount &+ channel])
        }
      }
      initializedCount = voxelCount * channelCount
    }
  }
}
