// Plans made from other plans: what may be changed, what is repaired, and what differs.

import Archives
import Planning
import Reporting
import Testing

@Suite("Plan derivation")
struct PlanDerivationTests {
  private let plans: Plans

  init() throws { plans = try UniformDataset.liver.plan() }

  private func derived(_ change: JSONObject, _ name: String = "3d_fullres") throws -> Plans {
    try plans.deriving(name: "mine", changes: [name: change])
  }

  @Test("A patch is enlarged to what the strides divide by, and everything else stays")
  func patch() throws {
    let result = try derived(["patch_size": [100, 128, 70], "batch_size": 3])
    let configuration = try result.configuration(named: "3d_fullres")
    #expect(configuration.patchSize == [128, 128, 96])
    #expect(configuration.batchSize == 3)
    #expect(configuration.dataIdentifier == "nnUNetPlans_3d_fullres")
    #expect(
      result.differences(from: plans).map(\.path) == [
        "plans_name", "configurations.3d_fullres.batch_size", "configurations.3d_fullres.patch_size",
      ])
    let why = try #require(result.why("3d_fullres.patch_size"))
    #expect(why.reason.contains("asked for 100×128×70") && why.rule == "derive")
    #expect(result.why("2d.patch_size") == plans.why("2d.patch_size"))
  }

  @Test("A spacing takes the median size and the data folder with it")
  func spacing() throws {
    let configuration = try derived(["spacing": [2, 0.7676, 0.7676]]).configuration(named: "3d_fullres")
    #expect(configuration.medianImageSize == [216, 512, 512])
    #expect(configuration.dataIdentifier == "mine_3d_fullres")
    #expect(
      try derived(["spacing": [2, 1, 1]]).configuration(named: "3d_cascade_fullres").spacing == [2, 1, 1])
  }

  @Test("Features and strides go into the architecture, and the other lists follow")
  func network() throws {
    let features = try derived(["features_per_stage": [8, 16, 32, 64, 80, 80]])
    #expect(try features.configuration(named: "3d_fullres").featuresPerStage == [8, 16, 32, 64, 80, 80])
    #expect(features.why("3d_fullres.features_per_stage")?.rule == "derive")
    let shallow = try derived([
      "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]], "patch_size": [30, 40, 50],
    ]).configuration(named: "3d_fullres")
    #expect(shallow.patchSize == [32, 40, 52])
    #expect(shallow.featuresPerStage == [32, 64, 128])
    let arguments = shallow.architecture["arch_kwargs"]
    #expect(arguments?["n_stages"] == 3)
    #expect(arguments?["n_conv_per_stage_decoder"] == [2, 2])
    #expect(arguments?["kernel_sizes"]?.array?.count == 3)
    #expect { try derived(["features_per_stage": [8, 16]]) } throws: { "\($0)".contains("6 entries") }
    #expect { try derived(["strides": [[2, 2, 2], [2, 2, 2]]]) } throws: { "\($0)".contains("topology") }
  }

  @Test("A new configuration inherits from an old one")
  func newConfiguration() throws {
    let result = try derived(["inherits_from": "2d", "batch_size": 5], "2d_small")
    #expect(result.configurationNames.last == "2d_small")
    #expect(try result.configuration(named: "2d_small").batchSize == 5)
    #expect(
      try result.configuration(named: "2d_small").patchSize == plans.configuration(named: "2d").patchSize)
    #expect(throws: Diagnostic.self) { try derived(["batch_size": 5], "2d_small") }
    #expect(throws: Diagnostic.self) { try derived(["inherits_from": "nothing"], "2d_small") }
  }

  @Test("Unknown keys and wrong types are refused; texts may be replaced by texts")
  func refusals() throws {
    #expect { try derived(["patchsize": [1, 1, 1]]) } throws: { "\($0)".contains("'patch_size'") }
    #expect { try derived(["batch_size": "four"]) } throws: { "\($0)".contains("wrong type") }
    #expect { try derived(["batch_size": 2.5]) } throws: { "\($0)".contains("wrong type") }
    #expect(throws: Diagnostic.self) { try derived(["patch_size": [8, 8]]) }
    #expect(throws: Diagnostic.self) { try derived(["batch_size": 0]) }
    let named = try derived(["data_identifier": "elsewhere", "preprocessor_name": "Mine"])
    #expect(try named.configuration(named: "3d_fullres").dataIdentifier == "elsewhere")
  }

  @Test("Whole numbers with and without a point do not differ")
  func numbers() throws {
    let result = try derived(["spacing": [1, 0.7676, 0.7676]])
    #expect(!result.differences(from: plans).map(\.path).contains("configurations.3d_fullres.spacing"))
  }
}
