// Largest components against a flood fill, and the search for postprocessing on label maps made for it.

import Datasets
import Evaluation
import Foundation
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite struct ComponentFilterTests {
  /// The map without smaller components, by flood fill over all 26 neighbours.
  private func oracle(_ labels: Set<Int>, _ map: NDArray<Int16>) -> NDArray<Int16> {
    let shape = map.shape
    var component = [Int](repeating: -1, count: map.count)
    var sizes: [Int] = []
    for start in 0..<map.count where component[start] < 0 && labels.contains(Int(map.elements[start])) {
      component[start] = sizes.count
      var stack = [start]
      var size = 0
      while let voxel = stack.popLast() {
        size += 1
        let (z, y, x) = (voxel / shape[2] / shape[1], voxel / shape[2] % shape[1], voxel % shape[2])
        for nz in max(0, z - 1)..<min(shape[0], z + 2) {
          for ny in max(0, y - 1)..<min(shape[1], y + 2) {
            for nx in max(0, x - 1)..<min(shape[2], x + 2) {
              let other = (nz * shape[1] + ny) * shape[2] + nx
              if component[other] < 0, labels.contains(Int(map.elements[other])) {
                component[other] = sizes.count
                stack.append(other)
              }
            }
          }
        }
      }
      sizes.append(size)
    }
    var result = map
    for voxel in 0..<map.count where component[voxel] >= 0 && sizes[component[voxel]] < (sizes.max() ?? 0) {
      result.elements[voxel] = 0
    }
    return result
  }

  @Test(
    "Random maps lose what a flood fill takes away",
    arguments: [[1, 9, 11], [7, 1, 13], [6, 8, 1], [5, 7, 9], [2, 3, 70]], [0.08, 0.2, 0.4])
  func random(shape: [Int], density: Double) {
    var random = RandomSource(key: shape + [Int(density * 100)])
    for labels: Set in [[1], [1, 3], [2, 3, 9]] {
      let map = NDArray<Int16>(
        shape: shape,
        elements: (0..<shape.reduce(1, *)).map { _ in
          random.uniform() < density ? Int16(1 + random.integer(below: 3)) : 0
        })
      var filter = ComponentFilter(of: labels, in: map)
      let expected = oracle(labels, map)
      #expect(filter.keepingLargest(in: map) == expected, "\(labels)")
      let kept = expected.elements.count { labels.contains(Int($0)) }
      #expect(filter.componentSizes.first ?? 0 <= kept)
    }
  }

  @Test("Components of the same largest size all stay")
  func ties() {
    let map = NDArray<Int16>(shape: [1, 1, 8], elements: [1, 1, 0, 2, 2, 0, 1, 0])
    var filter = ComponentFilter(of: [1, 2], in: map)
    #expect(filter.componentSizes == [2, 2, 1])
    #expect(filter.keepingLargest(in: map).elements == [1, 1, 0, 2, 2, 0, 0, 0])
  }

  @Test("Without any voxel of the labels nothing changes")
  func empty() {
    let map = NDArray<Int16>(shape: [2, 1, 2], elements: [1, 0, 0, 1])
    var filter = ComponentFilter(of: [7], in: map)
    #expect(filter.keepingLargest(in: map) == map)
  }
}

@Suite struct PostprocessingSearchTests {
  /// One case of 1x12x12 voxels with two labels, in a folder of references and one of predictions.
  private struct Case {
    let root: URL
    var references: URL { root.appending(path: "references") }
    var predictions: URL { root.appending(path: "predictions") }

    /// Each character of a row is a voxel's label.
    init(reference: [String], prediction: [String]) throws {
      root = try Goldens.temporaryFolder("postprocessing")
      for (folder, rows) in [(references, reference), (predictions, prediction)] {
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let labels = rows.joined().compactMap(\.wholeNumberValue).map(Int16.init)
        let volume = Volume(
          voxels: NDArray(shape: [1, rows.count, rows[0].count], elements: labels),
          geometry: ImageGeometry(
            spacing: [1, 1, 1], origin: [0, 0, 0], direction: [1, 0, 0, 0, 1, 0, 0, 0, 1]))
        try writeLabels(volume, to: folder.appending(path: "a.nii.gz"), maximumLabel: 2)
      }
    }

    func remove() { try? FileManager.default.removeItem(at: root) }
  }

  private func scheme() throws -> LabelScheme {
    try LabelScheme(
      entries: [
        LabelScheme.Entry(name: "background", value: .label(0)),
        LabelScheme.Entry(name: "organ", value: .label(1)),
        LabelScheme.Entry(name: "lesions", value: .label(2)),
      ], regionsClassOrder: nil, source: "test")
  }

  @Test("One label's step is accepted, the other's rejected")
  func mixed() throws {
    // The organ has a false island; the lesions are truly several, and apart from the organ.
    let files = try Case(
      reference: ["111000002200", "111000000000", "000000002200"],
      prediction: ["111000002200", "111000000000", "000010002200"])
    defer { files.remove() }
    let search = try searchPostprocessing(
      of: ["a.nii.gz"], in: files.predictions, references: files.references, scheme: scheme())
    #expect(search.trials.map(\.isAccepted) == [false, true, false])
    #expect(search.trials[0].worsened == [.label(2)])
    #expect(search.steps == [PostprocessingStep(.label(1))])
    #expect(search.baseline.means[0].dice == 12.0 / 13)
    #expect(search.final.means.map(\.dice) == [1, 1])
  }

  @Test("A rule of the caller decides in place of nnU-Net's")
  func rule() throws {
    let files = try Case(
      reference: ["111000002200", "111000000000"], prediction: ["111010002200", "111000000000"])
    defer { files.remove() }
    var verdicts: [Bool] = []
    let search = try searchPostprocessing(
      of: ["a.nii.gz"], in: files.predictions, references: files.references, scheme: scheme()
    ) { _, verdict in
      verdicts.append(verdict)
      return false
    }
    #expect(verdicts == [false, true, false])
    #expect(search.steps.isEmpty && search.final == search.baseline)
  }

  @Test("A label in no case at all leaves the mean no number, and then nothing is accepted for all")
  func absent() throws {
    let files = try Case(reference: ["111000000000"], prediction: ["111000010000"])
    defer { files.remove() }
    let search = try searchPostprocessing(
      of: ["a.nii.gz"], in: files.predictions, references: files.references, scheme: scheme())
    #expect(search.baseline.foregroundMean.dice.isNaN)
    #expect(search.trials.map(\.isAccepted) == [false, true, false])
  }
}
