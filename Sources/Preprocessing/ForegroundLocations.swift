// Voxels of every class that training centres patches on, drawn exactly as nnU-Net draws them.

package import Datasets
package import Tensors

/// What a list of locations belongs to.
package enum ForegroundKey: Hashable, Sendable {
  case label(Int)
  case region([Int])
  /// Every voxel that is not the ignore label; only in datasets with one.
  case annotated

  package init(_ value: LabelValue) {
    switch value {
    case .label(let label): self = .label(label)
    case .region(let labels): self = .region(labels)
    }
  }
}

/// Up to 10000 voxels per key, or 1 % of its voxels if that is more.
package struct ForegroundLocations: Sendable, Equatable {
  /// The keys in the order the dataset declares them, including those without voxels.
  package private(set) var keys: [ForegroundKey]
  /// Positions per key in axis order of the preprocessed array.
  ///
  /// - Shape: `[n, 3]`
  package private(set) var locations: [ForegroundKey: NDArray<Int32>]

  package init(_ entries: [(key: ForegroundKey, locations: NDArray<Int32>)]) {
    keys = entries.map(\.key)
    locations = Dictionary(entries.map { ($0.key, $0.locations) }) { first, _ in first }
  }

  /// The positions of a key, or none.
  package subscript(key: ForegroundKey) -> NDArray<Int32> {
    locations[key] ?? NDArray(shape: [0, 3], elements: [])
  }

  /// The keys that have at least one voxel.
  package var presentKeys: [ForegroundKey] { keys.filter { self[$0].count > 0 } }
}

/// The labels whose voxels each key collects, in the order they are strung together.
package func foregroundTargets(of labels: LabelScheme) -> [(key: ForegroundKey, labels: [Int])] {
  var targets = labels.foregroundTargets.map { (key: ForegroundKey($0), labels: $0.labels) }
  if labels.ignoreLabel != nil { targets.append((.annotated, [-1] + labels.allLabels)) }
  return targets
}

/// Draws the locations of every key from a preprocessed segmentation.
///
/// - Shape: segmentation `[Z, Y, X]`
package func drawForegroundLocations(
  in segmentation: NDArray<Int16>, targets: [(key: ForegroundKey, labels: [Int])]
) -> ForegroundLocations {
  let voxels = voxelsByLabel(in: segmentation, labels: Set(targets.flatMap(\.labels)))
  var random = NumPyRandom(seed: 1234)
  let entries = targets.map { target in
    let groups = target.labels.compactMap { voxels[$0] }
    let total = groups.map(\.count).reduce(0, +)
    guard total > 0 else { return (key: target.key, locations: NDArray<Int32>(shape: [0, 3], elements: [])) }
    let count = max(min(smallestSampleCount, total), Int((Double(total) * smallestCoverage).rounded(.up)))
    let picks = random.choice(count, below: total)
    return (target.key, coordinates(of: picks, in: groups, shape: segmentation.shape))
  }
  return ForegroundLocations(entries)
}

/// Samples per key, and the share of a key's voxels that is sampled when that is more.
private let smallestSampleCount = 10000
private let smallestCoverage = 0.01

/// The flat positions of every wanted label's voxels, ascending.
private func voxelsByLabel(in segmentation: NDArray<Int16>, labels: Set<Int>) -> [Int: [UInt32]] {
  precondition(segmentation.count <= UInt32.max, "positions are kept in 32 bits")
  var groupOf = [Int16](repeating: -1, count: 1 << 16)
  let wanted = labels.compactMap { Int16(exactly: $0) }.sorted()
  for (group, label) in wanted.enumerated() { groupOf[Int(label) + (1 << 15)] = Int16(group) }
  var groups = [[UInt32]](repeating: [], count: wanted.count)
  segmentation.elements.withUnsafeBufferPointer { segmentation in
    groupOf.withUnsafeBufferPointer { groupOf in
      for i in 0..<segmentation.count {
        let group = groupOf[Int(segmentation[i]) &+ (1 << 15)]
        if group >= 0 { groups[Int(group)].append(UInt32(truncatingIfNeeded: i)) }
      }
    }
  }
  return Dictionary(uniqueKeysWithValues: zip(wanted.map { Int($0) }, groups))
}

private func coordinates(of picks: some Collection<Int>, in groups: [[UInt32]], shape: [Int]) -> NDArray<
  Int32
> {
  var elements: [Int32] = []
  elements.reserveCapacity(picks.count * 3)
  for pick in picks {
    var rest = pick
    var group = 0
    while rest >= groups[group].count {
      rest -= groups[group].count
      group += 1
    }
    let position = Int(groups[group][rest])
    elements.append(Int32(position / (shape[1] * shape[2])))
    elements.append(Int32(position / shape[2] % shape[1]))
    elements.append(Int32(position % shape[2]))
  }
  return NDArray(shape: [picks.count, 3], elements: elements)
}
