// Which cases train and which validate in each fold, exactly as nnU-Net splits them; splits_final.json.

import Archives
package import Foundation
package import Reporting

/// What the fold argument of a training names: one fold, or all cases.
package enum Fold: Hashable, Sendable, CustomStringConvertible {
  case all
  case number(Int)

  /// Seeds have 32 bits, and a fold beyond the splits is drawn with its number added to the usual seed.
  private static let largestNumber = Int(UInt32.max - CrossValidationSplits.seed)

  /// Reads `all` or a whole number from 0.
  package init(parsing text: String) throws(Diagnostic) {
    if text == "all" {
      self = .all
    } else if !text.isEmpty, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(text),
      number <= Self.largestNumber
    {
      self = .number(number)
    } else {
      throw Diagnostic(
        "\"\(text)\" is no fold", expected: "`all`, or a whole number from 0", found: "\"\(text)\"",
        remedy: "use 0, 1, 2, 3 or 4 for cross-validation, or `all` to train on every case")
    }
  }

  package var description: String {
    switch self {
    case .all: "all"
    case .number(let number): "\(number)"
    }
  }

  /// The folder of this fold in the results: `fold_0` or `fold_all`.
  package var folderName: String { "fold_\(self)" }
}

/// The cases of one fold.
package struct CrossValidationSplit: Sendable, Equatable {
  package var training: [String]
  package var validation: [String]

  package init(training: [String], validation: [String]) {
    self.training = training
    self.validation = validation
  }
}

