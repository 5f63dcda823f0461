// Turning images to right, anterior, superior by swapping and flipping axes, and back to the axes of their file.

import Reporting
import Tensors
import Volumes

extension Volume {
  /// The image with its axes running as closely as possible to the right, to the front and upwards.
  ///
  /// - Shape: `[C, Z, Y, X]`
  func turnedToRAS(by reader: ImageReader?, source: String) throws -> Volume {
    guard geometry.axisCount == 3 else {
      throw ImageFileError.unsupported(
        source, feature: "an image of two axes", expected: "three axes to turn",
        remedy: "remove overwrite_image_reader_writer from dataset.json")
    }
    let turn = ImageTurn(toRASFrom: geometry)
    var result = applying(turn)
    result.geometry.turn = turn
    if reader == .nibabelReoriented, !turn.isIdentity, let matrix = geometry.nifti, matrix.sformCode > 0 {
      // nibabel measures the distances of a turned image anew, in the matrix and in single precision.
      for axis in 0..<3 {
        let column = (0..<3).map { matrix.srow[4 * $0 + turn.axes[axis]] }
        result.geometry.spacing[2 - axis] = Double(Float(column.reduce(0) { $0 + $1 * $1 }.squareRoot()))
      }
    }
    return result
  }

  /// The image as its file had it, if a reader has turned it.
  ///
  /// - Shape: `[Z, Y, X]`
  func turnedBack() -> Volume {
    guard let turn = geometry.turn else { return self }
    let back = (0..<3).map { axis in turn.axes.firstIndex(of: axis) ?? axis }
    var result = applying(
      ImageTurn(
        axes: back, isFlipped: back.map { turn.isFlipped[$0] }, spacing: turn.spacing, origin: turn.origin))
    result.geometry.spacing = turn.spacing
    result.geometry.origin = turn.origin
    result.geometry.turn = nil
    return result
  }

  /// Axis `i` (x, y, z) of the result is axis `turn.axes[i]` of this image, reversed where the turn flips.
  private func applying(_ turn: ImageTurn) -> Volume {
    let leading = shape.count - 3
    func array(_ axis: Int) -> Int { leading + 2 - axis }
    var order = Array(0..<leading) + [0, 0, 0]
    for axis in 0..<3 { order[array(axis)] = array(turn.axes[axis]) }
    var turned = voxels.transposed(order)
    for axis in 0..<3 where turn.isFlipped[axis] { turned.reverse(axis: array(axis)) }

    var result = geometry
    for axis in 0..<3 {
      let old = turn.axes[axis]
      let sign: Double = turn.isFlipped[axis] ? -1 : 1
      result.spacing[2 - axis] = geometry.spacing[2 - old]
      let reach = Double(shape[array(old)] - 1) * geometry.spacing[2 - old]
      for row in 0..<3 {
        result.direction[3 * row + axis] = sign * geometry.direction[3 * row + old]
        if turn.isFlipped[axis] { result.origin[row] += geometry.direction[3 * row + old] * reach }
      }
    }
    return Volume(voxels: turned, geometry: result)
  }
}

extension ImageTurn {
  /// Which axis of a file runs most nearly along each axis of the patient; the clearest match is made first.
  init(toRASFrom geometry: ImageGeometry) {
    // Rows are right, anterior, superior; columns the file's axes.
    var cosines = (0..<3).map { row in
      (0..<3).map { (row < 2 ? -1 : 1) * geometry.direction[3 * row + $0] }
    }
    let strength = (0..<3).map { column in (0..<3).map { abs(cosines[$0][column]) }.max() ?? 0 }
    let columns = (0..<3).sorted { strength[$0] != strength[$1] ? strength[$0] > strength[$1] : $0 < $1 }
    var axes = [0, 1, 2]
    var isFlipped = [false, false, false]
    var isTaken = [false, false, false]
    for column in columns {
      let free = (0..<3).filter { !isTaken[$0] }
      let row = free.max { abs(cosines[$0][column]) < abs(cosines[$1][column]) } ?? column
      axes[row] = column
      isFlipped[row] = cosines[row][column] < 0
      isTaken[row] = true
      cosines[row] = [0, 0, 0]
    }
    self.init(axes: axes, isFlipped: isFlipped, spacing: geometry.spacing, origin: geometry.origin)
  }
}

extension NDArray {
  /// Reverses the order of the slices along an axis.
  fileprivate mutating func reverse(axis: Int) {
    let inner = shape[(axis + 1)...].reduce(1, *)
    let extent = shape[axis]
    let outer = shape[..<axis].reduce(1, *)
    elements.withUnsafeMutableBufferPointer { elements in
      for block in 0..<outer {
        for i in 0..<extent / 2 {
          let (low, high) = ((block &* extent &+ i) &* inner, (block &* extent &+ (extent - 1 - i)) &* inner)
          for j in 0..<inner { elements.swapAt(low &+ j, high &+ j) }
        }
      }
    }
  }
}
