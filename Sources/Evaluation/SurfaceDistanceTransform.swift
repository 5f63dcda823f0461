// Distances to the nearest cell with surface, plane by plane. Z Y X array axes, mm.

/// The exact Euclidean distance to a surface, from any plane of its cells.
///
/// The squared distance separates: along z two sweeps count cells; along y and then x the lower envelope of parabolas
/// gives the least sum. The sweeps are kept for all planes, the rest is computed when a plane is asked for, so that
/// memory is four bytes per cell and a plane.
///
/// - Complexity: O(cells) for the sweeps, O(height · width) per plane.
/// - Source: Felzenszwalb and Huttenlocher, Distance Transforms of Sampled Functions, 2012.
struct SurfaceDistanceTransform: Sendable {
  private let (height, width): (Int, Int)
  private let spacing: [Double]
  /// Planes to the nearest cell with surface in the same column; `none` where there is none.
  private let planeCounts: [Int32]
  private static let none = Int32.max

  /// Sweeps along z.
  ///
  /// - Parameter spacing: millimetres between cells along z, y, x.
  init(_ cells: SurfaceCells, spacing: [Double], table: SurfaceElementTable) {
    (height, width) = (cells.height, cells.width)
    self.spacing = spacing
    let plane = height * width
    var counts = [Int32](repeating: Self.none, count: cells.codes.count)
    counts.withUnsafeMutableBufferPointer { counts in
      cells.codes.withUnsafeBufferPointer { codes in
        for i in 0..<codes.count {
          if table.isSurface(codes[i]) {
            counts[i] = 0
          } else if i >= plane, counts[i - plane] != Self.none {
            counts[i] = counts[i - plane] + 1
          }
        }
        for i in stride(from: codes.count - plane - 1, through: 0, by: -1) {
          let next = counts[i + plane]
          if next != Self.none, next + 1 < counts[i] { counts[i] = next + 1 }
        }
      }
    }
    planeCounts = counts
  }

  /// Calls `body` with the squared distances of each wanted row of a plane.
  ///
  /// - Parameter rows: the rows wanted, in any order.
  func squaredDistances(plane: Int, rows: [Int], _ body: (Int, UnsafeBufferPointer<Double>) -> Void) {
    var envelope = LowerEnvelope(capacity: max(height, width))
    var column = [Double](repeating: 0, count: height)
    var result = [Double](repeating: 0, count: max(height, width))
    var between = [Double](repeating: 0, count: height * width)
    let start = plane * height * width
    planeCounts.withUnsafeBufferPointer { counts in
      result.withUnsafeMutableBufferPointer { result in
        for x in 0..<width {
          for y in 0..<height {
            let count = counts[start + y * width + x]
            let distance = Double(count) * spacing[0]
            column[y] = count == Self.none ? .infinity : distance * distance
          }
          column.withUnsafeBufferPointer { envelope.evaluate($0, spacing: spacing[1], into: result) }
          for y in 0..<height { between[y * width + x] = result[y] }
        }
        between.withUnsafeBufferPointer { between in
          for y in rows {
            let row = UnsafeBufferPointer(rebasing: between[y * width..<(y + 1) * width])
            envelope.evaluate(row, spacing: spacing[2], into: result)
            body(y, UnsafeBufferPointer(rebasing: UnsafeBufferPointer(result)[..<width]))
          }
        }
      }
    }
  }
}

/// The least of `values[v] + (distance between p and v)²` over all v, for every p.
private struct LowerEnvelope {
  /// The parabolas of the envelope, and where each begins to be the lowest.
  private var vertices: [Int]
  private var starts: [Double]

  init(capacity: Int) {
    vertices = Array(repeating: 0, count: capacity)
    starts = Array(repeating: 0, count: capacity)
  }

  mutating func evaluate(
    _ values: UnsafeBufferPointer<Double>, spacing: Double, into result: UnsafeMutableBufferPointer<Double>
  ) {
    let count = values.count
    vertices.withUnsafeMutableBufferPointer { vertices in
      starts.withUnsafeMutableBufferPointer { starts in
        var last = -1
        for q in 0..<count where values[q] != .infinity {
          let position = Double(q) * spacing
          let height = values[q] + position * position
          var start = -Double.infinity
          while last >= 0 {
            let v = vertices[last]
            let other = Double(v) * spacing
            start = (height - (values[v] + other * other)) / (2 * (position - other))
            if start > starts[last] { break }
            last -= 1
          }
          if last < 0 { start = -.infinity }
          last += 1
          vertices[last] = q
          starts[last] = start
        }
        if last < 0 {
          for p in 0..<count { result[p] = .infinity }
          return
        }
        var k = 0
        for p in 0..<count {
          while k < last, starts[k + 1] < Double(p) * spacing { k += 1 }
          let distance = Double(p - vertices[k]) * spacing
          result[p] = values[vertices[k]] + distance * distance
        }
      }
    }
  }
}
