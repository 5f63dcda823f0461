// Pictures as bytes: what slices become before they go onto a page or into a terminal.

/// A picture of three bytes per pixel, row by row.
package struct RasterImage: Sendable, Equatable {
  package let width: Int
  package let height: Int
  /// Red, green and blue of every pixel.
  package var bytes: [UInt8]

  package init(width: Int, height: Int, bytes: [UInt8]) {
    precondition(bytes.count == 3 * width * height, "\(bytes.count) bytes for \(width) by \(height) pixels")
    self.width = width
    self.height = height
    self.bytes = bytes
  }

  /// Mixes a colour into a pixel.
  mutating func blend(_ color: Color, opacity: Double, at pixel: Int) {
    for (component, value) in [color.red, color.green, color.blue].enumerated() {
      let old = Double(bytes[3 * pixel + component])
      bytes[3 * pixel + component] = UInt8((old + (255 * value - old) * opacity).rounded())
    }
  }

  /// The picture in another size, each pixel the mean of the area that it covers.
  package func resized(width newWidth: Int, height newHeight: Int) -> RasterImage {
    let columns = Self.shares(from: width, to: newWidth)
    let rows = Self.shares(from: height, to: newHeight)
    var result: [UInt8] = []
    result.reserveCapacity(3 * newWidth * newHeight)
    for row in rows {
      for column in columns {
        var sums = [0.0, 0, 0]
        for (y, shareY) in row {
          for (x, shareX) in column {
            for component in 0..<3 {
              sums[component] += shareX * shareY * Double(bytes[3 * (y * width + x) + component])
            }
          }
        }
        result += sums.map { UInt8(min(255, max(0, $0.rounded()))) }
      }
    }
    return RasterImage(width: newWidth, height: newHeight, bytes: result)
  }

  /// For every new position the old ones that it covers, with shares that sum to one.
  private static func shares(from old: Int, to new: Int) -> [[(Int, Double)]] {
    let step = Double(old) / Double(new)
    return (0..<new).map { index in
      let (start, end) = (Double(index) * step, Double(index + 1) * step)
      return (Int(start)..<max(Int(start) + 1, min(old, Int(end.rounded(.up))))).map { position in
        (position, (min(end, Double(position + 1)) - max(start, Double(position))) / step)
      }
    }
  }
}
