// A case at a glance: the image, the reference over it, and the prediction with the outlines of both.

package import Foundation
import Reporting
package import Tensors
package import Volumes

/// A page with the best slices of a case, once for the image and once for each label map.
package struct OverlayFigure {
  /// One channel, or three that are colours.
  ///
  /// - Shape: each `[Z, Y, X]`
  package var channels: [NDArray<Float>]
  package var geometry: ImageGeometry
  package var window: DisplayWindow
  package var labels: OverlayLabels
  package var title: String
  package var subtitle = ""
  /// The axes across which slices are shown; those along which a picture has one pixel are left out.
  package var axes = [0, 1, 2]
  package var fillOpacity = 0.36

  package init(
    channels: [NDArray<Float>], geometry: ImageGeometry, window: DisplayWindow? = nil, labels: OverlayLabels,
    title: String
  ) {
    self.channels = channels
    self.geometry = geometry
    self.window = window ?? DisplayWindow(joint: channels)
    self.labels = labels
    self.title = title
  }

  /// The slices that are shown: those where the reference is, or the prediction if there is no reference.
  package var slices: [OverlaySlice] {
    let shape = channels[0].shape
    let isThin = geometry.axisCount == 2 || shape.filter { $0 > 1 }.count < 3
    let thinAxis = geometry.axisCount == 2 ? 0 : shape.firstIndex(of: 1) ?? 0
    let shares = labels.maps.map { SliceShares(of: [$0]) }
    return axes.filter { !isThin || $0 == thinAxis }.map { axis in
      let best = shares.first { $0.scores[axis].contains { $0 > 0 } }?.best(axis: axis)
      return OverlaySlice(geometry: geometry, shape: shape, axis: axis, index: best ?? shape[axis] / 2)
    }
  }

  /// Draws the page as PNG or SVG, by the file's ending.
  package func draw(to url: URL) throws {
    let shape = channels[0].shape
    if let other = labels.maps.first(where: { $0.shape != shape }) {
      throw Diagnostic(
        "the labels do not lie on the image", at: url.path, expected: "shape \(shape)",
        found: "\(other.shape)", remedy: "draw labels in the space of the image's file")
    }
    let slices = slices
    let panels = [OverlayPanel.image, .reference, .prediction].filter {
      $0.map(of: labels) != nil || $0 == .image
    }
    let layout = OverlayLayout(slices: slices, panelCount: panels.count)
    let visible = Set(slices.flatMap { slice in labels.maps.flatMap { slice.values($0) } })
    let legend = Legend(labels, width: layout.width - 40, on: try Canvas(width: 1, height: 1)) { entry in
      entry.labels.contains { visible.contains(Int16(truncatingIfNeeded: $0)) }
    }
    let canvas = try Canvas(width: layout.width, height: layout.height + legend.height + 12, for: url)
    let titleStyle = TextStyle(size: 18, isBold: true)
    canvas.text(
      canvas.fitted(title, to: layout.width - 40, style: titleStyle), x: 20, y: 32, style: titleStyle)
    let faint = TextStyle(size: 11, color: Palette.faintText)
    canvas.text(canvas.fitted(subtitle, to: layout.width - 40, style: faint), x: 20, y: 50, style: faint)
    for (row, panel) in panels.enumerated() {
      let place = layout.heading(ofPanel: row)
      canvas.text(
        panel.rawValue, x: place.x, y: place.y,
        style: TextStyle(
          size: 13, color: Palette.faintText, anchor: .center, isUpright: !layout.panelsRunAcross))
      for (column, slice) in slices.enumerated() {
        let box = layout.box(panel: row, slice: column)
        draw(slice, panel, on: canvas, in: box)
        if row == (layout.panelsRunAcross ? 0 : panels.count - 1) {
          canvas.text(
            canvas.fitted(slice.caption, to: layout.columnWidth, style: faint), x: box.x,
            y: layout.captionBaseline(slice: column), style: faint)
        }
      }
    }
    legend.draw(on: canvas, x: 20, y: layout.height)
    try canvas.write()
  }

  private func draw(_ slice: OverlaySlice, _ panel: OverlayPanel, on canvas: Canvas, in box: Box) {
    canvas.image(slice.pixels(channels, window: window), in: box)
    if let map = panel.map(of: labels) {
      slice.fill(map, labels, opacity: fillOpacity, on: canvas, in: box)
      canvas.clipped(to: box) {
        if panel == .prediction, let reference = labels.reference {
          slice.outline(reference, labels, style: .reference, on: canvas, in: box)
          slice.outline(map, labels, style: .prediction, on: canvas, in: box)
        } else {
          slice.outline(map, labels, style: .reference, on: canvas, in: box)
        }
      }
    } else {
      slice.drawSides(on: canvas, in: box)
    }
  }
}

