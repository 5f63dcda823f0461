// float16 arithmetic as the reference's accumulators do it, on spans of arrays. The loops themselves are C kernels.

import CKernels

/// Operations on float16 values that round once per operation, whatever the processor.
enum HalfArithmetic {
  /// The values rounded to float16.
  static func halves(_ values: [Float]) -> [Float16] {
    var result = [Float16](repeating: 0, count: values.count)
    values.withUnsafeBufferPointer { source in
      withBits(&result) { bits in
        if let source = source.baseAddress { nnk_half_from_float(source, bits, values.count) }
      }
    }
    return result
  }

  /// The values as floats.
  static func floats(_ halves: [Float16]) -> [Float] {
    var result = [Float](repeating: 0, count: halves.count)
    result.withUnsafeMutableBufferPointer { target in
      withBits(halves) { bits in
        if let target = target.baseAddress { nnk_half_to_float(bits, target, halves.count) }
      }
    }
    return result
  }

  /// Adds `addend` to `sums`, rounding once.
  static func add(_ addend: [Float16], to sums: inout [Float16]) {
    let count = min(sums.count, addend.count)
    withBits(&sums) { sums in withBits(addend) { nnk_half_accumulate(sums, $0, count) } }
  }

  /// Divides all values by one number, rounding once.
  static func divide(_ values: inout [Float16], by divisor: Float) {
    let count = values.count
    withBits(&values) { nnk_half_divide_by($0, divisor, count) }
  }

  /// Lends the bit patterns of an array to a kernel; does nothing for an empty array.
  static func withBits(_ values: [Float16], _ body: (UnsafePointer<UInt16>) -> Void) {
    values.withUnsafeBufferPointer { buffer in
      // SAFETY: Float16 and UInt16 have the same size and alignment, and the kernel stays within the array's count.
      buffer.withMemoryRebound(to: UInt16.self) { if let base = $0.baseAddress { body(base) } }
    }
  }

  /// Lends the bit patterns of an array to a kernel that changes them.
  static func withBits(_ values: inout [Float16], _ body: (UnsafeMutablePointer<UInt16>) -> Void) {
    values.withUnsafeMutableBufferPointer { buffer in
      // SAFETY: as above; the array is uniquely borrowed while the kernel runs.
      buffer.withMemoryRebound(to: UInt16.self) { if let base = $0.baseAddress { body(base) } }
    }
  }
}
