// The legend of an overlay: swatches with names, in as many lines as they need.

import Foundation

/// The entries of a legend with their places, relative to its upper left corner.
struct Legend {
  private struct Item {
    var entry: Int?
    var text: String
    var x: Double
    var line: Int
  }

  private let labels: OverlayLabels
  private var items: [Item] = []
  private var lineCount = 1

  private static let lineHeight = 22.0
  private static let gap = 24.0
  /// More names than this are a list, not a legend: only those in the picture are kept.
  private static let manyEntries = 24

  /// Lays out the entries within a width; of very many, those that `isVisible` in the picture.
  init(_ labels: OverlayLabels, width: Double, on canvas: Canvas, isVisible: (OverlayEntry) -> Bool) {
    self.labels = labels
    var shown = Array(labels.entries.indices)
    if shown.count > Self.manyEntries { shown.removeAll { !isVisible(labels.entries[$0]) } }
    var x = 0.0
    func place(_ entry: Int?, _ text: String, indent: Double, _ legend: inout Legend) {
      let fittedText = canvas.fitted(text, to: width - indent, style: TextStyle())
      let length = indent + canvas.width(of: fittedText, size: TextStyle().size)
      if x > 0, x + length > width {
        x = 0
        legend.lineCount += 1
      }
      legend.items.append(Item(entry: entry, text: fittedText, x: x, line: legend.lineCount - 1))
      x += length + Self.gap
    }
    for index in shown { place(index, labels.entries[index].text, indent: 21, &self) }
    if shown.count < labels.entries.count {
      place(nil, "and \(labels.entries.count - shown.count) labels outside these slices", indent: 0, &self)
    }
    if labels.reference != nil, labels.prediction != nil {
      place(-1, "reference", indent: 33, &self)
      place(-2, "prediction", indent: 33, &self)
    }
  }

  var height: Double { Double(lineCount) * Self.lineHeight }

  /// Draws the legend with its upper left corner at a place.
  func draw(on canvas: Canvas, x left: Double, y top: Double) {
    for item in items {
      let x = left + item.x
      let y = top + Double(item.line) * Self.lineHeight + 15
      switch item.entry {
      case nil:
        canvas.text(item.text, x: x, y: y, style: TextStyle(color: Palette.faintText))
      case .some(let line) where line < 0:
        canvas.fill(Box(x: x, y: y - 11, width: 26, height: 14), Color(0x555555))
        let style = line == -1 ? LineStyle.reference : .prediction
        canvas.stroke(
          [[(x + 2, y - 4), (x + 24, y - 4)]], style.color ?? Palette.label(0), width: style.width,
          dash: style.dash)
        canvas.text(item.text, x: x + 33, y: y)
      case .some(let entry):
        let swatch = Box(x: x, y: y - 11, width: 14, height: 14)
        canvas.fill(swatch, labels.color(entry).faded(to: 0.45))
        canvas.stroke(swatch, labels.color(entry), width: 1.5)
        canvas.text(item.text, x: x + 21, y: y)
      }
    }
  }
}

extension Canvas {
  /// A text cut to a width.
  func fitted(_ text: String, to width: Double, style: TextStyle) -> String {
    if self.width(of: text, size: style.size, isBold: style.isBold) <= width { return text }
    var short = text
    while !short.isEmpty, self.width(of: short + "...", size: style.size, isBold: style.isBold) > width {
      short.removeLast()
    }
    return short + "..."
  }
}