/// What one picture of a slice shows.
private enum OverlayPanel: String {
  case image, reference, prediction

  func map(of labels: OverlayLabels) -> NDArray<Int16>? {
    switch self {
    case .image: nil
    case .reference: labels.reference
    case .prediction: labels.prediction
    }
  }
}

/// Where the pictures lie: panels beside each other if there are as many as slices, else slices.
private struct OverlayLayout {
  let panelsRunAcross: Bool
  let columnWidth: Double
  private let sizes: [(width: Double, height: Double)]
  private let panelCount: Int
  private static let gap = 12.0
  private static let top = 62.0
  private static let captionHeight = 26.0

  init(slices: [OverlaySlice], panelCount: Int) {
    self.panelCount = panelCount
    panelsRunAcross = panelCount >= slices.count
    let columnWidth = slices.count == 1 ? 420.0 : 300
    self.columnWidth = columnWidth
    sizes = slices.map { $0.size(fitting: columnWidth, slices.count == 1 ? 560 : 400) }
  }

  private var columnCount: Int { panelsRunAcross ? panelCount : sizes.count }
  private var left: Double { panelsRunAcross ? 20 : 40 }
  private var rowHeight: Double { sizes.map(\.height).max() ?? 0 }
  private var bodyTop: Double { panelsRunAcross ? Self.top + 20 : Self.top }

  var width: Double { left + Double(columnCount) * (columnWidth + Self.gap) - Self.gap + 20 }
  /// Down to the legend.
  var height: Double {
    panelsRunAcross
      ? bodyTop + sizes.reduce(0) { $0 + $1.height + Self.captionHeight }
      : bodyTop + Double(panelCount) * (rowHeight + Self.gap) - Self.gap + Self.captionHeight
  }

  func box(panel: Int, slice: Int) -> Box {
    let size = sizes[slice]
    let column = panelsRunAcross ? panel : slice
    let x = left + Double(column) * (columnWidth + Self.gap) + (columnWidth - size.width) / 2
    let y =
      panelsRunAcross
      ? bodyTop + sizes[..<slice].reduce(0) { $0 + $1.height + Self.captionHeight }
      : bodyTop + Double(panel) * (rowHeight + Self.gap) + (rowHeight - size.height) / 2
    return Box(x: x, y: y, width: size.width, height: size.height)
  }

  /// The middle of a panel's name, which stands above its column or upright beside its row.
  func heading(ofPanel panel: Int) -> (x: Double, y: Double) {
    panelsRunAcross
      ? (left + Double(panel) * (columnWidth + Self.gap) + columnWidth / 2, Self.top + 10)
      : (left - 10, bodyTop + Double(panel) * (rowHeight + Self.gap) + rowHeight / 2)
  }

  func captionBaseline(slice: Int) -> Double {
    let last = box(panel: panelsRunAcross ? 0 : panelCount - 1, slice: slice)
    return panelsRunAcross ? last.y + last.height + 16 : height - Self.captionHeight + 16
  }
}

extension OverlaySlice {
  /// Writes the patient's sides at the edges.
  func drawSides(on canvas: Canvas, in box: Box) {
    guard let sides = orientation.sides, box.width > 60, box.height > 40 else { return }
    let (middleX, middleY) = (box.x + box.width / 2, box.y + box.height / 2 + 4)
    let places = [
      (box.x + 8, middleY), (box.x + box.width - 8, middleY), (middleX, box.y + 13),
      (middleX, box.y + box.height - 5),
    ]
    for (side, place) in zip(sides, places) {
      // A dark rim keeps the letter readable on bright tissue.
      for (dx, dy) in [(-0.8, 0.0), (0.8, 0), (0, -0.8), (0, 0.8)] {
        canvas.text(
          side, x: place.0 + dx, y: place.1 + dy,
          style: TextStyle(size: 11, color: Color(0x000000, opacity: 0.8), anchor: .center, isBold: true))
      }
      canvas.text(
        side, x: place.0, y: place.1,
        style: TextStyle(size: 11, color: Color(0xFFFFFF), anchor: .center, isBold: true))
    }
  }
}

/// Draws the best slices across some axes with reference and prediction, as PNG or SVG by the file's ending.
package func drawOverlay(
  _ volume: Volume<Float>, labels: OverlayLabels, title: String, acrossAxes axes: [Int] = [0, 1], to url: URL
) throws {
  var figure = OverlayFigure(
    channels: [volume.voxels], geometry: volume.geometry, labels: labels, title: title)
  figure.axes = axes
  try figure.draw(to: url)
}
