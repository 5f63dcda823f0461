// A sheet as text for a terminal.

import Foundation

extension Sheet {
  /// The sheet for a terminal of some columns: as a picture where it can show one, else in coloured blocks.
  ///
  /// - Parameters:
  ///   - columns: the characters that fit in a line.
  ///   - pixelWidth: the pixels that fit beside each other, if the terminal tells.
  package func text(for graphics: TerminalGraphics, columns: Int, pixelWidth: Int? = nil) throws -> String {
    switch graphics {
    case .kitty:
      return kittyText(png: try png(), columns: columns)
    case .sixel:
      let picture = try raster()
      let width = min(picture.width, pixelWidth ?? 9 * columns)
      return sixelText(
        picture.resized(width: width, height: max(1, picture.height * width / max(1, picture.width))))
    case .blocks:
      return blockText(columns: columns)
    }
  }

  /// Cells narrower than this show nothing.
  private static let narrowestCell = 28

  /// Cells beside each other, each as wide as the lines allow.
  private func blockText(columns: Int) -> String {
    let fitting = max(1, (columns + 2) / (Self.narrowestCell + 2))
    let rowCount = (cells.count + fitting - 1) / fitting
    let perRow = (cells.count + rowCount - 1) / rowCount
    let width = max(1, min((columns + 2) / perRow - 2, 100))
    var lines = ["\u{1B}[1m\(cut(title, columns))\u{1B}[0m"]
    if !subtitle.isEmpty { lines.append(cut(subtitle, columns)) }
    for start in stride(from: 0, to: cells.count, by: perRow) {
      let row = cells[start..<min(start + perRow, cells.count)]
      let pictures = row.map { cell in
        let slice = cell.slice(entries)
        let size = slice.size(fitting: Double(width), 1.6 * Double(width))
        let picture = slice.blended(cell.channels, window: window, map: cell.labels, labels: labels)
        return blockLines(
          picture.resized(
            width: max(1, Int(size.width.rounded())), height: max(2, 2 * Int((size.height / 2).rounded()))))
      }
      let widths = row.map { cell in
        max(1, Int(cell.slice(entries).size(fitting: Double(width), 1.6 * Double(width)).width.rounded()))
      }
      lines.append(
        row.map { cut($0.title, width).padding(toLength: width, withPad: " ", startingAt: 0) }
          .joined(separator: "  "))
      for line in 0..<(pictures.map(\.count).max() ?? 0) {
        lines.append(
          zip(pictures, widths).map { picture, drawn in
            line < picture.count
              ? picture[line] + String(repeating: " ", count: width - drawn)
              : String(repeating: " ", count: width)
          }.joined(separator: "  "))
      }
    }
    return (lines + legendLines(columns: columns)).joined(separator: "\n") + "\n"
  }

  private func legendLines(columns: Int) -> [String] {
    var lines: [String] = []
    var used = 0
    for (index, entry) in entries.prefix(60).enumerated() {
      let name = cut(entry.text, columns - 2)
      let color = labels.color(index)
      let components = [color.red, color.green, color.blue].map { "\(Int(($0 * 255).rounded()))" }
      let item = "\u{1B}[38;2;\(components.joined(separator: ";"))m■\u{1B}[0m \(name)"
      if lines.isEmpty || used + name.count + 5 > columns {
        lines.append(item)
        used = name.count + 2
      } else {
        lines[lines.count - 1] += "   " + item
        used += name.count + 5
      }
    }
    return lines
  }

  private func cut(_ text: String, _ width: Int) -> String {
    text.count <= width ? text : String(text.prefix(max(0, width - 1))) + "…"
  }
}
