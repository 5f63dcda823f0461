// The colours of all figures: apart for colour-blind readers too, on white and on grey images.

import Foundation

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

  /// Voxels that nobody has labelled.
  static let ignored = Color(0xB0B7BE)

  /// Colours of the first labels, in the order of the labels.
  static let labels = [
    Color(0xE69F00), Color(0x56B4E9), Color(0xE0559B), Color(0x2FBF71), Color(0xF0E442), Color(0xD55E00),
    Color(0x8C6BD1), Color(0x00B3B3),
  ]

  /// The colour of a label; beyond the named ones, hues a golden section apart in three strengths.
  static func label(_ index: Int) -> Color {
    if index < labels.count { return labels[index] }
    let hue = (Double(index) * 0.618_033_988_75).truncatingRemainder(dividingBy: 1)
    let (saturation, value) = [(0.75, 0.95), (0.45, 0.9), (0.9, 0.7)][index % 3]
    func component(_ shift: Double) -> Double {
      let k = (shift + 6 * hue).truncatingRemainder(dividingBy: 6)
      return value * (1 - saturation * max(0, min(k, 4 - k, 1)))
    }
    return Color(red: component(5), green: component(3), blue: component(1))
  }
}
