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

  /// A plans file as nnU-Net 2.0 wrote it.
  private func rewrittenToOldKeys(_ json: JSON) -> JSON {
    var object = json.object ?? JSONObject()
    var configurations = object["configurations"]?.object ?? JSONObject()
    for (name, value) in configurations.pairs {
      guard var old = value.object, let architecture = old["architecture"] else { continue }
      let arguments = architecture["arch_kwargs"]
      let features = arguments?["features_per_stage"]?.integers ?? []
      let strides = arguments?["strides"]?.array?.compactMap(\.integers) ?? []
      old["architecture"] = nil
      let className = architecture["network_class_name"]?.string ?? ""
      old["UNet_class_name"] = .string(className.split(separator: ".").last.map(String.init) ?? "")
      old["UNet_base_num_features"] = .integer(features.first ?? 0)
      old["unet_max_num_features"] = .integer((old["patch_size"]?.array?.count ?? 0) == 2 ? 512 : 320)
      old["n_conv_per_stage_encoder"] = arguments?["n_conv_per_stage"] ?? arguments?["n_blocks_per_stage"]
      old["n_conv_per_stage_decoder"] = arguments?["n_conv_per_stage_decoder"]
      old["num_pool_per_axis"] = JSON(
        (strides.first ?? []).indices.map { a in strides.filter { $0[a] > 1 }.count })
      old["conv_kernel_sizes"] = arguments?["kernel_sizes"]
      old["pool_op_kernel_sizes"] = arguments?["strides"]
      configurations[name] = .object(old)
    }
    object["configurations"] = .object(configurations)
    object["foreground_intensity_properties_by_modality"] =
      object["foreground_intensity_properties_per_channel"]
    object["foreground_intensity_properties_per_channel"] = nil
    return .object(object)
  }

  @Test(
    "Golden plans rewritten to the keys of nnU-Net 2.0 load to the same networks",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)),
    arguments: [("plans", 80), ("plans_rare", 50)])
  func legacyGoldens(folder: String, count: Int) throws {
    var configurationCount = 0
    let files = try FileManager.default.contentsOfDirectory(atPath: Goldens.path("golden/\(folder)").path)
    #expect(files.count == count)
    for file in files {
      let json = try #require(try JSON(contentsOf: Goldens.path("golden/\(folder)/\(file)"))["plans"])
      let present = try Plans(json: json, source: file)
      let old = try Plans(json: rewrittenToOldKeys(json), source: file)
      #expect(old.foregroundIntensities == present.foregroundIntensities)
      for name in present.configurationNames {
        configurationCount += 1
        let (mine, theirs) = try (old.configuration(named: name), present.configuration(named: name))
        #expect(mine.architecture == theirs.architecture, "\(file) \(name)")
        #expect(mine.json == theirs.json, "\(file) \(name)")
        #expect(!mine.migrationRemarks.isEmpty && theirs.migrationRemarks.isEmpty)
      }
    }
    #expect(configurationCount > 2 * count - 20)
  }

  @Test("What old plans leave out is filled in, and what cannot be is named")
  func legacyGaps() throws {
    let plans = try plans { configurations in
      let json = rewrittenToOldKeys(["configurations": .object(configurations)])
      var old = json["configurations"]?["3d_fullres"]?.object ?? JSONObject()
      for key in old.keys where key.hasPrefix("resampling") { old[key] = nil }
      for key in ["preprocessor_name", "n_conv_per_stage_decoder", "UNet_base_num_features"] {
        old[key] = nil
      }
      configurations["old"] = .object(old)
      old["conv_kernel_sizes"] = nil
      configurations["no kernels"] = .object(old)
      old["UNet_class_name"] = "SwinUNet"
      configurations["other network"] = .object(old)
      configurations["child"] = ["inherits_from": "old", "batch_size": 1]
    }
    let (old, present) = try (plans.configuration(named: "old"), plans.configuration(named: "3d_fullres"))
    #expect(old.architecture == present.architecture)
    #expect(old.imageResampling == present.imageResampling)
    #expect(old.segmentationResampling == present.segmentationResampling)
    #expect(old.preprocessorName == "DefaultPreprocessor")
    #expect(old.migrationRemarks.count == 4)
    #expect(try plans.configuration(named: "child").architecture == present.architecture)
    #expect { try plans.configuration(named: "no kernels") } throws: { "\($0)".contains("conv_kernel_sizes") }
    #expect { try plans.configuration(named: "other network") } throws: { "\($0)".contains("SwinUNet") }
  }
}
