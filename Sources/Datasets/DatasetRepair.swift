// A corrected copy of a dataset: what can be repaired without a person's judgement. The original is only read.

import Archives
package import Foundation
package import Reporting
import Tensors
import VolumeFormats
import Volumes

/// Writes a copy of a dataset in which the findings that can be repaired are.
package struct DatasetRepair: Sendable {
  /// The dataset, opened with corrections.
  package let dataset: RawDataset
  package let findings: DatasetFindings

  package init(dataset: RawDataset, findings: DatasetFindings) {
    self.dataset = dataset
    self.findings = findings
  }

  /// Writes the copy into a folder that does not exist yet.
  ///
  /// - Returns: what was done, one sentence per repair.
  package func write(to folder: URL, progress: any ProgressSink = SilentProgress()) throws -> [String] {
    guard !FileManager.default.fileExists(atPath: folder.path) else {
      throw Diagnostic(
        "a corrected copy needs a new folder", at: folder.path, expected: "no such folder",
        found: "it is there already", remedy: "remove it, or give --fix another folder")
    }
    guard dataset.description.listedCases == nil else {
      throw Diagnostic(
        "a dataset that lists its files elsewhere is not copied", at: dataset.description.source,
        expected: "imagesTr and labelsTr", found: "a \"dataset\" key",
        remedy: "copy the files into imagesTr and labelsTr first")
    }
    do { return try copy(to: folder, progress: progress) } catch {
      try? FileManager.default.removeItem(at: folder)
      throw error
    }
  }

  private func copy(to folder: URL, progress: any ProgressSink) throws -> [String] {
    var done: [String] = []
    try createFolder(folder)
    let repairs = Dictionary(grouping: findings.findings.compactMap(\.repair)) { $0.file ?? "" }
    let cases = try dataset.cases()
    progress.begin("corrected copy", total: cases.count)
    defer { progress.end() }
    for (index, entry) in cases.enumerated() {
      for url in entry.images + [entry.label] where FileManager.default.fileExists(atPath: url.path) {
        let target = folder.appending(path: url.deletingLastPathComponent().lastPathComponent)
          .appending(path: url.lastPathComponent)
        try createFolder(target.deletingLastPathComponent())
        if let wanted = repairs[url.path] {
          done += try repair(url, wanted, of: entry, to: target)
        } else {
          try FileManager.default.copyItem(at: url, to: target)
        }
      }
      progress.update(completed: index + 1, detail: entry.identifier)
    }
    try copyOthers(to: folder)
    done += try writeDescription(to: folder, caseCount: cases.count)
    return done
  }

  /// Files that no case names: test images, splits and whatever else lies at the top.
  private func copyOthers(to folder: URL) throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: dataset.folder.path)
    for name in names where !["imagesTr", "labelsTr", "dataset.json"].contains(name) {
      try FileManager.default.copyItem(
        at: dataset.folder.appending(path: name), to: folder.appending(path: name))
    }
  }

  private func repair(
    _ url: URL, _ repairs: [DatasetFinding.Repair], of entry: RawCase, to target: URL
  ) throws -> [String] {
    var done: [String] = []
    let place = "\(target.deletingLastPathComponent().lastPathComponent)/\(target.lastPathComponent)"
    let copiesGeometry = repairs.contains(.copyGeometry(file: url.path))
    let geometry = copiesGeometry ? try readChannels(entry.images[0], as: entry.reader).geometry : nil
    if geometry != nil { done.append("\(place): geometry copied from \(entry.images[0].lastPathComponent)") }
    if url == entry.label {
      var labels = try readLabels(url, as: entry.reader)
      labels.geometry = geometry ?? labels.geometry
      try writeLabels(labels, to: target, maximumLabel: labelValues(in: labels).last ?? 0)
      return done
    }
    var image = try readImage(url, as: entry.reader)
    image.geometry = geometry ?? image.geometry
    if repairs.contains(.replaceValues(file: url.path)) {
      let (nanCount, infiniteCount) = replaceNonfinite(&image.voxels.elements)
      if nanCount > 0 { done.append("\(place): \(nanCount) NaN voxels set to 0") }
      if infiniteCount > 0 {
        done.append("\(place): \(infiniteCount) infinite voxels set to the nearest finite value of the image")
      }
    }
    try writeImage(image, to: target)
    return done
  }

  private func replaceNonfinite(_ values: inout [Float]) -> (nanCount: Int, infiniteCount: Int) {
    var (low, high): (Float, Float) = (.infinity, -.infinity)
    for value in values where value.isFinite {
      low = min(low, value)
      high = max(high, value)
    }
    if low > high { (low, high) = (0, 0) }
    var (nanCount, infiniteCount) = (0, 0)
    for i in values.indices where !values[i].isFinite {
      if values[i].isNaN {
        values[i] = 0
        nanCount += 1
      } else {
        values[i] = values[i] < 0 ? low : high
        infiniteCount += 1
      }
    }
    return (nanCount, infiniteCount)
  }

  private func writeDescription(to folder: URL, caseCount: Int) throws -> [String] {
    let url = folder.appending(path: "dataset.json")
    guard case .object(var object) = dataset.description.json,
      findings.findings.contains(where: { $0.repair == .description })
    else {
      try FileManager.default.copyItem(at: dataset.folder.appending(path: "dataset.json"), to: url)
      return []
    }
    var done = dataset.corrections
    if object["channel_names"] == nil, let names = object["modality"] {
      object["channel_names"] = names
      done.append("dataset.json: \"channel_names\" added from \"modality\"")
    }
    if object["numTraining"]?.integer != caseCount {
      object["numTraining"] = .integer(caseCount)
      done.append("dataset.json: \"numTraining\" set to \(caseCount)")
    }
    try JSON.object(object).write(to: url)
    return done
  }
}

extension DatasetFinding.Repair {
  /// The file concerned; none for dataset.json.
  fileprivate var file: String? {
    switch self {
    case .copyGeometry(let file), .replaceValues(let file): file
    case .description: nil
    }
  }
}
