// Test-time mirroring: a tile is predicted in every mirrored form, and the logits are averaged.

import Reporting
package import Tensors

/// Averages a network's logits over all mirrored forms of a tile.
package struct MirrorAveraging: Sendable, Equatable {
  /// The sets of spatial axes to flip, the unflipped tile first, then single axes, pairs and the triple.
  package let flips: [[Int]]

  /// Averaging over every subset of `axes`; `nil` or none leaves the tile as it is.
  package init(axes: [Int]?) {
    let axes = axes ?? []
    var flips: [[Int]] = [[]]
    for size in stride(from: 1, through: axes.count, by: 1) {
      flips += Self.combinations(of: axes, size: size)
    }
    self.flips = flips
  }

  /// The mean of the logits over all flips.
  ///
  /// - Shape: tiles `[N, C, (Z,) Y, X]`, result `[N, K, (Z,) Y, X]`
  package func predict(_ tiles: NDArray<Float>, with model: any TilePredictor) throws -> NDArray<Float> {
    let rank = tiles.shape.count - 2
    if let axis = flips.joined().first(where: { $0 < 0 || $0 >= rank }) {
      throw Diagnostic(
        "a mirror axis does not exist", expected: "axes from 0 to \(rank - 1)", found: "axis \(axis)",
        remedy: "check the mirroring axes stored with the model")
    }
    var sum = try model.predict(tiles)
    for flip in flips.dropFirst() {
      let axes = flip.map { $0 + 2 }
      let mirrored = try model.predict(tiles.flipped(axes)).flipped(axes)
      sum.elements.withUnsafeMutableBufferPointer { sum in
        mirrored.elements.withUnsafeBufferPointer { mirrored in
          for i in 0..<min(sum.count, mirrored.count) { sum[i] += mirrored[i] }
        }
      }
    }
    if flips.count > 1 {
      let divisor = Float(flips.count)
      sum.elements.withUnsafeMutableBufferPointer { sum in
        for i in 0..<sum.count { sum[i] /= divisor }
      }
    }
    return sum
  }

  /// All choices of `size` of the values, in the values' order.
  private static func combinations(of values: [Int], size: Int) -> [[Int]] {
    if size == 0 { return [[]] }
    return values.indices.flatMap { first in
      combinations(of: Array(values[(first + 1)...]), size: size - 1).map { [values[first]] + $0 }
    }
  }
}

extension NDArray {
  /// The array with the order along some axes reversed.
  func flipped(_ axes: [Int]) -> NDArray {
    guard !axes.isEmpty, let width = shape.last, count > 0 else { return self }
    let flipsRows = axes.contains(shape.count - 1)
    let outer = Array(shape.dropLast())
    let steps = rowMajorStrides(of: outer)
    let flippedOuter = outer.indices.filter { axes.contains($0) }
    var result: [Element] = []
    result.reserveCapacity(count)
    elements.withUnsafeBufferPointer { elements in
      for row in 0..<(count / width) {
        var source = row
        for axis in flippedOuter {
          let index = row / steps[axis] % outer[axis]
          source += (outer[axis] - 1 - 2 * index) * steps[axis]
        }
        let rowElements = elements[(source * width)..<((source + 1) * width)]
        if flipsRows {
          result.append(contentsOf: rowElements.reversed())
        } else {
          result.append(contentsOf: rowElements)
        }
      }
    }
    return NDArray(shape: shape, elements: result)
  }
}
