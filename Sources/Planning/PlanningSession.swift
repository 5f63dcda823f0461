// One run of a planner: asks rule or default for each decision and records why. The heuristics are in ExperimentPlanner.

import Archives
import Datasets
import Foundation
import Reporting

/// What a heuristic came to, and whether a rule of the user made it so.
struct Decision<Value> {
  var value: Value
  /// Whether a rule gave another value than the default, or never asked for the default.
  var isOverridden: Bool
  /// What the default would have been, if it was asked for.
  var standard: Value?
}

/// The state of one planning run.
final class PlanningSession {
  let rules: PlanningRules
  private(set) var explanations: [PlanExplanation] = []

  init(rules: PlanningRules) { self.rules = rules }

  /// Asks the user's rule if there is one, else the default.
  func decide<Value: Equatable>(
    _ rule: PlanningRules.Rule<Value>?, _ context: PlanningContext, default makeDefault: () throws -> Value
  ) throws -> Decision<Value> {
    guard let rule else { return Decision(value: try makeDefault(), isOverridden: false) }
    var standard: Value?
    let value = try rule(context) {
      let value = try makeDefault()
      standard = value
      return value
    }
    return Decision(value: value, isOverridden: standard != value, standard: standard)
  }

  /// Records why a value is what it is; a later record of the same path replaces the earlier.
  func explain(
    _ path: String, _ value: JSON, rule: String, overridden: Bool = false, standard: JSON? = nil,
    inputs: [(String, JSON)] = [], reason: String
  ) {
    var inputs = inputs
    var reason = reason
    if overridden {
      reason = "a rule of the user decided" + (rules.sources[rule].map { ", at \($0)" } ?? "")
      if let standard { inputs.append(("default", standard)) }
    }
    let entry = PlanExplanation(
      path: path, value: value, rule: rule, isOverridden: overridden,
      inputs: inputs.map { PlanExplanation.Input(name: $0.0, value: $0.1) }, reason: reason)
    explanations.removeAll { $0.path == path }
    explanations.append(entry)
  }

  /// What was recorded of a value.
  func explanation(of path: String) -> PlanExplanation? { explanations.first { $0.path == path } }

  /// Records a value that follows from another one, with that one's inputs and more.
  func explain(_ path: String, _ value: JSON, like origin: String, inputs: [(String, JSON)], reason: String) {
    guard var entry = explanation(of: origin) else { return }
    entry.path = path
    entry.value = value
    entry.inputs = inputs.map { PlanExplanation.Input(name: $0.0, value: $0.1) } + entry.inputs
    entry.reason = "\(reason): \(entry.reason)"
    explanations.removeAll { $0.path == path }
    explanations.append(entry)
  }

  func forget(configuration: String) { explanations.removeAll { $0.path.hasPrefix(configuration + ".") } }
}

/// A number in words of at most six digits.
func brief(_ value: Double) -> String { String(format: "%.6g", value) }

/// A size in words, such as 40×56×40.
func brief(_ sizes: [Int]) -> String { sizes.map(String.init).joined(separator: "×") }

/// A size of fractions in words.
func brief(_ sizes: [Double]) -> String { sizes.map(brief).joined(separator: "×") }
