// Connected components of a mask, found over runs of voxels: which of them are the largest.
// Z Y X array axes (slowest first)

package import Tensors

/// The parts of a mask that hang together, diagonal neighbours included (26 in three dimensions, 8 in a plane).
///
/// - Source: the components that nnU-Net's postprocessing counts.
package struct ComponentFilter {
  /// Voxels `start..<end` of one row.
  private struct Run {
    var start: Int32
    var end: Int32
  }

  private var runs: [Run] = []
  /// The first run of every row, rows counted `z * height + y`; one entry more at the end.
  private var firstRun: [Int] = [0]
  private var parents: [Int32] = []
  private var sizes: [Int] = []
  private let shape: [Int]

  /// Finds the components of the voxels whose label is in `labels`.
  ///
  /// - Shape: map `[Z, Y, X]`
  package init(of labels: Set<Int>, in map: NDArray<Int16>) {
    precondition(map.shape.count == 3, "a label map has three axes, not \(map.shape)")
    shape = map.shape
    let isMember = MembershipTable(labels)
    let (depth, height, width) = (shape[0], shape[1], shape[2])
    map.elements.withUnsafeBufferPointer { voxels in
      for row in 0..<(depth * height) {
        appendRuns(UnsafeBufferPointer(rebasing: voxels[(row * width)..<((row + 1) * width)]), isMember)
        let (z, y) = (row / height, row % height)
        if y > 0 { join(row, with: row - 1) }
        guard z > 0 else { continue }
        for other in max(0, y - 1)..<min(height, y + 2) { join(row, with: row - height - y + other) }
      }
    }
    sizes = Array(repeating: 0, count: runs.count)
    for (index, run) in runs.enumerated() { sizes[root(index)] += Int(run.end - run.start) }
  }

  /// Voxels of every component, largest first.
  package var componentSizes: [Int] { sizes.filter { $0 > 0 }.sorted(by: >) }

  /// The map without the voxels of smaller components; all that share the largest size stay.
  package mutating func keepingLargest(in map: NDArray<Int16>, background: Int16 = 0) -> NDArray<Int16> {
    precondition(map.shape == shape, "\(map.shape) against \(shape)")
    let largest = sizes.max() ?? 0
    var result = map
    for row in 0..<(firstRun.count - 1) {
      for index in firstRun[row]..<firstRun[row + 1] where sizes[root(index)] < largest {
        let run = runs[index]
        for x in Int(run.start)..<Int(run.end) { result.elements[row * shape[2] + x] = background }
      }
    }
    return result
  }

  private mutating func appendRuns(_ row: UnsafeBufferPointer<Int16>, _ isMember: MembershipTable) {
    var x = 0
    while x < row.count {
      if row[x] == 0, !isMember.holdsBackground {
        x += 1
        continue
      }
      guard isMember.holds(row[x]) else {
        x += 1
        continue
      }
      let start = x
      while x < row.count, isMember.holds(row[x]) { x += 1 }
      parents.append(Int32(runs.count))
      runs.append(Run(start: Int32(start), end: Int32(x)))
    }
    firstRun.append(runs.count)
  }

  /// Joins the runs of two rows that touch, at corners too; the runs of a row are in order.
  private mutating func join(_ row: Int, with other: Int) {
    var (a, b) = (firstRun[row], firstRun[other])
    let (endA, endB) = (firstRun[row + 1], firstRun[other + 1])
    while a < endA, b < endB {
      if runs[a].start <= runs[b].end, runs[b].start <= runs[a].end { unite(a, b) }
      if runs[a].end < runs[b].end { a += 1 } else { b += 1 }
    }
  }

  private mutating func unite(_ a: Int, _ b: Int) {
    let (a, b) = (root(a), root(b))
    if a != b { parents[max(a, b)] = Int32(min(a, b)) }
  }

  private mutating func root(_ index: Int) -> Int {
    var index = index
    while Int(parents[index]) != index {
      parents[index] = parents[Int(parents[index])]
      index = Int(parents[index])
    }
    return index
  }
}

/// Whether a label belongs to a set, by one look into a table.
private struct MembershipTable {
  private let lowest: Int
  private let table: [Bool]
  let holdsBackground: Bool

  init(_ labels: Set<Int>) {
    lowest = labels.min() ?? 0
    table = labels.isEmpty ? [] : (lowest...(labels.max() ?? lowest)).map(labels.contains)
    holdsBackground = labels.contains(0)
  }

  func holds(_ label: Int16) -> Bool {
    let index = Int(label) - lowest
    return index >= 0 && index < table.count && table[index]
  }
}
