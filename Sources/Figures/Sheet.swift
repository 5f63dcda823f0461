// A sheet of small pictures with their labels and captions: one patch in many forms, or a volume slice by slice.

package import Foundation
import Reporting
package import Tensors
package import Volumes

/// One picture of a sheet.
package struct SheetCell: Sendable {
  /// One channel, or three that are colours.
  package var channels: [NDArray<Float>]
  package var geometry: ImageGeometry
  package var labels: NDArray<Int16>?
  /// The axis across which the slice is taken.
  package var axis: Int
  /// The slice; the one that shows most of the labels if `nil`.
  package var index: Int?
  package var title: String
  /// What is said below, line by line.
  package var lines: [String]

  package init(
    channels: [NDArray<Float>], geometry: ImageGeometry, labels: NDArray<Int16>?, axis: Int = 0,
    index: Int? = nil, title: String, lines: [String]
  ) {
    self.channels = channels
    self.geometry = geometry
    self.labels = labels
    self.axis = axis
    self.index = index
    self.title = title
    self.lines = lines
  }

  package init(image: Volume<Float>, labels: NDArray<Int16>, title: String, lines: [String]) {
    self.init(
      channels: [image.voxels], geometry: image.geometry, labels: labels, title: title, lines: lines)
  }

  func slice(_ entries: [OverlayEntry]) -> OverlaySlice {
    let shape = channels[0].shape
    let best =
      index ?? bestSlice(of: [labels].compactMap(\.self), axis: axis, labels: entries.flatMap(\.labels))
    return OverlaySlice(geometry: geometry, shape: shape, axis: axis, index: best)
  }
}

/// Cells in rows under one title, all in one range of intensities, with a legend.
package struct Sheet: Sendable {
  package var cells: [SheetCell]
  package var entries: [OverlayEntry]
  package var title: String
  package var subtitle: String
  package var window: DisplayWindow
  package var columnCount = 5
  package var cellWidth = 190.0
  /// Whether the first cell is framed, as that which the others come from.
  package var framesFirst = false

  /// A sheet in the range of intensities of the first cell.
  package init(cells: [SheetCell], entries: [OverlayEntry], title: String, subtitle: String) throws {
    guard let first = cells.first else { throw Diagnostic("a sheet needs a picture") }
    self.cells = cells
    self.entries = entries
    self.title = title
    self.subtitle = subtitle
    window = DisplayWindow(joint: first.channels)
  }

  var labels: OverlayLabels { OverlayLabels(entries: entries) }

  /// Draws the sheet as PNG or SVG, by the file's ending.
  package func draw(to url: URL) throws { try canvas(for: url).write() }

  /// The sheet as a PNG for the screen.
  package func png() throws -> Data { try canvas(for: nil).encoded() }

  /// The sheet as pixels for the screen.
  package func raster() throws -> RasterImage { try canvas(for: nil).pixels }

  private func canvas(for url: URL?) throws -> Canvas {
    let slices = cells.map { $0.slice(entries) }
    let layout = SheetLayout(self, slices)
    let visible = Set(
      zip(cells, slices).flatMap { cell, slice in cell.labels.map { slice.values($0) } ?? [] })
    let legend = Legend(
      labels, width: layout.width - 2 * SheetLayout.margin, on: try Canvas(width: 1, height: 1)
    ) { entry in
      entry.labels.contains { visible.contains(Int16(truncatingIfNeeded: $0)) }
    }
    let legendHeight = entries.isEmpty ? 0 : legend.height + 8
    let canvas = try Canvas(width: layout.width, height: layout.height + legendHeight, for: url)
    let room = layout.width - 2 * SheetLayout.margin
    let titleStyle = TextStyle(size: 18, isBold: true)
    canvas.text(
      canvas.fitted(title, to: room, style: titleStyle), x: SheetLayout.margin, y: 36, style: titleStyle)
    let faint = TextStyle(size: 12, color: Palette.faintText)
    canvas.text(canvas.fitted(subtitle, to: room, style: faint), x: SheetLayout.margin, y: 58, style: faint)
    for index in cells.indices { draw(index, slices[index], layout, on: canvas) }
    if !entries.isEmpty { legend.draw(on: canvas, x: SheetLayout.margin, y: layout.height - 8) }
    return canvas
  }

  private func draw(_ index: Int, _ slice: OverlaySlice, _ layout: SheetLayout, on canvas: Canvas) {
    let cell = cells[index]
    let (x, y) = layout.place(of: index)
    canvas.text(cell.title, x: x, y: y + 12, style: TextStyle(size: 13, isBold: true))
    let size = slice.size(fitting: cellWidth, layout.pictureHeight)
    let box = Box(x: x, y: y + 20, width: size.width, height: size.height)
    canvas.image(slice.pixels(cell.channels, window: window), in: box)
    if let map = cell.labels {
      slice.fill(map, labels, opacity: 0.36, on: canvas, in: box)
      canvas.clipped(to: box) { slice.outline(map, labels, style: .reference, on: canvas, in: box) }
    }
    if index == 0, framesFirst { canvas.stroke(box, Palette.text, width: 1.5) }
    if index == 0 { slice.drawSides(on: canvas, in: box) }
    var baseline = y + 20 + layout.pictureHeight + 14
    let style = TextStyle(size: 11, color: Palette.faintText)
    for line in cell.lines + depth(of: cell, slice) {
      canvas.text(canvas.fitted(line, to: cellWidth, style: style), x: x, y: baseline, style: style)
      baseline += SheetLayout.lineHeight
    }
  }

  /// Which slice was chosen, where that is not what the cell is about.
  private func depth(of cell: SheetCell, _ slice: OverlaySlice) -> [String] {
    cell.index == nil && cell.channels[0].shape[cell.axis] > 1
      ? ["slice \(slice.index + 1) of \(cell.channels[0].shape[cell.axis])"] : []
  }
}

