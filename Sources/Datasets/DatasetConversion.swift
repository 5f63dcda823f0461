// Datasets of other layouts as nnU-Net raw datasets: the Medical Segmentation Decathlon's, and those of nnU-Net 1.

import Archives
package import Foundation
package import Reporting
import Synchronization
import Tensors
import VolumeFormats

/// Makes raw datasets out of folders in other layouts.
///
/// Nothing of the source changes, and a target appears whole.
package struct DatasetConversion: Sendable {
  package let roots: DatasetRoots
  private let progress: any ProgressSink
  private let cancellation: CancellationFlag

  package init(
    roots: DatasetRoots, progress: any ProgressSink = SilentProgress(),
    cancellation: CancellationFlag = CancellationFlag()
  ) {
    self.roots = roots
    self.progress = progress
    self.cancellation = cancellation
  }

  /// Converts a task of the Decathlon: images of several channels are split, labels copied.
  ///
  /// - Returns: the folder of the new dataset.
  package func convertDecathlonTask(at source: URL, identifier: Int? = nil) throws -> URL {
    let source = source.standardizedFileURL
    let name = source.lastPathComponent
    let parts = name.split(separator: "_", omittingEmptySubsequences: false)
    guard parts.count == 2, parts[0].hasPrefix("Task"), let task = Int(parts[0].dropFirst(4)), task >= 0
    else {
      throw Diagnostic(
        "the folder is not named like a Decathlon task", at: source.path,
        expected: "TaskXX_NAME, such as Task05_Prostate",
        found: name, remedy: "give the extracted folder its original name")
    }
    try requireFolders(["imagesTr", "imagesTs", "labelsTr"], in: source)
    let old = try JSON(contentsOf: source.appending(path: "dataset.json"))
    let description = try converted(
      old, at: source, dropping: ["modality", "training", "test"],
      adding: ["file_ending", "channel_names"])
    let target = try freeTarget(identifier ?? task, String(parts[1]))
    return try build(target) { folder in
      var work: [(URL, (URL) throws -> Void)] = []
      for part in ["imagesTr", "imagesTs"] {
        let output = folder.appending(path: part)
        for image in try niftiFiles(in: source.appending(path: part)) {
          let stem = String(image.lastPathComponent.dropLast(".nii.gz".count))
          work.append(
            (
              image,
              { url in
                _ = try splitNIfTI(url) { channel in
                  let digits = String(channel)
                  let number = String(repeating: "0", count: max(0, 4 - digits.count)) + digits
                  return output.appending(path: "\(stem)_\(number).nii.gz")
                }
              }
            ))
        }
        try createFolder(output)
      }
      let labels = folder.appending(path: "labelsTr")
      try createFolder(labels)
      for label in try niftiFiles(in: source.appending(path: "labelsTr")) {
        work.append((label, { try copyFile($0, to: labels.appending(path: $0.lastPathComponent)) }))
      }
      try run(work, "convert \(name)")
      try description.write(to: folder.appending(path: "dataset.json"))
    }
  }

  /// Converts a dataset of nnU-Net 1: files are copied, `dataset.json` is rewritten.
  ///
  /// - Returns: the folder of the new dataset.
  package func convertOldDataset(at source: URL, to name: String) throws -> URL {
    let source = source.standardizedFileURL
    let digits = name.dropFirst("Dataset".count).prefix(3)
    guard name.hasPrefix("Dataset"), digits.count == 3, Int(digits) != nil,
      name.dropFirst("Dataset".count + 3).hasPrefix("_"), !name.contains("/")
    else {
      throw Diagnostic(
        "\"\(name)\" is no name for a dataset", expected: "DatasetXXX_NAME, such as Dataset004_Hippocampus",
        found: name, remedy: "give a name with three digits; it is a name, not a path")
    }
    try requireFolders(["imagesTr", "labelsTr"], in: source)
    let old = try JSON(contentsOf: source.appending(path: "dataset.json"))
    let description = try converted(
      old, at: source, dropping: ["tensorImageSize", "numTest", "modality", "training", "test"],
      adding: ["channel_names", "file_ending"])
    let target = try roots.rawFolder(of: name)
    try requireAbsent(target)
    return try build(target) { folder in
      var work: [(URL, (URL) throws -> Void)] = []
      for part in ["imagesTr", "labelsTr", "imagesTs", "labelsTs", "imagesVal", "labelsVal"] {
        let input = source.appending(path: part)
        guard FileManager.default.fileExists(atPath: input.path) else { continue }
        let output = folder.appending(path: part)
        try createFolder(output)
        for file in try files(in: input) {
          work.append((file, { try copyFile($0, to: output.appending(path: $0.lastPathComponent)) }))
        }
      }
      try run(work, "convert \(source.lastPathComponent)")
      try description.write(to: folder.appending(path: "dataset.json"))
    }
  }

  // MARK: - dataset.json

  /// The new description: labels as name to number, channels under their new key, and the file ending.
  ///
  /// New keys are added in the order in which nnU-Net's own conversion adds them.
  private func converted(
    _ old: JSON, at source: URL, dropping keys: [String], adding newKeys: [String]
  ) throws(Diagnostic) -> JSON {
    let place = source.appending(path: "dataset.json").path
    guard var object = old.object, let labels = object["labels"]?.object,
      let modality = object["modality"]?.object
    else {
      throw Diagnostic(
        "dataset.json is not in the old layout", at: place,
        expected: "\"labels\": {\"0\": \"background\", ...} and \"modality\": {\"0\": \"CT\", ...}",
        found: old.object.map { $0.keys.joined(separator: ", ") } ?? old.kind,
        remedy: "give the folder of the task as it was downloaded; a new dataset needs no conversion")
    }
    var renamed = JSONObject()
    for (number, name) in labels.pairs {
      guard let value = Int(number), let name = name.string else {
        throw Diagnostic(
          "dataset.json is not in the old layout", at: place, expected: "labels as number to name",
          found: "\"\(number)\": \(name.text(indent: nil))",
          remedy: "give the folder of the task as it was downloaded; a new dataset needs no conversion")
      }
      renamed[name] = .integer(value)
    }
    object["labels"] = .object(renamed)
    for key in newKeys { object[key] = key == "file_ending" ? ".nii.gz" : .object(modality) }
    for key in keys { object[key] = nil }
    return .object(object)
  }

  // MARK: - Files

  private func requireFolders(_ names: [String], in source: URL) throws(Diagnostic) {
    for name in names {
      var isFolder: ObjCBool = false
      let path = source.appending(path: name).path
      guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
        throw Diagnostic(
          "the folder \(name) is missing", at: path,
          expected: names.joined(separator: ", ") + " and dataset.json",
          found: "no such folder", remedy: "give the folder of the task as it was downloaded and extracted")
      }
    }
  }

  private func freeTarget(_ identifier: Int, _ name: String) throws -> URL {
    guard (0...999).contains(identifier) else {
      throw Diagnostic(
        "a dataset's number has three digits", expected: "0 to 999", found: "\(identifier)",
        remedy: "choose another number")
    }
    let digits = String(identifier)
    let prefix = "Dataset" + String(repeating: "0", count: 3 - digits.count) + digits
    let taken = roots.datasetNames().filter { $0.hasPrefix(prefix) }
    guard taken.isEmpty else {
      throw Diagnostic(
        "dataset number \(identifier) is taken",
        expected: "a number that no raw, preprocessed or trained dataset has",
        found: taken.joined(separator: ", "), remedy: "give another number: -overwrite_id NUMBER")
    }
    let target = try roots.rawFolder(of: "\(prefix)_\(name)")
    try requireAbsent(target)
    return target
  }

  private func requireAbsent(_ target: URL) throws(Diagnostic) {
    guard !FileManager.default.fileExists(atPath: target.path) else {
      throw Diagnostic(
        "\(target.lastPathComponent) exists already", at: target.path, expected: "a new dataset",
        found: "a folder of that name", remedy: "choose another name, or remove the folder by hand")
    }
  }

  /// Fills a folder beside the target and renames it when it is whole.
  private func build(_ target: URL, _ fill: (URL) throws -> Void) throws -> URL {
    let unique = "\(ProcessInfo.processInfo.processIdentifier).\(UInt32.random(in: 0 ... .max))"
    let folder = target.deletingLastPathComponent().appending(
      path: ".\(target.lastPathComponent).\(unique).tmp")
    try requireWritableFolder(folder)
    do {
      try fill(folder)
      try FileManager.default.moveItem(at: folder, to: target)
    } catch {
      try? FileManager.default.removeItem(at: folder)
      throw error
    }
    progress.note("dataset: \(target.path)")
    return target
  }

  private func run(_ work: [(URL, (URL) throws -> Void)], _ title: String) throws {
    progress.begin(title, total: work.count)
    defer { progress.end() }
    for (index, (url, action)) in work.enumerated() {
      try cancellation.check()
      try action(url)
      progress.update(completed: index + 1, detail: url.lastPathComponent)
    }
  }

  /// The files of a folder that are no system's leftovers, sorted by name.
  private func files(in folder: URL) throws(Diagnostic) -> [URL] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: folder.path)
        .filter { !$0.hasPrefix(".") }.sorted(by: precedesByCodePoint).map { folder.appending(path: $0) }
    } catch {
      throw Diagnostic(
        "cannot list a folder", at: folder.path, expected: "a folder of images",
        found: error.localizedDescription, remedy: "check the path and its permissions")
    }
  }

  private func niftiFiles(in folder: URL) throws(Diagnostic) -> [URL] {
    try files(in: folder).filter {
      $0.lastPathComponent.hasSuffix(".nii.gz") && !$0.lastPathComponent.hasPrefix("_")
    }
  }
}

private func copyFile(_ source: URL, to target: URL) throws {
  do { try FileManager.default.copyItem(at: source, to: target) } catch {
    throw Diagnostic(
      "cannot copy \(source.lastPathComponent)", at: target.path, expected: "a readable file and free space",
      found: error.localizedDescription, remedy: "check the permissions and the free space (df -h)")
  }
}
