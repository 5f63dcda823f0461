// Which range of intensities a picture shows from black to white.

import Foundation
package import Tensors

/// A range of intensities; what lies outside is black or white.
package struct DisplayWindow: Sendable, Equatable {
  package let lower: Float
  package let upper: Float

  package init(lower: Float, upper: Float) {
    self.lower = lower
    self.upper = upper
  }

  /// The range of an image: all but half a percent at either end, without an empty background.
  package init(_ image: NDArray<Float>) { self.init(joint: [image]) }

  /// The common range of several channels, so that their colours keep their balance.
  ///
  /// Colours that are bytes are shown as they are.
  package init(joint channels: [NDArray<Float>]) {
    let values = channels.flatMap { sample(of: $0) { _ in true } }.sorted()
    let isPicture =
      channels.count > 1 && (values.first ?? -1) >= 0 && (values.last ?? 0) > 1
      && (values.last ?? 256) <= 255
      && values.allSatisfy { $0 == $0.rounded() }
    if isPicture {
      self.init(lower: 0, upper: 255)
    } else {
      self.init(sorted: Array(withoutBackground(values)))
    }
  }

  /// The range of a computed tomography in Hounsfield units: what the labelled voxels show and as much again around
  /// them, else soft tissue.
  package init(ct image: NDArray<Float>, labels: NDArray<Int16>?) {
    var values: [Float] = []
    if let labels, labels.shape == image.shape {
      values = labels.elements.withUnsafeBufferPointer { labels in
        sample(of: image) { labels[$0] > 0 }.sorted()
      }
    }
    guard !values.isEmpty else {
      self.init(lower: -160, upper: 240)
      return
    }
    let labelled = DisplayWindow(sorted: values)
    let width = max(2 * (labelled.upper - labelled.lower), Self.narrowestTomography)
    let center = (labelled.upper + labelled.lower) / 2
    self.init(lower: center - width / 2, upper: center + width / 2)
  }

  /// Whether intensities may be Hounsfield units: air is far below zero, and nothing is below what scanners give.
  package static func looksLikeTomography(_ image: NDArray<Float>) -> Bool {
    let range = DisplayWindow(sorted: sample(of: image) { _ in true }.sorted())
    return range.lower <= -500 && range.lower >= -3100 && range.upper > 0
  }

  /// A narrower window shows noise more than tissue.
  /// - Units: HU
  private static let narrowestTomography: Float = 350

  private init(sorted values: [Float]) {
    lower = values.isEmpty ? 0 : values[values.count / 200]
    upper = values.isEmpty ? 1 : values[values.count - 1 - values.count / 200]
  }

  func gray(_ value: Float) -> UInt8 {
    guard upper > lower, value.isFinite else { return 0 }
    return UInt8(min(255, max(0, (value - lower) / (upper - lower) * 255)))
  }
}

/// Evenly spread finite voxels among those that are wanted.
private func sample(of image: NDArray<Float>, where isWanted: (Int) -> Bool) -> [Float] {
  var step = max(1, image.count / 200_000)
  var values: [Float] = []
  image.elements.withUnsafeBufferPointer { voxels in
    // Few wanted voxels, as of a small label, are searched for more closely.
    repeat {
      values.removeAll()
      for index in Swift.stride(from: 0, to: voxels.count, by: step)
      where isWanted(index) && voxels[index].isFinite { values.append(voxels[index]) }
      if values.count >= 500 || step == 1 { return }
      step = max(1, step / 8)
    } while true
  }
  return values
}

/// Sorted values without the lowest, if that is a padding: every fifth voxel has it, and the others many values.
private func withoutBackground(_ values: [Float]) -> ArraySlice<Float> {
  guard let lowest = values.first, let end = values.firstIndex(where: { $0 > lowest }) else {
    return values[...]
  }
  let rest = values[end...]
  guard end > values.count / 5, Set(rest.prefix(2000)).count > 16 || Set(rest.suffix(2000)).count > 16 else {
    return values[...]
  }
  return rest
}
