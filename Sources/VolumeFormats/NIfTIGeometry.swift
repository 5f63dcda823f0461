// From a header's orientation fields to spacing, origin and direction, as ITK understands them, and back.
// This is the one file where header axes (x, y, z; RAS) meet array axes (z, y, x) and LPS.

import CNifti
import Foundation
import Volumes

extension ImageGeometry {
  /// The geometry that SimpleITK and nnU-Net report for a header.
  ///
  /// A skewed sform that stands alone, which ITK refuses, is kept as it is; so are the header fields.
  ///
  /// NibabelIO takes the distances as they stand; every other reader heeds their unit.
  init(
    _ orientation: NIfTIOrientation, ignoringUnits: Bool = false, source: String
  ) throws(ImageFileError) {
    let is2D = orientation.dimensionCount == 2
    let scale = ignoringUnits ? 1 : Self.unitScale(orientation.xyztUnits)
    // A spacing of zero means that none was set.
    let stored = (1...3).map { orientation.pixdim[$0] == 0 ? 1 : orientation.pixdim[$0] }
    var columns: [[Double]]
    var origin = [0.0, 0, 0]
    if let matrix = try Self.chosenMatrix(orientation, source: source) {
      columns = (0..<3).map { column in (0..<3).map { row in (row < 2 ? -1 : 1) * matrix[row][column] } }
      origin = (0..<3).map { row in (row < 2 ? -1 : 1) * matrix[row][3] * scale }
    } else {
      columns = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    }
    if is2D {
      columns = [[columns[0][0], columns[0][1], 0], [columns[1][0], columns[1][1], 0], [0, 0, 1]]
      origin[2] = 0
    }
    for axis in 0..<(is2D ? 2 : 3) {
      let length = columns[axis].reduce(0) { $0 + $1 * $1 }.squareRoot()
      let sign: Double = stored[axis] < 0 ? -1 : 1
      columns[axis] = columns[axis].map { length > 0 ? sign * $0 / length : $0 }
    }
    let spacing = stored.map { abs($0) * scale }
    self.init(
      // nnU-Net gives 2D images a slice distance that no plan mistakes for an in-plane spacing.
      spacing: [is2D ? 999 * max(spacing[0], spacing[1]) : spacing[2], spacing[1], spacing[0]],
      origin: origin,
      direction: (0..<3).flatMap { row in (0..<3).map { columns[$0][row] } }, nifti: orientation,
      axisCount: is2D ? 2 : 3)
  }

  private static func unitScale(_ xyztUnits: Int32) -> Double {
    switch xyztUnits & 7 {
    case NIFTI_UNITS_METER: 1e3
    case NIFTI_UNITS_MICRON: 1e-3
    default: 1
    }
  }

  /// The matrix that ITK would use, in RAS, or nil when the header sets none.
  ///
  /// The sform counts when it means scanner coordinates or stands alone; otherwise the qform.
  private static func chosenMatrix(_ orientation: NIfTIOrientation, source: String) throws(ImageFileError)
    -> [[Double]]?
  {
    let sform = (0..<3).map { row in Array(orientation.srow[4 * row..<4 * row + 4]) }
    let hasQForm = orientation.qformCode > 0
    if orientation.sformCode > 0, !hasQForm || orientation.sformCode == NIFTI_XFORM_SCANNER_ANAT {
      if isOrthogonal(sform) { return sform }
      if !hasQForm {
        guard hasIndependentAxes(sform) else {
          throw .badHeader(
            source, field: "srow", expected: "three independent axes, or a valid qform",
            found: sform.map { "\($0)" }.joined(separator: " "))
        }
        return sform
      }
    }
    return hasQForm ? quaternionMatrix(orientation) : nil
  }

  private static func quaternionMatrix(_ orientation: NIfTIOrientation) -> [[Double]] {
    let q = orientation.quaternion
    let step = (1...3).map { orientation.pixdim[$0] > 0 ? orientation.pixdim[$0] : 1 }
    let qfac: Double = orientation.pixdim[0] < 0 ? -1 : 1
    let matrix = nifti_quatern_to_dmat44(q[0], q[1], q[2], q[3], q[4], q[5], step[0], step[1], step[2], qfac)
    // ITK holds the matrix in single precision.
    let values = withUnsafeBytes(of: matrix) { Array($0.bindMemory(to: Double.self)) }.map {
      Double(Float($0))
    }
    return (0..<3).map { Array(values[4 * $0..<4 * $0 + 4]) }
  }

  /// Cosines between axes up to this pass as rounding of single-precision fields.
  private static let skewTolerance = 1e-4

  private static func isOrthogonal(_ matrix: [[Double]]) -> Bool {
    let columns = (0..<3).map { column in (0..<3).map { matrix[$0][column] } }
    let lengths = columns.map { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    guard lengths.allSatisfy({ $0 > 0 && $0.isFinite }) else { return false }
    return [(0, 1), (0, 2), (1, 2)].allSatisfy { a, b in
      abs(zip(columns[a], columns[b]).reduce(0) { $0 + $1.0 * $1.1 }) <= skewTolerance * lengths[a]
        * lengths[b]
    }
  }

  /// Whether the axes span space, whatever their lengths.
  private static func hasIndependentAxes(_ matrix: [[Double]]) -> Bool {
    let columns = (0..<3).map { column in (0..<3).map { matrix[$0][column] } }
    let lengths = columns.map { $0.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    guard lengths.allSatisfy({ $0 > 0 && $0.isFinite }) else { return false }
    let (a, b, c) = (columns[0], columns[1], columns[2])
    let determinant =
      a[0] * (b[1] * c[2] - b[2] * c[1]) - b[0] * (a[1] * c[2] - a[2] * c[1])
      + c[0] * (a[1] * b[2] - a[2] * b[1])
    return abs(determinant) > 1e-3 * lengths[0] * lengths[1] * lengths[2]
  }
}

extension NIfTIOrientation {
  /// Header fields for an image that never had any: qform and sform agree, in millimetres.
  init(of geometry: ImageGeometry) {
    let step = [geometry.spacing[2], geometry.spacing[1], geometry.spacing[0]]
    let sign = [-1.0, -1, 1]
    var values: [Double] = []
    for row in 0..<3 {
      for column in 0..<3 { values.append(sign[row] * geometry.direction[3 * row + column] * step[column]) }
      values.append(sign[row] * geometry.origin[row])
    }
    var matrix = nifti_dmat44()
    let all = values + [0, 0, 0, 1]
    withUnsafeMutableBytes(of: &matrix) { target in all.withUnsafeBytes { target.copyMemory(from: $0) } }
    var (b, c, d, x, y, z, qfac) = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)
    nifti_dmat44_to_quatern(matrix, &b, &c, &d, &x, &y, &z, nil, nil, nil, &qfac)
    self.init(
      version: 1, dimensionCount: geometry.axisCount, pixdim: [qfac] + step + [1, 1, 1, 1],
      qformCode: NIFTI_XFORM_SCANNER_ANAT,
      sformCode: NIFTI_XFORM_SCANNER_ANAT, quaternion: [b, c, d, x, y, z], srow: values,
      xyztUnits: NIFTI_UNITS_MM)
  }
}
