// What postprocessing does to a label map, as data: nnU-Net knows one function, and keeps a list of its arguments.

package import Datasets
package import Tensors

/// Keeps the largest component of some labels or regions together and makes the rest of them background.
package struct PostprocessingStep: Sendable, Equatable {
  /// The labels and regions whose union is looked at.
  package var targets: [LabelValue]
  /// Whether nnU-Net is given a list rather than a single label or region; both mean the union.
  package var isList: Bool

  /// A step over the union of several targets.
  package init(union targets: [LabelValue]) {
    self.targets = targets
    isList = true
  }

  /// A step over one target.
  package init(_ target: LabelValue) {
    targets = [target]
    isList = false
  }

  /// The name of nnU-Net's function and the module it lives in.
  package static let functionName = "remove_all_but_largest_component_from_segmentation"
  package static let functionModule = "nnunetv2.postprocessing.remove_connected_components"
  /// The name of its only argument.
  package static let argumentName = "labels_or_regions"

  /// Every label that the step looks at.
  package var labels: Set<Int> { Set(targets.flatMap(\.labels)) }

  /// The label map after this step.
  ///
  /// - Shape: map `[Z, Y, X]`
  package func applied(to map: NDArray<Int16>) -> NDArray<Int16> {
    var filter = ComponentFilter(of: labels, in: map)
    return filter.keepingLargest(in: map)
  }

  /// The step in words, with the dataset's names where they are known.
  package func text(_ scheme: LabelScheme? = nil) -> String {
    if let scheme, isList, labels == Set(scheme.foregroundLabels) {
      return "keep the largest component of the whole foreground"
    }
    let names = targets.map { scheme?.name(of: $0) ?? $0.summaryKey }
    return "keep the largest component of \(names.joined(separator: " and "))"
  }
}

extension Sequence<PostprocessingStep> {
  /// The label map after all steps, one after the other.
  package func applied(to map: NDArray<Int16>) -> NDArray<Int16> { reduce(map) { $1.applied(to: $0) } }
}
