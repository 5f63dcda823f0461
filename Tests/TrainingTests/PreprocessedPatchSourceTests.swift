// Batches straight from a store of preprocessed cases on disk.

import Augmentation
import Foundation
import Preprocessing
import Reporting
import Tensors
import TestSupport
import Testing
import Training
import Volumes

@Suite struct PreprocessedPatchSourceTests {
  @Test("Patches from a store hold the stored voxels, and unknown cases are refused")
  func storedCases() throws {
    let folder = try Goldens.temporaryFolder("lunette-patch-source")
    defer { try? FileManager.default.removeItem(at: folder) }
    let store = PreprocessedStore(folder: folder)
    let shape = [9, 11, 10]
    let model = MemoryCase(shape: shape)
    let whole = BoundingBox(lower: [0, 0, 0], upper: shape)
    let properties = CaseProperties(
      spacing: [1, 1, 1], geometry: ImageGeometry(spacing: [1, 1, 1]), shapeBeforeCropping: shape,
      boundingBox: whole)
    let locations = ForegroundLocations([
      (.label(1), NDArray(shape: [1, 3], elements: [8, 5, 5])),
      (.label(2), NDArray(shape: [0, 3], elements: [])),
      (.annotated, NDArray(shape: [2, 3], elements: [1, 1, 1, 2, 2, 2])),
    ])
    try store.write(
      PreprocessedArrays(
        data: model.readImage(in: whole), segmentation: model.readSegmentation(in: whole),
        properties: properties,
        foregroundLocations: locations),
      identifier: "case_1", settings: "")

    let source = PreprocessedPatchSource(store, identifiers: ["case_1"])
    #expect(try source.open("case_1").foregroundCandidates.map(\.coversAllAnnotated) == [false, false, true])
    let recipe = try BatchRecipe(
      .validation, from: source, pipeline: .validation(patchSize: [4, 6, 4]), batchSize: 2,
      hasIgnoreLabel: true,
      seed: 3)
    let batch = try recipe.batch(epoch: 0, iteration: 0)
    // The second sample is forced onto the only class with voxels, which lies too close to the end to fit.
    #expect(batch.origins[1].box == BoundingBox(lower: [6, 2, 3], upper: [10, 8, 7]))
    let expected = batch.origins.map { model.readImage(in: $0.box).elements }
    #expect(batch.images.elements == expected.flatMap(\.self))
    #expect(throws: Diagnostic.self) { try source.open("case_2") }
  }
}
