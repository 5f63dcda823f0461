// train killed at random moments and gone on with: it always goes on, loses at most one cadence, and ends with the bits of
// an undisturbed training.

import Datasets
import Foundation
import Testing
import Training

@Suite(.serialized) struct KilledTrainingTests {
  /// Seconds between two checkpoints.
  private static let cadence = 0.2
  /// Steps of one epoch; the whole takes a few seconds.
  private static let trainer = """
    return lunette.trainer{ name="short", epochs=4, iterations=10, validation_iterations=2 }
    """

  /// How far the checkpoints of a fold have come, and when the last of them was written.
  private func progress(in fold: URL) throws -> (steps: Int, written: Date)? {
    var best: (steps: Int, written: Date)?
    for kind in ["final", "latest", "best"] {
      let url = fold.appending(path: "checkpoint_\(kind).safetensors")
      guard FileManager.default.fileExists(atPath: url.path) else { continue }
      let state = try Checkpoint(contentsOf: url).state
      let attributes = try FileManager.default.attributesOfItem(atPath: url.path)
      let written = try #require(attributes[.modificationDate] as? Date)
      if best.map({ state.stepCount > $0.steps }) ?? true { best = (state.stepCount, written) }
    }
    return best
  }

  @Test("Ten kills at random moments lose at most one cadence and change no bit", .timeLimit(.minutes(2)))
  func kills() throws {
    let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    defer { try? FileManager.default.removeItem(at: root) }
    var options = PhantomOptions()
    options.trainingCaseCount = 5
    options.heldOutCaseCount = 0
    options.extentMillimeters = 16
    try makePhantomDataset(at: root.appending(path: "raw/\(phantomDatasetName)"), options: options)
    try FileManager.default.createDirectory(
      at: root.appending(path: "trainers"), withIntermediateDirectories: true)
    try Data(Self.trainer.utf8).write(to: root.appending(path: "trainers/short.lua"))
    let folders = ["--root", root.path]
    #expect(
      try LunetteProgram.finish(
        ["plan_and_preprocess", "-d", "999", "-c", "3d_fullres"] + folders) == 0)
    func train(_ seed: Int, goesOn: Bool) -> [String] {
      ["train", "999", "3d_fullres", "0", "-tr", "short", "--seed", "\(seed)", "--trainers"]
        + [root.appending(path: "trainers").path, "--save-interval", "\(Self.cadence)"] + folders
        + (goesOn ? ["--c"] : [])
    }
    let begin = Date()
    #expect(try LunetteProgram.finish(train(0, goesOn: false)) == 0)
    let whole = Date().timeIntervalSince(begin)
    let results = root.appending(path: "results/\(phantomDatasetName)")
    let straight = results.appending(path: "short__nnUNetPlans__3d_fullres/fold_0")
    let kept = root.appending(path: "straight.safetensors")
    try FileManager.default.moveItem(at: straight.appending(path: "checkpoint_final.safetensors"), to: kept)
    try FileManager.default.removeItem(at: straight)

    var steps = 0
    for _ in 0..<10 {
      let process = try LunetteProgram.start(train(0, goesOn: true))
      let launched = Date()
      usleep(UInt32.random(in: 0...UInt32(whole * 0.5 * 1e6)))
      kill(process.processIdentifier, SIGKILL)
      let killed = Date()
      process.waitUntilExit()
      guard let now = try progress(in: straight) else { continue }
      #expect(now.steps >= steps)
      // After a launch's first moments no checkpoint may be older than one cadence and the step that was running.
      let running = killed.timeIntervalSince(launched)
      if running > whole * 0.25 + Self.cadence + 1, now.steps < 40 {
        #expect(killed.timeIntervalSince(now.written) < Self.cadence + 1)
      }
      steps = now.steps
    }
    #expect(try LunetteProgram.finish(train(0, goesOn: true)) == 0)
    let final = try Checkpoint(contentsOf: straight.appending(path: "checkpoint_final.safetensors"))
    let undisturbed = try Checkpoint(contentsOf: kept)
    #expect(final.weights == undisturbed.weights)
    #expect(final.optimizer == undisturbed.optimizer)
    #expect(final.state.log.epochs.map(\.trainingLoss) == undisturbed.state.log.epochs.map(\.trainingLoss))
    let names = try FileManager.default.contentsOfDirectory(atPath: straight.path)
    #expect(names.allSatisfy { !$0.hasSuffix(".tmp") }, "\(names)")
  }
}
