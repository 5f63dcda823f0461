// The choice of a champion from scripts: nnU-Net's own by default, and with rules of one's own.

import Foundation
import LuaHost
import Scripting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite(
  "Selection binding", .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)), .serialized)
struct SelectionBindingTests {
  private let session: Session
  private let folder: URL

  init() throws {
    session = try Session(write: { _ in })
    folder = try Goldens.temporaryFolder("lunette-selection")
    let files = FileManager.default
    let dataset = "Dataset802_PhantomBrain"
    let golden = Goldens.path("golden/models/results/\(dataset)")
    for configuration in ["2d", "3d_fullres"] {
      let model = "nnUNetTrainer_1epoch__nnUNetPlans_tiny__\(configuration)"
      let target = folder.appending(path: "results/\(dataset)/\(model)")
      try files.createDirectory(at: target, withIntermediateDirectories: true)
      for name in ["dataset.json", "plans.json"] + (0..<5).map({ "fold_\($0)" }) {
        try files.createSymbolicLink(
          at: target.appending(path: name), withDestinationURL: golden.appending(path: "\(model)/\(name)"))
      }
    }
    for kind in ["raw", "preprocessed"] {
      try files.createSymbolicLink(
        at: folder.appending(path: kind), withDestinationURL: Goldens.path("golden/\(kind)"))
    }
    try session.state.setGlobal("folder", .string(folder.path))
    _ = try session.state.run(
      """
      lunette.roots{ root=folder }
      settings = { dataset=802, configurations={"2d", "3d_fullres"}, trainers={"nnUNetTrainer_1epoch"},
        plans={"nnUNetPlans_tiny"} }
      function choose(more)
        local all = {}
        for k, v in pairs(settings) do all[k] = v end
        for k, v in pairs(more) do all[k] = v end
        return lunette.find_best_configuration(all)
      end
      """, named: "=setup")
  }

  private func run(_ source: String) throws -> [LuaValue] { try session.state.run(source, named: "=test") }

  @Test("By default the highest Dice wins; rules see all candidates and may choose otherwise")
  func rules() throws {
    let results = try run(
      """
      local best = choose{}
      local top = -1
      for _, c in ipairs(best.candidates) do top = math.max(top, c.dice) end
      local seen, worst
      local other = choose{ keep=true,
        select=function(ctx, default)
          seen = #ctx.candidates
          worst = ctx.candidates[1]
          for _, c in ipairs(ctx.candidates) do if c.dice < worst.dice then worst = c end end
          return worst
        end,
        accept_postprocessing=function(ctx, default) return true end }
      local accepted = 0
      for _, s in ipairs(other.steps) do if s.accepted then accepted = accepted + 1 end end
      return #best.candidates, best.dice - top, seen, other.best == worst.name, accepted - #other.steps,
        other:report():find("by the rule that was given", 1, true) ~= nil, #best:models() >= 1,
        best.instructions:find("lunette predict", 1, true) ~= nil, best.candidates[1].evaluation.foreground_mean.Dice
      """)
    #expect(results[0].integer == 3)
    #expect(results[1].number == 0)
    #expect(results[2].integer == 3)
    #expect(results[3].boolean == true)
    #expect(results[4].number == 0)
    #expect(results[5].boolean == true)
    #expect(results[6].boolean == true)
    #expect(results[7].boolean == true)
    #expect((results[8].number ?? 0) > 0)
  }

  @Test("A rule that returns nonsense and a fold that is missing say what to do")
  func refusals() throws {
    func failure(_ source: String) -> String {
      do {
        _ = try run(source)
        return ""
      } catch { return "\(error)" }
    }
    #expect(failure("choose{ keep=true, select=function() return 'neither' end }").contains("ctx.candidates"))
    #expect(
      failure("choose{ keep=true, accept_postprocessing=function() return 3 end }").contains("true or false"))
    #expect(
      failure("choose{ configurations={'3d_lowres'}, plans={'nnUNetPlans_small'} }").contains("lunette train")
    )
  }

  @Test("The label that regions paint can be chosen anew, for a model and for an ensemble")
  func regionOrder() throws {
    let images = Goldens.path("golden/raw/Dataset802_PhantomBrain/imagesTs")
    let name = try #require(
      FileManager.default.contentsOfDirectory(atPath: images.path).sorted().first { $0.contains("_0000.") })
    try session.state.setGlobal("image", .string(images.appending(path: name).path))
    let results = try run(
      """
      local best = choose{ ensembles=false, select=function(ctx) return 1 end }
      local model = best:models()[1]
      local own = model:predict{ input=image, folds={0}, mirror=false, output=folder .. "/own" }
      local order = { 7, 8, 9 }
      local changed = model:predict{ input=image, folds={0}, mirror=false, region_order=order,
        output=folder .. "/changed" }
      local duo = lunette.ensemble{ model, model, region_order=order }:predict{ input=image, folds={0},
        mirror=false, output=folder .. "/duo" }
      return own.path, changed.path, duo.path
      """)
    let maps = try results.map { try readLabels(URL(filePath: try #require($0.string))).voxels.elements }
    let painted = Set(maps[0]).subtracting([0])
    #expect(!painted.isEmpty && painted.isSubset(of: [1, 2, 3]))
    for (own, changed) in zip(maps[0], maps[1]) where (own == 0 ? 0 : 6 + own) != changed {
      Issue.record("\(own) became \(changed)")
      break
    }
    let differing = zip(maps[1], maps[2]).count { $0 != $1 }
    #expect(Double(differing) < 1e-3 * Double(maps[1].count))
  }
}
