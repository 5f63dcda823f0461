// `dataset:splits`: which cases train and which validate in each fold, nnU-Net's or the user's own.

import Archives
import Datasets
import Foundation
import LuaHost
import Planning
import Reporting

extension DatasetObject {
  /// Reads, makes or replaces a dataset's splits.
  static let splitsMethod = Binding.method(
    FunctionSchema(
      "dataset:splits", "Gives the cases that train and those that validate, for every fold.",
      details:
        "Without a rule the splits are read, or nnU-Net's five folds are made and saved. A rule's splits are "
        + "checked and saved as splits_final.json of the preprocessed dataset.",
      parameters: [
        ParameterSchema(
          "rule", .override("(cases, default)"),
          "gives a list of tables with train and val, each a list of cases; default() gives nnU-Net's"),
        ParameterSchema(
          "overwrite", .boolean, default: false, "replaces other splits that are there already"),
      ], positional: 0, returns: "a list of tables with train and val",
      example: "print(#lunette.dataset(4):splits()[1].val)")
  ) { (it: DatasetObject, arguments) in
    let registry = ScriptRegistry.of(arguments.state)
    let folder = try registry.roots.preprocessedFolder(of: it.dataset.name)
    let identifiers = try it.dataset.cases().map(\.identifier)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    guard let rule = arguments["rule"].function else {
      return table(of: try CrossValidationSplits.readOrCreate(in: folder, identifiers: identifiers))
    }
    let splits = try splits(
      of: identifiers, by: rule, standard: { try CrossValidationSplits(identifiers: identifiers) },
      in: arguments.state)
    try save(splits, in: folder, overwrites: arguments.boolean("overwrite"))
    return table(of: splits)
  }

  /// The folds that a function of cases and default gives, checked.
  static func splits(
    of identifiers: [String], by rule: LuaFunction, standard: @escaping () throws -> CrossValidationSplits,
    in state: LuaState
  ) throws -> CrossValidationSplits {
    let fallback = LuaNativeFunction("default of splits") { _ in [table(of: try standard())] }
    let answer =
      try rule.call([.array(identifiers), .function(LuaFunction(fallback))], in: state).first ?? .nil
    return answer.isNil ? try standard() : try splits(answer, identifiers)
  }

  private static func table(of splits: CrossValidationSplits) -> LuaValue {
    .array(
      splits.splits.map { split in
        .fields(["train": .array(split.training), "val": .array(split.validation)])
      })
  }

  /// Checks what a rule returned.
  private static func splits(_ value: LuaValue, _ identifiers: [String]) throws -> CrossValidationSplits {
    func wrong(_ found: String) -> Diagnostic {
      Diagnostic(
        "the rule's splits are not usable",
        expected: "a list of { train={...}, val={...} } of this dataset's cases",
        found: found, remedy: "change default()'s lists, or return nil to keep them")
    }
    guard let folds = value.table?.array, !folds.isEmpty else { throw wrong("a \(value.typeName)") }
    let known = Set(identifiers)
    let splits = try folds.enumerated().map { fold, entry in
      guard let training = entry.table?["train"].table?.array.map(\.string),
        let validation = entry.table?["val"].table?.array.map(\.string)
      else { throw wrong("fold \(fold) without train or val") }
      let split = CrossValidationSplit(
        training: training.compactMap(\.self), validation: validation.compactMap(\.self))
      let all = split.training + split.validation
      guard !split.training.isEmpty, !split.validation.isEmpty, all.count == training.count + validation.count
      else {
        throw wrong("fold \(fold) with \(training.count) and \(validation.count) cases")
      }
      if let unknown = all.first(where: { !known.contains($0) }) {
        throw wrong("the case \(unknown) in fold \(fold)")
      }
      guard Set(all).count == all.count else { throw wrong("a case twice in fold \(fold)") }
      return split
    }
    return CrossValidationSplits(splits: splits)
  }

  private static func save(_ splits: CrossValidationSplits, in folder: URL, overwrites: Bool) throws {
    let url = folder.appending(path: CrossValidationSplits.fileName)
    if fileExists(url), !overwrites {
      let present = try CrossValidationSplits(contentsOf: url)
      guard present.splits == splits.splits else {
        throw Diagnostic(
          "the dataset has other splits already", at: url.path, expected: "the same splits, or none",
          remedy: "trainings may rest on them; give overwrite=true to replace them")
      }
    }
    try splits.write(to: url)
  }
}
