// A raw dataset folder: dataset.json, and which files belong to which case. Reading the images is VolumeFormats' business.

package import Foundation
package import Reporting
package import VolumeFormats

/// One training case: its channel files and its label file.
package struct RawCase: Sendable, Equatable {
  package let identifier: String
  /// One file per channel, in channel order.
  package let images: [URL]
  /// Where the label file belongs; not checked to exist.
  package let label: URL
  /// How the files are read; nil takes the usual way for each file.
  package let reader: ImageReader?

  package init(identifier: String, images: [URL], label: URL, reader: ImageReader? = nil) {
    self.identifier = identifier
    self.images = images
    self.label = label
    self.reader = reader
  }
}

/// One case to predict: its channel files.
package struct TestCase: Sendable, Equatable {
  package let identifier: String
  package let images: [URL]
  /// How the files are read; nil takes the usual way for each file.
  package let reader: ImageReader?

  package init(identifier: String, images: [URL], reader: ImageReader? = nil) {
    self.identifier = identifier
    self.images = images
    self.reader = reader
  }
}

/// A folder `DatasetXXX_NAME` in nnU-Net's raw layout.
package struct RawDataset: Sendable {
  package let folder: URL
  package let description: DatasetDescription
  /// What was corrected in `dataset.json` on opening it, one sentence each.
  package let corrections: [String]
  /// What these corrections are about.
  let correctionFindings: [DatasetFinding]
  private let environment: [String: String]

  /// Opens the folder and reads its `dataset.json`.
  ///
  /// - Parameter isCorrected: whether to open a dataset whose `dataset.json` has faults that can be corrected, as if they
  ///   were; otherwise all of them are one error.
  package init(
    folder: URL, correcting isCorrected: Bool = false,
    environment: [String: String] = ProcessInfo.processInfo.environment
  ) throws(Diagnostic) {
    guard FileManager.default.fileExists(atPath: folder.path) else {
      let parent = folder.deletingLastPathComponent()
      let others = DatasetRoots(raw: parent).datasetNames()
      throw Diagnostic(
        "there is no dataset \(folder.lastPathComponent)", at: folder.path,
        expected: "a folder with dataset.json",
        found: "no such folder",
        remedy: nearestName(to: folder.lastPathComponent, in: others).map { "did you mean \($0)?" }
          ?? "check the name and where the raw datasets lie")
    }
    self.folder = folder
    self.environment = environment
    let file = folder.appending(path: "dataset.json")
    let strict = Result { () throws(Diagnostic) in try DatasetDescription(contentsOf: file) }
    if !isCorrected, case .success(let description) = strict {
      self.description = description
      (corrections, correctionFindings) = ([], [])
      return
    }
    guard let correction = try? DescriptionCorrection(of: folder), !correction.findings.isEmpty else {
      description = try strict.get()
      (corrections, correctionFindings) = ([], [])
      return
    }
    if !isCorrected {
      try DatasetFindings(
        datasetName: folder.lastPathComponent, caseCount: 0, findings: correction.findings
      ).throwIfUnusable()
    }
    description = try DatasetDescription(json: correction.json, source: file.path)
    (corrections, correctionFindings) = (correction.done, correction.findings)
  }

  /// The folder's name, such as `Dataset004_Hippocampus`.
  package var name: String { folder.lastPathComponent }

  /// The training cases: in the order of the `dataset` key if there is one, else the sorted content of `imagesTr`.
  package func cases() throws(Diagnostic) -> [RawCase] {
    if let listed = description.listedCases {
      let files = listed.map { $0.images.map(resolve) }
      let reader = chosenReader(example: files.first?.first)
      return zip(listed, files).map { entry, images in
        RawCase(identifier: entry.identifier, images: images, label: resolve(entry.label), reader: reader)
      }
    }
    let labels = folder.appending(path: "labelsTr")
    let found = try scan(folder.appending(path: "imagesTr"), source: name)
    let reader = chosenReader(example: found.first?.images.first)
    return found.map { found in
      RawCase(
        identifier: found.identifier, images: found.images,
        label: labels.appending(path: found.identifier + description.fileEnding), reader: reader)
    }
  }

  /// The reader class that nnU-Net would take for the dataset.
  ///
  /// - Throws: a ``Diagnostic`` if no file can be found or no reader takes them.
  package func reader() throws -> ImageReader {
    try ImageReader.chosen(
      named: description.readerWriter, fileEnding: description.fileEnding,
      example: cases().first?.images.first)
  }

  /// The same, or nil where the example cannot be opened: then each file says for itself what is wrong with it.
  private func chosenReader(example: URL?) -> ImageReader? {
    try? ImageReader.chosen(
      named: description.readerWriter, fileEnding: description.fileEnding, example: example)
  }

  /// The cases of a folder of images without labels, named like those of `imagesTr`.
  package func testCases(in folder: URL) throws(Diagnostic) -> [TestCase] {
    let found = try findCases(in: folder, fileEnding: description.fileEnding)
    let reader = chosenReader(example: found.first?.images.first)
    return found.map { TestCase(identifier: $0.identifier, images: $0.images, reader: reader) }
  }

  private func scan(_ images: URL, source: String) throws(Diagnostic) -> [TestCase] {
    let cases = try findCases(in: images, fileEnding: description.fileEnding)
    if cases.isEmpty {
      throw Diagnostic(
        "\(source) has no training cases", at: images.path,
        expected: "files CASE_0000\(description.fileEnding), CASE_0001\(description.fileEnding), ...",
        found: "no file that ends in \(description.fileEnding)",
        remedy: "put the images there, or correct \"file_ending\" in dataset.json")
    }
    return cases
  }

  /// A path of the `dataset` key: variables expanded, relative to the dataset's folder.
  private func resolve(_ path: String) -> URL {
    let expanded = expandVariables(path, environment)
    if expanded.hasPrefix("/") { return URL(filePath: expanded).standardizedFileURL }
    return folder.appending(path: expanded).standardizedFileURL
  }
}

