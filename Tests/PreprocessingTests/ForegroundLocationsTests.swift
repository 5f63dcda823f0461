// Locations of foreground voxels as the reference draws them.

import Datasets
import Preprocessing
import Tensors
import Testing

@Suite struct ForegroundLocationsTests {
  private let targets = [1, 2, 3].map { (key: ForegroundKey.label($0), labels: [$0]) }

  @Test("Few voxels are permuted as the reference permutes them")
  func published() {
    var segmentation = NDArray<Int16>(shape: [2, 3, 3], repeating: 0)
    for position in [[0, 1, 1], [1, 0, 0], [1, 0, 1], [1, 0, 2]] {
      segmentation.elements[segmentation.offset(of: position)] = 1
    }
    segmentation[1, 2, 2] = 2
    let locations = drawForegroundLocations(in: segmentation, targets: targets)
    #expect(locations.keys == [.label(1), .label(2), .label(3)])
    #expect(locations[.label(1)].elements == [0, 1, 1, 1, 0, 0, 1, 0, 1, 1, 0, 2])
    #expect(locations[.label(2)].elements == [1, 2, 2])
    #expect(locations[.label(3)].shape == [0, 3])
    #expect(locations.presentKeys == [.label(1), .label(2)])
  }

  @Test("Ten thousand voxels, or one percent of a large class, are drawn without repeats")
  func counts() {
    let segmentation = NDArray<Int16>(shape: [1, 1040, 1000], repeating: 1)
    let drawn = drawForegroundLocations(in: segmentation, targets: targets)[.label(1)]
    #expect(drawn.shape == [10400, 3])
    let positions = Set(
      stride(from: 0, to: drawn.count, by: 3).map { drawn.elements[$0 + 1] * 1000 + drawn.elements[$0 + 2] })
    #expect(positions.count == 10400)
  }

  @Test("A region strings its labels together in the order it lists them, and the ignore label is left out")
  func regions() throws {
    let scheme = try LabelScheme(
      entries: [
        .init(name: "background", value: .label(0)), .init(name: "whole", value: .region([2, 1])),
        .init(name: "core", value: .region([2])), .init(name: "ignore", value: .label(3)),
      ], regionsClassOrder: [1, 2], source: "test")
    let wanted = foregroundTargets(of: scheme)
    #expect(wanted.map(\.key) == [.region([2, 1]), .region([2]), .annotated])
    #expect(wanted.last?.labels == [-1, 0, 1, 2])
    let segmentation = NDArray<Int16>(shape: [1, 1, 6], elements: [-1, 0, 3, 1, 2, 3])
    let locations = drawForegroundLocations(in: segmentation, targets: wanted)
    #expect(locations[.region([2, 1])].shape == [2, 3])
    #expect(
      Set(locations[.annotated].elements.enumerated().filter { $0.offset % 3 == 2 }.map(\.element)) == [
        0, 1, 3, 4,
      ])
  }
}
