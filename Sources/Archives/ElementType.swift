// Element types that files of arrays share, and their conversion to the types that this program computes with.

package import Reporting

/// The type of an array's elements in a file.
package enum ElementType: String, Sendable, CaseIterable {
  case bool
  case uint8
  case int8
  case uint16
  case int16
  case uint32
  case int32
  case uint64
  case int64
  case float16
  case bfloat16
  case float32
  case float64

  package var byteCount: Int {
    switch self {
    case .bool, .uint8, .int8: 1
    case .uint16, .int16, .float16, .bfloat16: 2
    case .uint32, .int32, .float32: 4
    case .uint64, .int64, .float64: 8
    }
  }

  package var isInteger: Bool {
    switch self {
    case .float16, .bfloat16, .float32, .float64: false
    default: true
    }
  }
}

/// Elements as a file stores them: little endian, C order, not necessarily aligned.
package struct ElementReader {
  package let type: ElementType
  package let bytes: UnsafeRawBufferPointer
  package let count: Int

  /// `bytes` must hold at least `count` elements.
  package init(_ type: ElementType, _ bytes: UnsafeRawBufferPointer, count: Int) {
    precondition(
      count >= 0 && bytes.count / type.byteCount >= count, "\(bytes.count) bytes hold no \(count) elements")
    self.type = type
    self.bytes = bytes
    self.count = count
  }

  /// The elements in single precision; integers beyond 24 bits and doubles are rounded.
  package func floats() -> [Float] {
    switch type {
    case .bool, .uint8: fill { Float($0.loadUnaligned(fromByteOffset: $1, as: UInt8.self)) }
    case .int8: fill { Float($0.loadUnaligned(fromByteOffset: $1, as: Int8.self)) }
    case .uint16:
      fill { Float(UInt16(littleEndian: $0.loadUnaligned(fromByteOffset: $1 &* 2, as: UInt16.self))) }
    case .int16:
      fill { Float(Int16(littleEndian: $0.loadUnaligned(fromByteOffset: $1 &* 2, as: Int16.self))) }
    case .uint32:
      fill { Float(UInt32(littleEndian: $0.loadUnaligned(fromByteOffset: $1 &* 4, as: UInt32.self))) }
    case .int32:
      fill { Float(Int32(littleEndian: $0.loadUnaligned(fromByteOffset: $1 &* 4, as: Int32.self))) }
    case .uint64:
      fill { Float(UInt64(littleEndian: $0.loadUnaligned(fromByteOffset: $1 &* 8, as: UInt64.self))) }
    case .int64:
      fill { Float(Int64(littleEndian: $0.loadUnaligned(fromByteOffset: $1 &* 8, as: Int64.self))) }
    case .float16:
      fill { Float(Float16(bitPattern: $0.loadUnaligned(fromByteOffset: $1 &* 2, as: UInt16.self))) }
    case .bfloat16:
      fill { Float(bitPattern: UInt32($0.loadUnaligned(fromByteOffset: $1 &* 2, as: UInt16.self)) << 16) }
    case .float32: fill { Float(bitPattern: $0.loadUnaligned(fromByteOffset: $1 &* 4, as: UInt32.self)) }
    case .float64:
      fill { Float(Double(bitPattern: $0.loadUnaligned(fromByteOffset: $1 &* 8, as: UInt64.self))) }
    }
  }

  /// The elements in double precision.
  package func doubles() -> [Double] {
    switch type {
    case .float64: fill { Double(bitPattern: $0.loadUnaligned(fromByteOffset: $1 &* 8, as: UInt64.self)) }
    case .uint64: fill { Double($0.loadUnaligned(fromByteOffset: $1 &* 8, as: UInt64.self)) }
    case .int64: fill { Double($0.loadUnaligned(fromByteOffset: $1 &* 8, as: Int64.self)) }
    case .uint32: fill { Double($0.loadUnaligned(fromByteOffset: $1 &* 4, as: UInt32.self)) }
    case .int32: fill { Double($0.loadUnaligned(fromByteOffset: $1 &* 4, as: Int32.self)) }
    default: floats().map(Double.init)
    }
  }

  /// The elements as integers; a fraction or a value out of range is an error that names its place.
  package func integers<T: FixedWidthInteger>(_: T.Type, source: String) throws(Diagnostic) -> [T] {
    var badIndex: Int?
    func exact<U: FixedWidthInteger>(_: U.Type) -> [T] {
      let size = MemoryLayout<U>.size
      return fill { base, i in
        let value = U(littleEndian: base.loadUnaligned(fromByteOffset: i &* size, as: U.self))
        if let result = T(exactly: value) { return result }
        badIndex = badIndex ?? i
        return 0
      }
    }
    let result: [T]
    switch type {
    case .bool, .uint8: result = exact(UInt8.self)
    case .int8: result = exact(Int8.self)
    case .uint16: result = exact(UInt16.self)
    case .int16: result = exact(Int16.self)
    case .uint32: result = exact(UInt32.self)
    case .int32: result = exact(Int32.self)
    case .uint64: result = exact(UInt64.self)
    case .int64: result = exact(Int64.self)
    case .float16, .bfloat16, .float32, .float64:
      result = doubles().enumerated().map { i, value in
        if let result = T(exactly: value) { return result }
        badIndex = badIndex ?? i
        return 0
      }
    }
    guard let badIndex else { return result }
    throw Diagnostic(
      "an array holds values that are no integers of \(T.bitWidth) bits", at: source,
      expected: "whole numbers from \(T.min) to \(T.max)", found: "another value at element \(badIndex)")
  }

  @inline(__always)
  private func fill<T>(_ read: (UnsafeRawPointer, Int) -> T) -> [T] {
    [T](unsafeUninitializedCapacity: count) { target, initializedCount in
      guard count > 0, let source = bytes.baseAddress, let output = target.baseAddress else { return }
      for i in 0..<count { (output + i).initialize(to: read(source, i)) }
      initializedCount = count
    }
  }
}

/// An element type of Swift that files can hold.
package protocol FileElement: Sendable, BitwiseCopyable {
  static var elementType: ElementType { get }
}

extension Float: FileElement { package static var elementType: ElementType { .float32 } }
extension Double: FileElement { package static var elementType: ElementType { .float64 } }
extension Float16: FileElement { package static var elementType: ElementType { .float16 } }
extension UInt8: FileElement { package static var elementType: ElementType { .uint8 } }
extension Int8: FileElement { package static var elementType: ElementType { .int8 } }
extension UInt16: FileElement { package static var elementType: ElementType { .uint16 } }
extension Int16: FileElement { package static var elementType: ElementType { .int16 } }
extension UInt32: FileElement { package static var elementType: ElementType { .uint32 } }
extension Int32: FileElement { package static var elementType: ElementType { .int32 } }
extension UInt64: FileElement { package static var elementType: ElementType { .uint64 } }
extension Int64: FileElement { package static var elementType: ElementType { .int64 } }

/// The product of extents, or nil if one is negative or the product does not fit.
package func checkedElementCount(_ shape: [Int]) -> Int? {
  var count = 1
  for extent in shape {
    let (product, overflow) = count.multipliedReportingOverflow(by: extent)
    if extent < 0 || overflow { return nil }
    count = product
  }
  return count
}
