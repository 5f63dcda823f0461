// Why a plan's values are what they are: recorded while planning, shown on request.

package import Archives
import Foundation

/// Why one value of a plan was decided as it was.
package struct PlanExplanation: Sendable, Equatable {
  /// The value's place, such as `3d_fullres.patch_size` or `transpose_forward`.
  package var path: String
  package var value: JSON
  /// The heuristic that decided, such as `patch_size`.
  package var rule: String
  /// Whether a rule of the user replaced the default.
  package var isOverridden: Bool
  /// What the heuristic looked at.
  package var inputs: [Input]
  /// The number or comparison that decided, in words.
  package var reason: String

  /// One named input of a heuristic.
  package struct Input: Sendable, Equatable {
    package var name: String
    package var value: JSON
  }

  /// Everything in a few lines.
  package var text: String {
    var lines = ["\(path) = \(PlanExplanation.short(value))"]
    lines.append("  decided by \(rule)\(isOverridden ? " (your rule)" : "")")
    if !reason.isEmpty { lines.append("  because    \(reason)") }
    for input in inputs { lines.append("  \(input.name): \(PlanExplanation.short(input.value))") }
    return lines.map { Self.wrapped($0, indent: 13) }.joined(separator: "\n")
  }

  private static let lineWidth = 100  // columns

  /// A line broken at spaces where it is too wide; what follows is indented.
  private static func wrapped(_ line: String, indent: Int) -> String {
    var lines: [String] = []
    var current = ""
    for (i, word) in line.split(separator: " ", omittingEmptySubsequences: false).enumerated() {
      if current.count + word.count + 1 > lineWidth, !current.isEmpty {
        lines.append(current)
        current = String(repeating: " ", count: indent) + word
      } else {
        current += i == 0 ? "\(word)" : " \(word)"
      }
    }
    return (lines + [current]).joined(separator: "\n")
  }

  /// A value in one line, doubles with six significant digits.
  package static func short(_ value: JSON) -> String {
    switch value {
    case .number(let number): String(format: "%.6g", number)
    case .array(let values): "[" + values.map(short).joined(separator: ", ") + "]"
    case .string(let text): text
    default: value.text(indent: nil)
    }
  }
}

extension Plans {
  /// Why the value at a path such as `3d_fullres.patch_size` was decided as it was.
  ///
  /// Keys of the file are traced to the decision that made them: `3d_fullres.architecture.arch_kwargs.strides` to the
  /// topology, what a configuration inherits to the one that it inherits from.
  package func why(_ path: String) -> PlanExplanation? {
    if let exact = explanations.first(where: { $0.path == path }) { return exact }
    guard let dot = path.firstIndex(of: ".") else {
      return Self.decisions[path].flatMap { key in explanations.first { $0.path == key } }
    }
    let (configuration, key) = (String(path[..<dot]), String(path[path.index(after: dot)...]))
    let last = key.split(separator: ".").last.map(String.init) ?? key
    let candidates = [key, Self.decisions[last] ?? last]
    for name in lineage(of: configuration) {
      for candidate in candidates {
        if let found = explanations.first(where: { $0.path == "\(name).\(candidate)" }) { return found }
      }
    }
    // Values shared by all configurations are recorded once, without a configuration's name.
    guard configurationNames.contains(configuration) else { return nil }
    return explanations.first { candidates.contains($0.path) }
  }

  /// A configuration and those that it inherits from, nearest first.
  private func lineage(of configuration: String) -> [String] {
    var names = [configuration]
    while let last = names.last, let parent = json["configurations"]?[last]?["inherits_from"]?.string,
      !names.contains(parent)
    {
      names.append(parent)
    }
    return names
  }

  /// The decisions behind keys of the file that have no record of their own.
  private static let decisions = [
    "stages": "topology", "n_stages": "topology", "strides": "topology", "kernel_sizes": "topology",
    "depth": "topology", "architecture": "topology", "features_per_stage": "features",
    "normalization": "normalization_schemes", "use_mask_for_norm": "normalization_schemes",
    "resampling_fn_data": "resampling", "resampling_fn_seg": "resampling",
    "resampling_fn_probabilities": "resampling", "resampling_fn_data_kwargs": "resampling",
    "resampling_fn_seg_kwargs": "resampling", "resampling_fn_probabilities_kwargs": "resampling",
    "transpose": "transpose_forward", "transpose_backward": "transpose_forward",
    "next_stage": "wants_lowres", "previous_stage": "wants_lowres", "3d_lowres": "wants_lowres",
    "3d_cascade_fullres": "wants_lowres",
  ]

  /// A table of a configuration's decided values with rule and reason, one per line.
  package func explanationTable(of configuration: String) -> String {
    let rows = explanations.filter { $0.path.hasPrefix(configuration + ".") || !$0.path.contains(".") }
      .map { entry in
        let name =
          entry.path.hasPrefix(configuration + ".")
          ? String(entry.path.dropFirst(configuration.count + 1)) : entry.path
        return [
          name, PlanExplanation.short(entry.value), entry.rule + (entry.isOverridden ? " *" : ""),
          entry.reason,
        ]
      }
    let header = ["value", "decided", "rule", "because"]
    let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
    return ([header] + rows).map { row in
      zip(row, widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }.joined(separator: "  ")
        .trimmingSuffix { $0 == " " }
    }.joined(separator: "\n")
  }
}

extension String {
  fileprivate func trimmingSuffix(while condition: (Character) -> Bool) -> String {
    var text = self[...]
    while let last = text.last, condition(last) { text = text.dropLast() }
    return String(text)
  }
}
