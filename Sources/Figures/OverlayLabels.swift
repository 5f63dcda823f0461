// What is drawn over an image: label maps, and the names and colours of their labels.

package import Tensors

/// One line of a legend: a label, or a region of several.
package struct OverlayEntry: Sendable, Equatable {
  package var labels: [Int]
  /// The name, with whatever score belongs to it.
  package var text: String
  /// Whether this marks voxels that nobody has labelled.
  package var isIgnored: Bool

  package init(labels: [Int], text: String, isIgnored: Bool = false) {
    self.labels = labels
    self.text = text
    self.isIgnored = isIgnored
  }
}

/// What an overlay shows beside the image.
package struct OverlayLabels: Sendable {
  package var reference: NDArray<Int16>?
  package var prediction: NDArray<Int16>?
  /// What to show; where regions share a label, the last of them fills it.
  package var entries: [OverlayEntry]

  package init(
    reference: NDArray<Int16>? = nil, prediction: NDArray<Int16>? = nil, entries: [OverlayEntry]
  ) {
    self.reference = reference
    self.prediction = prediction
    self.entries = entries
  }

  /// Single labels by their names.
  package init(
    reference: NDArray<Int16>? = nil, prediction: NDArray<Int16>? = nil, names: [(label: Int, text: String)]
  ) {
    self.init(
      reference: reference, prediction: prediction,
      entries: names.map { OverlayEntry(labels: [$0.label], text: $0.text) })
  }

  /// All labels above zero that occur, called by their numbers.
  package init(reference: NDArray<Int16>? = nil, prediction: NDArray<Int16>? = nil) {
    let present = Set([reference, prediction].compactMap(\.self).flatMap(presentLabels))
    self.init(
      reference: reference, prediction: prediction,
      names: present.filter { $0 > 0 }.sorted().map { (label: Int($0), text: "label \($0)") })
  }

  var maps: [NDArray<Int16>] { [reference, prediction].compactMap(\.self) }

  func color(_ entry: Int) -> Color {
    entries[entry].isIgnored ? Palette.ignored : Palette.label(entry)
  }

  /// For each label the entry that fills it.
  var fillingEntries: [Int16: Int] {
    var result: [Int16: Int] = [:]
    for (index, entry) in entries.enumerated() {
      for label in entry.labels { result[Int16(truncatingIfNeeded: label)] = index }
    }
    return result
  }
}
