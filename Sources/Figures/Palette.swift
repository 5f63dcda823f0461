// The colours of all figures: apart for colour-blind readers too, on white and on grey images.

/// Named colours.
enum Palette {
  static let text = Color(0x24292F)
  static let faintText = Color(0x6A737D)
  static let grid = Color(0xE3E6EA)
  static let frame = Color(0xA6ADB5)

  static let blue = Color(0x1F6FB4)
  static let red = Color(0xD1432F)
  static let green = Color(0x2A8C4A)
  static let purple = Color(0x7A4FA3)

  /// Colours of labels, in the order of the labels; they repeat after the last.
  static let labels = [
    Color(0xE69F00), Color(0x56B4E9), Color(0xE0559B), Color(0x2FBF71), Color(0xF0E442), Color(0xD55E00),
    Color(0x8C6BD1), Color(0x00B3B3),
  ]

  static func label(_ index: Int) -> Color { labels[index % labels.count] }
}
