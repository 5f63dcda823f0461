// The one importer of cairo: a page to draw on, written as PNG or SVG by the file's ending.
// Lengths are points with the origin at the upper left; PNG pages have two pixels per point.

import Archives
import CCairo
import Foundation
import Reporting

/// A colour with opacity, components from 0 to 1.
package struct Color: Sendable, Equatable {
  package var red: Double
  package var green: Double
  package var blue: Double
  package var opacity: Double

  package init(_ hex: UInt32, opacity: Double = 1) {
    red = Double(hex >> 16 & 0xFF) / 255
    green = Double(hex >> 8 & 0xFF) / 255
    blue = Double(hex & 0xFF) / 255
    self.opacity = opacity
  }

  package init(red: Double, green: Double, blue: Double, opacity: Double = 1) {
    (self.red, self.green, self.blue, self.opacity) = (red, green, blue, opacity)
  }

  func faded(to opacity: Double) -> Color {
    var color = self
    color.opacity = opacity
    return color
  }
}

/// A rectangle on a page.
struct Box: Equatable {
  var x: Double
  var y: Double
  var width: Double
  var height: Double
}

/// Which point of a text is put at the given place.
enum TextAnchor { case left, center, right }

/// A page that is drawn once and written once.
final class Canvas {
  private let surface: OpaquePointer
  private let context: OpaquePointer
  private let sink: ByteSink
  private let url: URL?
  private let isVector: Bool

  /// A page for a file, or one for the screen without it.
  init(width: Double, height: Double, for url: URL? = nil) throws(Diagnostic) {
    self.url = url
    sink = ByteSink()
    let scale = 2.0
    let created: OpaquePointer?
    switch url?.pathExtension.lowercased() {
    case "png", nil:
      isVector = false
      created = cairo_image_surface_create(CAIRO_FORMAT_RGB24, Int32(width * scale), Int32(height * scale))
    case "svg":
      isVector = true
      created = cairo_svg_surface_create_for_stream(
        Canvas.receive, Unmanaged.passUnretained(sink).toOpaque(), width, height)
    default:
      throw Diagnostic(
        "figures are written as PNG or SVG", at: url?.path, expected: "a file name ending in .png or .svg",
        found: "\".\(url?.pathExtension ?? "")\"", remedy: "change the ending")
    }
    guard let created, cairo_surface_status(created) == CAIRO_STATUS_SUCCESS,
      let context = cairo_create(created)
    else {
      throw Diagnostic(
        "cannot make a page of \(Int(width)) by \(Int(height)) points", at: url?.path,
        remedy: "make the figure smaller")
    }
    surface = created
    self.context = context
    if !isVector { cairo_scale(context, scale, scale) }
    fill(Box(x: 0, y: 0, width: width, height: height), Color(0xFFFFFF))
  }

  deinit {
    cairo_destroy(context)
    cairo_surface_destroy(surface)
  }

  /// Writes the page to its file and ends it.
  func write() throws(Diagnostic) {
    let bytes = try encoded()
    if let url { try writeAtomically(bytes, to: url) }
  }

  /// Ends the page: its file's bytes, or a PNG for the screen.
  func encoded() throws(Diagnostic) -> Data {
    let status: cairo_status_t
    if isVector {
      cairo_surface_finish(surface)
      status = cairo_surface_status(surface)
    } else {
      status = cairo_surface_write_to_png_stream(
        surface, Canvas.receive, Unmanaged.passUnretained(sink).toOpaque())
    }
    guard status == CAIRO_STATUS_SUCCESS else {
      throw Diagnostic(
        "cannot draw the figure", at: url?.path, found: String(cString: cairo_status_to_string(status)))
    }
    return sink.bytes
  }

