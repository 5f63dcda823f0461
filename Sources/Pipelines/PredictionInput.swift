// What is to be predicted: folders, single images and lists of cases, as one list of cases.

import Archives
package import Datasets
package import Foundation
import Reporting
package import VolumeFormats

/// The cases that some paths mean.
package struct PredictionInput: Sendable {
  package var paths: [URL]

  package init(_ paths: [URL]) { self.paths = paths }

  /// The cases in the order of the paths; those of a folder sorted by name.
  ///
  /// - A folder stands for its files `CASE_0000.ending` and their other channels.
  /// - A file `CASE_0000.ending` stands for its case, with the channels that lie beside it; a file without a channel
  ///   number for a case of one channel.
  /// - A file `.json` holds a list with one list of channel files per case, as nnU-Net's programming interface takes them.
  package func cases(fileEnding: String, reader: ImageReader?) throws -> [TestCase] {
    var cases: [TestCase] = []
    for path in paths {
      var isFolder: ObjCBool = false
      guard FileManager.default.fileExists(atPath: path.path, isDirectory: &isFolder) else {
        throw Diagnostic(
          "there is nothing to predict", at: path.path, expected: "a folder, an image or a list of cases",
          found: "no such file", remedy: "check the path after -i")
      }
      if isFolder.boolValue {
        cases += try findCases(in: path, fileEnding: fileEnding, reader: reader)
      } else if path.pathExtension == "json", fileEnding != ".json" {
        cases += try listedCases(path, fileEnding: fileEnding, reader: reader)
      } else {
        cases.append(try singleCase(path, fileEnding: fileEnding, reader: reader))
      }
    }
    guard !cases.isEmpty else {
      throw Diagnostic(
        "there is nothing to predict", at: paths.map(\.path).joined(separator: ", "),
        expected: "files CASE_0000\(fileEnding)", found: "none",
        remedy: "check the folder; names end in four digits for the channel")
    }
    var seen: Set<String> = []
    for testCase in cases where !seen.insert(testCase.identifier).inserted {
      throw Diagnostic(
        "two inputs have the same name", at: testCase.images.first?.path,
        expected: "a different name for every case", found: "\(testCase.identifier) twice",
        remedy: "rename one, or predict them into different folders")
    }
    return cases
  }

  private func singleCase(_ file: URL, fileEnding: String, reader: ImageReader?) throws -> TestCase {
    let name = file.lastPathComponent
    guard name.hasSuffix(fileEnding) else {
      throw Diagnostic(
        "this model reads other files", at: file.path, expected: "files that end in \(fileEnding)",
        found: name, remedy: "convert the image, as the dataset.json of the model says")
    }
    let stem = String(name.dropLast(fileEnding.count))
    guard let identifier = Self.identifier(of: stem) else {
      return TestCase(identifier: stem, images: [file], reader: reader)
    }
    let folder = file.deletingLastPathComponent()
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.path)
      .filter {
        $0.hasSuffix(fileEnding) && Self.identifier(of: String($0.dropLast(fileEnding.count))) == identifier
      }
    return TestCase(
      identifier: identifier,
      images: names.sorted(by: precedesByCodePoint).map { folder.appending(path: $0) },
      reader: reader)
  }

  /// The case of `CASE_0000`; nil without a channel number.
  private static func identifier(of stem: String) -> String? {
    let number = stem.utf8.suffix(5)
    guard stem.utf8.count > 5, number.first == UInt8(ascii: "_"),
      number.dropFirst().allSatisfy({ (0x30...0x39).contains($0) })
    else { return nil }
    return String(stem.dropLast(5))
  }

  private func listedCases(_ file: URL, fileEnding: String, reader: ImageReader?) throws -> [TestCase] {
    func fail(_ found: String) -> Diagnostic {
      Diagnostic(
        "the list of cases is not usable", at: file.path,
        expected: "[[\"a_0000\(fileEnding)\", ...], ...]: the channel files of each case", found: found,
        remedy:
          "list the files of every case, in the order of the channels; paths may be relative to the list")
    }
    guard let entries = try JSON(contentsOf: file).array else { throw fail("no list") }
    return try entries.enumerated().map { index, entry in
      let paths = entry.array?.compactMap(\.string) ?? entry.string.map { [$0] } ?? []
      guard let first = paths.first, paths.count == max(1, entry.array?.count ?? 1) else {
        throw fail("entry \(index) is \(entry.kind)")
      }
      let images = paths.map {
        $0.hasPrefix("/") ? URL(filePath: $0) : file.deletingLastPathComponent().appending(path: $0)
      }
      let name = URL(filePath: first).lastPathComponent
      guard name.hasSuffix(fileEnding) else { throw fail("\(name), which does not end in \(fileEnding)") }
      let stem = String(name.dropLast(fileEnding.count))
      return TestCase(identifier: Self.identifier(of: stem) ?? stem, images: images, reader: reader)
    }
  }
}
