// Trained models from scripts: nnU-Net's own, opened and predicted with, alone and together.

import Archives
import Foundation
import LuaHost
import Scripting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("Model bindings", .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)), .serialized)
struct ModelBindingTests {
  private let session: Session
  private let folder: URL
  /// Voxels at a boundary whose two classes are equal but for rounding.
  private static let differingShare = 1e-3

  init() throws {
    session = try Session(write: { _ in })
    folder = try Goldens.temporaryFolder("lunette-models")
    try session.state.setGlobal("folder", .string(folder.path))
    let golden = Goldens.path("golden")
    try session.state.setGlobal("golden", .string(golden.path))
    _ = try session.state.run(
      """
      model_folder = golden .. "/models/results/Dataset801_PhantomCT/nnUNetTrainer_1epoch__nnUNetPlans_tiny__2d"
      model = assert(lunette.model(model_folder))
      """, named: "=setup")
    let images = golden.appending(path: "raw/Dataset801_PhantomCT/imagesTs")
    let first = try #require(FileManager.default.contentsOfDirectory(atPath: images.path).sorted().first)
    try session.state.setGlobal("image", .string(images.appending(path: first).path))
  }

  private func labels(_ path: String) throws -> NDArray<Int16> { try readLabels(URL(filePath: path)).voxels }

  private func differing(_ a: NDArray<Int16>, _ b: NDArray<Int16>) -> Double {
    Double(zip(a.elements, b.elements).count { $0 != $1 }) / Double(a.count)
  }

  @Test("One image is predicted as nnU-Net predicts it, kept, drawn and saved")
  func predict() throws {
    let results = try session.state.run(
      """
      local p = model:predict{ input=image, folds={0}, probabilities=true }
      p:show(folder .. "/overlay.png")
      p:save(folder .. "/out.nii.gz")
      p:save(folder .. "/out.nrrd")
      local again = model:predict{ input=image, folds={0}, mirror=false, output=folder }
      return p.case, p.probabilities.shape, again.path, #model.folds > 0, model.configuration, p.labels.shape
      """, named: "=test")
    let identifier = try #require(results[0].string)
    let reference = Goldens.path("golden/models/predictions")
    let predictions = try FileManager.default.contentsOfDirectory(atPath: reference.path)
      .filter { $0.hasPrefix("801") || $0.contains("801_2d") }
    let mirrored = try #require(predictions.first { !$0.contains("notta") })
    let expected = try labels(reference.appending(path: "\(mirrored)/\(identifier).nii.gz").path)
    #expect(try differing(labels(folder.appending(path: "out.nii.gz").path), expected) < Self.differingShare)
    #expect(
      try labels(folder.appending(path: "out.nrrd").path)
        == labels(folder.appending(path: "out.nii.gz").path))
    #expect(results[1].table?.array.first?.integer == 3)
    #expect(FileManager.default.fileExists(atPath: folder.appending(path: "overlay.png").path))
    #expect(results[3].boolean == true)
    #expect(results[4].string == "2d")
  }

  @Test("A model with itself predicts as alone; combine replaces the mean")
  func ensemble() throws {
    let results = try session.state.run(
      """
      local alone = model:predict{ input=image, folds={0}, mirror=false, output=folder .. "/alone" }
      local duo = lunette.ensemble{ model, model, weights={1, 3} }
      local both = duo:predict{ input=image, folds={0}, mirror=false, output=folder .. "/duo" }
      local seen
      local mine = lunette.ensemble{ model, model, combine=function(ctx, default)
        seen = #ctx.probabilities
        return default() * 0 + ctx.probabilities[1]
      end }
      local third = mine:predict{ input=image, folds={0}, mirror=false, output=folder .. "/mine" }
      return alone.path, both.path, third.path, seen
      """, named: "=test")
    let alone = try labels(try #require(results[0].string))
    #expect(try differing(labels(try #require(results[1].string)), alone) < Self.differingShare)
    #expect(try differing(labels(try #require(results[2].string)), alone) < Self.differingShare)
    #expect(results[3].integer == 2)
  }

  @Test("Wrong folders, folds and images are refused with what to do")
  func refusals() throws {
    func failure(_ source: String) -> String {
      do {
        _ = try session.state.run(source, named: "=test")
        return ""
      } catch { return "\(error)" }
    }
    #expect(failure("lunette.model(golden)").contains("TRAINER__PLANS__CONFIGURATION"))
    #expect(failure("model:predict{ input=image, folds={7} }").contains("fold 7 is not trained"))
    #expect(failure("model:predict{ input=folder .. '/none.nii.gz' }").contains("nothing to predict"))
    #expect(failure("model:predict{ input=golden }").contains("output"))
    #expect(failure("lunette.ensemble{ model, weights={1, 2} }").contains("one weight"))
    #expect(try session.state.run("return lunette.model('nowhere')", named: "=t")[0].isNil)
  }
}