  /// The pixels of a page that is no SVG, as they are now.
  var pixels: RasterImage {
    cairo_surface_flush(surface)
    let (width, height) = (
      Int(cairo_image_surface_get_width(surface)), Int(cairo_image_surface_get_height(surface))
    )
    guard let data = cairo_image_surface_get_data(surface) else {
      return RasterImage(width: 0, height: 0, bytes: [])
    }
    let stride = Int(cairo_image_surface_get_stride(surface))
    var bytes: [UInt8] = []
    bytes.reserveCapacity(3 * width * height)
    for y in 0..<height {
      for x in 0..<width {
        // SAFETY: rows are `stride` bytes apart; a pixel is four bytes, blue first.
        for component in [2, 1, 0] { bytes.append(data[y * stride + 4 * x + component]) }
      }
    }
    return RasterImage(width: width, height: height, bytes: bytes)
  }

  private static let receive: cairo_write_func_t = { closure, bytes, count in
    guard let closure, let bytes else { return CAIRO_STATUS_WRITE_ERROR }
    // SAFETY: the canvas that handed out this pointer owns the sink and outlives the surface's writing.
    Unmanaged<ByteSink>.fromOpaque(closure).takeUnretainedValue().bytes.append(bytes, count: Int(count))
    return CAIRO_STATUS_SUCCESS
  }
}

/// What cairo has written so far.
private final class ByteSink {
  var bytes = Data()
}

extension Canvas {
  private func use(_ color: Color) {
    cairo_set_source_rgba(context, color.red, color.green, color.blue, color.opacity)
  }

  func fill(_ box: Box, _ color: Color) {
    use(color)
    cairo_rectangle(context, box.x, box.y, box.width, box.height)
    cairo_fill(context)
  }

  func fillCircle(x: Double, y: Double, radius: Double, _ color: Color) {
    use(color)
    cairo_arc(context, x, y, radius, 0, 2 * Double.pi)
    cairo_fill(context)
  }

  func stroke(_ box: Box, _ color: Color, width: Double) {
    use(color)
    cairo_set_line_width(context, width)
    cairo_rectangle(context, box.x, box.y, box.width, box.height)
    cairo_stroke(context)
  }

  /// Draws several open lines at once.
  func stroke(_ lines: [[(x: Double, y: Double)]], _ color: Color, width: Double, dash: [Double] = []) {
    use(color)
    cairo_set_line_width(context, width)
    cairo_set_line_join(context, CAIRO_LINE_JOIN_ROUND)
    cairo_set_line_cap(context, dash.isEmpty ? CAIRO_LINE_CAP_ROUND : CAIRO_LINE_CAP_BUTT)
    cairo_set_dash(context, dash, Int32(dash.count), 0)
    trace(lines)
    cairo_stroke(context)
    cairo_set_dash(context, nil, 0, 0)
  }

  /// Draws the inner half of closed lines that run with their inside on the right, so that neighbours do not cover
  /// each other; `width` is what is seen.
  func strokeInside(_ lines: [[(x: Double, y: Double)]], _ color: Color, width: Double) {
    cairo_save(context)
    trace(lines)
    cairo_clip(context)
    stroke(lines, color, width: 2 * width)
    cairo_restore(context)
  }

  private func trace(_ lines: [[(x: Double, y: Double)]]) {
    for line in lines {
      for (i, point) in line.enumerated() {
        if i == 0 {
          cairo_move_to(context, point.x, point.y)
        } else {
          cairo_line_to(context, point.x, point.y)
        }
      }
    }
  }

  /// Keeps what `body` draws inside a box.
  func clipped(to box: Box, _ body: () -> Void) {
    cairo_save(context)
    cairo_rectangle(context, box.x, box.y, box.width, box.height)
    cairo_clip(context)
    body()
    cairo_restore(context)
  }

  private func selectFont(_ size: Double, isBold: Bool) {
    cairo_select_font_face(
      context, "sans-serif", CAIRO_FONT_SLANT_NORMAL,
      isBold ? CAIRO_FONT_WEIGHT_BOLD : CAIRO_FONT_WEIGHT_NORMAL)
    cairo_set_font_size(context, size)
  }

