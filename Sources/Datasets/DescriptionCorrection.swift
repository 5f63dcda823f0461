// A dataset.json that somebody wrote by hand: all that is wrong with it at once, and the corrected content where no judgement
// is needed.

import Archives
import Foundation
import Reporting

/// What has to be corrected in a `dataset.json`.
struct DescriptionCorrection {
  /// The content with every correction made.
  private(set) var json: JSON
  private(set) var findings: [DatasetFinding] = []
  /// What was done, one sentence per correction.
  private(set) var done: [String] = []
  private let source: String

  /// Reads the file of a dataset's folder.
  ///
  /// - Throws: ``Diagnostic`` if it cannot be read even leniently.
  init(of folder: URL) throws(Diagnostic) {
    let file = folder.appending(path: "dataset.json")
    source = file.path
    let passedOver: [(line: Int, what: String)]
    (json, passedOver) = try JSON.parsingLeniently(
      readRegularFile(file, as: "the description of the dataset"), source: source)
    for (line, what) in passedOver {
      correct(
        "JSON, which has no such thing", "\(what) in line \(line)", "remove it",
        done: "\(what) in line \(line) removed")
    }
    guard json.object != nil else { return }
    swapOldLabels()
    correctLabelValues()
    addBackground()
    orderRegions()
    correctFileEnding(in: folder)
    countCases(in: folder)
  }

  private mutating func correct(
    _ expected: String, _ found: String, _ remedy: String, done: String,
    severity: DatasetFinding.Severity = .error
  ) {
    findings.append(
      DatasetFinding(
        severity,
        Diagnostic(
          severity == .error ? "dataset.json is not usable" : "dataset.json has an unusual form", at: source,
          expected: expected, found: found, remedy: remedy),
        repair: .description))
    self.done.append("dataset.json: \(done)")
  }

  private mutating func set(_ key: String, _ value: JSON) {
    guard case .object(var object) = json else { return }
    object[key] = value
    json = .object(object)
  }

  /// The first nnU-Net wrote `"1": "liver"`.
  private mutating func swapOldLabels() {
    guard let object = json["labels"]?.object, !object.isEmpty,
      object.pairs.allSatisfy({ Int($0.0) != nil && $0.1.string != nil })
    else { return }
    set("labels", .object(JSONObject(object.pairs.map { ($0.1.string ?? "", .integer(Int($0.0) ?? 0)) })))
    correct(
      "\"labels\": {\"background\": 0, ...}", "numbers as keys, as the first nnU-Net had them",
      "swap keys and values", done: "keys and values of \"labels\" swapped")
  }

  /// Numbers in quotes, and single numbers among regions.
  private mutating func correctLabelValues() {
    guard var object = json["labels"]?.object else { return }
    func number(_ value: JSON) -> JSON? { value.string.flatMap { Int($0) }.map(JSON.integer) }
    for (name, value) in object.pairs {
      if let number = number(value) {
        object[name] = number
        correct(
          "a whole number for the label \"\(name)\"", value.text(indent: nil), "remove the quotes",
          done: "quotes around the number of \"\(name)\" removed")
      } else if let values = value.array, values.contains(where: { number($0) != nil }) {
        object[name] = .array(values.map { number($0) ?? $0 })
        correct(
          "whole numbers for the region \"\(name)\"", value.text(indent: nil), "remove the quotes",
          done: "quotes around the numbers of \"\(name)\" removed")
      }
    }
    let hasRegions = object.pairs.contains { ($0.1.array?.count ?? 0) > 1 }
    for (name, value) in object.pairs where hasRegions && !["background", "ignore"].contains(name) {
      guard let label = value.integer, label != 0 else { continue }
      object[name] = .array([.integer(label)])
      correct(
        "a list of labels for the region \"\(name)\", as the other regions have it", "\(label)",
        "harmless: it is taken as [\(label)]", done: "\"\(name)\" is the list [\(label)]", severity: .warning)
    }
    set("labels", .object(object))
  }

  private mutating func addBackground() {
    guard let object = json["labels"]?.object, !object.isEmpty, object["background"] == nil,
      !object.pairs.contains(where: { $0.1.integer == 0 || $0.1.integers?.contains(0) == true })
    else { return }
    set("labels", .object(JSONObject([("background", .integer(0))] + object.pairs)))
    correct(
      "\"background\": 0 among the labels", "no \"background\"", "add \"background\": 0 to \"labels\"",
      done: "\"background\": 0 added")
  }

  /// The order that paints nested regions: each with the one label that no later region has.
  private mutating func orderRegions() {
    guard let object = json["labels"]?.object, json["regions_class_order"]?.isNull ?? true else { return }
    let regions = object.pairs.filter { !["background", "ignore"].contains($0.0) }.map {
      $0.1.integers ?? $0.1.integer.map { [$0] } ?? []
    }
    guard regions.contains(where: { $0.count > 1 }), !regions.contains(where: \.isEmpty) else { return }
    var order: [Int] = []
    for (index, region) in regions.enumerated() {
      let later = Set(regions[(index + 1)...].joined())
      let own = Set(region).subtracting(later)
      guard own.count == 1, let label = own.first else {
        // Which label to paint takes a person's judgement; reading the file says what is missing.
        return
      }
      order.append(label)
    }
    set("regions_class_order", JSON(order))
    correct(
      "\"regions_class_order\" with \(order.count) values, the label to paint for each region", "no such key",
      "add \"regions_class_order\": \(order), which paints these regions over each other",
      done: "\"regions_class_order\" set to \(order)")
  }

  private mutating func correctFileEnding(in folder: URL) {
    let images =
      ((try? FileManager.default.contentsOfDirectory(
        atPath: folder.appending(path: "imagesTr").path)) ?? []).filter { !$0.hasPrefix(".") }
    let given = json["file_ending"]?.string
    var ending = (given ?? "").trimmingCharacters(in: .whitespacesAndNewlines)
    if !ending.isEmpty, !ending.hasPrefix(".") { ending = "." + ending }
    if ending.isEmpty || !images.isEmpty && !images.contains(where: { $0.hasSuffix(ending) }) {
      // What follows the channel's number, where all files agree.
      let endings = Set(
        images.map { name in
          name.range(of: "_[0-9]{4}\\.", options: .regularExpression).map {
            String(name[name.index(before: $0.upperBound)...])
          } ?? ""
        })
      guard endings.count == 1, let common = endings.first, !common.isEmpty else { return }
      ending = common
    }
    guard ending != given else { return }
    set("file_ending", .string(ending))
    correct(
      "\"file_ending\": \"\(ending)\"", given.map { "\"\($0)\"" } ?? "no such key", "set it to \"\(ending)\"",
      done: "\"file_ending\" set to \"\(ending)\"")
  }

  private mutating func countCases(in folder: URL) {
    guard json["numTraining"]?.integer == nil, let ending = json["file_ending"]?.string,
      let count = try? findCases(in: folder.appending(path: "imagesTr"), fileEnding: ending).count
    else { return }
    set("numTraining", .integer(count))
    correct(
      "\"numTraining\": the number of training cases", json["numTraining"]?.kind ?? "no such key",
      "set it to \(count), the number of cases in imagesTr", done: "\"numTraining\" set to \(count)")
  }
}
