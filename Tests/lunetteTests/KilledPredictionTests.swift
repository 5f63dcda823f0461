// predict killed at random moments and continued: it ends with the bytes of an undisturbed prediction.

import Datasets
import Foundation
import Testing

@Suite(.serialized) struct KilledPredictionTests {
  /// The bytes of every file in a folder, by name.
  private func contents(of folder: URL) throws -> [String: Data] {
    var result: [String: Data] = [:]
    for name in try FileManager.default.contentsOfDirectory(atPath: folder.path) {
      result[name] = try Data(contentsOf: folder.appending(path: name))
    }
    return result
  }

  @Test(
    "Twelve kills at random moments and a last continuation give the bytes of one run",
    .timeLimit(.minutes(2)))
  func kills() throws {
    let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: root) }
    var options = PhantomOptions()
    options.trainingCaseCount = 5
    options.heldOutCaseCount = 8
    options.extentMillimeters = 24
    let raw = root.appending(path: "raw/\(phantomDatasetName)")
    try makePhantomDataset(at: raw, options: options)
    let trainers = root.appending(path: "trainers")
    try FileManager.default.createDirectory(at: trainers, withIntermediateDirectories: true)
    try Data("return lunette.trainer{ name=\"short\", epochs=1, iterations=2, validation_iterations=1 }".utf8)
      .write(to: trainers.appending(path: "short.lua"))
    let folders = ["--root", root.path]
    #expect(
      try LunetteProgram.finish(["plan_and_preprocess", "-d", "999", "-c", "3d_fullres"] + folders) == 0)
    #expect(
      try LunetteProgram.finish(
        ["train", "999", "3d_fullres", "0", "-tr", "short", "--trainers", trainers.path] + folders) == 0)
    let output = root.appending(path: "out")
    let predict =
      ["predict", "-i", raw.appending(path: "imagesTs").path, "-o", output.path, "-d", "999", "-f", "0"]
      + ["-c", "3d_fullres", "-tr", "short", "--save_probabilities", "--continue_prediction"] + folders

    let begin = Date()
    #expect(try LunetteProgram.finish(predict) == 0)
    let whole = Date().timeIntervalSince(begin)
    let undisturbed = try contents(of: output)
    // Label map, probabilities and properties of each case; dataset.json, plans.json and the arguments.
    #expect(undisturbed.count == 3 * 8 + 3)
    try FileManager.default.removeItem(at: output)

    var kills = 0
    for _ in 0..<12 {
      let process = try LunetteProgram.start(predict)
      usleep(UInt32.random(in: 0...UInt32(whole * 0.4 * 1e6)))
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
      if process.terminationReason == .uncaughtSignal { kills += 1 }
    }
    #expect(kills > 3)
    #expect(try LunetteProgram.finish(predict) == 0)
    let continued = try contents(of: output)
    #expect(Set(continued.keys) == Set(undisturbed.keys))
    for (name, bytes) in undisturbed { #expect(continued[name] == bytes, "\(name)") }
  }
}
