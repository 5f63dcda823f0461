// The surface of a target on the grid of cells between its voxels. Z Y X array axes.

import Volumes

/// The neighbourhood code of every cell of a box.
///
/// A cell lies between 2 × 2 × 2 voxels, so a box has one more of them than voxels along each axis; what is outside of
/// the box, or of the image, is outside of the target. One slice alone makes one plane of cells between 2 × 2 voxels:
/// its surface is a contour.
struct SurfaceCells: Sendable {
  /// Planes, rows and columns of cells.
  let (depth, height, width): (Int, Int, Int)
  /// - Shape: `[depth, height, width]`
  let codes: [UInt8]
  /// Whether a plane has any cell with surface.
  let hasSurface: [Bool]

  /// Whether any cell has surface, which is whether any voxel is inside.
  var isEmpty: Bool { !hasSurface.contains(true) }

  /// Codes the voxels of a box.
  ///
  /// - Parameters:
  ///   - isContour: whether the box is a single slice, taken as an area of the plane.
  ///   - contains: whether the voxel at an offset of the map is inside.
  init(
    box: BoundingBox, shape: [Int], isContour: Bool, table: SurfaceElementTable, contains: (Int) -> Bool
  ) {
    let extents = box.shape
    let (height, width) = (extents[1] + 1, extents[2] + 1)
    let depth = isContour ? 1 : extents[0] + 1
    let plane = height * width
    var codes = [UInt8](repeating: 0, count: depth * plane)
    codes.withUnsafeMutableBufferPointer { codes in
      // Every voxel inside sets its bit in the cells around it.
      func mark(_ cell: Int, shift: UInt8) {
        codes[cell] |= 1 << shift
        codes[cell + 1] |= 2 << shift
        codes[cell + width] |= 4 << shift
        codes[cell + width + 1] |= 8 << shift
      }
      for z in 0..<extents[0] {
        for y in 0..<extents[1] {
          let source = ((box.lower[0] + z) * shape[1] + box.lower[1] + y) * shape[2] + box.lower[2]
          let row = z * plane + y * width
          for x in 0..<extents[2] where contains(source + x) {
            mark(row + x, shift: 0)
            if !isContour { mark(row + plane + x, shift: 4) }
          }
        }
      }
    }
    let surface = (0..<depth).map { z in
      codes[z * plane..<(z + 1) * plane].contains { table.isSurface($0) }
    }
    (self.depth, self.height, self.width) = (depth, height, width)
    self.codes = codes
    hasSurface = surface
  }
}
