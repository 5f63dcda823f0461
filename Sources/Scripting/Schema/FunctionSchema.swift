// What a scripted function is: the one source of its validation, defaults, completion, help text, reference page and stubs.

/// A function that scripts can call.
package final class FunctionSchema: Sendable {
  /// The full name, such as `lunette.dataset` or `dataset:verify`.
  package let name: String
  /// What it does, in one sentence.
  package let summary: String
  package let details: String
  package let parameters: [ParameterSchema]
  /// How many of the first parameters may be given by position.
  package let positionalCount: Int
  /// The parameter that takes the values without a name in a table of named arguments.
  package let items: String?
  /// The type of the values under names that are not listed, where the user chooses names.
  package let others: ParameterSchema?
  package let returns: String
  /// Lua source text that shows a call.
  package let example: String

  package init(
    _ name: String, _ summary: String, details: String = "", parameters: [ParameterSchema] = [],
    positional: Int = 1, items: String? = nil, others: ParameterSchema? = nil, returns: String = "",
    example: String
  ) {
    self.name = name
    shortName = name.split { $0 == "." || $0 == ":" }.last.map(String.init) ?? name
    isMethod = name.contains(":")
    self.summary = summary
    self.details = details
    self.parameters = parameters
    positionalCount = min(positional, parameters.count)
    self.items = items
    self.others = others
    self.returns = returns
    self.example = example
  }

  /// The name behind the last dot or colon.
  package let shortName: String
  /// Whether it is called as a method.
  package let isMethod: Bool

  /// The call in one line, such as `lunette.dataset(name)`.
  package var signature: String {
    if parameters.isEmpty && others == nil { return "\(name)()" }
    let isPositional = positionalCount == parameters.count && others == nil && items == nil
    let words = parameters.map { parameter in
      if let value = parameter.defaultValue { return "\(parameter.name)=\(value.source)" }
      return parameter.isRequired ? parameter.name : "[\(parameter.name)]"
    }
    let list = (words + (others.map { ["<\($0.name)>=..."] } ?? [])).joined(separator: ", ")
    return isPositional ? "\(name)(\(list))" : "\(name){ \(list) }"
  }

  /// The parameter of a name.
  package func parameter(named name: String) -> ParameterSchema? { parameters.first { $0.name == name } }

  /// The help text, as `name?` shows it.
  package var documentation: String {
    var lines = [signature, "", summary]
    if !details.isEmpty { lines.append(details) }
    if !parameters.isEmpty || others != nil {
      lines += ["", "Arguments:"]
      lines += parameters.flatMap { documentationLines($0, indent: "  ") }
      if let others { lines += documentationLines(others, indent: "  ") }
    }
    if !returns.isEmpty { lines += ["", "Returns: \(returns)"] }
    lines +=
      ["", "Example:"] + example.split(separator: "\n", omittingEmptySubsequences: false).map { "  \($0)" }
    return lines.joined(separator: "\n")
  }

  private func documentationLines(_ parameter: ParameterSchema, indent: String) -> [String] {
    var lines = [indent + parameter.documentation]
    if case .table(let members) = parameter.type {
      lines += members.flatMap { documentationLines($0, indent: indent + "  ") }
    }
    return lines
  }
}
