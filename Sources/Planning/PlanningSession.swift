// One run of a planner: asks rule or default for each decision and records why. The heuristics are in ExperimentPlanner.

import Archives
import Datasets
import Foundation
import Reporting

/// The state of one planning run.
final class PlanningSession {
  let rules: PlanningRules
  private(set) var explanations: [PlanExplanation] = []
  private(set) var notices: [String] = []

  init(rules: PlanningRules) { self.rules = rules }

  /// Asks the user's rule if there is one, else the default.
  func decide<Value>(
    _ rule: PlanningRules.Rule<Value>?, _ context: PlanningContext, default makeDefault: () throws -> Value
  ) throws -> Value {
    if let rule { try rule(context, makeDefault) } else { try makeDefault() }
  }

  /// Records why a value is what it is; a later record of the same path replaces the earlier.
  func explain(
    _ path: String, _ value: JSON, rule: String, overridden: Bool, inputs: [(String, JSON)] = [],
    reason: String
  ) {
    let entry = PlanExplanation(
      path: path, value: value, rule: rule, isOverridden: overridden,
      inputs: inputs.map { PlanExplanation.Input(name: $0.0, value: $0.1) },
      reason: overridden ? "a rule of the user decided" : reason)
    explanations.removeAll { $0.path == path }
    explanations.append(entry)
  }

  func forget(configuration: String) { explanations.removeAll { $0.path.hasPrefix(configuration + ".") } }

  func note(_ line: String) { notices.append(line) }
}

/// A number in words of at most six digits.
func brief(_ value: Double) -> String { String(format: "%.6g", value) }

/// A size in words, such as 40×56×40.
func brief(_ sizes: [Int]) -> String { sizes.map(String.init).joined(separator: "×") }
