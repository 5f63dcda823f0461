// One slice of a volume: its pixels, and its labels as fills and outlines.

import Foundation
import Tensors
import Volumes

/// A plane across one axis of a volume; its rows and columns are the two other axes in their order.
struct OverlaySlice {
  let axis: Int
  let index: Int
  private let shape: [Int]
  private let spacing: [Double]

  init(volume: Volume<Float>, axis: Int, index: Int) {
    self.axis = axis
    self.index = index
    shape = volume.shape
    spacing = volume.geometry.spacing
  }

  private var rowAxis: Int { axis == 0 ? 1 : 0 }
  private var columnAxis: Int { axis == 2 ? 1 : 2 }
  var width: Int { shape[columnAxis] }
  var height: Int { shape[rowAxis] }
  var widthMillimeters: Double { Double(width) * spacing[columnAxis] }
  var heightMillimeters: Double { Double(height) * spacing[rowAxis] }

  var caption: String {
    let name = ["z", "y", "x"][axis]
    return "slice \(index + 1) of \(shape[axis]) across \(name)"
  }

  private func values<T>(_ array: NDArray<T>) -> [T] {
    let strides = array.strides
    return (0..<height).flatMap { row in
      (0..<width).map { column in
        array.elements[index * strides[axis] + row * strides[rowAxis] + column * strides[columnAxis]]
      }
    }
  }

  func pixels(_ image: NDArray<Float>, window: DisplayWindow) -> [UInt8] { values(image).map(window.gray) }

  /// Fills each named label and draws its outline.
  func drawLabels(_ map: NDArray<Int16>, names: [(label: Int, text: String)], on canvas: Canvas, in box: Box)
  {
    let plane = values(map)
    let (stepX, stepY) = (box.width / Double(width), box.height / Double(height))
    for (order, name) in names.enumerated() {
      let color = Palette.label(order)
      for row in 0..<height {
        // Runs of equal label, so that neighbouring rectangles leave no seams between columns.
        var column = 0
        while column < width {
          let start = column
          while column < width, Int(plane[row * width + column]) == name.label { column += 1 }
          if column > start {
            let run = Box(
              x: box.x + Double(start) * stepX, y: box.y + Double(row) * stepY,
              width: Double(column - start) * stepX,
              height: stepY)
            canvas.fill(run, color.faded(to: 0.35))
          }
          column += 1
        }
      }
      canvas.stroke(outline(of: name.label, in: plane, box: box), color, width: 1.8)
    }
  }

  /// Draws the outlines of all named labels, dashed in white.
  func drawOutline(_ map: NDArray<Int16>, names: [(label: Int, text: String)], on canvas: Canvas, in box: Box)
  {
    let plane = values(map)
    for name in names {
      canvas.stroke(
        outline(of: name.label, in: plane, box: box), Color(0xFFFFFF, opacity: 0.95), width: 1.2,
        dash: [4, 2.5])
    }
  }

  /// The edges between voxels of a label and all others, joined into as long lines as they make.
  private func outline(of label: Int, in plane: [Int16], box: Box) -> [[(x: Double, y: Double)]] {
    func isInside(_ row: Int, _ column: Int) -> Bool {
      row >= 0 && column >= 0 && row < height && column < width && Int(plane[row * width + column]) == label
    }
    // Each edge runs with the label on its right, from corner to corner of the voxel grid.
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
    var lines: [[(x: Double, y: Double)]] = []
    for start in following.keys.sorted() {
      while following[start]?.isEmpty == false {
        var corner = start
        var line = [place(corner, box)]
        while let next = following[corner]?.popLast() {
          corner = next
          line.append(place(corner, box))
        }
        lines.append(line)
      }
    }
    return lines
  }

  private func place(_ corner: Corner, _ box: Box) -> (x: Double, y: Double) {
    (
      box.x + Double(corner.column) / Double(width) * box.width,
      box.y + Double(corner.row) / Double(height) * box.height
    )
  }
}

/// A corner of the voxel grid of a slice.
private struct Corner: Hashable, Comparable {
  var row: Int
  var column: Int

  static func < (a: Corner, b: Corner) -> Bool { (a.row, a.column) < (b.row, b.column) }
}
