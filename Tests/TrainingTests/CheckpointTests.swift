// The checkpoint's file: what it holds comes back, and any change of it is noticed.

import Archives
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import Training

@Suite struct CheckpointTests {
  /// A checkpoint in the middle of a training's second epoch.
  private func checkpoint() throws -> Checkpoint {
    var hooks = TrainerHooks()
    let flag = CancellationFlag()
    hooks.iterationEnd = { epoch, iteration, _ in if (epoch, iteration) == (1, 2) { flag.cancel() } }
    let trainer = try squareTrainer(
      in: Goldens.temporaryFolder(), epochs: 2, hooks: hooks, cancellation: flag
    ) {
      $0.iterations = 4
    }
    #expect(throws: Cancelled.self) { try trainer.run() }
    var checkpoint = trainer.checkpoint()
    // Few enough bytes to try each of them.
    for name in checkpoint.weights.keys.sorted().dropFirst(2) { checkpoint.weights[name] = nil }
    checkpoint.optimizer = ["momentum": ["a": NDArray(shape: [2, 3], elements: [0, 1, 0, 1, 0, 1])]]
    checkpoint.state.plans = ["a": 1]
    return checkpoint
  }

  @Test("A checkpoint is read back as it was written")
  func roundTrip() throws {
    let url = try Goldens.temporaryFolder().appending(path: "checkpoint_final.safetensors")
    let written = try checkpoint()
    try written.write(to: url)
    let read = try Checkpoint(contentsOf: url)
    #expect(read.weights == written.weights)
    #expect(read.optimizer == written.optimizer)
    #expect(read.state.settings == written.state.settings)
    #expect(read.state.losses == written.state.losses && read.state.losses.count == 3)
    #expect(read.state.stepCount == 7)
    #expect(read.state.epoch == 1)
    #expect(read.state.log.json.text() == written.state.log.json.text())
  }

  @Test("A flipped bit anywhere in the file is noticed")
  func flippedBits() throws {
    let folder = try Goldens.temporaryFolder()
    let url = folder.appending(path: "checkpoint_final.safetensors")
    try checkpoint().write(to: url)
    let bytes = try Data(contentsOf: url)
    let damaged = folder.appending(path: "damaged.safetensors")
    var unnoticed: [Int] = []
    for place in bytes.indices {
      var copy = bytes
      copy[place] ^= 1 << UInt8(place % 7)
      try copy.write(to: damaged)
      if (try? Checkpoint(contentsOf: damaged)) != nil { unnoticed.append(place) }
    }
    let places = unnoticed.map { String(decoding: bytes[max(0, $0 - 20)..<$0 + 10], as: UTF8.self) }
    #expect(places == [])
  }

  @Test("What is damaged says so, with the checksums")
  func message() throws {
    let url = try Goldens.temporaryFolder().appending(path: "checkpoint_best.safetensors")
    try checkpoint().write(to: url)
    var bytes = try Data(contentsOf: url)
    bytes[bytes.count - 3] ^= 0x10
    try bytes.write(to: url)
    let error = #expect(throws: Diagnostic.self) { try Checkpoint(contentsOf: url) }
    #expect(error?.failure.contains("damaged") == true)
    #expect(error?.expected?.contains("checksum") == true)
  }
}
