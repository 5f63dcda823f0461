// What overlays decide: slices, directions, contours, windows, sizes.

import Figures
import Foundation
import Tensors
import TestSupport
import Testing
import Volumes

@Suite("Overlay decisions")
struct OverlayTests {
  @Test("The best slice has the highest mean share over the labels, not the most voxels")
  func bestSliceIsOfShares() {
    var map = NDArray<Int16>(shape: [4, 6, 6], repeating: 0)
    // Label 1 is large and half of it lies in slice 1; label 2 is two voxels, both in slice 2.
    for y in 0..<6 { for x in 0..<5 { map[1, y, x] = 1 } }
    for y in 0..<6 { for x in 0..<4 { map[2, y, x] = 1 } }
    map[2, 0, 5] = 2
    map[2, 1, 5] = 2
    #expect(SliceShares(of: [map]).best(axis: 0) == 2)
    #expect(SliceShares(of: [map], labels: [1]).best(axis: 0) == 1)
    #expect(SliceShares(of: [map]).best(axis: 2) == 5)
    #expect(SliceShares(of: [map]).occupied(axis: 0) == 1..<3)
    let empty = NDArray<Int16>(shape: [4, 6, 8], repeating: 0)
    #expect((0..<3).map { SliceShares(of: [empty]).best(axis: $0) } == [2, 3, 4])
  }

