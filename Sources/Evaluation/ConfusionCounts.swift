// Voxel counts of agreement and the ratios made of them.

package import Datasets
package import Tensors

/// How often a target was present or absent in prediction and reference.
package struct ConfusionCounts: Sendable, Equatable {
  package var truePositives: Int
  package var falsePositives: Int
  package var falseNegatives: Int
  package var trueNegatives: Int

  package init(
    truePositives: Int = 0, falsePositives: Int = 0, falseNegatives: Int = 0, trueNegatives: Int = 0
  ) {
    self.truePositives = truePositives
    self.falsePositives = falsePositives
    self.falseNegatives = falseNegatives
    self.trueNegatives = trueNegatives
  }

  /// Voxels of the target in the prediction.
  package var predictedCount: Int { truePositives + falsePositives }
  /// Voxels of the target in the reference.
  package var referenceCount: Int { truePositives + falseNegatives }

  /// Twice the overlap over the sum of both; not a number if the target is in neither.
  package var dice: Double {
    Double(2 * truePositives) / Double(2 * truePositives + falsePositives + falseNegatives)
  }

  /// Overlap over union; not a number if the target is in neither.
  package var intersectionOverUnion: Double {
    Double(truePositives) / Double(truePositives + falsePositives + falseNegatives)
  }
}

extension ConfusionCounts {
  /// Counts every target over two label maps of the same size, without voxels whose reference is the ignore label.
  package static func count(
    of targets: [LabelValue], reference: NDArray<Int16>, prediction: NDArray<Int16>, ignoreLabel: Int? = nil
  ) -> [ConfusionCounts] {
    precondition(reference.shape == prediction.shape, "\(reference.shape) against \(prediction.shape)")
    var pairs = labelPairs(reference: reference.elements, prediction: prediction.elements)
    if let ignoreLabel { pairs.removeAll { $0.reference == ignoreLabel } }
    return targets.map { target in
      let labels = Set(target.labels)
      var counts = ConfusionCounts()
      for pair in pairs {
        switch (labels.contains(pair.reference), labels.contains(pair.prediction)) {
        case (true, true): counts.truePositives += pair.count
        case (false, true): counts.falsePositives += pair.count
        case (true, false): counts.falseNegatives += pair.count
        case (false, false): counts.trueNegatives += pair.count
        }
      }
      return counts
    }
  }
}

/// How often each pair of labels occurs; one pass serves all targets.
private func labelPairs(
  reference: [Int16], prediction: [Int16]
) -> [(reference: Int, prediction: Int, count: Int)] {
  guard let lowest = [reference.min(), prediction.min()].compactMap(\.self).min().map({ Int($0) }),
    let highest = [reference.max(), prediction.max()].compactMap(\.self).max().map({ Int($0) })
  else { return [] }
  let width = highest - lowest + 1
  if width > 2048 { return sparseLabelPairs(reference: reference, prediction: prediction) }
  var table = [Int](repeating: 0, count: width * width)
  table.withUnsafeMutableBufferPointer { table in
    reference.withUnsafeBufferPointer { reference in
      prediction.withUnsafeBufferPointer { prediction in
        for i in 0..<reference.count {
          table[(Int(reference[i]) &- lowest) &* width &+ Int(prediction[i]) &- lowest] &+= 1
        }
      }
    }
  }
  return table.indices.filter { table[$0] > 0 }.map { ($0 / width + lowest, $0 % width + lowest, table[$0]) }
}

private func sparseLabelPairs(
  reference: [Int16], prediction: [Int16]
) -> [(reference: Int, prediction: Int, count: Int)] {
  var table: [SIMD2<Int16>: Int] = [:]
  for (a, b) in zip(reference, prediction) { table[SIMD2(a, b), default: 0] += 1 }
  return table.map { (Int($0.key.x), Int($0.key.y), $0.value) }
}