@Suite("Train binding", .serialized)
struct TrainBindingTests {
  private let session: Session
  private let folder: URL

  init() throws {
    session = try Session(write: { _ in })
    folder = try Goldens.temporaryFolder("lunette-train")
    try session.state.setGlobal("folder", .string(folder.path))
    _ = try session.state.run(
      """
      lunette.roots{ root=folder }
      ds = lunette.phantom{ cases=5 }
      plan = lunette.plan(ds):derive{ name="tiny", ["2d"]={ batch_size=2, patch_size={32, 32} } }
      quick = lunette.trainer{ name="Quick", epochs=2, iterations=2, validation_iterations=1 }
      """, named: "=setup")
  }

  @Test("A fold is trained with observers, found again when finished, and validated")
  func train() throws {
    let results = try session.state.run(
      """
      local epochs = {}
      local watched = quick:derive{ observe={ epoch_end=function(s) epochs[#epochs + 1] = s.train_loss end } }
      local run = lunette.train{ plan=plan, configuration="2d", fold=0, trainer=watched }
      local again = lunette.train{ plan=plan, configuration="2d", fold=0, trainer=quick }
      local scores = run:validate()
      run:plot(folder .. "/curve.png")
      return #epochs, #run.log, #again.log, scores.foreground_mean.Dice, run.folder, #run.split.val,
        run:model().configuration, run.status
      """, named: "=test")
    #expect(results[0].integer == 2)
    #expect(results[1].integer == 2)
    #expect(results[2].integer == 2)
    #expect(results[3].number != nil)
    #expect(try #require(results[4].string).hasSuffix("Dataset999_Phantom/Quick__tiny__2d/fold_0"))
    #expect(results[5].integer == 1)
    #expect(results[6].string == "2d")
    #expect(FileManager.default.fileExists(atPath: folder.appending(path: "curve.png").path))
  }

  @Test("An error in an observer stops the run with its line and leaves a checkpoint; the next call goes on")
  func failingObserver() throws {
    let error = #expect(throws: LuaError.self) {
      try session.state.run(
        """
        lunette.train{ plan=plan, configuration="2d", fold=0, trainer=quick:derive{ observe={
          epoch_end=function(s) if s.epoch == 0 then
            error("enough") end end } } }
        """, named: "@recipe.lua")
    }
    #expect(error?.message == "recipe.lua:3: enough")
    #expect(error?.traceback.contains("lunette.train (engine)") == true)
    #expect(error?.traceback.contains("recipe.lua:1: in the main chunk") == true)
    let fold = folder.appending(path: "results/Dataset999_Phantom/Quick__tiny__2d/fold_0")
    let files = try FileManager.default.contentsOfDirectory(atPath: fold.path)
    #expect(files.contains { $0.hasPrefix("checkpoint_latest") })
    let log = try session.state.run(
      "return #lunette.train{ plan=plan, configuration='2d', fold=0, trainer=quick }.log", named: "=t")
    #expect(log[0].integer == 2)
  }

  @Test("An interrupt ends a training and the session goes on")
  func interrupt() throws {
    let interrupter = session.state.interrupter
    try session.state.setGlobal(
      "interrupt",
      .function(
        LuaFunction(
          LuaNativeFunction("interrupt") { _ in
            interrupter.interrupt()
            return []
          })))
    let evaluation = session.execute(
      """
      lunette.train{ plan=plan, configuration="2d", fold=1,
        trainer=quick:derive{ epochs=1000, observe={ epoch_start=function(s) if s.epoch == 1 then interrupt() end end } } }
      """)
    #expect(evaluation.error?.kind == .interrupted)
    #expect(session.execute("1 + 1").result == "2")
  }

  @Test("Plans of the same name that say something else are not overwritten")
  func foreignPlans() throws {
    _ = try session.state.run("plan:save()", named: "=t")
    let evaluation = session.execute(
      """
      lunette.train{ plan=lunette.plan(ds):derive{ name="tiny", ["2d"]={ batch_size=3 } }, configuration="2d", trainer=quick }
      """)
    #expect(evaluation.error?.message.contains("other plans of this name") == true)
  }
}
