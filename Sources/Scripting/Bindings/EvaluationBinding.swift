// `lunette.evaluate`: predictions scored against references.

import Archives
import Datasets
import Evaluation
import Foundation
import LuaHost
import Reporting

/// Scores in scripts.
final class EvaluationObject: ScriptObject {
  let summary: EvaluationSummary

  init(_ summary: EvaluationSummary) { self.summary = summary }

  var luaDescription: String {
    "evaluation of \(summary.cases.count) cases, mean foreground Dice \(summary.foregroundMean.dice)"
  }

  static let schema = ObjectSchema(
    "evaluation", "Scores of predictions, per case and averaged, named as in summary.json.",
    example: "local r = lunette.evaluate{ reference=\"labelsTr\", prediction=\"out\", labels={ organ=1 } }\n"
      + "print(r.foreground_mean.Dice)",
    properties: [
      .field("foreground_mean", .map(.number), "the mean over all labels but the background") {
        (it: EvaluationObject) in LuaValue(it.summary.json["foreground_mean"] ?? .null)
      },
      .field("mean", .map(.map(.number)), "the mean over cases, per label") { (it: EvaluationObject) in
        LuaValue(it.summary.json["mean"] ?? .null)
      },
      .field("cases", .list(.any), "the scores of each case") { (it: EvaluationObject) in
        LuaValue(it.summary.json["metric_per_case"] ?? .null)
      },
      .field("surface_tolerance", .number, "the tolerance of NSD in mm, nil where surfaces were not measured")
      {
        (it: EvaluationObject) in it.summary.surfaceTolerance.map(LuaValue.number) ?? .nil
      },
    ],
    methods: [
      .method(
        FunctionSchema(
          "evaluation:table", "The whole summary as a table.", returns: "a table",
          example:
            "local r = lunette.evaluate{ reference=\"a\", prediction=\"b\", labels={1} }\nprint(r:table().mean)"
        )
      ) { (it: EvaluationObject, _) in LuaValue(it.summary.json) },
      .method(
        FunctionSchema(
          "evaluation:save", "Writes summary.json as nnU-Net does.",
          parameters: [
            .required("path", .path, "the file"),
            ParameterSchema(
              "strict", .boolean, default: false, "writes null for what is no number or infinite, not NaN"),
          ], returns: "the path",
          example: "lunette.evaluate{ reference=\"a\", prediction=\"b\", labels={1} }:save(\"summary.json\")")
      ) { (it: EvaluationObject, arguments) in
        try it.summary.write(to: fileURL(arguments.string("path")), usesNull: arguments.boolean("strict"))
        return arguments["path"]
      },
      reportMethod, csvMethod, compareMethod,
    ])

  private static let reportMethod = Binding.method(
    FunctionSchema(
      "evaluation:report", "The means as text: a line per target.", returns: "the text",
      example: "print(lunette.evaluate{ reference=\"a\", prediction=\"b\", labels={1} }:report())")
  ) { (it: EvaluationObject, _) in .string(it.summary.meanTable.lines.joined(separator: "\n")) }

  private static let csvMethod = Binding.method(
    FunctionSchema(
      "evaluation:csv", "All cases as comma-separated values: a row per case and target.",
      parameters: [ParameterSchema("path", .path, "writes them to this file too")], returns: "the text",
      example: "lunette.evaluate{ reference=\"a\", prediction=\"b\", labels={1} }:csv(\"cases.csv\")")
  ) { (it: EvaluationObject, arguments) in
    let text = it.summary.caseTable.csv
    if let path = arguments["path"].string { try writeAtomically(Data(text.utf8), to: fileURL(path)) }
    return .string(text)
  }
}

extension Binding {
  static let evaluate = Binding(
    FunctionSchema(
      "lunette.evaluate", "Scores a folder of predictions against references of the same file names.",
      parameters: [
        .required("reference", .path, "the folder of reference label maps"),
        .required("prediction", .path, "the folder of predicted label maps"),
        .required(
          "labels", .either([.list(.any), .map(.any)]),
          "what to score: names or a list of labels, each a value or a list of values for a region; ds.labels serves"
        ),
        ParameterSchema("ignore_label", .integer, "reference voxels with this value do not count"),
        ParameterSchema("file_ending", .string, default: ".nii.gz", "the ending of the files"),
        ParameterSchema(
          "allow_missing", .boolean, default: false, "leaves out references without a prediction"),
        ParameterSchema(
          "surface_tolerance", .number,
          "measures surfaces too: NSD, the surface Dice at this tolerance in mm, and HD95"),
        ParameterSchema("volumes", .boolean, default: false, "tells volumes in ml too"),
      ], positional: 0, returns: "an evaluation",
      example:
        "local r = lunette.evaluate{ reference=\"labelsTr\", prediction=\"out\", labels={ organ=1, tumour=2 } }"
    )
  ) { arguments in
    let labels = try targets(arguments.table("labels"))
    var settings = EvaluationSettings(
      targets: labels.targets, ignoreLabel: arguments["ignore_label"].integer ?? labels.ignored,
      fileEnding: try arguments.string("file_ending"))
    settings.allowsMissing = try arguments.boolean("allow_missing")
    settings.measures.includesVolumes = try arguments.boolean("volumes")
    if let tolerance = arguments["surface_tolerance"].number {
      guard tolerance >= 0, tolerance.isFinite else {
        throw Diagnostic("surface_tolerance is a length in mm, 0 or more", found: "\(tolerance)")
      }
      settings.measures.surfaceTolerance = tolerance
    }
    var summary = try evaluateFolder(
      reference: fileURL(arguments.string("reference")), prediction: fileURL(arguments.string("prediction")),
      settings: settings)
    summary.names = labels.names
    return [.object(EvaluationObject(summary))]
  }

  /// The foreground targets of a table of labels, smallest value first, and the label named ignore.
  private static func targets(_ table: LuaTable) throws -> TargetTable {
    var targets: [LabelValue] = []
    var names: [LabelValue: String] = [:]
    var ignored: Int?
    func add(_ target: LabelValue, _ name: String) {
      targets.append(target)
      if !name.isEmpty { names[target] = name }
    }
    for (name, value) in table.array.map({ ("", $0) }) + table.fields.sorted(by: { $0.key < $1.key }) {
      if let label = value.integer {
        if name == "ignore" { ignored = label } else if label != 0 { add(.label(label), name) }
      } else if let members = value.table?.array.map(\.integer), !members.isEmpty, !members.contains(nil) {
        add(.region(members.compactMap(\.self)), name)
      } else {
        throw Diagnostic(
          "a label is a whole number or a list of them", at: name.isEmpty ? nil : "labels.\(name)",
          found: "a \(value.typeName)")
      }
    }
    guard !targets.isEmpty else { throw Diagnostic("there is no label to score besides the background") }
    if targets.allSatisfy({ if case .label = $0 { true } else { false } }) {
      targets.sort { ($0.labels.first ?? 0) < ($1.labels.first ?? 0) }
    } else {
      // Larger regions first: the order of nested regions.
      targets.sort { ($1.labels.count, $0.labels) < ($0.labels.count, $1.labels) }
    }
    return TargetTable(targets: targets, names: names, ignored: ignored)
  }
}

/// What a table of labels says.
private struct TargetTable {
  let targets: [LabelValue]
  let names: [LabelValue: String]
  let ignored: Int?
}

private func < (a: (Int, [Int]), b: (Int, [Int])) -> Bool {
  a.0 != b.0 ? a.0 < b.0 : a.1.lexicographicallyPrecedes(b.1)
}
