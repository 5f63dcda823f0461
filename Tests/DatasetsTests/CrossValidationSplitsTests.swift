// Folds against nnU-Net's, and what happens at their edges.

import Archives
import Datasets
import Foundation
import Reporting
import TestSupport
import Testing

@Suite("CrossValidationSplits")
struct CrossValidationSplitsTests {
  private func names(_ count: Int) -> [String] { (0..<count).map { "case_" + String(1000 + $0) } }

  private func validationIndices(_ count: Int) throws -> [[Int]] {
    let names = names(count)
    return try CrossValidationSplits(identifiers: names).splits.map { split in
      split.validation.compactMap { names.firstIndex(of: $0) }
    }
  }

  @Test("Five folds are those of the reference")
  func folds() throws {
    #expect(try validationIndices(12) == [[0, 3, 8], [7, 10, 11], [6, 9], [1, 4], [2, 5]])
    #expect(
      try validationIndices(16) == [[0, 7, 8, 11], [3, 6, 12], [10, 14, 15], [1, 4, 9], [2, 5, 13]])
  }

  @Test("A fold beyond the splits is the seeded 80:20 split, with a notice")
  func seeded() throws {
    let names = names(10)
    let splits = try CrossValidationSplits(identifiers: names)
    let (split, notice) = try splits.split(for: .number(5), identifiers: names)
    #expect(split.training == [0, 8, 4, 5, 3, 9, 7, 6].map { names[$0] })
    #expect(split.validation == [1, 2].map { names[$0] })
    #expect(notice?.contains("80 percent") == true)
    #expect(try splits.split(for: .number(0), identifiers: names).notice == nil)
  }

  @Test("Fold all trains and validates on everything")
  func all() throws {
    let (split, _) = try CrossValidationSplits(splits: []).split(for: .all, identifiers: ["b", "a"])
    #expect(split == CrossValidationSplit(training: ["a", "b"], validation: ["a", "b"]))
  }

  @Test("Too few cases name both remedies")
  func tooFew() {
    #expect {
      try CrossValidationSplits(identifiers: ["a", "b", "c", "d"])
    } throws: { error in
      let text = "\(error)"
      return text.contains("splits_final.json") && text.contains("`all`") && text.contains("4 cases")
    }
  }

  @Test(
    "A fold is `all` or a whole number",
    arguments: ["-1", "1.0", "x", "", "+1", "All", "99999999999999999999"])
  func badFolds(text: String) {
    #expect(throws: Diagnostic.self) { try Fold(parsing: text) }
  }

  @Test("Good folds parse")
  func goodFolds() throws {
    #expect(try Fold(parsing: "all") == .all)
    #expect(try Fold(parsing: "12") == .number(12))
    #expect(Fold.number(3).folderName == "fold_3")
  }

  @Test("A written file reads back equal, and an unknown case in it is named")
  func file() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let made = try CrossValidationSplits.readOrCreate(in: folder, identifiers: names(7))
    #expect(try CrossValidationSplits.readOrCreate(in: folder, identifiers: []) == made)
    #expect {
      try made.split(for: .number(0), identifiers: ["case_1000"])
    } throws: { "\($0)".contains("case_100") }
  }

  @Test("A splits file of the raw folder is adopted, and a contradiction is an error")
  func adoption() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let raw = folder.appending(path: "raw")
    let preprocessed = folder.appending(path: "preprocessed")
    let own = CrossValidationSplits(splits: [.init(training: ["a", "b"], validation: ["c"])])
    try own.write(to: raw.appending(path: CrossValidationSplits.fileName))
    try CrossValidationSplits.adopt(fromRaw: raw, into: preprocessed)
    let target = preprocessed.appending(path: CrossValidationSplits.fileName)
    #expect(try CrossValidationSplits(contentsOf: target) == own)
    let reordered = CrossValidationSplits(
      splits: [.init(training: ["b", "a"], validation: ["c"])] + own.splits)
    try reordered.write(to: target)
    try CrossValidationSplits.adopt(fromRaw: raw, into: preprocessed)
    try CrossValidationSplits(splits: [.init(training: ["a"], validation: ["c"])]).write(to: target)
    #expect(throws: Diagnostic.self) { try CrossValidationSplits.adopt(fromRaw: raw, into: preprocessed) }
  }

  @Test(
    "The Hippocampus file is nnU-Net's, byte for byte",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func hippocampus() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let dataset = try RawDataset(folder: Goldens.path("data/Dataset004_Hippocampus"))
    let cases = try dataset.cases()
    #expect(cases.count == dataset.description.trainingCaseCount)
    _ = try CrossValidationSplits.readOrCreate(in: folder, identifiers: cases.map(\.identifier))
    let written = try Data(contentsOf: folder.appending(path: CrossValidationSplits.fileName))
    #expect(written == (try Data(contentsOf: Goldens.path("golden/hippocampus/splits_final.json"))))
  }
}
