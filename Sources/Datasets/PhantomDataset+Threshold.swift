// How far brightness alone gets: the best single threshold per label, printed beside a network's result.

package import Tensors

/// The best that one threshold can do for one label over a set of images.
package struct ThresholdResult: Sendable, Equatable {
  package var label: Int
  package var threshold: Float
  /// Whether voxels at or above the threshold are taken, rather than those at or below it.
  package var takesBrighter: Bool
  /// Dice at that threshold, averaged over the images that hold the label.
  package var dice: Double
}

/// The threshold, of all there are and in both directions, with the highest mean Dice for `label`.
///
/// One threshold serves all images. Every value that occurs is tried, unless there are more than
/// `candidateLimit`, when evenly ranked ones are.
package func bestThresholdDice(
  images: [NDArray<Float>], labels: [NDArray<Int16>], label: Int, candidateLimit: Int = 4096
) -> ThresholdResult {
  precondition(images.count == labels.count, "\(images.count) images and \(labels.count) label maps")
  let target = Int16(label)
  let present = zip(images, labels).filter { $0.1.elements.contains(target) }
  let cases = present.map { RankedCase(image: $0.0.elements, isTarget: $0.1.elements.map { $0 == target }) }
  var best = ThresholdResult(label: label, threshold: 0, takesBrighter: true, dice: 0)
  let values = Set(cases.flatMap { Set($0.values) }).sorted()
  let step = max(1, (values.count + candidateLimit - 1) / candidateLimit)
  for candidate in stride(from: 0, to: values.count, by: step) {
    for takesBrighter in [true, false] {
      let sum = cases.reduce(0) { $0 + $1.dice(threshold: values[candidate], takesBrighter: takesBrighter) }
      let dice = sum / Double(cases.count)
      if dice > best.dice {
        best = ThresholdResult(
          label: label, threshold: values[candidate], takesBrighter: takesBrighter, dice: dice)
      }
    }
  }
  return best
}

/// One image's values in ascending order with running counts, so that any threshold is two look-ups.
private struct RankedCase {
  let values: [Float]
  /// Target voxels among the first `i` values.
  private let targetsBefore: [Int]

  init(image: [Float], isTarget: [Bool]) {
    let order = image.indices.sorted { image[$0] < image[$1] }
    values = order.map { image[$0] }
    var running = [0]
    running.reserveCapacity(order.count + 1)
    for position in order { running.append((running.last ?? 0) + (isTarget[position] ? 1 : 0)) }
    targetsBefore = running
  }

  func dice(threshold: Float, takesBrighter: Bool) -> Double {
    let split = takesBrighter ? rank { $0 < threshold } : rank { $0 <= threshold }
    let total = targetsBefore.last ?? 0
    let taken = takesBrighter ? values.count - split : split
    let hits = takesBrighter ? total - targetsBefore[split] : targetsBefore[split]
    return taken + total == 0 ? 0 : 2 * Double(hits) / Double(taken + total)
  }

  /// How many values satisfy a condition that holds for a prefix.
  private func rank(_ holds: (Float) -> Bool) -> Int {
    var low = 0
    var high = values.count
    while low < high {
      let middle = (low + high) / 2
      if holds(values[middle]) { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
