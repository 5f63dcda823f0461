// From logits to labels: the first maximum over classes, or regions painted one over the other.

import CKernels
package import Datasets
package import Tensors

/// How the logits of a voxel become its label.
enum VoxelDecision: Sendable {
  /// The label of the largest logit; the first of equals wins.
  case largest(labels: [Int16])
  /// Each region whose sigmoid exceeds one half paints its value, later ones over earlier ones.
  case painted(values: [Int16])

  init(_ scheme: LabelScheme) {
    if scheme.hasRegions {
      self = .painted(values: (scheme.regionsClassOrder ?? []).map(Int16.init(truncatingIfNeeded:)))
    } else {
      self = .largest(labels: scheme.allLabels.map(Int16.init(truncatingIfNeeded:)))
    }
  }

  var channelCount: Int {
    switch self {
    case .largest(let values), .painted(let values): values.count
    }
  }

  /// Decides voxels from all their classes, first turning logits into probabilities if those are wanted too.
  ///
  /// - Shape: values `[K, count]`
  func decide(_ values: inout [Float], asProbabilities: Bool) -> [Int16] {
    let count = values.count / max(1, channelCount)
    var running = RunningDecision(self, count: count)
    values.withUnsafeMutableBufferPointer { values in
      guard let base = values.baseAddress else { return }
      switch self {
      case .largest:
        if asProbabilities { nnk_float_softmax(base, channelCount, count) }
        for k in 0..<channelCount { running.take(base + k * count, class: k) }
      case .painted:
        for k in 0..<channelCount { running.take(base + k * count, class: k) }
        if asProbabilities { nnk_float_sigmoid(base, values.count) }
      }
    }
    return running.labels
  }
}

/// Labels of many voxels while their classes arrive one after the other.
struct RunningDecision {
  private let decision: VoxelDecision
  private var best: [Float]
  private(set) var labels: [Int16]

  init(_ decision: VoxelDecision, count: Int) {
    self.decision = decision
    if case .largest = decision {
      best = Array(repeating: -.infinity, count: count)
    } else {
      best = []
    }
    labels = Array(repeating: 0, count: count)
  }

  /// Takes the values of the next class; classes come in order.
  mutating func take(_ values: UnsafePointer<Float>, class index: Int) {
    let count = labels.count
    labels.withUnsafeMutableBufferPointer { labels in
      guard let labels = labels.baseAddress else { return }
      switch decision {
      case .largest(let names):
        best.withUnsafeMutableBufferPointer { best in
          guard let best = best.baseAddress else { return }
          nnk_float_keep_maximum(values, best, labels, names[index], count)
        }
      case .painted(let names):
        nnk_float_paint_region(values, labels, names[index], count)
      }
    }
  }

  /// Takes the probabilities of the next class.
  mutating func take(probabilities: [Float], class index: Int) {
    var values = probabilities
    // The decision on regions expects logits, which are above 0 where their probability is above one half.
    if case .painted = decision {
      for i in values.indices { values[i] = values[i] > 0.5 ? 1 : -1 }
    }
    values.withUnsafeBufferPointer { values in
      if let base = values.baseAddress { take(base, class: index) }
    }
  }
}

extension LabelScheme {
  /// The label map of probabilities that are at hand as a whole.
  ///
  /// - Shape: probabilities `[K, Z, Y, X]`, result `[Z, Y, X]`
  package func labelMap(ofProbabilities map: NDArray<Float>) -> NDArray<Int16> {
    let shape = Array(map.shape.dropFirst())
    let count = shape.reduce(1, *)
    var running = RunningDecision(VoxelDecision(self), count: count)
    for k in 0..<map.shape[0] {
      running.take(probabilities: Array(map.elements[k * count..<(k + 1) * count]), class: k)
    }
    return NDArray(shape: shape, elements: running.labels)
  }
}
