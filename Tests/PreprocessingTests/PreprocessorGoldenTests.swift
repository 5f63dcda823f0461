// Whole cases against what nnU-Net 2.8.1 made of the same files.

import Archives
import Datasets
import Foundation
import Planning
import Preprocessing
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

/// Worst voxel in normalised units; a float32 spline stays far below.
private let tolerance: Float = 2e-5

private struct GoldenCase: CustomStringConvertible, Sendable {
  let dataset: String
  let plans: String
  let configuration: String
  let identifier: String

  var description: String { "\(dataset) \(configuration) \(identifier)" }
}

private let goldenCases: [GoldenCase] = [
  ("Dataset801_PhantomCT", "nnUNetPlans", ["2d", "3d_fullres"], ["ct_000", "ct_001"]),
  (
    "Dataset802_PhantomBrain", "nnUNetPlans_small", ["2d", "3d_fullres", "3d_lowres"],
    ["brain_000", "brain_001"]
  ),
  ("Dataset803_PhantomCells", "nnUNetPlans", ["2d"], ["cell_000", "cell_001"]),
  ("Dataset804_PhantomOblique", "nnUNetPlans", ["2d", "3d_fullres"], ["ob_000", "ob_001"]),
].flatMap { dataset, plans, configurations, identifiers in
  configurations.flatMap { configuration in
    identifiers.map {
      GoldenCase(dataset: dataset, plans: plans, configuration: configuration, identifier: $0)
    }
  }
}

@Suite(.enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence))) struct PreprocessorGoldenTests
{
  @Test("Images, labels and properties are those of the reference", arguments: goldenCases)
  fileprivate func agrees(golden: GoldenCase) throws {
    let folder = Goldens.path("golden/preprocessed/\(golden.dataset)")
    let plans = try Plans(contentsOf: folder.appending(path: "\(golden.plans).json"))
    let dataset = try RawDataset(folder: Goldens.path("golden/raw/\(golden.dataset)"))
    let raw = try #require(try dataset.cases().first { $0.identifier == golden.identifier })
    let configuration = try plans.configuration(named: golden.configuration)
    let preprocessor = try Preprocessor(
      plans: plans, configuration: configuration, labels: dataset.description.labels)
    let result = try preprocessor.run(readCase(raw, channelCount: preprocessor.normalizations.count))

    let stem = folder.appending(path: "\(golden.plans)_\(golden.configuration)/\(golden.identifier)")
    let arrays = try readNPZ(stem.appendingPathExtension("npz"))
    let data = try #require(arrays["data"]).floats()
    let segmentation = try #require(arrays["seg"]).int16s()
    try #require(result.data.shape == data.shape)
    let difference = zip(result.data.elements, data.elements).map { abs($0 - $1) }.max() ?? 0
    let mismatches = zip(result.segmentation.elements, segmentation.elements).count { $0 != $1 }
    #expect(difference <= tolerance)
    #expect(mismatches == 0)

    let properties = try JSON(contentsOf: stem.appendingPathExtension("json"))
    for key in [
      "spacing", "shape_before_cropping", "bbox_used_for_cropping",
      "shape_after_cropping_and_before_resampling",
    ] {
      let (ours, theirs) = (result.properties.json[key], properties[key])
      // Spacings of pictures are whole numbers there.
      #expect(ours == theirs || (ours?.doubles != nil && ours?.doubles == theirs?.doubles), "\(key)")
    }
    guard let reader = properties["sitk_stuff"] else { return }
    #expect(result.properties.geometry.origin == reader["origin"]?.doubles)
    #expect(result.properties.geometry.direction == reader["direction"]?.doubles)
  }

  @Test(
    "Locations are those the reference draws, in its order",
    arguments: [
      (
        "Dataset804_PhantomOblique", "nnUNetPlans_3d_fullres/ob_000", [5719, 5114, 10000],
        [239_545_518_279, 232_978_559_125, 421_766_036_995]
      ),
      (
        "Dataset802_PhantomBrain", "nnUNetPlans_small_3d_lowres/brain_000", [3214, 990, 213],
        [203_029_548_634, 68_505_116_421, 3_149_118_416]
      ),
    ])
  func locations(dataset: String, stem: String, counts: [Int], checksums: [Int]) throws {
    let description = try DatasetDescription(contentsOf: Goldens.path("golden/raw/\(dataset)/dataset.json"))
    let arrays = try readNPZ(Goldens.path("golden/preprocessed/\(dataset)/\(stem).npz"))
    let segmentation = try #require(arrays["seg"]).int16s()
    let drawn = drawForegroundLocations(
      in: segmentation.reshaped(Array(segmentation.shape.dropFirst())),
      targets: foregroundTargets(of: description.labels))
    #expect(drawn.keys.map { drawn[$0].shape[0] } == counts)
    let sums = drawn.keys.map { checksum(drawn[$0]) }
    #expect(sums == checksums)
  }

  /// A sum that depends on every position and on their order.
  private func checksum(_ locations: NDArray<Int32>) -> Int {
    let values = locations.elements.map { Int($0) }
    var sum = 0
    for row in 0..<locations.shape[0] {
      let place: Int = values[row * 3] * 10000 + values[row * 3 + 1] * 100 + values[row * 3 + 2]
      sum += (row % 1000 + 1) * place
    }
    return sum
  }
}