  @Test("Contours run along the edges of voxels, holes have one of their own")
  func contours() {
    let slice = OverlaySlice(
      geometry: ImageGeometry(spacing: [1, 1, 1]), shape: [1, 4, 5], axis: 0, index: 0)
    let rectangle = (0..<20).map { [6, 7, 8, 11, 12, 13].contains($0) }
    let lines = slice.contours(of: rectangle)
    #expect(lines.count == 1)
    #expect(lines[0].first == lines[0].last)
    #expect(
      Set(lines[0]).isSuperset(of: [
        Corner(row: 1, column: 1), Corner(row: 1, column: 4), Corner(row: 3, column: 4),
        Corner(row: 3, column: 1),
      ]))
    #expect(lines[0].count == 11)
    let ring = (0..<20).map { [1, 2, 3, 6, 8, 11, 12, 13].contains($0) }
    #expect(slice.contours(of: ring).map(\.count).sorted() == [5, 13])
    #expect(slice.contours(of: Array(repeating: false, count: 20)).isEmpty)
  }

  @Test("Heads are up and the patient's right is at the left, however the file lies")
  func orientation() {
    // Array voxels carry their place: a file in RAS, and the same scene in LPS and turned.
    let ras = ImageGeometry(
      spacing: [1, 1, 1], origin: [5, 5, 5], direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1])
    let lps = ImageGeometry(spacing: [1, 1, 1], origin: [5, 5, 5])
    let axial = SliceOrientation(geometry: ras, acrossAxis: 0)
    #expect(axial.name == "axial" && axial.sides == ["R", "L", "A", "P"])
    #expect(axial.isRowFlipped && axial.isColumnFlipped)
    let same = SliceOrientation(geometry: lps, acrossAxis: 0)
    #expect(!same.isRowFlipped && !same.isColumnFlipped)
    let coronal = SliceOrientation(geometry: lps, acrossAxis: 1)
    #expect(coronal.name == "coronal" && coronal.sides == ["R", "L", "S", "I"])
    #expect(coronal.rowAxis == 0 && coronal.isRowFlipped && !coronal.isColumnFlipped)
    let sagittal = SliceOrientation(geometry: lps, acrossAxis: 2)
    #expect(sagittal.name == "sagittal" && sagittal.sides == ["A", "P", "S", "I"])
    #expect(sagittal.columnAxis == 1 && !sagittal.isColumnFlipped)
    // Header axes x, y, z run posterior, superior, left, each off by some degrees.
    let turned = ImageGeometry(
      spacing: [3, 1, 1], origin: [5, 5, 5],
      direction: [0.1, 0, 0.99, 0.99, 0.1, -0.1, -0.1, 0.99, 0])
    #expect(SliceOrientation(geometry: turned, acrossAxis: 0).name == "sagittal")
    #expect(SliceOrientation.axis(named: "axial", of: turned) == 1)
    #expect(SliceOrientation.axis(named: "coronal", of: turned) == 2)
    #expect(SliceOrientation.axis(named: "oblique", of: turned) == nil)
  }

  @Test(
    "A slice is turned: the voxel at the patient's front right comes first in an axial slice of a RAS file")
  func turnedValues() {
    let ras = ImageGeometry(
      spacing: [4, 2, 1], origin: [5, 5, 5], direction: [-1, 0, 0, 0, -1, 0, 0, 0, 1])
    let voxels = NDArray<Float>(shape: [2, 2, 3], elements: (0..<12).map(Float.init))
    let axial = OverlaySlice(geometry: ras, shape: [2, 2, 3], axis: 0, index: 0)
    #expect(axial.values(voxels) == [5, 4, 3, 2, 1, 0])
    #expect(axial.size(fitting: 300, 300) == (225, 300))
    let coronal = OverlaySlice(geometry: ras, shape: [2, 2, 3], axis: 1, index: 1)
    #expect(coronal.values(voxels) == [11, 10, 9, 5, 4, 3])
    #expect(coronal.heightMillimeters == 8 && coronal.widthMillimeters == 3)
  }

  @Test("Pictures and stacks without a place in a patient are left as they are, without sides")
  func pictures() {
    let stack = SliceOrientation(geometry: ImageGeometry(spacing: [1, 1, 1]), acrossAxis: 1)
    #expect(!stack.isRowFlipped && stack.sides == nil && stack.name == "across y")
    let picture = ImageGeometry(spacing: [999, 1, 1], axisCount: 2)
    let figure = OverlayFigure(
      channels: [NDArray<Float>(shape: [1, 8, 9], repeating: 0)], geometry: picture,
      labels: OverlayLabels(entries: []), title: "")
    #expect(figure.slices.map(\.axis) == [0])
    #expect(figure.slices.first?.caption == "9 × 8 pixels")
  }

  @Test("Windows leave out padding, keep bytes, and look at what is labelled in a tomography")
  func windows() {
    let brain = NDArray<Float>(
      shape: [1, 40, 50], elements: (0..<2000).map { $0 < 1200 ? 0 : 300 + Float($0 % 800) })
    let window = DisplayWindow(brain)
    #expect(window.lower >= 300 && window.upper <= 1100 && window.upper > 1000)
    let bytes = NDArray<Float>(shape: [1, 2, 2], elements: [20, 30, 40, 90])
    #expect(DisplayWindow(joint: [bytes, bytes, bytes]) == DisplayWindow(lower: 0, upper: 255))
    let tomography = NDArray<Float>(
      shape: [1, 40, 50], elements: (0..<2000).map { $0 < 1000 ? -1000 : Float($0 % 100) })
    let labels = tomography.map { Int16($0 < 0 ? 0 : 1) }
    #expect(
      DisplayWindow(ct: tomography, labels: labels) == DisplayWindow(lower: 49.5 - 175, upper: 49.5 + 175))
    #expect(DisplayWindow(ct: tomography, labels: nil) == DisplayWindow(lower: -160, upper: 240))
    #expect(DisplayWindow.looksLikeTomography(tomography) && !DisplayWindow.looksLikeTomography(brain))
  }

  @Test("Of nested regions the innermost fills, and an entry for what is ignored is grey")
  func blending() {
    let map = NDArray<Int16>(shape: [1, 1, 4], elements: [0, 1, 2, 9])
    let labels = OverlayLabels(
      reference: map,
      entries: [
        OverlayEntry(labels: [1, 2], text: "whole"), OverlayEntry(labels: [2], text: "core"),
        OverlayEntry(labels: [9], text: "ignore", isIgnored: true),
      ])
    let slice = OverlaySlice(
      geometry: ImageGeometry(spacing: [1, 1, 1]), shape: [1, 1, 4], axis: 0, index: 0)
    let picture = slice.blended(
      [NDArray<Float>(shape: [1, 1, 4], repeating: 0)], window: DisplayWindow(lower: 0, upper: 1), map: map,
      labels: labels)
    let pixels = (0..<4).map { Array(picture.bytes[3 * $0..<3 * $0 + 3]) }
    #expect(pixels[0] == [0, 0, 0])
    // Orange, blue and grey at 85 percent.
    #expect(pixels[1] == [196, 135, 0])
    #expect(pixels[2] == [73, 153, 198])
    #expect(pixels[3] == [150, 156, 162])
  }

  @Test("Many long names stay inside the page: the legend takes more lines")
  func legend() throws {
    let folder = try Goldens.temporaryFolder("figures")
    defer { try? FileManager.default.removeItem(at: folder) }
    func height(_ count: Int) throws -> Int {
      var map = NDArray<Int16>(shape: [1, 8, 8], repeating: 0)
      for label in 0..<count { map.elements[label] = Int16(label + 1) }
      let figure = OverlayFigure(
        channels: [NDArray<Float>(shape: [1, 8, 8], repeating: 0)],
        geometry: ImageGeometry(spacing: [999, 1, 1], axisCount: 2),
        labels: OverlayLabels(
          reference: map,
          names: (1...count).map { (label: $0, text: "a structure with a long name, number \($0)") }),
        title: "x")
      let url = folder.appending(path: "\(count).png")
      try figure.draw(to: url)
      let bytes = [UInt8](try Data(contentsOf: url))
      return bytes[20..<24].reduce(0) { $0 << 8 | Int($1) }
    }
    let (few, many) = (try height(2), try height(40))
    // At most three names fit in a line; a line is 22 points of two pixels.
    #expect((many - few) % 44 == 0 && many - few >= 13 * 44)
  }

  @Test("Slices are spread evenly, and all are taken where there are few")
  func spreading() {
    #expect(spreadIndices(over: 10..<20, count: 5) == [11, 13, 15, 17, 19])
    #expect(spreadIndices(over: 3..<5, count: 6) == [3, 4])
    #expect(spreadIndices(over: 0..<100, count: 2) == [25, 75])
  }
}
