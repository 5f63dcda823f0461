// Trainers from scripts and from files.

import Archives
import Augmentation
import Datasets
import Foundation
import LuaHost
import Networks
import Planning
import Reporting
import Scripting
import TestSupport
import Testing
import Training

@Suite("Trainer binding")
struct TrainerBindingTests {
  private let session: Session

  init() throws { session = try Session(write: { _ in }) }

  private func trainer(_ source: String) throws -> TrainerObject {
    try #require(session.state.run(source, named: "=In[1]")[0].object as? TrainerObject)
  }

  private func failure(_ source: String) -> String? {
    do {
      _ = try session.state.run(source, named: "=test")
      return nil
    } catch { return (error as? LuaError)?.message }
  }

  @Test("Every key left out has nnU-Net's value; derive replaces some and keeps the rest")
  func constants() throws {
    #expect(try trainer("return lunette.trainer{}").settings == TrainerSettings())
    let derived = try trainer(
      "five = lunette.trainer{ name='Five', epochs=5 } return five:derive{ name='Six', epochs=6, initial_lr=0.02 }"
    )
    #expect(derived.settings.name == "Six")
    #expect(derived.settings.epochs == 6)
    #expect(derived.settings.initialLearningRate == 0.02)
    #expect(derived.settings.momentum == TrainerSettings().momentum)
    #expect(
      try session.state.run("return five.epochs, five.initial_lr", named: "=t").map(\.number) == [5, 0.01])
  }

  @Test("Unknown keys name the nearest, wrong values the range")
  func refusals() {
    #expect(failure("lunette.trainer{ epoch=5 }")?.contains("did you mean 'epochs'?") == true)
    #expect(failure("lunette.trainer{ momentum=2 }")?.contains("out of range") == true)
    #expect(failure("lunette.trainer{ observe={ epoch_ends=print } }")?.contains("'epoch_end'") == true)
    #expect(failure("lunette.trainer{ loss=lunette.loss.dicee{} }") != nil)
  }

  @Test("Schedules, losses and observers reach the engine as hooks")
  func hooks() throws {
    let object = try trainer(
      """
      seen = {}
      mine = lunette.trainer{ epochs=10, loss=lunette.loss.dice{} + 0.5 * lunette.loss.cross_entropy{},
        schedule=function(t) if t.epoch < 5 then return 0.5 * t.initial_lr end end,
        observe={ epoch_start=function(s) seen[#seen + 1] = s.epoch end,
          iteration_end=function(s) seen[#seen + 1] = s.loss end } }
      return mine
      """)
    let hooks = object.hooks(in: session.state)
    try session.state.collectGarbage()
    #expect(try hooks.schedule?(0) == 0.005)
    #expect(try hooks.schedule?(7) == object.settings.learningRate(epoch: 7))
    #expect(hooks.loss?.terms.count == 2)
    try hooks.epochStart?(3)
    try hooks.iterationEnd?(3, 0, 1.5)
    #expect(
      try session.state.run("return #seen, seen[1], seen[2]", named: "=t").map(\.number) == [2, 3, 1.5])
    #expect(hooks.epochEnd == nil && hooks.augmentation == nil)
  }

  @Test(
    "Networks and splits of a script reach the engine as data, checked",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func networksAndSplits() throws {
    let object = try trainer(
      """
      local layer = lunette.layer
      mine = lunette.trainer{
        network=function(ctx, default)
          seen = ctx
          return layer.block{ channels=8 * ctx.input_channels } .. layer.head{}
        end,
        split=function(cases, default)
          local folds = default()
          folds[1].train, folds[1].val = folds[1].val, folds[1].train
          return folds
        end }
      return mine
      """)
    let hooks = object.hooks(in: session.state)
    #expect(hooks.overridesAnything)
    let plans = try Plans(
      json: JSON(contentsOf: Goldens.path("golden/hippocampus/nnUNetPlans.json")), source: "golden")
    let request = NetworkRequest(
      configuration: try plans.configuration(named: "3d_fullres"), inputChannelCount: 2, outputChannelCount: 3
    )
    let architecture = try #require(try hooks.architecture?(request))
    #expect(architecture["dimensions"]?.integer == 3)
    #expect(architecture["layers"]?["layers"]?[0]?["channels"]?.integer == 16)
    #expect(try session.state.run("return seen.patch_size[2]", named: "=t")[0].integer == 56)
    let spec = try NetworkSpec(architecture, source: "test")
    guard case .layers = spec else { throw LuaError(.runtime, "not a network of layers") }

    // A table of a script holds no null, but nnU-Net wants every key.
    let changed = try trainer(
      "changed = lunette.trainer{ network=function(ctx, default) local a = default() a.arch_kwargs.conv_bias = false"
        + " return a end } return changed")
    let planned = request.configuration.architecture
    let changedArchitecture = try changed.hooks(in: session.state).architecture?(request)
    let kept = try #require(changedArchitecture?["arch_kwargs"]?.object)
    #expect(Set(kept.keys) == Set(planned["arch_kwargs"]?.object?.keys ?? []))
    #expect(kept["dropout_op"]?.isNull == true && kept["conv_bias"]?.bool == false)

    let cases = (0..<10).map { "case_\($0)" }
    let standard = try CrossValidationSplits(identifiers: cases)
    let splits = try #require(try hooks.split?(cases) { standard })
    #expect(splits.splits[0].training == standard.splits[0].validation)
    #expect(splits.splits[1] == standard.splits[1])
    let wrong = try trainer("wrong = lunette.trainer{ network=function() return 3 end } return wrong")
    #expect(throws: (any Error).self) { try wrong.hooks(in: session.state).architecture?(request) }
  }

  @Test("An augmentation function without a return is an error, one that returns nil keeps the default")
  func augmentationWithoutReturn() throws {
    let pipeline = AugmentationPipeline(patchSize: [4, 4])
    let silent = try trainer("a = lunette.trainer{ augmentation=function(aug) end } return a")
    let error = #expect(throws: Diagnostic.self) {
      try silent.hooks(in: session.state).augmentation?(pipeline)
    }
    #expect(error?.found == "no return")
    let explicit = try trainer("b = lunette.trainer{ augmentation=function(aug) return nil end } return b")
    #expect(try explicit.hooks(in: session.state).augmentation?(pipeline).steps.isEmpty == true)
  }

  @Test("An error in an observer carries the recipe's line")
  func failingObserver() throws {
    let object = try trainer(
      "mine = lunette.trainer{\n  observe={ epoch_start=function(s)\n error('stop here') end } }\nreturn mine"
    )
    let hooks = object.hooks(in: session.state)
    let error = #expect(throws: LuaError.self) { try hooks.epochStart?(0) }
    #expect(error?.message == "In[1]:3: stop here")
  }

  @Test("A trainer's identity follows constants, text and what a function reads, not comments")
  func identity() throws {
    func identity(_ source: String) throws -> JSON {
      _ = session.execute("rate = 1")
      let number = session.history.count + 1
      let evaluation = session.execute("made = " + source)
      #expect(evaluation.error == nil && evaluation.number == number)
      let object = try #require(session.state.global("made").object as? TrainerObject)
      return try object.identity(in: session.state)
    }
    let plain = try identity("lunette.trainer{ schedule=function(t) return rate * 0.1 end }")
    #expect(
      plain
        == (try identity("lunette.trainer{  schedule=function(t) return rate  *  0.1 --[[ a remark ]] end }"))
    )
    #expect(plain != (try identity("lunette.trainer{ schedule=function(t) return rate * 0.2 end }")))
    #expect(
      plain != (try identity("lunette.trainer{ epochs=7, schedule=function(t) return rate * 0.1 end }")))
    let observed = try identity("lunette.trainer{ observe={ epoch_end=print } }")
    #expect(observed == (try identity("lunette.trainer{}")))
  }

  @Test("A trainer's file gives the trainer of its name, and says what is wrong otherwise")
  func files() throws {
    let folder = try Goldens.temporaryFolder()
    func write(_ name: String, _ text: String) throws -> URL {
      let url = folder.appending(path: name + ".lua")
      try Data(text.utf8).write(to: url)
      return url
    }
    let five = try write(
      "Five", "return lunette.trainer{ name=\"Five\", epochs=5, schedule=function(t) return 0.1 end }")
    let loaded = try LoadedTrainer(named: "Five", from: five)
    #expect(loaded.settings.epochs == 5)
    #expect(try loaded.hooks.schedule?(0) == 0.1)
    let empty = try write("Empty", "local x = 1")
    #expect(throws: (any Error).self) { try LoadedTrainer(named: "Empty", from: empty) }
    let other = try write("Other", "return lunette.trainer{ name=\"Five\" }")
    #expect(throws: (any Error).self) { try LoadedTrainer(named: "Other", from: other) }
  }
}
