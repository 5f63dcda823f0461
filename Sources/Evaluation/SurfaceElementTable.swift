// How much surface lies in a cube of eight voxels, for each way in which these are inside or outside of a target.

/// Areas of surface elements, by neighbourhood code.
///
/// A neighbourhood is the cube between the centres of 2 × 2 × 2 voxels (in 2D: the square between 2 × 2). Its code has
/// a bit per voxel: bit 0 for the last along every axis, bit 1 for its neighbour before it along x, bit 2 along y,
/// bit 4 along z. Marching cubes lays triangles through a cube that is partly inside; their areas add up to that of
/// the surface element.
///
/// - Source: the table of `surface-distance` (DeepMind, Apache-2.0), of which only the lengths of the normals' components
///   matter for areas.
package struct SurfaceElementTable: Sendable {
  /// The area in mm² (in 2D: the length in mm) of the element of each code; 0 where no surface is.
  package let areas: [Double]
  /// The code of a neighbourhood that is wholly inside.
  let fullCode: UInt8

  /// The table for voxels of a size.
  ///
  /// - Parameter spacing: millimetres along z, y, x, or along y, x for areas of a contour.
  package init(spacing: [Double]) {
    if spacing.count == 2 {
      areas = Self.contourLengths(vertical: spacing[0], horizontal: spacing[1])
      fullCode = 0b1111
    } else {
      let half = Self.normals.map { triangles in
        triangles.reduce(0.0) { sum, normal in
          let z = normal.x / 8 * spacing[1] * spacing[2]
          let y = normal.y / 8 * spacing[0] * spacing[2]
          let x = normal.z / 8 * spacing[0] * spacing[1]
          return sum + (z * z + y * y + x * x).squareRoot()
        }
      }
      // Inside and outside exchanged: the same surface.
      areas = half + half.reversed()
      fullCode = 0b1111_1111
    }
  }

  /// Whether a neighbourhood is partly inside.
  func isSurface(_ code: UInt8) -> Bool { code != 0 && code != fullCode }

  /// The length of contour in a square: half a diagonal around a corner, a side between two rows or columns.
  private static func contourLengths(vertical: Double, horizontal: Double) -> [Double] {
    let corner = 0.5 * (vertical * vertical + horizontal * horizontal).squareRoot()
    return [
      0, corner, corner, horizontal, corner, vertical, 2 * corner, corner,
      corner, 2 * corner, vertical, corner, horizontal, corner, corner, 0,
    ]
  }

  /// The triangles' normals for the codes 0 to 127, as eighths along z, y, x in voxels of unit size.
  private static let normals: [[SIMD3<Double>]] = packedNormals.split(separator: " ").map { code in
    code.split(separator: "-").map { normal in
      let digits = normal.map { Double($0.wholeNumberValue ?? 0) }
      return SIMD3(digits[0], digits[1], digits[2])
    }
  }

  /// A word per code, its triangles joined by dashes, three digits each.
  private static let packedNormals = """
    000 111 111 220-220 111 202-202 111-111 400-222-111 111 111-111 202-202 400-222-111 220-220 400-222-111 \
    400-222-111 400-400 111 022-022 111-111 040-222-111 111-111 004-222-111 111-111-111 111-222-222-111 \
    111-111 022-022-111 202-202-111 111-333-022-202 111-220-220 333-022-111-220 400-111-222-111 400-111-222 \
    111 111-111 022-022 040-111-222 111-111 111-202-202 022-022-111 333-022-111-202 111-111 111-111-111 \
    004-222-111 222-222-111-111 111-220-220 400-222-111-111 022-333-111-220 400-222-111 220-220 040-222-111 \
    040-111-222 040-040 220-220-111 333-202-111-220 111-040-222-111 040-222-111 111-220-220 040-222-111-111 \
    333-220-111-202 040-222-111 220-220-220-220 220-220-111 111-220-220 220-220 111 111-111 111-111 \
    111-220-220 022-022 004-222-111 022-022-111 333-022-111-220 111-111 111-111-111 111-202-202 \
    400-222-111-111 040-222-111 222-222-111-111 202-333-022-111 400-222-111 202-202 004-222-111 111-202-202 \
    202-333-220-111 004-222-111 004-004 111-111-222-004 111-222-004 202-202-111 004-222-111-111 \
    202-202-202-202 111-202-202 202-333-220-111 004-222-111 111-202-202 202-202 111-111 111-111-111 \
    111-022-022 040-111-222-111 022-022-111 004-222-111-111 022-022-022-022 022-022-111 111-111-111 \
    111-111-111-111 004-222-111-111 111-111-111 040-222-111-111 111-111-111 022-022-111 111-111 400-222-111 \
    222-111-222-111 333-022-111-202 040-222-111 333-220-022-111 111-222-004 111-022-022 022-022 \
    400-222-111-111 111-111-111 202-202-111 111-111 220-220-111 111-111 111-111 111
    """
}
