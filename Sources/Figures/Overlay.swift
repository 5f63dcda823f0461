// A case at a glance: the image, the reference over it, and the prediction with the reference's outline.

package import Foundation
import Reporting
package import Tensors
package import Volumes

/// What an overlay shows beside the image.
package struct OverlayLabels: Sendable {
  package var reference: NDArray<Int16>?
  package var prediction: NDArray<Int16>?
  /// Names of the labels to show, with whatever score belongs to each.
  package var names: [(label: Int, text: String)]

  package init(
    reference: NDArray<Int16>? = nil, prediction: NDArray<Int16>? = nil, names: [(label: Int, text: String)]
  ) {
    self.reference = reference
    self.prediction = prediction
    self.names = names
  }
}

/// The slice across `axis` in which the rarest of the labels present covers the largest part of its total.
///
/// Without any label it is the middle slice.
package func bestSlice(of maps: [NDArray<Int16>], axis: Int, labels: [Int]) -> Int {
  guard let shape = maps.first?.shape else { return 0 }
  let step = rowMajorStrides(of: shape)[axis]
  var scores = [Double](repeating: 0, count: shape[axis])
  for map in maps {
    for label in labels {
      var counts = [Int](repeating: 0, count: shape[axis])
      let wanted = Int16(truncatingIfNeeded: label)
      for (position, value) in map.elements.enumerated() where value == wanted {
        counts[position / step % shape[axis]] += 1
      }
      let total = counts.reduce(0, +)
      if total > 0 { for slice in counts.indices { scores[slice] += Double(counts[slice]) / Double(total) } }
    }
  }
  guard let best = scores.max(), best > 0 else { return shape[axis] / 2 }
  return scores.firstIndex(of: best) ?? shape[axis] / 2
}

/// Draws the best slices across two axes with reference and prediction, as PNG or SVG by the file's ending.
package func drawOverlay(
  _ volume: Volume<Float>, labels: OverlayLabels, title: String, acrossAxes axes: [Int] = [0, 1], to url: URL
) throws {
  let maps = [labels.reference, labels.prediction].compactMap(\.self)
  if let other = maps.first(where: { $0.shape != volume.shape }) {
    throw Diagnostic(
      "the labels do not lie on the image", at: url.path, expected: "shape \(volume.shape)",
      found: "\(other.shape)", remedy: "draw labels in the space of the image's file")
  }
  let panels = [("image", nil), ("reference", labels.reference), ("prediction", labels.prediction)]
    .filter { $0.0 == "image" || $0.1 != nil }
  let window = DisplayWindow(volume.voxels)
  let panelWidth = 300.0
  let slices = axes.map { axis in
    OverlaySlice(
      volume: volume, axis: axis, index: bestSlice(of: maps, axis: axis, labels: labels.names.map(\.label)))
  }
  let heights = slices.map { min(420, panelWidth * $0.heightMillimeters / $0.widthMillimeters) }
  let width = 40 + Double(panels.count) * (panelWidth + 12) - 12
  let canvas = try Canvas(width: width, height: 90 + heights.reduce(0) { $0 + $1 + 34 } + 36, for: url)
  canvas.text(title, x: 20, y: 34, style: TextStyle(size: 18, isBold: true))
  for (column, panel) in panels.enumerated() {
    let x = 20 + Double(column) * (panelWidth + 12) + panelWidth / 2
    canvas.text(panel.0, x: x, y: 66, style: TextStyle(size: 13, color: Palette.faintText, anchor: .center))
  }
  var y = 76.0
  for (slice, height) in zip(slices, heights) {
    let drawnWidth = min(panelWidth, height * slice.widthMillimeters / slice.heightMillimeters)
    for (column, panel) in panels.enumerated() {
      let x = 20 + Double(column) * (panelWidth + 12) + (panelWidth - drawnWidth) / 2
      let box = Box(x: x, y: y, width: drawnWidth, height: height)
      canvas.image(
        slice.pixels(volume.voxels, window: window), width: slice.width, height: slice.height, in: box)
      if let map = panel.1 {
        slice.drawLabels(map, names: labels.names, on: canvas, in: box)
        if panel.0 == "prediction", let reference = labels.reference {
          slice.drawOutline(reference, names: labels.names, on: canvas, in: box)
        }
      }
    }
    canvas.text(
      slice.caption, x: 20, y: y + height + 18, style: TextStyle(size: 11, color: Palette.faintText))
    y += height + 34
  }
  drawLegend(labels, on: canvas, y: y + 14)
  try canvas.write()
}

func drawLegend(_ labels: OverlayLabels, on canvas: Canvas, y: Double, x start: Double = 20) {
  var x = start
  for (index, name) in labels.names.enumerated() {
    let swatch = Box(x: x, y: y - 11, width: 14, height: 14)
    canvas.fill(swatch, Palette.label(index).faded(to: 0.45))
    canvas.stroke(swatch, Palette.label(index), width: 1.5)
    canvas.text(name.text, x: x + 21, y: y)
    x += 21 + canvas.width(of: name.text, size: TextStyle().size) + 24
  }
  if labels.reference != nil, labels.prediction != nil {
    canvas.fill(Box(x: x, y: y - 11, width: 26, height: 14), Color(0x555555))
    canvas.stroke([[(x + 2, y - 4), (x + 24, y - 4)]], Color(0xFFFFFF), width: 1.5, dash: [4, 2.5])
    canvas.text("outline of the reference", x: x + 33, y: y)
  }
}

/// The range of intensities that is shown from black to white: all but half a percent at either end.
struct DisplayWindow {
  let lower: Float
  let upper: Float

  init(_ image: NDArray<Float>) {
    let stride = max(1, image.count / 200_000)
    let sample = Swift.stride(from: 0, to: image.count, by: stride).map { image.elements[$0] }.filter(
      \.isFinite
    )
    .sorted()
    lower = sample.isEmpty ? 0 : sample[sample.count / 200]
    upper = sample.isEmpty ? 1 : sample[sample.count - 1 - sample.count / 200]
  }

  func gray(_ value: Float) -> UInt8 {
    guard upper > lower, value.isFinite else { return 0 }
    return UInt8(min(255, max(0, (value - lower) / (upper - lower) * 255)))
  }
}
