// Which slice of a label map shows most of it.

package import Tensors

/// How much of each label lies in each slice.
package struct SliceShares: Sendable {
  /// For every axis, the sum over the labels of the share of a label's voxels that lies in each slice.
  package private(set) var scores: [[Double]]

  /// Measures some labels of maps of one shape; all above zero if none are named.
  ///
  /// - Complexity: two passes over the voxels, however many labels there are.
  package init(of maps: [NDArray<Int16>], labels: [Int]? = nil) {
    scores = (maps.first?.shape ?? []).map { Array(repeating: 0, count: $0) }
    for map in maps where map.shape == maps[0].shape { add(map, labels) }
  }

  /// The slice across an axis in which the labels have the highest mean share; without any label the middle one.
  ///
  /// - Source: `select_slice_to_plot2` of nnU-Net's overlay_plots.py, there for the first axis.
  package func best(axis: Int) -> Int {
    guard scores.indices.contains(axis), let best = scores[axis].max(), best > 0 else {
      return scores.indices.contains(axis) ? scores[axis].count / 2 : 0
    }
    return scores[axis].firstIndex(of: best) ?? 0
  }

  /// The slices across an axis from the first to the last that hold a label; all if there is none.
  package func occupied(axis: Int) -> Range<Int> {
    let values = scores[axis]
    guard let first = values.firstIndex(where: { $0 > 0 }), let last = values.lastIndex(where: { $0 > 0 })
    else {
      return values.indices
    }
    return first..<last + 1
  }

  private mutating func add(_ map: NDArray<Int16>, _ labels: [Int]?) {
    let present = presentLabels(of: map).filter { labels?.contains(Int($0)) ?? ($0 > 0) }
    guard !present.isEmpty, map.shape.count == 3 else { return }
    var place = [Int32](repeating: -1, count: 1 << 16)
    for (index, label) in present.enumerated() { place[Int(UInt16(bitPattern: label))] = Int32(index) }
    let (count, shape) = (present.count, map.shape)
    var counts = shape.map { [Int](repeating: 0, count: $0 * count) }
    map.elements.withUnsafeBufferPointer { voxels in
      var position = 0
      for z in 0..<shape[0] {
        for y in 0..<shape[1] {
          for x in 0..<shape[2] {
            let index = Int(place[Int(UInt16(bitPattern: voxels[position]))])
            position += 1
            if index < 0 { continue }
            counts[0][z * count + index] += 1
            counts[1][y * count + index] += 1
            counts[2][x * count + index] += 1
          }
        }
      }
    }
    for index in 0..<count {
      let total = Double((0..<shape[0]).reduce(0) { $0 + counts[0][$1 * count + index] })
      for axis in 0..<3 {
        for slice in 0..<shape[axis] {
          scores[axis][slice] += Double(counts[axis][slice * count + index]) / total
        }
      }
    }
  }
}

/// The slice across `axis` in which the labels have the highest mean share; see ``SliceShares``.
package func bestSlice(of maps: [NDArray<Int16>], axis: Int, labels: [Int]) -> Int {
  SliceShares(of: maps, labels: labels).best(axis: axis)
}

/// The values that occur in a label map, in ascending order.
package func presentLabels(of map: NDArray<Int16>) -> [Int16] {
  var isPresent = [Bool](repeating: false, count: 1 << 16)
  map.elements.withUnsafeBufferPointer { voxels in
    for voxel in voxels { isPresent[Int(UInt16(bitPattern: voxel))] = true }
  }
  return (Int16.min...Int16.max).filter { isPresent[Int(UInt16(bitPattern: $0))] }
}
