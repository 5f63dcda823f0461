// postprocessing.json and postprocessing.pkl: the steps as nnU-Net keeps them, written and read.

import Archives
import Datasets
package import Evaluation
package import Foundation
import Reporting

extension PostprocessingSearch {
  /// The content of nnU-Net's `postprocessing.json`.
  var json: JSON {
    [
      "input_folder": baseline.meansJSON, "postprocessed": final.meansJSON,
      "postprocessing_fns": .array(steps.map { _ in .string(PostprocessingStep.functionName) }),
      "postprocessing_kwargs": .array(steps.map(\.json)),
    ]
  }
}

extension EvaluationSummary {
  /// The means alone, as `postprocessing.json` repeats them.
  fileprivate var meansJSON: JSON {
    ["foreground_mean": json["foreground_mean"] ?? .null, "mean": json["mean"] ?? .null]
  }
}

extension PostprocessingStep {
  /// The arguments as `postprocessing.json` lists them: a label, or a list of labels.
  fileprivate var json: JSON {
    let labels = targets.flatMap(\.labels)
    let value: JSON =
      !isList && targets.count == 1 && labels.count == 1 && targets[0] == .label(labels[0])
      ? .integer(labels[0]) : JSON(labels)
    return .object(JSONObject([(Self.argumentName, value)]))
  }

  /// The name of nnU-Net's function, the only one that it keeps in a pickle.
  static let pickleName = PickleName(module: functionModule, name: functionName)

  /// The arguments as `postprocessing.pkl` holds them: a list of labels, a label, or a region's tuple.
  fileprivate var pickledArguments: PickleValue {
    func value(_ target: LabelValue) -> PickleValue {
      switch target {
      case .label(let label): .integer(label)
      case .region(let labels): .tuple(labels.map(PickleValue.integer))
      }
    }
    let values = targets.map(value)
    return .dictionary(
      PickleDictionary([(.string(Self.argumentName), isList ? .list(values) : values[0])]))
  }

  private init?(pickled arguments: PickleValue) {
    func target(_ value: PickleValue) -> LabelValue? {
      if let label = value.integer { return .label(label) }
      let labels = value.elements?.compactMap(\.integer) ?? []
      return labels.isEmpty || labels.count != value.elements?.count ? nil : .region(labels)
    }
    guard let value = arguments[Self.argumentName] else { return nil }
    if case .list(let values) = value {
      let targets = values.compactMap(target)
      guard !targets.isEmpty, targets.count == values.count else { return nil }
      self.init(union: targets)
    } else if let single = target(value) {
      self.init(single)
    } else {
      return nil
    }
  }

  /// The steps of a `postprocessing.json` or a `postprocessing.pkl` of either program.
  package static func read(_ file: URL) throws -> [PostprocessingStep] {
    file.pathExtension == "pkl" ? try readPickle(file) : try readJSON(file)
  }

  private static func unusable(_ file: URL, _ found: String) -> Diagnostic {
    Diagnostic(
      "the postprocessing is not usable", at: file.path,
      expected: "functions and arguments, one of each per step", found: found,
      remedy: "give a postprocessing.json or postprocessing.pkl that determine_postprocessing wrote")
  }

  private static func readPickle(_ file: URL) throws -> [PostprocessingStep] {
    let bytes = try readRegularFile(file, as: "the postprocessing")
    let value = try PickleReader.read(bytes, source: file.path, names: [pickleName])
    guard let parts = value.elements, parts.count == 2, let functions = parts[0].elements,
      let arguments = parts[1].elements, functions.count == arguments.count
    else { throw unusable(file, "other content") }
    return try zip(functions, arguments).map { function, arguments in
      guard function.name == pickleName, let step = PostprocessingStep(pickled: arguments) else {
        throw unusable(file, "another function, or arguments that are no labels")
      }
      return step
    }
  }

  private static func readJSON(_ file: URL) throws -> [PostprocessingStep] {
    let json = try JSON(contentsOf: file)
    guard let names = json["postprocessing_fns"]?.array, let arguments = json["postprocessing_kwargs"]?.array,
      names.count == arguments.count
    else { throw unusable(file, "other content") }
    return try zip(names, arguments).map { name, arguments in
      guard name.string == functionName else { throw unusable(file, name.text(indent: nil)) }
      let value = arguments[argumentName]
      if let label = value?.integer { return PostprocessingStep(.label(label)) }
      guard let labels = value?.integers, !labels.isEmpty else {
        throw unusable(file, arguments.text(indent: nil))
      }
      return PostprocessingStep(union: labels.map(LabelValue.label))
    }
  }
}

extension [PostprocessingStep] {
  /// The pair of lists that nnU-Net pickles: functions by name, and their arguments.
  var pickle: PickleValue {
    .tuple([.list(map { _ in .name(PostprocessingStep.pickleName) }), .list(map(\.pickledArguments))])
  }
}
