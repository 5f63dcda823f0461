// The Dice of hard predictions over all validation patches of an epoch.

/// Sums of right and wrong voxels over batches.
struct PseudoDice {
  /// True positives, false positives, false negatives per output channel.
  private var counts: [SIMD3<Int64>]
  private let skipsFirst: Bool

  /// `skipsFirst` leaves out the background channel of label training.
  init(classCount: Int, skipsFirst: Bool) {
    counts = Array(repeating: .zero, count: classCount)
    self.skipsFirst = skipsFirst
  }

  mutating func add(_ batch: [SIMD3<Int64>]) {
    for (i, count) in batch.enumerated() { counts[i] &+= count }
  }

  /// 2 tp / (2 tp + fp + fn) per class; NaN where a class occurred nowhere.
  var dice: [Double] {
    counts.dropFirst(skipsFirst ? 1 : 0).map { Double(2 * $0.x) / Double(2 * $0.x + $0.y + $0.z) }
  }
}
