// A sheet of small pictures with their labels and captions: one patch in many forms.

package import Foundation
import Reporting
package import Tensors
package import Volumes

/// One picture of a sheet.
package struct SheetCell: Sendable {
  package var image: Volume<Float>
  package var labels: NDArray<Int16>
  package var title: String
  /// What is said below, line by line.
  package var lines: [String]

  package init(image: Volume<Float>, labels: NDArray<Int16>, title: String, lines: [String]) {
    self.image = image
    self.labels = labels
    self.title = title
    self.lines = lines
  }
}

/// The measures of a sheet, in points.
private struct SheetLayout {
  static let margin = 24.0
  static let gap = 16.0
  static let lineHeight = 14.0
  let columnCount: Int
  let cellWidth: Double
  let pictureHeight: Double
  /// Lines below each row of pictures.
  let lineCounts: [Int]

  init(_ cells: [SheetCell], aspect: Double) {
    columnCount = min(cells.count, 5)
    cellWidth = 190
    pictureHeight = min(300, cellWidth * aspect)
    let starts = stride(from: 0, to: cells.count, by: columnCount)
    let columns = columnCount
    lineCounts = starts.map { start in
      cells[start..<min(start + columns, cells.count)].map(\.lines.count).max() ?? 0
    }
  }

  var width: Double {
    2 * Self.margin + Double(columnCount) * (cellWidth + Self.gap) - Self.gap
  }
  func rowHeight(_ row: Int) -> Double {
    pictureHeight + 22 + Double(lineCounts[row] + 1) * Self.lineHeight + Self.gap
  }
  func top(of row: Int) -> Double { 84 + (0..<row).reduce(0) { $0 + rowHeight($1) } }
  var height: Double { top(of: lineCounts.count) + 34 }
}

/// Draws cells in rows, each in the slice that shows most of its labels, all in the first one's range of intensities.
package func drawSheet(
  _ cells: [SheetCell], names: [(label: Int, text: String)], title: String, subtitle: String, to url: URL
) throws {
  guard let first = cells.first else { throw Diagnostic("a sheet needs a picture", at: url.path) }
  let window = DisplayWindow(first.image.voxels)
  let slices = cells.map { cell in
    OverlaySlice(
      volume: cell.image, axis: 0,
      index: bestSlice(of: [cell.labels], axis: 0, labels: names.map(\.label)))
  }
  let layout = SheetLayout(cells, aspect: slices[0].heightMillimeters / slices[0].widthMillimeters)
  let canvas = try Canvas(width: layout.width, height: layout.height, for: url)
  canvas.text(title, x: SheetLayout.margin, y: 36, style: TextStyle(size: 18, isBold: true))
  canvas.text(
    subtitle, x: SheetLayout.margin, y: 58, style: TextStyle(size: 12, color: Palette.faintText))
  for (index, (cell, slice)) in zip(cells, slices).enumerated() {
    let x =
      SheetLayout.margin + Double(index % layout.columnCount) * (layout.cellWidth + SheetLayout.gap)
    let y = layout.top(of: index / layout.columnCount)
    canvas.text(cell.title, x: x, y: y + 12, style: TextStyle(size: 13, isBold: true))
    let drawnWidth = min(
      layout.cellWidth, layout.pictureHeight * slice.widthMillimeters / slice.heightMillimeters)
    let box = Box(
      x: x, y: y + 20, width: drawnWidth,
      height: drawnWidth * slice.heightMillimeters / slice.widthMillimeters)
    canvas.image(
      slice.pixels(cell.image.voxels, window: window), width: slice.width, height: slice.height, in: box)
    slice.drawLabels(cell.labels, names: names, on: canvas, in: box)
    if index == 0 { canvas.stroke(box, Palette.text, width: 1.5) }
    var baseline = y + 20 + layout.pictureHeight + 14
    let depth = cell.image.shape[0] > 1 ? ["slice \(slice.index + 1) of \(cell.image.shape[0])"] : []
    for line in cell.lines + depth {
      canvas.text(
        fitted(line, to: layout.cellWidth, on: canvas), x: x, y: baseline,
        style: TextStyle(size: 11, color: Palette.faintText))
      baseline += SheetLayout.lineHeight
    }
  }
  drawLegend(OverlayLabels(names: names), on: canvas, y: layout.height - 18, x: SheetLayout.margin)
  try canvas.write()
}

/// A text cut to a width.
private func fitted(_ text: String, to width: Double, on canvas: Canvas) -> String {
  if canvas.width(of: text, size: 11) <= width { return text }
  var short = text
  while !short.isEmpty, canvas.width(of: short + "...", size: 11) > width { short.removeLast() }
  return short + "..."
}