/// The measures of a sheet, in points.
private struct SheetLayout {
  static let margin = 24.0
  static let gap = 16.0
  static let lineHeight = 14.0
  let pictureHeight: Double
  private let columnCount: Int
  private let cellWidth: Double
  /// Lines below each row of pictures.
  private let lineCounts: [Int]

  init(_ sheet: Sheet, _ slices: [OverlaySlice]) {
    let (count, columns) = (sheet.cells.count, max(1, min(sheet.cells.count, sheet.columnCount)))
    columnCount = columns
    cellWidth = sheet.cellWidth
    pictureHeight = slices.map { $0.size(fitting: sheet.cellWidth, 1.6 * sheet.cellWidth).height }.max() ?? 0
    lineCounts = stride(from: 0, to: count, by: columns).map { start in
      sheet.cells[start..<min(start + columns, count)].map {
        $0.lines.count + ($0.index == nil ? 1 : 0)
      }.max() ?? 0
    }
  }

  /// Wide enough for a title even over a single picture.
  var width: Double {
    max(360, 2 * Self.margin + Double(columnCount) * (cellWidth + Self.gap) - Self.gap)
  }
  /// Down to the legend.
  var height: Double { top(of: lineCounts.count) + 10 }
  private func top(of row: Int) -> Double {
    74 + lineCounts[..<row].reduce(0) { $0 + pictureHeight + 22 + Double($1) * Self.lineHeight + Self.gap }
  }
  /// The upper left corner of a cell.
  func place(of index: Int) -> (x: Double, y: Double) {
    (
      Self.margin + Double(index % columnCount) * (cellWidth + Self.gap), top(of: index / columnCount)
    )
  }
}

/// Draws cells in rows, each in the slice that shows most of its labels, all in the first one's range of intensities.
package func drawSheet(
  _ cells: [SheetCell], names: [(label: Int, text: String)], title: String, subtitle: String, to url: URL
) throws {
  var sheet = try Sheet(
    cells: cells, entries: OverlayLabels(names: names).entries, title: title, subtitle: subtitle)
  sheet.framesFirst = true
  try sheet.draw(to: url)
}
