// dataset.json: what is read, and what is refused with which words.

import Archives
import Datasets
import Foundation
import Reporting
import Testing

@Suite("DatasetDescription")
struct DatasetDescriptionTests {
  private func read(_ text: String) throws -> DatasetDescription {
    try DatasetDescription(json: JSON(parsing: text, source: "test"), source: "test")
  }

  @Test("Channels, labels, regions and the ignore label are read")
  func complete() throws {
    let description = try read(
      """
      {"channel_names": {"0": "T1", "1": "CT"},
       "labels": {"background": 0, "whole": [1, 2], "core": [2], "ignore": 3}, "regions_class_order": [1, 2],
       "numTraining": 5, "file_ending": ".nii.gz", "overwrite_image_reader_writer": "None", "name": "x"}
      """)
    #expect(description.channelNames == ["T1", "CT"])
    #expect(description.labels.foregroundRegions == [.region([1, 2]), .region([2])])
    #expect(description.labels.ignoreLabel == 3)
    #expect(description.labels.outputChannelCount == 2)
    #expect(description.trainingCaseCount == 5)
    #expect(description.readerWriter == nil)
    #expect(description.listedCases == nil)
  }

  @Test("The old key for channel names is understood")
  func modality() throws {
    let description = try read(
      #"{"modality": {"0": "MRI"}, "labels": {"background": 0, "a": 1}, "numTraining": 1, "file_ending": ".nii"}"#
    )
    #expect(description.channelNames == ["MRI"])
  }

  @Test(
    "What is missing or malformed is named",
    arguments: [
      (#"[]"#, "an object at the top level"),
      (#"{"labels": {"background": 0}, "numTraining": 1, "file_ending": ".nii"}"#, "channel_names"),
      (#"{"channel_names": {"0": "a"}, "numTraining": 1, "file_ending": ".nii"}"#, "\"labels\""),
      (
        #"{"channel_names": {"0": "a"}, "labels": {"0": "background"}, "numTraining": 1, "file_ending": ".nii"}"#,
        "swap keys and values"
      ),
      (#"{"channel_names": {"0": "a"}, "labels": {"background": 0}, "file_ending": ".nii"}"#, "numTraining"),
      (#"{"channel_names": {"0": "a"}, "labels": {"background": 0}, "numTraining": 1}"#, "file_ending"),
      (
        #"{"channel_names": {"0": "a"}, "labels": {"background": 0, "r": [1, 2]}, "numTraining": 1, "file_ending": ".n"}"#,
        "regions_class_order"
      ),
      (
        #"{"channel_names": {"0": "a"}, "labels": {"background": 0}, "numTraining": 1, "file_ending": ".n", "dataset": {"x": 1}}"#,
        "the case \"x\""
      ),
    ])
  func refusals(text: String, mention: String) {
    #expect { try read(text) } throws: { "\($0)".contains(mention) }
  }

  @Test("Other labels for the regions are checked, and the maps they make are described")
  func painting() throws {
    let description = try read(
      """
      {"channel_names": {"0": "T1"},
       "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4},
       "regions_class_order": [1, 2, 3], "numTraining": 5, "file_ending": ".nii.gz"}
      """)
    #expect(try description.describingPaintedMaps() == description)
    let painted = try description.paintingRegions(in: [30, 20, 10]).describingPaintedMaps().labels
    #expect(painted.foregroundRegions == [.region([30, 20, 10]), .region([20, 10]), .region([10])])
    #expect(painted.regionsClassOrder == [30, 20, 10])
    for order in [[1, 2], [1, 2, 2], [0, 1, 2], [1, 2, 300]] {
      let error = #expect(throws: Diagnostic.self) { try description.paintingRegions(in: order) }
      #expect(error?.failure.contains("order of the model's regions") == true)
    }
  }
}
