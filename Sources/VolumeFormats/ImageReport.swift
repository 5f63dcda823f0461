// What `lunette info` says of a file: header, values and everything odd about them.

package import Archives
package import Foundation
import Reporting
import Tensors
import Volumes

/// An image file in words and numbers.
package struct ImageReport: Sendable {
  package let information: ImageInformation
  package let path: String
  /// Over all channels; NaN does not count.
  package let minimum: Float
  package let maximum: Float
  package let mean: Double
  package let nanCount: Int
  package let infiniteCount: Int
  package let zeroFraction: Double
  /// The values that occur, if they are few whole numbers as in a label map.
  package let labels: [Int]?
  package let oddities: [String]

  /// A label map has hardly more values than these.
  private static let maximumLabelCount = 64

  /// Reads the whole file.
  package init(of url: URL) throws {
    let file = try openImage(url, ImageFormat(of: url), reader: ImageReader.automatic(for: url))
    let voxels = try file.decodedVoxels()
    information = file.information
    path = url.path
    var summary = ValueSummary()
    voxels.withUnsafeBufferPointer { summary.add($0) }
    minimum = summary.count > 0 ? summary.minimum : .nan
    maximum = summary.count > 0 ? summary.maximum : .nan
    mean = summary.count > 0 ? summary.sum / Double(summary.count) : .nan
    nanCount = summary.nanCount
    infiniteCount = summary.infiniteCount
    zeroFraction = Double(summary.zeroCount) / Double(max(1, voxels.count))
    labels = summary.isWhole ? Self.distinct(voxels) : nil
    var oddities = information.remarks + information.geometry.oddities(shape: information.shape)
    if nanCount > 0 { oddities.append("\(nanCount) voxels are NaN") }
    if infiniteCount > 0 { oddities.append("\(infiniteCount) voxels are infinite") }
    if summary.count > 0, minimum == maximum { oddities.append("every voxel is \(minimum)") }
    self.oddities = oddities
  }

  private struct ValueSummary {
    var minimum = Float.infinity
    var maximum = -Float.infinity
    var sum = 0.0
    var count = 0
    var nanCount = 0
    var infiniteCount = 0
    var zeroCount = 0
    var isWhole = true

    mutating func add(_ values: UnsafeBufferPointer<Float>) {
      for value in values {
        if value.isNaN {
          nanCount &+= 1
          isWhole = false
          continue
        }
        minimum = min(minimum, value)
        maximum = max(maximum, value)
        count &+= 1
        if value.isInfinite { infiniteCount &+= 1 } else { sum += Double(value) }
        if value == 0 { zeroCount &+= 1 }
        if value != value.rounded() || abs(value) > 65535 { isWhole = false }
      }
    }
  }

  private static func distinct(_ voxels: [Float]) -> [Int]? {
    var found: Set<Float> = []
    var last = Float.nan
    for value in voxels where value != last {
      last = value
      found.insert(value)
      if found.count > maximumLabelCount { return nil }
    }
    return found.map { Int($0) }.sorted()
  }

  /// A few lines for a terminal.
  package var text: String {
    let geometry = information.geometry
    func join(_ values: [Double], _ separator: String = ", ") -> String {
      values.map { number(($0 * 1e6).rounded() / 1e6) }.joined(separator: separator)
    }
    let channels = information.channelCount == 1 ? "1 channel" : "\(information.channelCount) channels"
    let rows = (0..<3).map { join(Array(geometry.direction[(3 * $0)..<(3 * $0 + 3)])) }
    var lines = [
      "\(URL(filePath: path).lastPathComponent): \(information.format.rawValue), \(information.dataType.rawValue), "
        + information.encoding,
      "  shape      \(information.shape.map(String.init).joined(separator: " × ")) (z, y, x), \(channels)",
      "  spacing    \(join(geometry.spacing, " × ")) mm"
        + (geometry.axisCount == 2 ? " (two axes; the first number stands for none)" : ""),
      "  origin     \(join(geometry.origin)) (x, y, z in LPS)",
      "  direction  \(geometry.orientationCode) [\(rows.joined(separator: "; "))]",
    ]
    let zeros = (zeroFraction * 1000).rounded() / 10
    lines.append(
      "  values     \(number(Double(minimum))) to \(number(Double(maximum))), mean \(Float(mean)), \(number(zeros)) % zero"
    )
    if let labels, labels.count <= 32, labels.count > 1 {
      lines.append("  labels     \(labels.map(String.init).joined(separator: ", "))")
    }
    for (index, oddity) in oddities.enumerated() {
      lines.append((index == 0 ? "  remarks    " : "             ") + oddity)
    }
    return lines.joined(separator: "\n")
  }

  package var json: JSON {
    let geometry = information.geometry
    return [
      "path": .string(path), "format": .string(information.format.rawValue),
      "data_type": .string(information.dataType.rawValue), "encoding": .string(information.encoding),
      "channels": .integer(information.channelCount), "shape": JSON(information.shape),
      "axes": .integer(geometry.axisCount), "spacing": JSON(geometry.spacing),
      "origin": JSON(geometry.origin),
      "direction": JSON(geometry.direction), "orientation": .string(geometry.orientationCode),
      "minimum": .number(Double(minimum)), "maximum": .number(Double(maximum)), "mean": .number(mean),
      "nan_count": .integer(nanCount), "infinite_count": .integer(infiniteCount),
      "zero_fraction": .number(zeroFraction), "labels": labels.map { JSON($0) } ?? .null,
      "remarks": JSON(oddities),
    ]
  }
}

