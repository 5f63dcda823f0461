// How two images of the same size lie to each other: rounding, a shift, a flipped axis, or really elsewhere.
// x y z header axes, mm world

import Foundation
package import Volumes

/// How the geometry of one file differs from another's.
package enum GeometryDifference: Sendable, Equatable {
  /// Equal with NumPy's tolerances.
  case none
  /// Voxels lie on each other; only digits differ.
  case floatNoise(millimeters: Double)
  /// The same axes, begun elsewhere (x, y, z).
  case shift(millimeters: [Double])
  /// The same axes, some of them the other way round.
  case flip(axes: [String])
  /// Distances between voxels differ (z, y, x).
  case spacing
  /// Axes point elsewhere.
  case rotation(degrees: Double)

  /// Voxels that lie closer than this share of a voxel lie on each other.
  private static let noiseFraction = 0.01
  /// Cosines that differ by less are the same direction.
  private static let cosineTolerance = 1e-3

  /// Compares two geometries of images of one shape.
  ///
  /// - Shape: `shape` is `[Z, Y, X]`.
  package init(_ a: ImageGeometry, _ b: ImageGeometry, shape: [Int]) {
    if areClose(a.spacing, b.spacing), areClose(a.origin, b.origin), areClose(a.direction, b.direction) {
      self = .none
      return
    }
    let size = [shape[2], shape[1], shape[0]]
    let displacement = (0..<8).map { corner -> Double in
      let index = (0..<3).map { axis -> Double in corner >> axis & 1 == 1 ? Double(size[axis] - 1) : 0 }
      return distance(a.world(index), b.world(index))
    }
    let largest = displacement.max() ?? 0
    let voxel = min(a.spacing.min() ?? 1, b.spacing.min() ?? 1)
    if largest <= Self.noiseFraction * voxel {
      self = .floatNoise(millimeters: largest)
      return
    }
    let isSameSpacing = zip(a.spacing, b.spacing).allSatisfy {
      abs($0 - $1) <= Self.cosineTolerance * max($0, $1)
    }
    guard isSameSpacing else {
      self = .spacing
      return
    }
    let cosines = (0..<3).map { axis -> Double in
      var sum = 0.0
      for row in 0..<3 { sum += a.direction[3 * row + axis] * b.direction[3 * row + axis] }
      return sum
    }
    if cosines.allSatisfy({ $0 > 1 - Self.cosineTolerance }) {
      self = .shift(millimeters: zip(a.origin, b.origin).map { $0 - $1 })
    } else if cosines.allSatisfy({ abs($0) > 1 - Self.cosineTolerance }) {
      self = .flip(axes: (0..<3).filter { cosines[$0] < 0 }.map { ["x", "y", "z"][$0] })
    } else {
      let least = min(max(cosines.min() ?? 1, -1), 1)
      self = .rotation(degrees: acos(least) * 180 / .pi)
    }
  }

  /// What is to be said, if anything.
  package var text: String? {
    func number(_ value: Double) -> String { "\((value * 1000).rounded() / 1000)" }
    switch self {
    case .none: return nil
    case .floatNoise(let millimeters):
      return "rounding: voxels lie within \(Float(millimeters)) mm of each other"
    case .shift(let offset):
      return "a shift by \(offset.map(number).joined(separator: ", ")) mm (x, y, z), axes and distances agree"
    case .flip(let axes): return "a flip: \(axes.joined(separator: " and ")) runs the other way round"
    case .spacing: return "a real difference: the distances between voxels"
    case .rotation(let degrees):
      return "a real difference: axes point up to \(number(degrees)) degrees elsewhere"
    }
  }
}

extension ImageGeometry {
  /// The world position of a voxel index x, y, z.
  fileprivate func world(_ index: [Double]) -> [Double] {
    var point = origin
    for row in 0..<3 {
      for axis in 0..<3 { point[row] += direction[3 * row + axis] * spacing[2 - axis] * index[axis] }
    }
    return point
  }

  /// The largest cosine between two of the axes; 0 for a rotation with or without a mirror.
  ///
  /// A skewed sform counts, also where a reader replaced it.
  package var skew: Double {
    var matrices = [direction]
    if let nifti, nifti.sformCode > 0, nifti.qformCode <= 0 {
      matrices.append((0..<9).map { nifti.srow[$0 / 3 * 4 + $0 % 3] })
    }
    return matrices.map(Self.skew).max() ?? 0
  }

  private static func skew(_ matrix: [Double]) -> Double {
    let columns = (0..<3).map { column in (0..<3).map { matrix[3 * $0 + column] } }
    func product(_ a: [Double], _ b: [Double]) -> Double { a[0] * b[0] + a[1] * b[1] + a[2] * b[2] }
    var largest = 0.0
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
      let lengths = (product(columns[a], columns[a]) * product(columns[b], columns[b])).squareRoot()
      if lengths > 0 { largest = max(largest, abs(product(columns[a], columns[b])) / lengths) }
    }
    return largest
  }
}

private func distance(_ a: [Double], _ b: [Double]) -> Double {
  zip(a, b).reduce(0) { $0 + ($1.0 - $1.1) * ($1.0 - $1.1) }.squareRoot()
}
