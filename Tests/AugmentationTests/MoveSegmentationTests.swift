// The step that turns a previous stage's labels into image channels.

import Augmentation
import Reporting
import Tensors
import Testing

@Suite struct MoveSegmentationTests {
  private let image = NDArray<Float>(shape: [1, 2, 3], elements: [9, 8, 7, 6, 5, 4])
  private let segmentation = NDArray<Int16>(
    shape: [2, 2, 3], elements: [1, 0, 2, -1, 1, 0] + [0, 2, 2, -1, 1, 0])

  @Test("Every label becomes a channel behind the image, and the target keeps only its own labels")
  func channels() throws {
    let pipeline = AugmentationPipeline.validation(patchSize: [2, 3], previousStageLabels: [1, 2])
    let sample = try pipeline.apply(AugmentationDraw(), image: image, segmentation: segmentation)
    #expect(sample.image.shape == [3, 2, 3])
    #expect(sample.image.elements == [9, 8, 7, 6, 5, 4] + [0, 0, 0, 0, 1, 0] + [0, 1, 1, 0, 0, 0])
    #expect(sample.segmentation.shape == [1, 2, 3])
    #expect(sample.segmentation.elements == [1, 0, 2, 0, 1, 0])
  }

  @Test("The standard steps have it behind the removal of the mask's mark, before regions")
  func order() {
    let pipeline = AugmentationPipeline.standard(
      patchSize: [8, 8], regions: [[1, 2], [2]], supervisionStrides: [[1, 1], [2, 2]],
      previousStageLabels: [1, 2])
    let names = pipeline.steps.map(\.name)
    let place = names.firstIndex(of: "move_seg_as_one_hot")
    #expect(place == names.firstIndex(of: "remove_label").map { $0 + 1 })
    #expect(names.suffix(2) == ["regions", "deep_supervision"])
    #expect(
      !AugmentationPipeline.standard(patchSize: [8, 8]).steps.map(\.name).contains("move_seg_as_one_hot"))
  }

  @Test("Without a second channel the step says that it is for cascades")
  func missing() throws {
    let pipeline = AugmentationPipeline.validation(patchSize: [2, 3], previousStageLabels: [1, 2])
    let single = NDArray<Int16>(shape: [1, 2, 3], repeating: 0)
    let error = #expect(throws: Diagnostic.self) {
      try pipeline.apply(AugmentationDraw(), image: image, segmentation: single)
    }
    #expect(error?.remedy?.contains("cascade") == true)
  }
}