extension ImageGeometry {
  /// Where the axes x, y and z of the array run, such as `LPS`: to the left, to the back and upwards.
  package var orientationCode: String {
    let letters: [[Character]] = [["L", "R"], ["P", "A"], ["S", "I"]]
    return String(
      (0..<3).map { axis -> Character in
        let column = (0..<3).map { direction[3 * $0 + axis] }
        let row = (0..<3).max { abs(column[$0]) < abs(column[$1]) } ?? axis
        return letters[row][column[row] < 0 ? 1 : 0]
      })
  }

  /// What is odd about a geometry, though the voxels can be used.
  func oddities(shape: [Int]) -> [String] {
    var oddities: [String] = []
    let columns = (0..<3).map { axis in (0..<3).map { direction[3 * $0 + axis] } }
    func dot(_ a: Int, _ b: Int) -> Double { zip(columns[a], columns[b]).reduce(0) { $0 + $1.0 * $1.1 } }
    let skew = [(0, 1), (0, 2), (1, 2)].map { abs(dot($0, $1)) }.max() ?? 0
    if skew > 1e-4 {
      oddities.append("the axes are not at right angles: a cosine of \(Float(skew)) between two")
    }
    if (0..<3).contains(where: { abs(dot($0, $0) - 1) > 1e-4 }) {
      oddities.append("the direction vectors are not of length 1")
    }
    let angle =
      columns.map { column in acos(min(1, column.map { abs($0) }.max() ?? 1)) * 180 / .pi }.max() ?? 0
    if angle > 0.1 {
      oddities.append("oblique: an axis runs \(Float((angle * 10).rounded() / 10)) degrees off the patient's")
    }
    let d = direction
    let determinant =
      d[0] * (d[4] * d[8] - d[5] * d[7]) - d[1] * (d[3] * d[8] - d[5] * d[6])
      + d[2] * (d[3] * d[7] - d[4] * d[6])
    if determinant < 0 { oddities.append("left-handed axes: the image is stored as in a mirror") }
    guard axisCount == 3 else { return oddities }
    if shape[0] == 1 { oddities.append("three axes, but a single slice") }
    if let bad = spacing.first(where: { $0 < 0.001 || $0 > 100 }) {
      oddities.append("a distance of \(number(bad)) mm is hardly a scan's; is the unit right?")
    }
    return oddities
  }
}
