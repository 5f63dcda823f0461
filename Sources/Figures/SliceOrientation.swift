// How slices are turned so that anatomy stands as radiologists look at it: front and head up, the patient's right at
// the left. World axes are L, P, S.

package import Volumes

/// Which axes of an array run down and across a slice, and which way.
package struct SliceOrientation: Sendable, Equatable {
  package let rowAxis: Int
  package let columnAxis: Int
  /// Whether rows are drawn from the last to the first, and columns.
  package let isRowFlipped: Bool
  package let isColumnFlipped: Bool
  /// `axial`, `coronal` or `sagittal` where the patient's axes are known, else the array's axis.
  package let name: String
  /// The patient's sides at the left, right, upper and lower edge, where they are known.
  package let sides: [String]?

  /// The orientation of slices across an axis of the array.
  package init(geometry: ImageGeometry, acrossAxis axis: Int) {
    guard geometry.isAnatomical else {
      rowAxis = axis == 0 ? 1 : 0
      columnAxis = axis == 2 ? 1 : 2
      (isRowFlipped, isColumnFlipped) = (false, false)
      name = geometry.axisCount == 2 ? "picture" : "across \(["z", "y", "x"][axis])"
      sides = nil
      return
    }
    let patient = PatientAxes(geometry)
    let (down, right): (World, World) =
      switch patient.world[axis] {
      case .superior: (.posterior, .left)
      case .posterior: (.superior, .left)
      case .left: (.superior, .posterior)
      }
    rowAxis = patient.array(down)
    columnAxis = patient.array(right)
    // Heads are up: the superior axis runs against the rows.
    isRowFlipped = patient.runsAlong[rowAxis] == (down == .superior)
    isColumnFlipped = !patient.runsAlong[columnAxis]
    name = patient.world[axis].planeName
    sides =
      (right == .left ? ["R", "L"] : ["A", "P"]) + (down == .superior ? ["S", "I"] : ["A", "P"])
  }

  /// The axis of the array across which slices have a name: `axial`, `coronal`, `sagittal`, `z`, `y` or `x`.
  package static func axis(named name: String, of geometry: ImageGeometry) -> Int? {
    if let axis = ["z", "y", "x"].firstIndex(of: name) { return axis }
    guard let world = World.allCases.first(where: { $0.planeName == name }) else { return nil }
    return geometry.isAnatomical ? PatientAxes(geometry).array(world) : 2 - world.rawValue
  }
}

/// The axes of the world in the order of geometries.
private enum World: Int, CaseIterable {
  case left, posterior, superior

  var planeName: String { ["sagittal", "coronal", "axial"][rawValue] }
}

/// Which axis of the patient each axis of an array runs along most nearly.
private struct PatientAxes {
  let world: [World]
  /// Whether the array's axis runs towards left, posterior or superior, and not against it.
  let runsAlong: [Bool]

  init(_ geometry: ImageGeometry) {
    // Column `2 - axis` of the matrix is the direction of an array's axis.
    func cosine(_ world: Int, _ axis: Int) -> Double { geometry.direction[3 * world + 2 - axis] }
    let orders = [[2, 1, 0], [2, 0, 1], [1, 2, 0], [1, 0, 2], [0, 1, 2], [0, 2, 1]]
    func fit(_ order: [Int]) -> Double { (0..<3).reduce(0) { $0 + abs(cosine(order[$1], $1)) } }
    let best = orders.dropFirst().reduce(orders[0]) { fit($1) > fit($0) + 1e-9 ? $1 : $0 }
    world = best.map { World(rawValue: $0) ?? .left }
    runsAlong = (0..<3).map { cosine(best[$0], $0) >= 0 }
  }

  func array(_ wanted: World) -> Int { world.firstIndex(of: wanted) ?? 0 }
}

extension ImageGeometry {
  /// Whether the image says where it lies in a patient; pictures and stacks of pictures do not.
  fileprivate var isAnatomical: Bool {
    let isPlaced =
      nifti != nil || direction != [1, 0, 0, 0, 1, 0, 0, 0, 1] || origin.contains { $0 != 0 }
    return axisCount == 3 && isPlaced
  }
}
