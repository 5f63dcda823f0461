// Draws in words, for captions.

import Archives
import Foundation

extension AugmentationDraw {
  /// What a pipeline's steps do to one channel under this draw, one line for each that acts.
  package func description(of pipeline: AugmentationPipeline, channel: Int) -> [String] {
    pipeline.steps.flatMap { step -> [String] in
      guard var drawn = steps[step.name] else { return [] }
      // In a plane only the last angle counts.
      let isFlat = pipeline.patchSize.count == 2 || step.parameters.values["dummy_2d"]?.bool == true
      if isFlat, let angles = drawn["angles_degrees"]?.doubles, var object = drawn.object {
        object["angles_degrees"] = JSON(Array(angles.suffix(1)))
        drawn = .object(object)
      }
      return words(for: drawn, kind: step.transform.kind, channel: channel)
    }
  }

  private func words(for drawn: JSON, kind: String, channel: Int) -> [String] {
    func own(_ key: String) -> JSON? {
      guard let entries = drawn[key]?.array, entries.indices.contains(channel), !entries[channel].isNull
      else { return nil }
      return entries[channel]
    }
    switch kind {
    case "spatial":
      let angles = (drawn["angles_degrees"]?.doubles ?? []).filter { $0 != 0 }
      let scales = drawn["scale"]?.doubles ?? drawn["scale"]?.double.map { [$0] } ?? []
      return (angles.isEmpty ? [] : ["rotation " + angles.map { "\(short($0, 0))°" }.joined(separator: ", ")])
        + (scales.isEmpty ? [] : ["scale " + scales.map { short($0, 2) }.joined(separator: ", ")])
    case "mirror":
      return [
        "mirrored along " + (drawn["axes"]?.integers ?? []).map { "axis \($0)" }.joined(separator: ", ")
      ]
    case "quarter_turn": return ["turned by \(90 * (drawn["turns"]?.integer ?? 0))°"]
    case "transpose":
      return ["axes \((drawn["order"]?.integers ?? []).map { "\($0)" }.joined(separator: ", "))"]
    case "gaussian_noise": return ["noise, deviation \(short(drawn["sigma"]?.double ?? 0, 3))"]
    case "gaussian_blur":
      return own("sigmas")?.doubles.map { ["blur " + $0.map { short($0, 2) }.joined(separator: ", ")] } ?? []
    case "blank_rectangle":
      return own("boxes")?.array.map { ["\($0.count) blank box\($0.count == 1 ? "" : "es")"] } ?? []
    case "brightness_gradient":
      return own("bumps")?["strength"]?.double.map { ["bump of brightness \(short($0, 1))"] } ?? []
    case "local_gamma": return own("bumps")?["gamma"]?.double.map { ["local gamma \(short($0, 2))"] } ?? []
    case "random_binary_operator":
      return (drawn["operations"]?.array ?? []).map {
        "\($0["operator"]?.string ?? "") of label \($0["label"]?.integer ?? 0)"
      }
    case "remove_random_component": return ["component removed"]
    default:
      if let (key, inner) = drawn.object?.pairs.first, inner.object != nil {
        return words(for: inner, kind: Self.alternatives[key] ?? key, channel: channel)
      }
      let (key, name) = Self.numbers[kind] ?? ("", kind)
      return own(key)?.double.map { ["\(name)\(short($0, 2))"] } ?? []
    }
  }

  /// Which transforms the alternatives of a step are.
  private static let alternatives = ["blur": "gaussian_blur", "clipped": "contrast", "unclipped": "contrast"]

  /// Steps with one number per channel: where it is recorded, and the words before it.
  private static let numbers = [
    "brightness": ("factors", "brightness ×"), "brightness_additive": ("shifts", "brightness + "),
    "contrast": ("factors", "contrast ×"), "low_resolution": ("zooms", "resolution ×"),
    "gamma": ("gammas", "gamma "), "gamma_inverted": ("gammas", "gamma, inverted "),
    "median": ("sizes", "median of "), "sharpening": ("strengths", "sharpened by "),
  ]

  private func short(_ value: Double, _ digits: Int) -> String { String(format: "%.\(digits)f", value) }
}