/// All folds of a dataset.
package struct CrossValidationSplits: Sendable, Equatable {
  package var splits: [CrossValidationSplit]

  package static let fileName = "splits_final.json"
  /// Seed of the shuffle behind the folds.
  ///
  /// - Source: nnU-Net.
  package static let seed: UInt32 = 12345
  /// Share of the cases that train when a fold has no split of its own.
  ///
  /// - Source: nnU-Net.
  private static let seededTrainingFraction = 0.8

  package init(splits: [CrossValidationSplit]) { self.splits = splits }

  /// Deals the cases into folds: shuffled with a fixed seed, each list in sorted order.
  package init(identifiers: [String], foldCount: Int = 5) throws(Diagnostic) {
    guard identifiers.count >= foldCount else {
      throw Diagnostic(
        "there are fewer cases than folds", expected: "at least \(foldCount) cases for \(foldCount) folds",
        found: "\(identifiers.count) cases",
        remedy: "write your own \(Self.fileName) into the preprocessed dataset folder (a list of "
          + "{\"train\": [...], \"val\": [...]}), or train with fold `all`")
    }
    let sorted = identifiers.sorted(by: precedesByCodePoint)
    var random = NumPyRandom(seed: Self.seed)
    let order = random.permutation(sorted.count)
    var start = 0
    splits = (0..<foldCount).map { fold in
      let size = sorted.count / foldCount + (fold < sorted.count % foldCount ? 1 : 0)
      let chosen = Set(order[start..<(start + size)])
      start += size
      return CrossValidationSplit(
        training: sorted.indices.filter { !chosen.contains($0) }.map { sorted[$0] },
        validation: sorted.indices.filter { chosen.contains($0) }.map { sorted[$0] })
    }
  }

  /// Reads a `splits_final.json`.
  package init(contentsOf url: URL) throws(Diagnostic) {
    let json = try JSON(contentsOf: url)
    let splits = json.array?.compactMap { entry -> CrossValidationSplit? in
      guard let training = entry["train"]?.strings, let validation = entry["val"]?.strings else {
        return nil
      }
      return CrossValidationSplit(training: training, validation: validation)
    }
    guard let splits, splits.count == json.array?.count else {
      throw Diagnostic(
        "the splits file is not usable", at: url.path,
        expected: "a list of {\"train\": [case names], \"val\": [case names]}", found: json.kind,
        remedy: "correct the file, or delete it to have the usual five folds made")
    }
    self.splits = splits
  }

  /// Writes the file exactly as nnU-Net does.
  package func write(to url: URL) throws(Diagnostic) {
    let json = JSON.array(
      splits.map { .object(["train": JSON($0.training), "val": JSON($0.validation)]) })
    try json.write(to: url, sortedKeys: true)
  }

  /// Reads the splits of a preprocessed dataset, or makes and saves them when there are none.
  package static func readOrCreate(
    in preprocessedFolder: URL, identifiers: [String]
  ) throws(Diagnostic) -> CrossValidationSplits {
    let url = preprocessedFolder.appending(path: fileName)
    if FileManager.default.fileExists(atPath: url.path) { return try CrossValidationSplits(contentsOf: url) }
    let splits: CrossValidationSplits
    do { splits = try CrossValidationSplits(identifiers: identifiers) } catch {
      throw error.located(at: url.path)
    }
    try splits.write(to: url)
    return splits
  }

  /// Takes over a hand-written splits file from the raw folder, or checks that it agrees with the one already there.
  package static func adopt(fromRaw rawFolder: URL, into preprocessedFolder: URL) throws(Diagnostic) {
    let source = rawFolder.appending(path: fileName)
    let target = preprocessedFolder.appending(path: fileName)
    guard FileManager.default.fileExists(atPath: source.path) else { return }
    let wanted = try CrossValidationSplits(contentsOf: source)
    guard FileManager.default.fileExists(atPath: target.path) else { return try wanted.write(to: target) }
    let present = try CrossValidationSplits(contentsOf: target)
    for (fold, split) in wanted.splits.enumerated() {
      let other = present.splits.indices.contains(fold) ? present.splits[fold] : nil
      if Set(split.training) == other.map({ Set($0.training) }),
        Set(split.validation) == other.map({ Set($0.validation) })
      {
        continue
      }
      throw Diagnostic(
        "two splits files disagree in fold \(fold)", at: "\(source.path) and \(target.path)",
        expected: "the same cases in both",
        found: other == nil ? "no such fold in the second" : "different cases",
        remedy: "delete the one that is out of date")
    }
  }

  /// The cases of one fold among `identifiers`, with a notice to print when the fold has no split of its own.
  ///
  /// A fold beyond the splits trains on a seeded random 80 percent and validates on the rest.
  package func split(
    for fold: Fold, identifiers: [String]
  ) throws(Diagnostic) -> (split: CrossValidationSplit, notice: String?) {
    let sorted = identifiers.sorted(by: precedesByCodePoint)
    guard case .number(let number) = fold else {
      return (CrossValidationSplit(training: sorted, validation: sorted), nil)
    }
    if splits.indices.contains(number) {
      try checkMembers(of: number, identifiers: Set(identifiers))
      return (splits[number], nil)
    }
    return (
      Self.seededSplit(fold: number, sorted: sorted),
      "fold \(number) is not among the \(splits.count) splits: training on a random 80 percent of the cases "
        + "(seed \(Int(Self.seed) + number)), validating on the rest"
    )
  }

  private static func seededSplit(fold: Int, sorted: [String]) -> CrossValidationSplit {
    var random = NumPyRandom(seed: UInt32(truncatingIfNeeded: Int(seed) + fold))
    let chosen = random.choice(Int(seededTrainingFraction * Double(sorted.count)), below: sorted.count)
    let members = Set(chosen)
    return CrossValidationSplit(
      training: chosen.map { sorted[$0] },
      validation: sorted.indices.filter { !members.contains($0) }.map { sorted[$0] })
  }

  private func checkMembers(of fold: Int, identifiers: Set<String>) throws(Diagnostic) {
    let unknown = (splits[fold].training + splits[fold].validation).filter { !identifiers.contains($0) }
    guard let first = unknown.first else { return }
    throw Diagnostic(
      "fold \(fold) of \(Self.fileName) names cases that do not exist", expected: "cases of this dataset",
      found: unknown.prefix(5).joined(separator: ", ")
        + (unknown.count > 5 ? " and \(unknown.count - 5) more" : ""),
      remedy: nearestName(to: first, in: identifiers).map {
        "is \"\(first)\" meant to be \"\($0)\"? correct the file"
      }
        ?? "correct the file, or preprocess the missing cases")
  }
}
