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
    return lines.joined(separator: "\n")
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
  package func why(_ path: String) -> PlanExplanation? {
    explanations.first { $0.path == path }
      // Values shared by all configurations are recorded once, without a configuration's name.
      ?? path.firstIndex(of: ".").flatMap { dot in
        explanations.first { $0.path == path[path.index(after: dot)...] }
      }
  }

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
