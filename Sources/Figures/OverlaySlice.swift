// One slice of a volume: its pixels, and its labels as fills and outlines.

import Foundation
package import Tensors
package import Volumes

/// A plane across one axis of a volume, turned as it is looked at.
package struct OverlaySlice {
  package let axis: Int
  package let index: Int
  package let orientation: SliceOrientation
  private let shape: [Int]
  private let spacing: [Double]

  package init(geometry: ImageGeometry, shape: [Int], axis: Int, index: Int) {
    self.axis = axis
    self.index = index
    self.shape = shape
    spacing = geometry.spacing
    orientation = SliceOrientation(geometry: geometry, acrossAxis: axis)
  }

  package var width: Int { shape[orientation.columnAxis] }
  package var height: Int { shape[orientation.rowAxis] }
  package var widthMillimeters: Double { Double(width) * spacing[orientation.columnAxis] }
  package var heightMillimeters: Double { Double(height) * spacing[orientation.rowAxis] }

  /// The largest size inside a box that keeps the millimetres of both directions alike.
  package func size(fitting width: Double, _ height: Double) -> (width: Double, height: Double) {
    let scale = min(width / widthMillimeters, height / heightMillimeters)
    return (scale * widthMillimeters, scale * heightMillimeters)
  }

  package var caption: String {
    orientation.name == "picture" && shape[axis] == 1
      ? "\(width) × \(height) pixels" : "\(orientation.name), slice \(index + 1) of \(shape[axis])"
  }

  /// The slice's values row by row, as they are looked at.
  package func values<T>(_ array: NDArray<T>) -> [T] {
    let strides = array.strides
    let (rowStep, columnStep) = (strides[orientation.rowAxis], strides[orientation.columnAxis])
    return (0..<height).flatMap { row in
      let start =
        index * strides[axis] + (orientation.isRowFlipped ? height - 1 - row : row) * rowStep
      return (0..<width).map { column in
        array.elements[start + (orientation.isColumnFlipped ? width - 1 - column : column) * columnStep]
      }
    }
  }

  /// The image in its window: grey for one channel, colours for three.
  package func pixels(_ channels: [NDArray<Float>], window: DisplayWindow) -> RasterImage {
    let planes = channels.map { values($0).map(window.gray) }
    var bytes: [UInt8] = []
    bytes.reserveCapacity(3 * width * height)
    for pixel in 0..<width * height {
      for component in 0..<3 { bytes.append(planes[planes.count == 3 ? component : 0][pixel]) }
    }
    return RasterImage(width: width, height: height, bytes: bytes)
  }

  /// The image with its labels mixed in, pixel for pixel: for screens too coarse for lines.
  package func blended(
    _ channels: [NDArray<Float>], window: DisplayWindow, map: NDArray<Int16>?, labels: OverlayLabels
  ) -> RasterImage {
    var picture = pixels(channels, window: window)
    guard let map else { return picture }
    let filling = labels.fillingEntries
    let plane = values(map).map { filling[$0] ?? -1 }
    for row in 0..<height {
      for column in 0..<width {
        let pixel = row * width + column
        let entry = plane[pixel]
        guard entry >= 0 else { continue }
        let isEdge = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)].contains {
          $0.0 < 0 || $0.1 < 0 || $0.0 >= height || $0.1 >= width || plane[$0.0 * width + $0.1] != entry
        }
        picture.blend(labels.color(entry), opacity: isEdge ? 0.85 : 0.35, at: pixel)
      }
    }
    return picture
  }

  /// Fills the voxels of every entry.
  func fill(_ map: NDArray<Int16>, _ labels: OverlayLabels, opacity: Double, on canvas: Canvas, in box: Box) {
    let filling = labels.fillingEntries
    let colors = values(map).map { label in
      filling[label].map { labels.color($0).faded(to: opacity) }
    }
    if colors.contains(where: { $0 != nil }) {
      canvas.cells(colors, width: width, height: height, in: box)
    }
  }

  /// Draws the outlines of every entry, each in its colour unless one is given.
  func outline(
    _ map: NDArray<Int16>, _ labels: OverlayLabels, style: LineStyle, on canvas: Canvas, in box: Box
  ) {
    let plane = values(map)
    let present = Set(plane)
    for (index, entry) in labels.entries.enumerated() {
      let wanted = Set(entry.labels.map { Int16(truncatingIfNeeded: $0) })
      guard !wanted.isDisjoint(with: present) else { continue }
      let lines = contours(of: plane.map(wanted.contains)).map { line in
        line.map { corner in
          (
            x: box.x + Double(corner.column) / Double(width) * box.width,
            y: box.y + Double(corner.row) / Double(height) * box.height
          )
        }
      }
      let color = style.color ?? labels.color(index)
      if style.dash.isEmpty {
        canvas.strokeInside(lines, color, width: entry.isIgnored ? style.width / 2 : style.width)
      } else {
        // A dark rim under the dashes keeps them visible on bright tissue.
        canvas.stroke(lines, Color(0x000000, opacity: 0.6), width: style.width + 1.4, dash: style.dash)
        canvas.stroke(lines, color, width: style.width, dash: style.dash)
      }
    }
  }

  /// The edges between the marked voxels and all others, joined into as long lines as they make.
  package func contours(of isMarked: [Bool]) -> [[Corner]] {
    func isInside(_ row: Int, _ column: Int) -> Bool {
      row >= 0 && column >= 0 && row < height && column < width && isMarked[row * width + column]
    }
    // Each edge runs with the marked voxel on its right, from corner to corner of the voxel grid.
    var following: [Corner: [Corner]] = [:]
    for row in 0..<height {
      for column in 0..<width where isInside(row, column) {
        let corners = [
          Corner(row: row, column: column), Corner(row: row, column: column + 1),
          Corner(row: row + 1, column: column + 1), Corner(row: row + 1, column: column),
        ]
        let neighbours = [(row - 1, column), (row, column + 1), (row + 1, column), (row, column - 1)]
        for side in 0..<4 where !isInside(neighbours[side].0, neighbours[side].1) {
          following[corners[side], default: []].append(corners[(side + 1) % 4])
        }
      }
    }
    var lines: [[Corner]] = []
    for start in following.keys.sorted() {
      while following[start]?.isEmpty == false {
        var line = [start]
        while let next = following[line[line.count - 1]]?.popLast() { line.append(next) }
        lines.append(line)
      }
    }
    return lines
  }
}

/// How outlines are drawn.
struct LineStyle {
  /// The colour of all lines; each label's own if `nil`.
  var color: Color?
  var width = 1.8
  var dash: [Double] = []

  /// The reference: a solid line in the label's colour.
  static let reference = LineStyle()
  /// The prediction, where the reference is drawn too: dashed and white.
  static let prediction = LineStyle(color: Color(0xFFFFFF, opacity: 0.95), width: 1.3, dash: [4, 2.5])
}

/// A corner of the voxel grid of a slice.
package struct Corner: Hashable, Comparable {
  package var row: Int
  package var column: Int

  package init(row: Int, column: Int) {
    self.row = row
    self.column = column
  }

  package static func < (a: Corner, b: Corner) -> Bool { (a.row, a.column) < (b.row, b.column) }
}
