// Labels, regions and the ignore label of a dataset, as types. Meaning of the values: nnU-Net's dataset.json.

package import Reporting

/// What one name in `labels` stands for: a label, or a region of several.
package enum LabelValue: Hashable, Sendable {
  case label(Int)
  /// The labels a region unites; a list of one stays a region.
  case region([Int])

  /// The labels meant.
  package var labels: [Int] {
    switch self {
    case .label(let value): [value]
    case .region(let values): values
    }
  }

  /// The key nnU-Net's `summary.json` uses: `1`, `(1, 2, 3)` or `(3,)`.
  package var summaryKey: String {
    switch self {
    case .label(let value): "\(value)"
    case .region(let values) where values.count == 1: "(\(values[0]),)"
    case .region(let values): "(\(values.map(String.init).joined(separator: ", ")))"
    }
  }
}

/// The labels of a dataset: which exist, which are trained, in which order regions are painted.
package struct LabelScheme: Sendable, Equatable {
  /// Every entry in the order of `dataset.json`, background and ignore label included.
  package let entries: [Entry]
  /// The value painted for each foreground region, later ones over earlier ones; `nil` without regions.
  package let regionsClassOrder: [Int]?

  /// One entry of `labels`.
  package struct Entry: Sendable, Equatable {
    package var name: String
    package var value: LabelValue

    package init(name: String, value: LabelValue) {
      self.name = name
      self.value = value
    }
  }

  /// Checks and takes the entries; `source` names the file in errors.
  package init(entries: [Entry], regionsClassOrder: [Int]?, source: String) throws(Diagnostic) {
    self.entries = entries
    self.regionsClassOrder = regionsClassOrder
    func fail(_ expected: String, _ found: String, _ remedy: String) -> Diagnostic {
      Diagnostic("labels are not usable", at: source, expected: expected, found: found, remedy: remedy)
    }
    guard entries.first(where: { $0.name == "background" })?.value == .label(0) else {
      throw fail(
        "\"background\": 0 among the labels",
        entries.first { $0.name == "background" }.map { "\"background\" = \($0.value.summaryKey)" }
          ?? "no \"background\"",
        "add \"background\": 0 to \"labels\"")
    }
    if let ignore = entries.first(where: { $0.name == "ignore" }) {
      guard case .label(let value) = ignore.value, value == (allLabels.last ?? 0) + 1 else {
        throw fail(
          "\"ignore\" = \((allLabels.last ?? 0) + 1), one above the highest label",
          "\"ignore\" = \(ignore.value.summaryKey)", "renumber the ignore label, in the label files too")
      }
    }
    if hasRegions {
      guard let regionsClassOrder, regionsClassOrder.count == foregroundRegions.count else {
        throw fail(
          "\"regions_class_order\" with \(foregroundRegions.count) values, one per foreground region",
          regionsClassOrder.map { "\($0.count) values" } ?? "no such key",
          "add \"regions_class_order\": the label painted for each region, in the order of \"labels\"")
      }
    }
  }

  /// Whether any entry unites several labels, so that outputs are regions under a sigmoid.
  package var hasRegions: Bool { entries.contains { $0.value.labels.count > 1 } }

  /// The value of the ignore label, if the dataset has one.
  package var ignoreLabel: Int? { entries.first { $0.name == "ignore" }?.value.labels.first }

  /// Every label value in ascending order, without the ignore label.
  package var allLabels: [Int] {
    Set(entries.filter { $0.name != "ignore" }.flatMap(\.value.labels)).sorted()
  }

  /// ``allLabels`` without the background.
  package var foregroundLabels: [Int] { allLabels.filter { $0 != 0 } }

  /// The foreground regions in declaration order; empty without regions.
  package var foregroundRegions: [LabelValue] {
    guard hasRegions else { return [] }
    return entries.filter { $0.name != "ignore" && $0.value.labels != [0] }.map(\.value)
  }

  /// What is evaluated and scored: regions if there are any, else the foreground labels.
  package var foregroundTargets: [LabelValue] {
    hasRegions ? foregroundRegions : foregroundLabels.map(LabelValue.label)
  }

  /// Channels of the network's output: one per region, or one per label with the background.
  package var outputChannelCount: Int { hasRegions ? foregroundRegions.count : allLabels.count }

  /// The name declared for a target, for tables and legends.
  package func name(of value: LabelValue) -> String {
    entries.first { $0.value == value }?.name ?? value.summaryKey
  }
}
