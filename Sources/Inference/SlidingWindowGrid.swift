// Where tiles lie in an image. Coordinates count in the image after centred padding to at least one tile.

package import Reporting

/// The tiles of a sliding window over one image, with the padding they need.
///
/// A two-dimensional tile walks every slice of axis 0 by itself; it then appears as a tile one slice thick.
package struct SlidingWindowGrid: Sendable, Equatable {
  /// Extents of the image before padding: z, y, x.
  package let imageShape: [Int]
  /// Extents of one tile as z, y, x; 1 along z for two-dimensional tiles.
  package let tileShape: [Int]
  /// Extents after padding.
  package let paddedShape: [Int]
  /// Padding before the first voxel of each axis.
  package let paddingBefore: [Int]
  /// First positions of the tiles along each axis.
  package let starts: [[Int]]
  /// Whether tiles go to the network without their first axis.
  package let isTwoDimensional: Bool

  /// Lays tiles of two or three axes over an image of three, at most `stepFraction` of a tile apart.
  package init(imageShape: [Int], tileShape: [Int], stepFraction: Double = 0.5) throws(Diagnostic) {
    guard stepFraction > 0, stepFraction <= 1 else {
      throw Diagnostic(
        "the tile step is not usable", expected: "a fraction of a tile above 0 and at most 1",
        found: "\(stepFraction)", remedy: "leave it at its default of 0.5")
    }
    guard imageShape.count == 3, [2, 3].contains(tileShape.count), imageShape.allSatisfy({ $0 > 0 }),
      tileShape.allSatisfy({ $0 > 0 })
    else {
      throw Diagnostic(
        "tiles cannot be laid over the image", expected: "an image of three axes and tiles of two or three",
        found: "image \(imageShape), tile \(tileShape)",
        remedy: "check the configuration's patch_size in the plans")
    }
    isTwoDimensional = tileShape.count == 2
    let tile = isTwoDimensional ? [1] + tileShape : tileShape
    let padded = zip(imageShape, tile).map { max($0, $1) }
    self.imageShape = imageShape
    self.tileShape = tile
    paddedShape = padded
    paddingBefore = zip(imageShape, padded).map { ($1 - $0) / 2 }
    let isFlat = isTwoDimensional
    starts = (0..<3).map { axis in
      if isFlat, axis == 0 { return Array(0..<padded[0]) }
      return Self.starts(extent: padded[axis], tileExtent: tile[axis], stepFraction: stepFraction)
    }
  }

  package var tileCount: Int { starts.reduce(1) { $0 * $1.count } }

  /// Tile positions along one axis: as few as the step allows, spread evenly, halves rounded to even.
  package static func starts(extent: Int, tileExtent: Int, stepFraction: Double) -> [Int] {
    let span = extent - tileExtent
    let count = Int((Double(span) / (Double(tileExtent) * stepFraction)).rounded(.up)) + 1
    guard count > 1 else { return [0] }
    let step = Double(span) / Double(count - 1)
    return (0..<count).map { Int((step * Double($0)).rounded(.toNearestOrEven)) }
  }
}
