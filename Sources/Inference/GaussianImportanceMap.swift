// How much each voxel of a tile counts: much at the centre, little at the border.

import Foundation
package import Tensors

/// The weight of each position of a tile, a Gaussian of an eighth of the tile's extent with its peak at 10.
package struct GaussianImportanceMap: Sendable {
  /// Weights rounded to float16; positions that rounding took to zero have the smallest weight that is left.
  package let weights: NDArray<Float16>

  /// The map of a tile; `sigmaFraction` is the standard deviation in tile extents.
  package init(tileShape: [Int], sigmaFraction: Double = 0.125, peak: Double = 10) {
    let profiles = tileShape.map { Self.profile(extent: $0, sigma: Double($0) * sigmaFraction) }
    var values: [Double] = [1]
    for profile in profiles {
      values = values.flatMap { outer in profile.map { outer * $0 } }
    }
    let scale = (values.max() ?? 1) / peak
    var halves = values.map { Float16(Float($0 / scale)) }
    let smallest = halves.filter { $0 > 0 }.min() ?? 1
    for i in halves.indices where halves[i] == 0 { halves[i] = smallest }
    weights = NDArray(shape: tileShape, elements: halves)
  }

  /// The weight 1 everywhere, for a plain average of tiles.
  package init(uniform tileShape: [Int]) {
    weights = NDArray(shape: tileShape, repeating: 1)
  }

  /// A truncated, normalised Gaussian around position `extent / 2`, zero beyond four deviations.
  private static func profile(extent: Int, sigma: Double) -> [Double] {
    let radius = Int(4 * sigma + 0.5)
    let taps = (-radius...radius).map { exp(-0.5 / (sigma * sigma) * Double($0 * $0)) }
    let sum = taps.reduce(0, +)
    return (0..<extent).map { position in
      let offset = position - extent / 2
      return abs(offset) <= radius ? taps[offset + radius] / sum : 0
    }
  }
}