  /// The width a text takes.
  func width(of text: String, size: Double, isBold: Bool = false) -> Double {
    selectFont(size, isBold: isBold)
    var extents = cairo_text_extents_t()
    cairo_text_extents(context, text, &extents)
    return extents.x_advance
  }

  /// Writes a text with its baseline at `y`; turned a quarter to the left if it is upright.
  func text(
    _ text: String, x: Double, y: Double, style: TextStyle = TextStyle()
  ) {
    let length = width(of: text, size: style.size, isBold: style.isBold)
    let shift =
      switch style.anchor {
      case .left: 0.0
      case .center: length / 2
      case .right: length
      }
    use(style.color)
    cairo_save(context)
    cairo_translate(context, x, y)
    if style.isUpright { cairo_rotate(context, -Double.pi / 2) }
    cairo_move_to(context, -shift, 0)
    cairo_show_text(context, text)
    cairo_restore(context)
  }

  /// Draws a picture, smoothly scaled into a box.
  func image(_ picture: RasterImage, in box: Box) {
    guard picture.width > 0, picture.height > 0 else { return }
    draw(CAIRO_FORMAT_RGB24, width: picture.width, height: picture.height, in: box, isSmooth: true) {
      pixel, target in
      for component in 0..<3 { target[component] = picture.bytes[3 * pixel + 2 - component] }
    }
  }

  /// Lays colours over a box, one for each cell of a grid, without smoothing; `nil` leaves a cell as it is.
  func cells(_ colors: [Color?], width: Int, height: Int, in box: Box) {
    draw(CAIRO_FORMAT_ARGB32, width: width, height: height, in: box, isSmooth: false) { pixel, target in
      guard let color = colors[pixel] else { return }
      // cairo wants colours multiplied by their opacity.
      for (component, value) in [color.blue, color.green, color.red, 1].enumerated() {
        target[component] = UInt8((255 * value * color.opacity).rounded())
      }
    }
  }

  private func draw(
    _ format: cairo_format_t, width: Int, height: Int, in box: Box, isSmooth: Bool,
    setting: (_ pixel: Int, _ target: UnsafeMutablePointer<UInt8>) -> Void
  ) {
    guard let picture = cairo_image_surface_create(format, Int32(width), Int32(height)),
      let data = cairo_image_surface_get_data(picture)
    else { return }
    defer { cairo_surface_destroy(picture) }
    let stride = Int(cairo_image_surface_get_stride(picture))
    cairo_surface_flush(picture)
    for y in 0..<height {
      // SAFETY: rows are `stride` bytes apart and hold four bytes per pixel.
      for x in 0..<width { setting(y * width + x, data + y * stride + 4 * x) }
    }
    cairo_surface_mark_dirty(picture)
    cairo_save(context)
    cairo_translate(context, box.x, box.y)
    cairo_scale(context, box.width / Double(width), box.height / Double(height))
    cairo_set_source_surface(context, picture, 0, 0)
    // The better filter averages where pixels are lost.
    let shrinks = 2 * box.width < Double(width) || 2 * box.height < Double(height)
    cairo_pattern_set_filter(
      cairo_get_source(context),
      isSmooth ? (shrinks ? CAIRO_FILTER_GOOD : CAIRO_FILTER_BILINEAR) : CAIRO_FILTER_NEAREST)
    cairo_pattern_set_extend(cairo_get_source(context), CAIRO_EXTEND_PAD)
    cairo_rectangle(context, 0, 0, Double(width), Double(height))
    cairo_fill(context)
    cairo_restore(context)
  }
}

/// How a text looks and which of its points is placed.
struct TextStyle {
  var size = 12.0
  var color = Palette.text
  var anchor = TextAnchor.left
  var isBold = false
  var isUpright = false
}
