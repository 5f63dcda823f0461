// Which postprocessing steps raise the scores of a folder of predictions: nnU-Net's search, and what it tried.

package import Datasets
package import Foundation
import Reporting
import Tensors
import VolumeFormats
import Volumes

/// One step that the search tried, with the scores without and with it.
package struct PostprocessingTrial: Sendable {
  package var step: PostprocessingStep
  /// The target whose Dice decides; `nil` where the mean over the foreground does.
  package var target: LabelValue?
  package var before: EvaluationSummary
  package var after: EvaluationSummary
  package var isAccepted = false

  /// The Dice that decides, without and with the step.
  package var diceBefore: Double { dice(of: before) }
  package var diceAfter: Double { dice(of: after) }

  private func dice(of summary: EvaluationSummary) -> Double {
    guard let target else { return summary.foregroundMean.dice }
    return summary.mean(of: target)?.dice ?? .nan
  }

  /// Targets whose mean Dice the step lowers.
  package var worsened: [LabelValue] {
    before.targets.filter { (after.mean(of: $0)?.dice ?? .nan) < (before.mean(of: $0)?.dice ?? .nan) }
  }

  /// nnU-Net's rule: the deciding Dice rises, and for all of the foreground together no target's falls.
  ///
  /// Comparisons with a Dice that is no number are false, in either direction.
  package var isImprovement: Bool { diceAfter > diceBefore && (target != nil || worsened.isEmpty) }

  /// What was tried and how it ended, in one line.
  package func text(_ scheme: LabelScheme) -> String {
    func rounded(_ value: Double) -> String { "\((value * 100_000).rounded() / 100_000)" }
    let subject = target.map { "Dice of \(scheme.name(of: $0))" } ?? "mean foreground Dice"
    var text = "\(step.text(scheme)): \(subject) \(rounded(diceBefore)) -> \(rounded(diceAfter)), "
    text += isAccepted ? "accepted" : "rejected"
    if target == nil, diceAfter > diceBefore, let first = worsened.first {
      text += " (worse for \(scheme.name(of: first)))"
    }
    return text
  }
}

/// What a search came to.
package struct PostprocessingSearch: Sendable {
  /// The accepted steps, in order.
  package internal(set) var steps: [PostprocessingStep] = []
  package internal(set) var trials: [PostprocessingTrial] = []
  /// The scores of the folder as it is.
  package let baseline: EvaluationSummary
  /// The scores after the accepted steps.
  package internal(set) var final: EvaluationSummary
}

/// Replaces the rule that accepts a step; the second argument is nnU-Net's own verdict.
package typealias PostprocessingRule = (PostprocessingTrial, Bool) throws -> Bool

/// Searches the steps that raise the Dice of predictions.
///
/// First all foreground labels together, then, where there are several targets, one after the other on top of what has been
/// accepted. Files are read again for every trial, so that memory stays at a few label maps.
///
/// - Parameters:
///   - files: the names of the predictions, which are those of the references too.
///   - baseline: the scores of the predictions as they are; computed if `nil`.
///   - accepts: nnU-Net's own verdict by default.
/// - Throws: a ``Diagnostic`` for files that are missing or do not fit, and what `accepts` throws.
/// - Source: nnU-Net's `determine_postprocessing`.
package func searchPostprocessing(
  of files: [String], in predictions: URL, references: URL, scheme: LabelScheme,
  baseline: EvaluationSummary? = nil, accepts: PostprocessingRule = { $1 }
) throws -> PostprocessingSearch {
  let targets = scheme.foregroundTargets
  func score(_ steps: [PostprocessingStep]) throws -> EvaluationSummary {
    let cases = try parallelMap(files.count) { index in
      let name = files[index]
      return try evaluateCase(
        reference: references.appending(path: name), prediction: predictions.appending(path: name),
        after: steps,
        targets: targets, ignoreLabel: scheme.ignoreLabel)
    }
    return EvaluationSummary(targets: targets, cases: cases)
  }
  let baseline = try baseline ?? score([])
  var search = PostprocessingSearch(baseline: baseline, final: baseline)
  func attempt(_ step: PostprocessingStep, target: LabelValue?) throws {
    let after = try score(search.steps + [step])
    var trial = PostprocessingTrial(step: step, target: target, before: search.final, after: after)
    trial.isAccepted = try accepts(trial, trial.isImprovement)
    if trial.isAccepted {
      search.steps.append(step)
      search.final = after
    }
    search.trials.append(trial)
  }
  try attempt(PostprocessingStep(union: scheme.foregroundLabels.map(LabelValue.label)), target: nil)
  if targets.count > 1 {
    for target in targets { try attempt(PostprocessingStep(target), target: target) }
  }
  return search
}

/// Writes postprocessed copies of label maps, each at once or not at all.
///
/// - Parameter maximumLabel: the largest label the dataset knows; it decides on the width of a voxel.
package func writePostprocessed(
  _ steps: [PostprocessingStep], of files: [String], in input: URL, output: URL, maximumLabel: Int
) throws {
  _ = try parallelMap(files.count) { index in
    let map = try readLabels(input.appending(path: files[index]))
    try writeLabels(
      Volume(voxels: steps.applied(to: map.voxels), geometry: map.geometry),
      to: output.appending(path: files[index]), maximumLabel: maximumLabel)
  }
}
