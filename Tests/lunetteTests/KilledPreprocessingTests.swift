// preprocess and extract_fingerprint killed at random moments and started again: bytes as undisturbed, nothing left over.

import Datasets
import Foundation
import Testing

@Suite(.serialized) struct KilledPreprocessingTests {
  /// Starts a command and kills it after a random time.
  private func kill(_ arguments: [String], within longest: Double) throws {
    let process = try LunetteProgram.start(arguments)
    usleep(UInt32.random(in: 0...UInt32(longest * 1e6)))
    Foundation.kill(process.processIdentifier, SIGKILL)
    process.waitUntilExit()
  }

  /// Every file below a folder with its bytes.
  private func contents(of folder: URL) throws -> [String: Data] {
    var result: [String: Data] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: folder.path) {
      let url = folder.appending(path: name)
      if (try url.resourceValues(forKeys: [.isRegularFileKey])).isRegularFile == true {
        result[name] = try Data(contentsOf: url)
      }
    }
    return result
  }

  /// The files that are not in both, or not the same.
  private func differences(_ a: [String: Data], _ b: [String: Data]) -> [String] {
    Set(a.keys).union(b.keys).filter { a[$0] != b[$0] }.sorted()
  }

  private func seconds(_ work: () throws -> Void) rethrows -> Double {
    let duration = try ContinuousClock().measure(work)
    return Double(duration.components.seconds) + Double(duration.components.attoseconds) * 1e-18
  }

  @Test("Twenty kills of preprocessing and ten of measuring change no byte", .timeLimit(.minutes(2)))
  func kills() throws {
    let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: root) }
    var options = PhantomOptions()
    options.trainingCaseCount = 12
    options.heldOutCaseCount = 0
    try makePhantomDataset(at: root.appending(path: "raw/\(phantomDatasetName)"), options: options)
    let folder = root.appending(path: "preprocessed/\(phantomDatasetName)")
    let measure = ["extract_fingerprint", "-d", "999", "--root", root.path]
    let preprocess = ["preprocess", "-d", "999", "-c", "2d", "3d_fullres", "--root", root.path]
    let measuring = try seconds {
      let status = try LunetteProgram.finish(measure)
      #expect(status == 0)
    }
    #expect(try LunetteProgram.finish(["plan_experiment", "-d", "999", "--root", root.path]) == 0)
    let preprocessing = try seconds {
      let status = try LunetteProgram.finish(preprocess)
      #expect(status == 0)
    }
    let undisturbed = try contents(of: folder)
    #expect(undisturbed.keys.filter { $0.hasSuffix(".safetensors") }.count == 24)

    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path)
    where name.hasSuffix(".lunette") || name == "gt_segmentations" {
      try FileManager.default.removeItem(at: folder.appending(path: name))
    }
    for _ in 0..<20 { try kill(preprocess, within: preprocessing) }
    #expect(try LunetteProgram.finish(preprocess) == 0)
    let afterPreprocessing = try differences(contents(of: folder), undisturbed)
    #expect(afterPreprocessing == [])

    try FileManager.default.removeItem(at: folder.appending(path: "dataset_fingerprint.json"))
    for _ in 0..<10 { try kill(measure, within: measuring) }
    #expect(try LunetteProgram.finish(measure) == 0)
    let afterMeasuring = try differences(contents(of: folder), undisturbed)
    #expect(afterMeasuring == [])
  }
}