/// Groups the files `CASE_0000.ending` of a folder by case; cases sorted by name, channels by number.
package func findCases(
  in folder: URL, fileEnding: String, reader: ImageReader? = nil
) throws(Diagnostic) -> [TestCase] {
  let names: [String]
  do { names = try FileManager.default.contentsOfDirectory(atPath: folder.path) } catch {
    throw Diagnostic(
      "cannot list \(folder.lastPathComponent)", at: folder.path, expected: "a folder of images",
      found: FileManager.default.fileExists(atPath: folder.path)
        ? error.localizedDescription : "no such folder",
      remedy: "create the folder or correct the path")
  }
  var channels: [String: [String]] = [:]
  for name in names where name.hasSuffix(fileEnding) && !name.hasPrefix(".") {
    let stem = name.dropLast(fileEnding.count)
    let number = stem.utf8.suffix(5)
    guard stem.utf8.count > 5, number.first == UInt8(ascii: "_"),
      number.dropFirst().allSatisfy({ (0x30...0x39).contains($0) })
    else {
      throw Diagnostic(
        "an image file has no channel number", at: folder.appending(path: name).path,
        expected: "a name CASE_0000\(fileEnding) with four digits before the ending", found: name,
        remedy: "rename the file, or move it out of the folder")
    }
    channels[String(stem.dropLast(5)), default: []].append(name)
  }
  return channels.keys.sorted(by: precedesByCodePoint).map { identifier in
    let files = (channels[identifier] ?? []).sorted(by: precedesByCodePoint)
    return TestCase(
      identifier: identifier, images: files.map { folder.appending(path: $0) }, reader: reader)
  }
}

/// Replaces `$NAME` and `${NAME}`; unknown variables stay as they are, as in Python's `expandvars`.
private func expandVariables(_ text: String, _ environment: [String: String]) -> String {
  var result = ""
  var rest = text[...]
  while let dollar = rest.firstIndex(of: "$") {
    result += rest[..<dollar]
    var tail = rest[rest.index(after: dollar)...]
    var name = ""
    if tail.first == "{", let close = tail.firstIndex(of: "}") {
      name = String(tail[tail.index(after: tail.startIndex)..<close])
      tail = tail[tail.index(after: close)...]
    } else {
      name = String(tail.prefix { $0 == "_" || $0.isASCII && ($0.isLetter || $0.isNumber) })
      tail = tail.dropFirst(name.count)
    }
    result += environment[name] ?? String(rest[dollar..<tail.startIndex])
    rest = tail
  }
  return result + rest
}
