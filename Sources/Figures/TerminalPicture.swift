// Pictures as texts for terminals: kitty's protocol, sixel, and half blocks in 24-bit colours.

package import Foundation

/// How a terminal shows pictures.
package enum TerminalGraphics: String, Sendable, CaseIterable {
  /// Kitty's protocol: PNG files in base64.
  case kitty
  /// DEC's sixel: six rows at a time out of 256 colours.
  case sixel
  /// Characters that are half foreground and half background.
  case blocks

  /// What a terminal's answer to ``query`` says it can.
  ///
  /// - Source: kitty's graphics protocol, "Querying support"; device attributes of the VT340, where 4 means sixel.
  package init(reply: String) {
    let attributes = reply.range(of: "\u{1B}[?").map { start in
      reply[start.upperBound...].prefix { $0 != "c" }.split(separator: ";")
    }
    self = reply.contains("_Gi=31;OK") ? .kitty : attributes?.contains("4") == true ? .sixel : .blocks
  }

  /// Asks for kitty's protocol and, since every terminal answers that, for the device's attributes; the answer ends
  /// with `c`.
  package static let query = "\u{1B}_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\u{1B}\\\u{1B}[c"
}

/// A PNG in kitty's protocol, scaled to a number of columns.
package func kittyText(png: Data, columns: Int) -> String {
  let text = Array(png.base64EncodedString().utf8)
  let size = 4096
  var result = ""
  for start in stride(from: 0, to: text.count, by: size) {
    let chunk = String(decoding: text[start..<min(start + size, text.count)], as: UTF8.self)
    let isLast = start + size >= text.count
    let keys = start == 0 ? "a=T,f=100,q=2,c=\(columns)," : ""
    result += "\u{1B}_G\(keys)m=\(isLast ? 0 : 1);\(chunk)\u{1B}\\"
  }
  return result + "\n"
}

/// A picture in sixels, out of its 256 commonest colours.
package func sixelText(_ picture: RasterImage) -> String {
  let colors = SixelPalette(picture)
  var result = "\u{1B}P0;1;0q\"1;1;\(picture.width);\(picture.height)"
  for (index, color) in colors.table.enumerated() {
    let percent = color.map { (Int($0) * 100 + 127) / 255 }
    result += "#\(index);2;\(percent[0]);\(percent[1]);\(percent[2])"
  }
  let indices = stride(from: 0, to: picture.bytes.count, by: 3).map {
    colors.place(of: picture.bytes[$0..<$0 + 3])
  }
  for top in stride(from: 0, to: picture.height, by: 6) {
    let rows = min(6, picture.height - top)
    var bits: [Int: [UInt8]] = [:]
    for row in 0..<rows {
      for x in 0..<picture.width {
        bits[indices[(top + row) * picture.width + x], default: Array(repeating: 0, count: picture.width)][
          x] |=
          1 << row
      }
    }
    for color in bits.keys.sorted() { result += "#\(color)\(runs(of: bits[color] ?? []))$" }
    result += "-"
  }
  return result + "\u{1B}\\\n"
}

/// Sixel characters of one colour, repeated ones counted; blank ones at the end are left away.
private func runs(of bits: [UInt8]) -> String {
  var text = ""
  var start = 0
  let end = (bits.lastIndex { $0 != 0 } ?? -1) + 1
  while start < end {
    var stop = start
    while stop < end, bits[stop] == bits[start] { stop += 1 }
    let character = String(UnicodeScalar(63 + bits[start]))
    text +=
      stop - start > 3 ? "!\(stop - start)\(character)" : String(repeating: character, count: stop - start)
    start = stop
  }
  return text
}

/// The 256 commonest colours of a picture; those that share the upper five bits of each channel are taken together.
private struct SixelPalette {
  private(set) var table: [[UInt8]] = []
  /// The place in the table by the upper five bits of each channel.
  private var places: [Int: Int] = [:]

  init(_ picture: RasterImage) {
    var groups: [Int: (count: Int, sums: [Int])] = [:]
    for start in stride(from: 0, to: picture.bytes.count, by: 3) {
      let color = picture.bytes[start..<start + 3]
      var group = groups[Self.key(color)] ?? (0, [0, 0, 0])
      group.count += 1
      for (channel, value) in color.enumerated() { group.sums[channel] += Int(value) }
      groups[Self.key(color)] = group
    }
    let means = groups.sorted { ($1.value.count, $0.key) < ($0.value.count, $1.key) }.map { key, group in
      (key, group.sums.map { UInt8($0 / group.count) })
    }
    table = means.prefix(256).map(\.1)
    for (key, mean) in means { places[key] = nearest(mean) }
  }

  private static func key(_ color: ArraySlice<UInt8>) -> Int {
    color.reduce(0) { $0 << 5 | Int($1) >> 3 }
  }

  private func nearest(_ color: [UInt8]) -> Int {
    func distance(_ other: [UInt8]) -> Int {
      zip(color, other).reduce(0) { $0 + (Int($1.0) - Int($1.1)) * (Int($1.0) - Int($1.1)) }
    }
    return table.indices.min { distance(table[$0]) < distance(table[$1]) } ?? 0
  }

  /// The place of one of the picture's colours.
  func place(of color: ArraySlice<UInt8>) -> Int { places[Self.key(color)] ?? 0 }
}

/// The lines of a picture in half blocks: two rows of pixels each, without an end of line.
///
/// - Shape: the picture is as many pixels wide as columns; an odd last row is left over black.
package func blockLines(_ picture: RasterImage) -> [String] {
  func color(_ x: Int, _ y: Int) -> String {
    guard y < picture.height else { return "0;0;0" }
    let start = 3 * (y * picture.width + x)
    return "\(picture.bytes[start]);\(picture.bytes[start + 1]);\(picture.bytes[start + 2])"
  }
  return stride(from: 0, to: picture.height, by: 2).map { y in
    var line = ""
    var (lastUpper, lastLower) = ("", "")
    for x in 0..<picture.width {
      let (upper, lower) = (color(x, y), color(x, y + 1))
      if upper != lastUpper { line += "\u{1B}[38;2;\(upper)m" }
      if lower != lastLower { line += "\u{1B}[48;2;\(lower)m" }
      line += "▀"
      (lastUpper, lastLower) = (upper, lower)
    }
    return line + "\u{1B}[0m"
  }
}
