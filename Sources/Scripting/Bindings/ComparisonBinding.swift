// `evaluation:compare` and what it gives: whether one evaluation is better than another, case by case.

import Archives
import Evaluation
import Foundation
import LuaHost
import Reporting

/// Two evaluations against each other in scripts.
final class ComparisonObject: ScriptObject {
  let comparison: EvaluationComparison

  init(_ comparison: EvaluationComparison) { self.comparison = comparison }

  var luaDescription: String {
    "comparison of \(comparison.settings.metric.rawValue) over \(comparison.commonCaseCount) cases"
  }

  static let schema = ObjectSchema(
    "comparison", "Paired differences of two evaluations, the other minus the first.",
    example: "local c = lunette.evaluation(\"a\"):compare(\"b\")\nprint(c:report())",
    properties: [
      .field("metric", .string, "what is compared") { (it: ComparisonObject) in
        .string(it.comparison.settings.metric.rawValue)
      },
      .field(
        "targets", .map(.any),
        "per target, and as foreground_mean over all: mean_difference, median_difference, interval, p_value, "
          + "better, worse and more"
      ) { (it: ComparisonObject) in LuaValue(it.comparison.json["targets"] ?? .null) },
    ],
    methods: [
      .method(
        FunctionSchema(
          "comparison:report", "The comparison as text: a line per target, and the cases that changed most.",
          parameters: [ParameterSchema("show", .integer, default: 3, "how many cases to name")],
          returns: "the text",
          example: "print(lunette.evaluation(\"a\"):compare(\"b\"):report(5))")
      ) { (it: ComparisonObject, arguments) in
        let count = max(0, try arguments.integer("show"))
        return .string((it.comparison.table.lines + it.comparison.extremes(count)).joined(separator: "\n"))
      },
      .method(
        FunctionSchema(
          "comparison:csv",
          "The comparison as comma-separated values: a row per target, or per case and target.",
          parameters: [
            ParameterSchema("path", .path, "writes them to this file too"),
            ParameterSchema("cases", .boolean, default: false, "a row per case and target"),
          ], returns: "the text",
          example: "lunette.evaluation(\"a\"):compare(\"b\"):csv{ path=\"cases.csv\", cases=true }")
      ) { (it: ComparisonObject, arguments) in
        let table = try arguments.boolean("cases") ? it.comparison.caseTable : it.comparison.targetTable
        let text = table.csv
        if let path = arguments["path"].string { try writeAtomically(Data(text.utf8), to: fileURL(path)) }
        return .string(text)
      },
    ])
}

extension EvaluationObject {
  static let compareMethod = Binding.method(
    FunctionSchema(
      "evaluation:compare", "Compares another evaluation of the same cases with this one.",
      details:
        "Differences are the other's values minus this one's. The interval of the mean comes from resampling the cases, "
        + "p_value from Wilcoxon's signed-rank test.",
      parameters: [
        .required(
          "other", .either([.object("evaluation"), .path]), "an evaluation, a folder or a summary.json"),
        ParameterSchema("metric", .string, default: "Dice", "a key of summary.json"),
        ParameterSchema("resamples", .integer, default: 10_000, "resamples for the interval"),
        ParameterSchema("seed", .integer, default: 0, "the seed of the resampling"),
      ], returns: "a comparison",
      example: "print(lunette.evaluation(\"a\"):compare(\"b\").targets[\"1\"].p_value)")
  ) { (it: EvaluationObject, arguments) in
    var settings = ComparisonSettings()
    settings.metric = try EvaluationMetric(named: arguments.string("metric"))
    settings.resampleCount = try arguments.integer("resamples")
    settings.seed = try arguments.integer("seed")
    let other =
      if let path = arguments["other"].string {
        try EvaluationSummary(at: fileURL(path))
      } else {
        try (arguments.object("other") as EvaluationObject).summary
      }
    return .object(ComparisonObject(try EvaluationComparison(it.summary, other, settings: settings)))
  }
}

extension Binding {
  static let evaluation = Binding(
    FunctionSchema(
      "lunette.evaluation", "Reads an evaluation that was saved.",
      parameters: [.required("path", .path, "a summary.json of ours or nnU-Net's, or a folder with one")],
      returns: "an evaluation",
      example: "print(lunette.evaluation(\"out\").foreground_mean.Dice)")
  ) { arguments in
    [.object(EvaluationObject(try EvaluationSummary(at: fileURL(arguments.string("path")))))]
  }
}
