// Ctrl-C and kill during a training, as a user meets them: a checkpoint, how to go on, and the same weights at the end.

import Datasets
import Foundation
import Testing

@Suite(.serialized) struct InterruptTests {
  private static let program = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
    .appending(path: "lunette")
  private static let trainer = """
    return lunette.trainer{ name="T", epochs=2, iterations=4, validation_iterations=1 }
    """

  /// A root with a tiny preprocessed phantom and a trainer file.
  private func makeRoot() throws -> URL {
    let root = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    var options = PhantomOptions()
    options.trainingCaseCount = 5
    options.heldOutCaseCount = 0
    options.extentMillimeters = 16
    try makePhantomDataset(at: root.appending(path: "raw/\(phantomDatasetName)"), options: options)
    try Data(Self.trainer.utf8).write(to: root.appending(path: "T.lua"))
    let result = try finish(
      start(["plan_and_preprocess", "-d", "999", "-c", "3d_fullres", "--root", root.path], in: root))
    #expect(result.status == 0, "\(result.output)")
    return root
  }

  private func start(_ arguments: [String], in root: URL) throws -> (process: Process, log: URL) {
    let log = root.appending(path: "\(UUID().uuidString).log")
    try Data().write(to: log)
    let process = Process()
    process.executableURL = Self.program
    process.arguments = arguments
    process.environment = ["PATH": "/usr/bin:/bin", "HOME": root.path]
    let handle = try FileHandle(forWritingTo: log)
    process.standardOutput = handle
    process.standardError = handle
    process.standardInput = FileHandle.nullDevice
    try process.run()
    return (process, log)
  }

  private func finish(_ running: (process: Process, log: URL)) throws -> (status: Int32, output: String) {
    running.process.waitUntilExit()
    return (running.process.terminationStatus, try String(contentsOf: running.log, encoding: .utf8))
  }

  private func train(in root: URL, _ more: String...) -> [String] {
    ["train", "999", "3d_fullres", "0", "-tr", "T", "--trainers", root.path, "--root", root.path] + more
  }

  private func fold(in root: URL) -> URL {
    root.appending(path: "results/\(phantomDatasetName)/T__nnUNetPlans__3d_fullres/fold_0")
  }

  /// The bytes of all tensors: what lies behind the header, which holds times.
  private func weights(in root: URL) throws -> Data {
    let data = try Data(contentsOf: fold(in: root).appending(path: "checkpoint_final.safetensors"))
    let headerSize = data.prefix(8).reversed().reduce(0) { $0 << 8 | Int($1) }
    return data.dropFirst(8 + headerSize)
  }

  private func waitForFirstEpoch(_ process: Process, in root: URL) throws {
    let best = fold(in: root).appending(path: "checkpoint_best.safetensors")
    while process.isRunning, !FileManager.default.fileExists(atPath: best.path) { usleep(2000) }
    try #require(process.isRunning, "the training ended before it could be stopped")
  }

  @Test("Ctrl-C or kill in the second epoch, then --c, gives the weights of an uninterrupted training")
  func stopAndGoOn() throws {
    let root = try makeRoot()
    defer { try? FileManager.default.removeItem(at: root) }
    let whole = try finish(start(train(in: root), in: root))
    #expect(whole.status == 0, "\(whole.output)")
    let expected = try weights(in: root)

    for signal in [SIGINT, SIGKILL] {
      try FileManager.default.removeItem(at: root.appending(path: "results"))
      let running = try start(train(in: root), in: root)
      try waitForFirstEpoch(running.process, in: root)
      kill(running.process.processIdentifier, signal)
      let stopped = try finish(running)
      #expect(stopped.status == (signal == SIGINT ? 130 : SIGKILL), "\(stopped.output)")
      if signal == SIGINT {
        #expect(stopped.output.contains("stopping at the next safe point"))
        #expect(stopped.output.contains("go on with --c"), "\(stopped.output)")
      }
      #expect(!FileManager.default.fileExists(atPath: fold(in: root).appending(path: "validation").path))
      let resumed = try finish(start(train(in: root, "--c"), in: root))
      #expect(resumed.status == 0, "\(resumed.output)")
      #expect(try weights(in: root) == expected)
    }
  }
}
