// How the parameters of every step are distributed, against what the reference implementation draws. The fixture is
// made by Scripts/make-reference-augmentation.

import Archives
import Augmentation
import Foundation
import Tensors
import Testing

@Suite struct DistributionTests {
  static let fixture: JSON = {
    let url = URL(filePath: #filePath).deletingLastPathComponent()
      .appending(path: "Fixtures/reference-distributions.json")
    return (try? JSON(contentsOf: url)) ?? .null
  }()

  static let drawCount = 6000
  /// Standard deviations that a difference may have: among a few thousand comparisons five are beyond chance.
  static let allowedDeviations = 5.0

  /// The pipelines of the fixture.
  static func pipeline(_ name: String) throws -> AugmentationPipeline {
    let patchSize = fixture["patch_size"]?.integers ?? []
    return switch name {
    case "default": .standard(patchSize: patchSize)
    case "cascade": .standard(patchSize: patchSize, previousStageLabels: [1, 2, 3])
    default: try da5(patchSize: patchSize)
    }
  }

  /// nnU-Net's pipeline DA5, from the list that the recipe is tested against too.
  static func da5(patchSize: [Int]) throws -> AugmentationPipeline {
    let url = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures/da5-steps.json")
    let json = try JSON(contentsOf: url)
    return try AugmentationPipeline(patchSize: patchSize, list: json["steps"] ?? .null, source: url.path)
  }

  static let comparisons: [(pipeline: String, step: String)] = (fixture["pipelines"]?.array ?? []).flatMap {
    entry in
    (entry["steps"]?.object?.keys ?? []).map { (entry["name"]?.string ?? "", $0) }
  }

  @Test("The fixture is complete")
  func fixtureIsComplete() {
    let names = Self.comparisons.map { "\($0.pipeline) \($0.step)" }
    #expect(names.count == 28, "\(names)")
    #expect((Self.fixture["draws"]?.integer ?? 0) >= 10000)
  }

  @Test("Every drawn parameter is distributed as the reference's", arguments: comparisons)
  func distribution(_ comparison: (pipeline: String, step: String)) throws {
    let steps = (Self.fixture["pipelines"]?.array ?? []).first { $0["name"]?.string == comparison.pipeline }?[
      "steps"]
    let expected = try #require(steps?[comparison.step])
    let pipeline = try Self.pipeline(comparison.pipeline)
    let reader = DrawReader(comparison.step)
    let acts = try Self.draws(pipeline, reader.step, forced: nil).count { reader.part(of: $0) != nil }
    // A step without a probability of its own counts what it draws.
    var findings: [String] = []
    if pipeline.step(named: reader.step)?.parameters.values.keys.contains(where: reader.isForced) == true {
      Self.compareShares(
        Double(acts) / Double(Self.drawCount),
        try #require(expected["acts"]?.double) * reader.visibleShare(in: expected), "acts", &findings)
    }
    let rows = try Self.draws(pipeline, reader.step, forced: reader).map { reader.row($0) }
    findings += try Self.differences(of: rows, from: expected)
    #expect(findings.isEmpty)
  }

  /// What one step draws, over many samples; with a reader, always and as the reader's choice.
  static func draws(_ pipeline: AugmentationPipeline, _ step: String, forced reader: DrawReader?) throws
    -> [JSON?]
  {
    let transform = try #require(pipeline.step(named: step)).transform
    var parameters = try #require(pipeline.step(named: step)).parameters
    if let reader {
      for key in parameters.values.keys where key.hasSuffix("probability") && reader.isForced(key) {
        try parameters.set(key, to: 1, step: step)
      }
    }
    var single = AugmentationPipeline(patchSize: pipeline.patchSize)
    try single.insert(transform, named: step, after: nil)
    try single.set(step, parameters.values)
    var result: [JSON?] = []
    var key = 0
    while result.count < drawCount {
      var random = RandomSource(key: [key, reader == nil ? 1 : 2])
      key += 1
      let drawn = try single.draw(using: &random, channelCount: fixture["channels"]?.integer ?? 1).steps[step]
      // Of alternatives only one is looked at; the other half of the draws is not.
      if let reader, let choice = reader.choice, drawn?[choice] == nil { continue }
      result.append(drawn)
    }
    return result
  }

  /// What is distributed otherwise than in the fixture.
  static func differences(of rows: [[String: Double]], from expected: JSON) throws -> [String] {
    let values = try #require(expected["values"]?.object)
    var findings: [String] = []
    if Set(rows.flatMap(\.keys)) != Set(values.keys) {
      findings.append("drawn: \(Set(rows.flatMap(\.keys)))")
    }
    for (name, value) in values.pairs {
      let column = rows.compactMap { $0[name] }.sorted()
      let referenceShare = try #require(value["share"]?.double)
      compareShares(Double(column.count) / Double(rows.count), referenceShare, "share of \(name)", &findings)
      guard let points = value["points"]?.doubles, let below = value["below"]?.doubles,
        let low = value["low"]?.double, let high = value["high"]?.double, let first = column.first,
        let last = column.last
      else { continue }
      let counts = (Double(column.count), Double(fixture["draws"]?.integer ?? 1) * referenceShare)
      for (point, share) in zip(points, below) {
        // The fixture has six digits.
        let count = column.count { $0 <= point + 1e-6 * max(1, abs(point)) }
        compareShares(
          Double(count) / Double(column.count), share, "\(name) <= \(point)", &findings, counts: counts)
      }
      // The extremes of a bounded distribution lie close to its limits on both sides; normal ones have none.
      let margin = 0.02 * (high - low) + 1e-6
      if !name.hasPrefix("shift"), abs(first - low) > margin || abs(last - high) > margin {
        findings.append("\(name) from \(first) to \(last), reference from \(low) to \(high)")
      }
    }
    for (pair, correlation) in expected["correlations"]?.object?.pairs ?? [] {
      let names = pair.split(separator: " ").map(String.init)
      let both = rows.compactMap { row in row[names[0]].flatMap { a in row[names[1]].map { (a, $0) } } }
      let reference = try #require(correlation.double)
      let found = Self.correlation(both)
      let tolerance = (1 - reference * reference) * allowedDeviations * (2 / Double(both.count)).squareRoot()
      if !(abs(found - reference) < max(0.001, tolerance)) {
        findings.append("correlation of \(pair): \(found), reference \(reference)")
      }
    }
    return findings
  }

  /// Compares two shares, both of which were counted.
  static func compareShares(
    _ share: Double, _ reference: Double, _ what: String, _ findings: inout [String],
    counts: (Double, Double) = (Double(drawCount), Double(fixture["draws"]?.integer ?? 1))
  ) {
    let variance = max(reference * (1 - reference), 1 / counts.0) * (1 / counts.0 + 1 / counts.1)
    if !(abs(share - reference) <= allowedDeviations * variance.squareRoot()) {
      findings.append("\(what): \(share), reference \(reference)")
    }
  }

  static func correlation(_ pairs: [(Double, Double)]) -> Double {
    let count = Double(pairs.count)
    let (a, b) = (pairs.reduce(0) { $0 + $1.0 } / count, pairs.reduce(0) { $0 + $1.1 } / count)
    var (aa, bb, ab) = (0.0, 0.0, 0.0)
    for pair in pairs {
      aa += (pair.0 - a) * (pair.0 - a)
      bb += (pair.1 - b) * (pair.1 - b)
      ab += (pair.0 - a) * (pair.1 - b)
    }
    return ab / (aa * bb).squareRoot()
  }

  @Test("The comparison notices limits that are a twentieth off, a wrong share and a lost synchronisation")
  func comparisonCanFail() throws {
    let steps = try #require((Self.fixture["pipelines"]?.array ?? []).first?["steps"])
    func findings(_ step: String, _ parameters: JSONObject) throws -> [String] {
      let reader = DrawReader(step)
      var pipeline = try Self.pipeline("default")
      try pipeline.set(step, parameters)
      let rows = try Self.draws(pipeline, step, forced: reader).map { reader.row($0) }
      return try Self.differences(of: rows, from: try #require(steps[step]))
    }
    #expect(try findings("gamma", [:]).isEmpty)
    #expect(try !findings("gamma", ["gamma_range": [0.7, 1.525]]).isEmpty)
    #expect(try !findings("gaussian_blur", ["channel_probability": 0.45]).isEmpty)
    #expect(try !findings("gaussian_blur", ["synchronizes_axes": true]).isEmpty)
    #expect(try !findings("spatial", ["scaling_per_axis": true]).isEmpty)
  }
}

/// Reads draws of a step as numbers by the fixture's names.
struct DrawReader {
  let step: String
  /// Which of several alternatives is meant.
  let choice: String?

  init(_ name: String) {
    let parts = name.split(separator: ".").map(String.init)
    step =
      switch parts[0] {
      case "median_or_gaussian_blur": "median_or_blur"
      case "contrast_or_contrast": "contrast"
      default: parts[0]
      }
    choice =
      parts.count > 1
      ? (step == "median_or_blur" ? ["median", "blur"] : ["clipped", "unclipped"])[Int(parts[1]) ?? 0] : nil
  }

  /// Whether a probability is the step's own, and not one of channels, axes or labels.
  func isForced(_ key: String) -> Bool {
    key == "probability" || choice.map { key == "\($0)_probability" } == true
  }

  func part(of drawn: JSON?) -> JSON? { choice == nil ? drawn : choice.flatMap { drawn?[$0] } }

  /// The share of acting draws that leave a trace: without any label chosen nothing is recorded.
  func visibleShare(in expected: JSON) -> Double {
    expected["values"]?["first"]?["share"]?.double ?? 1
  }

  func row(_ drawn: JSON?) -> [String: Double] {
    guard let part = part(of: drawn) else { return step == "mirror" ? axes([]) : [:] }
    var row: [String: Double] = [:]
    switch step {
    case "spatial":
      let angles = part["angles_degrees"]?.doubles ?? []
      if angles.contains(where: { $0 != 0 }) { row.add("angle", angles) }
      row.add("scale", part["scale"]?.doubles ?? part["scale"]?.double.map { [$0, $0, $0] } ?? [])
    case "mirror": row = axes(part["axes"]?.integers ?? [])
    case "gaussian_noise": row["sigma"] = part["sigma"]?.double
    case "quarter_turn":
      row["turns"] = part["turns"]?.double
      row["axes"] = (part["axes"]?.integers).map { Double($0[0] * 10 + $0[1]) }
    case "transpose": row["order"] = (part["order"]?.doubles).map { $0[0] * 100 + $0[1] * 10 + $0[2] }
    case "random_binary_operator":
      row["first"] = part["operations"]?.array?.first?["label"]?.double
      for operation in part["operations"]?.array ?? [] {
        let label = operation["label"]?.integer ?? -1
        let kinds = ["dilation", "erosion", "closing", "opening"]
        row["operator\(label)"] = operation["operator"]?.string.flatMap(kinds.firstIndex).map(Double.init)
        row["radius\(label)"] = operation["radius"]?.double
      }
    case "remove_random_component":
      row["first"] = part["removals"]?.array?.first?["label"]?.double
      for removal in part["removals"]?.array ?? [] { row["removed\(removal["label"]?.integer ?? -1)"] = 1 }
    default: addChannels(part, to: &row)
    }
    return row
  }

  private func axes(_ axes: [Int]) -> [String: Double] {
    Dictionary(uniqueKeysWithValues: (0..<3).map { ("axis\($0)", axes.contains($0) ? 1 : 0) })
  }

  private func addChannels(_ part: JSON, to row: inout [String: Double]) {
    guard let (key, entries) = part.object?.pairs.first else { return }
    let name = String(key.dropLast())
    for (channel, entry) in (entries.array ?? []).enumerated() where !entry.isNull {
      if let number = entry.double {
        row["\(name)\(channel)"] = number
      } else if let numbers = entry.doubles {
        row.add("\(name)\(channel)", numbers)
      } else if let boxes = entry.array, let lower = boxes.first?["lower"]?.doubles,
        let upper = boxes.first?["upper"]?.doubles
      {
        row["count\(channel)"] = Double(boxes.count)
        row.add("lower\(channel)", lower)
        row.add("size\(channel)", zip(lower, upper).map { $1 - $0 })
      } else {
        row.add("center\(channel)", entry["center"]?.doubles ?? [])
        row.add("width\(channel)", entry["width"]?.doubles ?? [])
        row["height\(channel)"] = entry["strength"]?.double ?? entry["gamma"]?.double
      }
    }
  }
}

extension [String: Double] {
  fileprivate mutating func add(_ name: String, _ values: [Double]) {
    for (index, value) in values.enumerated() { self["\(name)\(index)"] = value }
  }
}
