// A volume as a sheet of slices across one axis.

package import Tensors
package import Volumes

extension Sheet {
  /// Evenly spread slices of a volume, over the part that has labels if there are some; one alone is the best.
  ///
  /// - Parameter axis: the axis of the array across which slices are taken.
  package init(
    of channels: [NDArray<Float>], geometry: ImageGeometry, labels: OverlayLabels, axis: Int, count: Int,
    title: String, subtitle: String
  ) throws {
    let map = labels.reference ?? labels.prediction
    let shares = SliceShares(
      of: [map].compactMap(\.self), labels: labels.entries.filter { !$0.isIgnored }.flatMap(\.labels))
    let extent = channels[0].shape[axis]
    let range = map == nil ? 0..<extent : shares.occupied(axis: axis)
    let indices =
      count == 1
      ? [map == nil ? extent / 2 : shares.best(axis: axis)] : spreadIndices(over: range, count: count)
    let cells = indices.map { index in
      SheetCell(
        channels: channels, geometry: geometry, labels: map, axis: axis, index: index,
        title: OverlaySlice(geometry: geometry, shape: channels[0].shape, axis: axis, index: index).caption,
        lines: [])
    }
    try self.init(cells: cells, entries: labels.entries, title: title, subtitle: subtitle)
    columnCount = min(4, cells.count)
    cellWidth = cells.count == 1 ? 480 : 230
  }
}

/// At most `count` indices of a range, at the middles of equal parts.
package func spreadIndices(over range: Range<Int>, count: Int) -> [Int] {
  guard count < range.count else { return Array(range) }
  return (0..<count).map { range.lowerBound + (2 * $0 + 1) * range.count / (2 * count) }
}
