// Surface distances: against values of an independent program, and against a naive computation over all pairs.

import Archives
import Datasets
import Evaluation
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct SurfaceDistancesTests {
  /// Sums of a few thousand areas in the same order; roots and products in another rounding.
  private static let tolerance = 1e-9

  @Test(
    "Surface Dice and HD95 are those of the reference program on balls, blobs, borders, voxels and slices")
  func agreesWithReference() throws {
    let url = Goldens.repository.appending(path: "Tests/EvaluationTests/Fixtures/surface-distances.json")
    let entries = try JSON(contentsOf: url).array ?? []
    #expect(entries.count == 23)
    for entry in entries {
      let name = entry["name"]?.string ?? "?"
      let shape = try #require(entry["shape"]?.integers)
      let distances = SurfaceDistances.measure(
        [.label(1)], reference: try mask(entry["reference"], shape),
        prediction: try mask(entry["prediction"], shape), spacing: try #require(entry["spacing"]?.doubles))[0]
      let limits = try #require(entry["tolerances"]?.doubles)
      let expected = try #require(entry["NSD"]?.doubles)
      for (limit, value) in zip(limits, expected) {
        let found = distances.surfaceDice(toleranceMillimeters: limit)
        #expect(abs(found - value) < Self.tolerance, "\(name) at \(limit) mm: \(found), not \(value)")
      }
      let hausdorff = distances.hausdorff(percentile: 95)
      if let value = entry["HD95"]?.double {
        #expect(abs(hausdorff - value) < Self.tolerance, "\(name): \(hausdorff), not \(value)")
      } else {
        #expect(hausdorff == .infinity, "\(name)")
      }
    }
  }

  @Test(
    "Labels, regions and the ignore label give what all pairs of surface elements give", arguments: 0..<12)
  func agreesWithAllPairs(seed: Int) {
    var random = RandomSource(key: [7, seed])
    let shapes = [[5, 6, 7], [1, 9, 8], [8, 1, 7], [7, 9, 1], [2, 3, 9], [4, 8, 5]]
    let shape = shapes[seed % shapes.count]
    let spacing = (0..<3).map { _ in random.uniform(0.4, 3) }
    let reference = patches(shape, &random)
    let prediction = patches(shape, &random)
    let targets = [LabelValue.label(1), .region([1, 2]), .label(3)]
    let ignored = seed < 6 ? nil : 4
    let measured = SurfaceDistances.measure(
      targets, reference: reference, prediction: prediction, spacing: spacing, ignoreLabel: ignored)
    for (target, found) in zip(targets, measured) {
      let naive = NaiveSurfaceDistances(
        target, reference: reference, prediction: prediction, spacing: spacing, ignoreLabel: ignored)
      for limit in [0, 0.9, 2.3] {
        #expect(
          isClose(found.surfaceDice(toleranceMillimeters: limit), naive.surfaceDice(limit)), "\(target)")
      }
      for percentile in [50.0, 95, 100] {
        #expect(isClose(found.hausdorff(percentile: percentile), naive.hausdorff(percentile)), "\(target)")
      }
    }
  }

  @Test("A target in one file only has a surface Dice of 0 and an infinite distance; in neither, no number")
  func absent() {
    let empty = NDArray<Int16>(shape: [3, 3, 3], repeating: 0)
    var full = empty
    full[1, 1, 1] = 1
    for (reference, prediction) in [(empty, full), (full, empty)] {
      let one = SurfaceDistances.measure(
        [.label(1)], reference: reference, prediction: prediction, spacing: [1, 1, 1])[0]
      #expect(one.surfaceDice(toleranceMillimeters: 100) == 0)
      #expect(one.hausdorff(percentile: 95) == .infinity)
    }
    let none = SurfaceDistances.measure(
      [.label(1)], reference: empty, prediction: empty, spacing: [1, 1, 1])[0]
    #expect(none.surfaceDice(toleranceMillimeters: 1).isNaN && none.hausdorff(percentile: 95).isNaN)
  }

  @Test("A flat face has the area of its voxels' sides, whichever way it looks")
  func flatFaces() {
    let areas = SurfaceElementTable(spacing: [2, 3, 5]).areas
    // The four voxels of one half of the cube along z, y, x.
    for (code, area) in [(0b1111, 15.0), (0b0011_0011, 10), (0b0101_0101, 6)] {
      #expect(abs(areas[code] - area) < Self.tolerance)
      #expect(areas[255 - code] == areas[code])
    }
    #expect(areas[0] == 0 && areas[255] == 0)
  }

  private func mask(_ json: JSON?, _ shape: [Int]) throws -> NDArray<Int16> {
    let digits = try #require(json?.string).map { $0.hexDigitValue ?? 0 }
    let bits = digits.flatMap { digit in (0..<4).map { Int16(digit >> (3 - $0) & 1) } }
    return NDArray(shape: shape, elements: Array(bits.prefix(shape.reduce(1, *))))
  }

  /// Labels 0 to 4 in random boxes.
  private func patches(_ shape: [Int], _ random: inout RandomSource) -> NDArray<Int16> {
    var map = NDArray<Int16>(shape: shape, repeating: 0)
    for label: Int16 in [4, 1, 2, 1, 2] {
      let ranges = shape.map { extent in
        let start = random.integer(below: extent)
        return start..<min(extent, start + 1 + random.integer(below: 5))
      }
      for z in ranges[0] { for y in ranges[1] { for x in ranges[2] { map[z, y, x] = label } } }
    }
    return map
  }

  private func isClose(_ a: Double, _ b: Double) -> Bool {
    a == b || a.isNaN && b.isNaN || abs(a - b) < Self.tolerance
  }
}

