// The settings of one step as data, checked when they are set so that reading them cannot fail.

package import Archives
package import Reporting

/// The parameters of one step.
package struct AugmentationParameters: Sendable, Equatable {
  package private(set) var values: JSONObject

  package init(_ values: JSONObject) { self.values = values }

  /// Sets a known parameter to a value of its kind.
  package mutating func set(_ key: String, to value: JSON, step: String) throws(Diagnostic) {
    guard let current = values[key] else {
      let near = nearestName(to: key, in: values.keys).map { "did you mean \"\($0)\"?" }
      throw Diagnostic(
        "unknown augmentation parameter \"\(key)\"", at: "augmentation step \"\(step)\"",
        expected: values.isEmpty ? "no parameters" : "one of \(values.keys.joined(separator: ", "))",
        found: "\"\(key)\"", remedy: near ?? "use one of the names above")
    }
    if let expected = Self.complaint(about: value, for: key, like: current) {
      throw Diagnostic(
        "augmentation parameter \"\(key)\" is not usable", at: "augmentation step \"\(step)\"",
        expected: expected, found: value.text(indent: nil),
        remedy: "the current value is \(current.text(indent: nil))")
    }
    values[key] = value
  }

  /// What a value should have been, if it is not that.
  private static func complaint(about value: JSON, for key: String, like current: JSON) -> String? {
    if key.hasSuffix("probability") {
      if let number = value.double, (0...1).contains(number) { return nil }
      return "a number from 0 to 1"
    }
    if key.hasSuffix("degrees") {
      return orderedPair(value) == nil ? "two finite numbers, the smaller first" : nil
    }
    if key.hasSuffix("range") {
      if let pair = orderedPair(value), pair.0 > 0 || (pair.0 == 0 && key == "sigma_range") {
        if key != "zoom_range" || pair.1 <= 1 { return nil }
      } else if key == "center_range", orderedPair(value) != nil {
        return nil
      }
      return key == "zoom_range"
        ? "two numbers above 0, at most 1" : "two positive numbers, the smaller first"
    }
    if key.hasSuffix("_order") {
      return value == 0 || value == 1 ? nil : "0 for the nearest voxel or 1 for linear interpolation"
    }
    switch current {
    case .bool: return value.bool == nil ? "true or false" : nil
    case .integer: return value.integer == nil ? "a whole number" : nil
    case .number: return value.double == nil ? "a number" : nil
    case .array where ["regions", "strides", "size_limits"].contains(key):
      return value.array?.allSatisfy { $0.integers != nil } == true ? nil : "a list of lists of whole numbers"
    case .array: return value.integers == nil ? "a list of whole numbers" : nil
    default: return nil
    }
  }

  private static func orderedPair(_ value: JSON) -> (Double, Double)? {
    guard let pair = value.doubles, pair.count == 2, pair[0] <= pair[1], pair.allSatisfy(\.isFinite) else {
      return nil
    }
    return (pair[0], pair[1])
  }

  /// The parameters of one of several transforms in a step: those whose names begin with its name.
  func part(named name: String) -> AugmentationParameters {
    AugmentationParameters(
      JSONObject(
        values.pairs.filter { $0.key.hasPrefix(name + "_") }.map {
          (String($0.key.dropFirst(name.count + 1)), $0.value)
        }))
  }

  // MARK: - Reading

  package func double(_ key: String) -> Double { checked(values[key]?.double, key) }
  package func integer(_ key: String) -> Int { checked(values[key]?.integer, key) }
  package func bool(_ key: String) -> Bool { checked(values[key]?.bool, key) }
  package func integers(_ key: String) -> [Int] { checked(values[key]?.integers, key) }
  package func integerLists(_ key: String) -> [[Int]] {
    checked(values[key]?.array, key).compactMap(\.integers)
  }

  /// A pair of limits.
  package func range(_ key: String) -> (lower: Double, upper: Double) {
    let pair = checked(values[key]?.doubles, key)
    precondition(pair.count == 2, "parameter \(key) is no pair")
    return (pair[0], pair[1])
  }

  private func checked<T>(_ value: T?, _ key: String) -> T {
    guard let value else {
      preconditionFailure("a transform reads \"\(key)\", which is not among its defaults")
    }
    return value
  }
}

/// The error of a replayed draw that does not fit its step.
func unusableDraw(_ step: String, expected: String, found: JSON?) -> Diagnostic {
  Diagnostic(
    "a recorded augmentation draw cannot be applied", at: "augmentation step \"\(step)\"", expected: expected,
    found: found?.text(indent: nil) ?? "nothing", remedy: "replay draws only with the pipeline that made them"
  )
}
