// What a training leaves to read: log, figures, debug.json, benchmark results; and what is said about damaged checkpoints.

import Archives
import Datasets
import Foundation
import Pipelines
import Reporting
import Testing
import Training

@Suite(.serialized) struct RunRecordsTests {
  private func lines(of url: URL) throws -> [String] {
    try String(contentsOf: url, encoding: .utf8).split(separator: "\n").map(String.init)
  }

  private func logFiles(in folder: URL) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(atPath: folder.path).sorted()
      .filter { $0.hasPrefix("training_log_") }.map { folder.appending(path: $0) }
  }

  @Test("Log, figures and debug.json tell the training, also after a stop")
  func records() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let flag = CancellationFlag()
    var hooks = TrainerHooks()
    hooks.epochEnd = { _ in flag.cancel() }
    var stopped = small.pipeline
    stopped.cancellation = flag
    #expect(throws: Cancelled.self) {
      try stopped.train(small.request(), with: small.definition(hooks: hooks))
    }
    let folder = small.results.appending(
      path: "\(phantomDatasetName)/nnUNetTrainer__nnUNetPlans__3d_fullres/fold_0")
    let metrics = folder.appending(path: "metrics.jsonl")
    #expect(try lines(of: metrics).count == 1)
    // A line of an epoch that is run again, and half a line, as a kill may leave them.
    let handle = try FileHandle(forWritingTo: metrics)
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("{\"epoch\": 1, \"train_loss\": 99}\n{\"epo".utf8))
    try handle.close()
    let run = try small.pipeline.train(small.request(start: .latest), with: small.definition())
    try small.pipeline.validate(run)

    let figures = try lines(of: metrics).map { try JSON(parsing: $0, source: metrics.path) }
    #expect(figures.map { $0["epoch"]?.integer } == [0, 1])
    for (json, summary) in zip(figures, run.log.epochs) {
      #expect(json["train_loss"]?.double == summary.trainingLoss)
      #expect(json["lr"]?.double == summary.learningRate)
      #expect((json["step_seconds"]?.double ?? 0) > 0)
      #expect((0...1).contains(json["waiting_share"]?.double ?? -1))
      #expect((json["peak_memory_bytes"]?.integer ?? 0) > 1 << 20)
    }

    let text = try logFiles(in: folder).flatMap(lines).joined(separator: "\n")
    for part in [
      "Epoch 0", "Epoch 1", "Current learning rate: 0.01", "train_loss ", "val_loss ", "Pseudo dice [",
      "Epoch time: ", "New best EMA pseudo Dice: ", "Training done.", "predicting ", "Validation complete",
      "Mean Validation Dice: ",
    ] { #expect(text.contains(part), "\(part) in \(text)") }
    let pattern = #/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}: /#
    #expect(try lines(of: logFiles(in: folder)[0]).allSatisfy { $0.contains(pattern) })
    let name = try logFiles(in: folder)[0].lastPathComponent
    #expect(name.contains(#/^training_log_\d{4}_\d{1,2}_\d{1,2}_\d\d_\d\d_\d\d\.txt$/#), "\(name)")

    let debug = try JSON(contentsOf: folder.appending(path: "debug.json"))
    #expect(debug["trainer"]?["epochs"]?.integer == 2)
    #expect(debug["configuration_name"]?.string == "3d_fullres")
    #expect(debug["augmentation"]?.array?.first?["name"]?.string == "spatial")
    #expect(debug["training_cases"]?.array?.count == 4)
    #expect((debug["network_parameter_count"]?.integer ?? 0) > 1000)
    #expect(FileManager.default.fileExists(atPath: folder.appending(path: "progress.png").path))
  }

  @Test("A benchmark leaves its fastest epoch and no model", arguments: [true, false])
  func benchmark(loadsData: Bool) throws {
    let small = try SmallDataset()
    defer { small.remove() }
    var definition = small.definition()
    definition.settings.isBenchmark = true
    definition.settings.loadsData = loadsData
    for _ in 0..<2 {
      let run = try small.pipeline.train(small.request(), with: definition)
      #expect(run.isBenchmark)
      let names = try FileManager.default.contentsOfDirectory(atPath: run.folder.path)
      #expect(!names.contains { $0.hasPrefix("checkpoint_") })
      let results = try JSON(contentsOf: run.folder.appending(path: "benchmark_result.json")).object ?? [:]
      #expect(results.keys.count == 1)
      #expect((results[results.keys[0]]?["fastest_epoch"]?.double ?? 0) > 0)
      #expect(throws: Diagnostic.self) { try small.pipeline.validate(run) }
    }
    #expect(throws: Diagnostic.self) {
      try small.pipeline.train(small.request(fold: .number(1)), with: definition)
    }
  }

  @Test("A damaged checkpoint is refused, and the others are offered")
  func damage() throws {
    let small = try SmallDataset()
    defer { small.remove() }
    let run = try small.pipeline.train(small.request(), with: small.definition())
    let final = run.folder.appending(path: "checkpoint_final.safetensors")
    var bytes = try Data(contentsOf: final)
    bytes[bytes.count - 1000] ^= 1
    try bytes.write(to: final)
    let error = #expect(throws: Diagnostic.self) { try small.pipeline.validate(run) }
    #expect(error?.failure.contains("damaged") == true)
    #expect(error?.remedy?.contains("checkpoint_best.safetensors, with") == true, "\(error?.remedy ?? "")")
    // Following the advice works.
    try FileManager.default.moveItem(at: final, to: run.folder.appending(path: "damaged"))
    _ = try small.pipeline.train(small.request(start: .latest), with: small.definition())
    #expect(throws: Never.self) { try Checkpoint(contentsOf: final) }
    // A header that cannot be read is no end either.
    try Data("nonsense".utf8).write(to: final)
    let broken = #expect(throws: Diagnostic.self) {
      try small.pipeline.train(small.request(start: .latest), with: small.definition())
    }
    #expect(broken?.remedy?.contains("checkpoint_best.safetensors, with") == true)
  }
}
