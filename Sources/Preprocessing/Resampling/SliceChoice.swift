// Which input slice becomes which output slice where a coarse axis is resampled apart.

/// How the nearest slice is found.
package enum SliceChoice: Sendable, Equatable {
  /// The nearest centre, halves upwards, in double precision.
  ///
  /// - Source: nnU-Net's resample_data_or_seg with order_z 0.
  case roundedHalfUp
  /// PyTorch's interpolation "nearest-exact", in single precision.
  case nearestExact

  /// The input slice for every output slice, rising.
  func indices(inputCount: Int, outputCount: Int) -> [Int] {
    switch self {
    case .roundedHalfUp: nearestIndices(inputCount: inputCount, outputCount: outputCount)
    case .nearestExact:
      (0..<outputCount).map { i in
        let ratio = Float(inputCount) / Float(outputCount)
        return min(Int(((Float(i) + 0.5) * ratio).rounded(.down)), inputCount - 1)
      }
    }
  }
}
