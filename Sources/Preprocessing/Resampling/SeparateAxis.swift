// When a coarse axis is resampled apart from the fine ones.

import Planning

/// The axis that is resampled by nearest neighbour after each of its slices was resized, or `nil` for a joint resize.
///
/// The current spacing decides first, then the new one; two equally coarse axes mean a joint resize.
package func coarseAxis(
  current: [Double], new: [Double], force: Bool? = nil, threshold: Double = ResamplingSpec.anisotropyThreshold
) -> Int? {
  func isAnisotropic(_ spacing: [Double]) -> Bool {
    (spacing.max() ?? 1) / (spacing.min() ?? 1) > threshold
  }
  func coarsestAxis(_ spacing: [Double]) -> Int? {
    let coarsest = spacing.max() ?? 1
    let axes = spacing.indices.filter { coarsest / spacing[$0] == 1 }
    return axes.count == 1 ? axes[0] : nil
  }
  switch force {
  case true: return coarsestAxis(current)
  case false: return nil
  default:
    if isAnisotropic(current) { return coarsestAxis(current) }
    return isAnisotropic(new) ? coarsestAxis(new) : nil
  }
}

/// The size an image takes when its spacing changes; halves go to the even size.
package func resampledShape(_ shape: [Int], from current: [Double], to new: [Double]) -> [Int] {
  precondition(shape.count == current.count && shape.count == new.count)
  return shape.indices.map { Int((current[$0] / new[$0] * Double(shape[$0])).rounded(.toNearestOrEven)) }
}
