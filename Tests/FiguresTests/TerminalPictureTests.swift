// The texts that make terminals show pictures.

import Figures
import Foundation
import Tensors
import Testing
import Volumes

@Suite("Terminal pictures")
struct TerminalPictureTests {
  @Test("The terminal's answer decides how pictures are shown")
  func reply() {
    #expect(TerminalGraphics(reply: "\u{1B}_Gi=31;OK\u{1B}\\\u{1B}[?62;c") == .kitty)
    #expect(TerminalGraphics(reply: "\u{1B}[?62;4;22c") == .sixel)
    #expect(TerminalGraphics(reply: "\u{1B}[?64;14;24c") == .blocks)
    #expect(TerminalGraphics(reply: "\u{1B}_Gi=31;ENOTSUP\u{1B}\\\u{1B}[?1;2;4c") == .sixel)
    #expect(TerminalGraphics(reply: "") == .blocks)
  }

  @Test("Half blocks hold two rows, and name a colour only when it changes")
  func blocks() {
    let picture = RasterImage(
      width: 2, height: 3, bytes: [1, 2, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15])
    #expect(
      blockLines(picture) == [
        "\u{1B}[38;2;1;2;3m\u{1B}[48;2;4;5;6m▀\u{1B}[48;2;7;8;9m▀\u{1B}[0m",
        "\u{1B}[38;2;10;11;12m\u{1B}[48;2;0;0;0m▀\u{1B}[38;2;13;14;15m▀\u{1B}[0m",
      ])
  }

  @Test("Kitty's text is the PNG in pieces of 4096 characters, the last one marked")
  func kitty() throws {
    let png = Data((0..<7000).map { UInt8($0 % 251) })
    let text = kittyText(png: png, columns: 60)
    let pieces = text.split(separator: "\u{1B}_G").map { $0.dropLast($0.hasSuffix("\n") ? 3 : 2) }
    #expect(pieces.count == 3)
    #expect(pieces[0].hasPrefix("a=T,f=100,q=2,c=60,m=1;"))
    #expect(pieces[1].hasPrefix("m=1;") && pieces[2].hasPrefix("m=0;"))
    let joined = pieces.map { $0.drop { $0 != ";" }.dropFirst() }.joined()
    #expect(Data(base64Encoded: joined) == png)
  }

  @Test("Sixels draw six rows at a time in the picture's own colours, runs counted")
  func sixel() {
    // Seven rows of eight white pixels over black ones.
    let bytes = (0..<56).flatMap { pixel -> [UInt8] in pixel < 8 ? [255, 255, 255] : [0, 0, 0] }
    let text = sixelText(RasterImage(width: 8, height: 7, bytes: bytes))
    #expect(
      text == "\u{1B}P0;1;0q\"1;1;8;7#0;2;0;0;0#1;2;100;100;100#0!8}$#1!8@$-#0!8@$-\u{1B}\\\n")
    // More colours than a terminal takes: the rarest one becomes the one it is nearest to.
    let many = (0..<400).flatMap { index -> [UInt8] in
      let (red, green) = (13 * (index / 20), 13 * (index % 20))
      return [UInt8(red), UInt8(green), 0]
    }
    let colorful = sixelText(RasterImage(width: 400, height: 1, bytes: many))
    #expect(colorful.contains("#255;2;") && !colorful.contains("#256;2;"))
  }

  @Test("Pictures shrink to the mean of what each pixel covers")
  func resizing() {
    let picture = RasterImage(
      width: 4, height: 2, bytes: [0, 10, 20, 30, 0, 10, 20, 30].flatMap { [$0, $0, $0] })
    #expect(
      picture.resized(width: 2, height: 1) == RasterImage(width: 2, height: 1, bytes: [5, 5, 5, 25, 25, 25]))
    #expect(picture.resized(width: 8, height: 4).resized(width: 4, height: 2) == picture)
  }

  @Test("A sheet of blocks keeps to the terminal's columns", arguments: [30, 80, 143])
  func columns(_ columns: Int) throws {
    let map = NDArray<Int16>(shape: [6, 20, 30], repeating: 1)
    let sheet = try Sheet(
      of: [NDArray<Float>(shape: [6, 20, 30], repeating: 1)], geometry: ImageGeometry(spacing: [1, 1, 1]),
      labels: OverlayLabels(reference: map), axis: 0, count: 4, title: String(repeating: "long ", count: 40),
      subtitle: "")
    let lines = try sheet.text(for: .blocks, columns: columns).split(separator: "\n")
    let widths = lines.map { line in
      String(line).replacing(#/\u{1B}\[[0-9;]*m/#, with: "").count
    }
    #expect(widths.allSatisfy { $0 <= columns })
    #expect(lines.count { $0.contains("▀") } > 8)
    #expect(lines.contains { $0.contains("label 1") })
  }
}