/// The definition, computed with no thought of speed: every cell looked at, every pair of elements measured.
private struct NaiveSurfaceDistances {
  private var sides: [[(distance: Double, area: Double)]] = []

  init(
    _ target: LabelValue, reference: NDArray<Int16>, prediction: NDArray<Int16>, spacing: [Double],
    ignoreLabel: Int?
  ) {
    let flat = reference.shape.firstIndex(of: 1)
    let axes = (0..<3).filter { axis in axis != flat }
    let areas = SurfaceElementTable(spacing: axes.map { spacing[$0] }).areas
    let surfaces = [reference, prediction].map { map in
      Self.surface(axes: axes, shape: reference.shape, areas: areas) { index in
        let offset = reference.offset(of: index)
        return target.labels.contains(Int(map.elements[offset]))
          && reference.elements[offset] != Int16(ignoreLabel ?? -1)
      }
    }
    for (own, other) in [(surfaces[0], surfaces[1]), (surfaces[1], surfaces[0])] {
      sides.append(
        own.map { element in
          let squares = other.map { point in
            (0..<3).map { axis -> Double in
              let length = Double(element.cell[axis] - point.cell[axis]) * spacing[axis]
              return length * length
            }.reduce(0.0, +)
          }
          return (squares.min()?.squareRoot() ?? .infinity, element.area)
        }.sorted { $0 < $1 })
    }
  }

  /// The cells that are neither wholly inside nor wholly outside.
  private static func surface(
    axes: [Int], shape: [Int], areas: [Double], isInside: ([Int]) -> Bool
  ) -> [(cell: [Int], area: Double)] {
    var found: [(cell: [Int], area: Double)] = []
    for z in 0...shape[0] {
      for y in 0...shape[1] {
        for x in 0...shape[2] {
          let cell = [z, y, x]
          // A flat axis has one layer of cells, at its only voxel.
          if (0..<3).contains(where: { !axes.contains($0) && cell[$0] > 0 }) { continue }
          var code = 0
          for corner in 0..<(1 << axes.count) {
            var voxel = cell
            for (bit, axis) in axes.reversed().enumerated() where corner >> bit & 1 == 1 { voxel[axis] -= 1 }
            let exists = (0..<3).allSatisfy { voxel[$0] >= 0 && voxel[$0] < shape[$0] }
            if exists, isInside(voxel) { code |= 1 << corner }
          }
          if code != 0, code != (1 << (1 << axes.count)) - 1 { found.append((cell, areas[code])) }
        }
      }
    }
    return found
  }

  func surfaceDice(_ limit: Double) -> Double {
    let all = sides.flatMap(\.self)
    return all.filter { $0.distance <= limit }.reduce(0) { $0 + $1.area } / all.reduce(0) { $0 + $1.area }
  }

  func hausdorff(_ percentile: Double) -> Double {
    if sides.allSatisfy(\.isEmpty) { return .nan }
    return sides.map { side in
      let total = side.reduce(0) { $0 + $1.area }
      var covered = 0.0
      for element in side {
        covered += element.area
        // The last bit of the sums must not decide here.
        if covered / total >= percentile / 100 - 1e-12 { return element.distance }
      }
      return .infinity
    }.max() ?? .nan
  }
}
