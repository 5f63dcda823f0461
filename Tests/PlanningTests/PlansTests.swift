// Reading, resolving and merging plans files.

import Archives
import Foundation
import Planning
import Reporting
import TestSupport
import Testing

@Suite("Plans")
struct PlansTests {
  private func plans(changing change: (inout JSONObject) -> Void) throws -> Plans {
    var object = try UniformDataset.hippocampus.plan().json
    var configurations = object["configurations"]?.object ?? JSONObject()
    change(&configurations)
    object["configurations"] = .object(configurations)
    return try Plans(json: .object(object), source: "test.json")
  }

  @Test("Inheritance is resolved; the child's keys win")
  func inheritance() throws {
    let plans = try plans {
      $0["b"] = ["inherits_from": "3d_fullres", "batch_size": 7, "own_key": 3]
      $0["c"] = ["inherits_from": "b", "next_stage": ["x", "y"]]
    }
    let configuration = try plans.configuration(named: "c")
    #expect(configuration.batchSize == 7)
    #expect(configuration.patchSize == [40, 56, 40])
    #expect(configuration.json["own_key"] == 3)
    #expect(configuration.nextStages == ["x", "y"])
    #expect(configuration.imageResampling.order == 3)
    #expect(configuration.imageResampling.forceSeparateZ == nil)
    #expect(configuration.segmentationResampling.isSegmentation)
  }

  @Test("Circles, unknown names and missing keys are refused with what is wrong")
  func refusals() throws {
    let plans = try plans {
      $0["a"] = ["inherits_from": "b"]
      $0["b"] = ["inherits_from": "a"]
      $0["d"] = ["inherits_from": "nothing"]
      $0["e"] = ["data_identifier": "x"]
    }
    #expect { try plans.configuration(named: "a") } throws: { "\($0)".contains("a -> b -> a") }
    #expect { try plans.configuration(named: "3d_fulres") } throws: {
      "\($0)".contains("did you mean 3d_fullres")
    }
    #expect { try plans.configuration(named: "d") } throws: { "\($0)".contains("nothing") }
    #expect { try plans.configuration(named: "e") } throws: { "\($0)".contains("batch_size") }
  }

  @Test("Planning again keeps configurations that others added, and a round trip changes no byte")
  func foreign() throws {
    let folder = try Goldens.temporaryFolder()
    defer { try? FileManager.default.removeItem(at: folder) }
    let edited = try plans {
      $0["mine"] = ["inherits_from": "2d", "batch_size": 3]
      $0["2d"] = ["inherits_from": "3d_fullres"]
    }
    try edited.save(in: folder)
    let merged = try UniformDataset.hippocampus.plan().save(in: folder)
    #expect(merged.configurationNames == ["2d", "3d_fullres", "mine"])
    #expect(try merged.configuration(named: "mine").patchSize == [56, 40])
    let url = folder.appending(path: "nnUNetPlans.json")
    let bytes = try Data(contentsOf: url)
    try Plans(contentsOf: url).write(to: url)
    #expect(try Data(contentsOf: url) == bytes)
  }

  @Test("Plans from before the architecture key are converted")
  func legacy() throws {
    let plans = try plans { configurations in
      var old = configurations["3d_fullres"]?.object ?? JSONObject()
      let architecture = old["architecture"]?["arch_kwargs"]
      old["architecture"] = nil
      old["UNet_class_name"] = "PlainConvUNet"
      old["UNet_base_num_features"] = 32
      old["unet_max_num_features"] = 320
      old["n_conv_per_stage_encoder"] = architecture?["n_conv_per_stage"]
      old["n_conv_per_stage_decoder"] = architecture?["n_conv_per_stage_decoder"]
      old["conv_kernel_sizes"] = architecture?["kernel_sizes"]
      old["pool_op_kernel_sizes"] = architecture?["strides"]
      old["num_pool_per_axis"] = [3, 3, 3]
      configurations["old"] = .object(old)
    }
    let old = try plans.configuration(named: "old")
    #expect(old.architecture == (try plans.configuration(named: "3d_fullres").architecture))
    #expect(old.json["num_pool_per_axis"] == nil)
  }
}
