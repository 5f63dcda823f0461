// Distances between the surfaces of a target in a reference and a prediction, and what is measured with them.

package import Datasets
import Synchronization
package import Tensors

/// A piece of surface and how far it is from the other surface.
struct SurfaceElement: Sendable, Comparable {
  /// Millimetres.
  var distance: Double
  /// Square millimetres; millimetres of a contour.
  var area: Double

  static func < (a: SurfaceElement, b: SurfaceElement) -> Bool {
    (a.distance, a.area) < (b.distance, b.area)
  }
}

/// The distances of every surface element of one target to the other file's surface.
///
/// Surfaces are those of `surface-distance` (DeepMind): elements lie in the cells between 2 × 2 × 2 voxels, with the
/// area that marching cubes gives them in millimetres, and a distance is that between the centres of two cells. A target
/// that touches the border of the image ends there, with a surface. One slice alone has contours in place of surfaces.
///
/// - Complexity: O(box) in time; six bytes per voxel of the box around the target in both files.
/// - Source: Nikolov et al., Deep learning to achieve clinically applicable segmentation of head and neck anatomy for
///   radiotherapy, 2018.
package struct SurfaceDistances: Sendable {
  /// Sorted by distance.
  let reference: [SurfaceElement]
  let prediction: [SurfaceElement]

  /// The target's share of surface that is close enough to the other surface, of both surfaces together.
  ///
  /// If the target is in only one of the files, 0: none of its surface is near. If it is in neither, not a number, as its
  /// Dice: there is nothing that could be right or wrong, and the case does not enter the mean.
  package func surfaceDice(toleranceMillimeters: Double) -> Double {
    let elements = [reference, prediction]
    let near = elements.reduce(0) { sum, side in
      sum + pairwiseSum(side.prefix { $0.distance <= toleranceMillimeters }.map(\.area)[...])
    }
    return near / elements.reduce(0) { $0 + pairwiseSum($1.map(\.area)[...]) }
  }

  /// The distance in millimetres below which a share of the surface is, of the side where it is larger.
  ///
  /// If the target is in only one of the files, infinite: no finite distance would cover it, and a made-up one would
  /// let a missed target look like a near one. If it is in neither, not a number, as its Dice.
  package func hausdorff(percentile: Double) -> Double {
    if reference.isEmpty, prediction.isEmpty { return .nan }
    return max(Self.distance(reference, percentile), Self.distance(prediction, percentile))
  }

  private static func distance(_ elements: [SurfaceElement], _ percentile: Double) -> Double {
    guard let last = elements.last else { return .infinity }
    // Sums in NumPy's order: at a share of exactly 95 % the last bit decides.
    let total = pairwiseSum(elements.map(\.area)[...])
    var covered = 0.0
    for element in elements {
      covered += element.area
      if covered / total >= percentile / 100 { return element.distance }
    }
    return last.distance
  }
}

extension SurfaceDistances {
  /// Measures every target in two label maps of the same size.
  ///
  /// Voxels whose reference is the ignore label are taken out of both, as for the counts.
  /// - Parameter spacing: millimetres along z, y, x.
  /// - Shape: both maps `[Z, Y, X]`; where an extent is 1, the map is taken as a plane.
  package static func measure(
    _ targets: [LabelValue], reference: NDArray<Int16>, prediction: NDArray<Int16>, spacing: [Double],
    ignoreLabel: Int? = nil
  ) -> [SurfaceDistances] {
    precondition(reference.shape == prediction.shape, "\(reference.shape) against \(prediction.shape)")
    let (axes, isContour) = Self.axes(of: reference.shape)
    let shape = axes.map { reference.shape[$0] }
    let spacing = axes.map { spacing[$0] }
    let (reference, prediction) = (reference.reshaped(shape), prediction.reshaped(shape))
    let table = SurfaceElementTable(spacing: isContour ? Array(spacing[1...]) : spacing)
    let boxes = TargetBoxes(reference: reference, prediction: prediction, ignoreLabel: ignoreLabel)
    return targets.map { target in
      guard let box = boxes.box(of: target) else { return SurfaceDistances(reference: [], prediction: []) }
      let isInside = LabelTable(target)
      let isIgnored = ignoreLabel.map { LabelTable(.label($0)) }
      func cells(_ map: [Int16]) -> SurfaceCells {
        map.withUnsafeBufferPointer { map in
          reference.elements.withUnsafeBufferPointer { reference in
            SurfaceCells(box: box, shape: shape, isContour: isContour, table: table) { offset in
              isInside[map[offset]] && !(isIgnored?[reference[offset]] ?? false)
            }
          }
        }
      }
      let sides = [cells(reference.elements), cells(prediction.elements)]
      return SurfaceDistances(
        reference: elements(of: sides[0], to: sides[1], spacing: spacing, table: table),
        prediction: elements(of: sides[1], to: sides[0], spacing: spacing, table: table))
    }
  }

  /// The axes with the one of extent 1, if any, put first, and whether there is one.
  private static func axes(of shape: [Int]) -> (axes: [Int], isContour: Bool) {
    guard let flat = shape.firstIndex(of: 1) else { return ([0, 1, 2], false) }
    return ([flat] + [0, 1, 2].filter { $0 != flat }, true)
  }

  /// The elements of one surface with their distances to another.
  private static func elements(
    of cells: SurfaceCells, to others: SurfaceCells, spacing: [Double], table: SurfaceElementTable
  ) -> [SurfaceElement] {
    let planes = (0..<cells.depth).filter { cells.hasSurface[$0] }
    let transform = SurfaceDistanceTransform(others, spacing: spacing, table: table)
    let found = Mutex<[[SurfaceElement]]>(Array(repeating: [], count: planes.count))
    parallelFor(planes.count) { index in
      let elements = elements(ofPlane: planes[index], of: cells, to: transform, table: table)
      found.withLock { $0[index] = elements }
    }
    return found.withLock { $0.flatMap(\.self) }.sorted()
  }

  private static func elements(
    ofPlane plane: Int, of cells: SurfaceCells, to transform: SurfaceDistanceTransform,
    table: SurfaceElementTable
  ) -> [SurfaceElement] {
    var elements: [SurfaceElement] = []
    cells.codes.withUnsafeBufferPointer { codes in
      let start = plane * cells.height * cells.width
      func row(_ y: Int) -> UnsafeBufferPointer<UInt8> {
        UnsafeBufferPointer(rebasing: codes[start + y * cells.width..<start + (y + 1) * cells.width])
      }
      let rows = (0..<cells.height).filter { y in row(y).contains { table.isSurface($0) } }
      transform.squaredDistances(plane: plane, rows: rows) { y, squared in
        let codes = row(y)
        for x in 0..<codes.count where table.isSurface(codes[x]) {
          elements.append(
            SurfaceElement(distance: squared[x].squareRoot(), area: table.areas[Int(codes[x])]))
        }
      }
    }
    return elements
  }
}

/// Which of all 16-bit labels belong to a target.
private struct LabelTable {
  private var isMember = [Bool](repeating: false, count: 1 << 16)

  init(_ target: LabelValue) {
    for label in target.labels {
      if let label = Int16(exactly: label) { isMember[Int(UInt16(bitPattern: label))] = true }
    }
  }

  subscript(label: Int16) -> Bool { isMember[Int(UInt16(bitPattern: label))] }
}
