// The cascade's hand-over: written, read in boxes, and turned into channels.

import Datasets
import Foundation
import Preprocessing
import Reporting
import Tensors
import TestSupport
import Testing
import Volumes

@Suite struct PreviousStageTests {
  private let labels = NDArray<Int16>(shape: [2, 2, 3], elements: [0, 1, 2, -1, 1, 0, 2, 2, 0, 0, 1, 1])

  @Test("A prediction is read back in boxes, background beyond its borders")
  func boxes() throws {
    let folder = try Goldens.temporaryFolder()
    let store = PreviousStageStore(modelFolder: folder, nextConfiguration: "3d_cascade_fullres")
    #expect(store.folder.path.hasSuffix("predicted_next_stage/3d_cascade_fullres.lunette"))
    try store.write(labels, identifier: "c0")
    #expect(store.identifiers() == ["c0"])
    let opened = try store.open("c0", shape: [2, 2, 3])
    #expect(opened.read(box: BoundingBox(lower: [0, 0, 0], upper: [2, 2, 3])) == labels)
    let part = opened.read(box: BoundingBox(lower: [1, 1, 1], upper: [2, 3, 4]))
    #expect(part.shape == [1, 2, 3])
    #expect(part.elements == [1, 1, 0, 0, 0, 0])
  }

  @Test("A missing prediction, or one of another shape, is a clear error")
  func misfits() throws {
    let store = PreviousStageStore(folder: try Goldens.temporaryFolder())
    #expect { try store.open("c0", shape: [2, 2, 3]) } throws: { "\($0)".contains("no prediction") }
    try store.write(labels, identifier: "c0")
    #expect { try store.open("c0", shape: [2, 3, 3]) } throws: { "\($0)".contains("[2, 3, 3]") }
  }

  @Test("Every foreground label becomes a channel; what lies outside is in none")
  func channels() {
    let result = oneHot(labels, foreground: [1, 2])
    #expect(result.shape == [2, 2, 2, 3])
    #expect(result.elements[..<12] == [0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1, 1])
    #expect(result.elements[12...] == [0, 0, 1, 0, 0, 0, 1, 1, 0, 0, 0, 0])
  }
}
