// A batch as the trainer takes it, and how it is put together from samples.
// N batch, C channels, S label or region channels, Z Y X array axes (slowest first).

package import Augmentation
import Reporting
package import Tensors
package import Volumes

/// Images with their targets, and where each of them comes from.
package struct TrainingBatch: Sendable {
  /// - Shape: `[N, C, Z, Y, X]` or `[N, C, Y, X]`.
  package let images: NDArray<Float>
  /// One per supervision scale, finest first: labels with `S` = 1, or 0/1 regions.
  ///
  /// - Shape: `[N, S, Z, Y, X]` or `[N, S, Y, X]`.
  package let targets: [NDArray<Int16>]
  package let origins: [Origin]

  /// What one sample was made from; enough to make it again.
  package struct Origin: Sendable, Equatable {
    package let identifier: String
    /// The box around which the sample was taken, enlarged for augmentation.
    package let box: BoundingBox
    package let isForcedForeground: Bool
    package let draw: AugmentationDraw
  }

  /// Stacks samples of equal shape.
  init(_ samples: [AugmentationSample], origins: [Origin]) throws(Diagnostic) {
    guard let first = samples.first else {
      throw Diagnostic(
        "a batch is empty", expected: "a batch size of at least 1", found: "0",
        remedy: "correct \"batch_size\" in the plans")
    }
    for (sample, origin) in zip(samples, origins) where sample.image.shape != first.image.shape {
      throw Diagnostic(
        "cases of a batch do not fit together", at: "case \(origin.identifier)",
        expected: "patches of shape \(first.image.shape), as from case \(origins[0].identifier)",
        found: "\(sample.image.shape)", remedy: "preprocess the dataset again with one set of plans")
    }
    self.origins = origins
    images = Self.stack(samples.map(\.image))
    targets = first.targets.indices.map { scale in Self.stack(samples.map { $0.targets[scale] }) }
  }

  private static func stack<T>(_ arrays: [NDArray<T>]) -> NDArray<T> {
    var elements: [T] = []
    elements.reserveCapacity(arrays.reduce(0) { $0 + $1.count })
    for array in arrays { elements.append(contentsOf: array.elements) }
    return NDArray(shape: [arrays.count] + arrays[0].shape, elements: elements)
  }
}
