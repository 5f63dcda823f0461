// Case properties through JSON and back.

import Archives
import Preprocessing
import Reporting
import Testing
import Volumes

@Suite struct CasePropertiesTests {
  private let properties = CaseProperties(
    spacing: [3, 0.7, 0.8],
    geometry: ImageGeometry(
      spacing: [3, 0.7, 0.8], origin: [-0.0, 20, 7.25],
      nifti: NIfTIOrientation(
        version: 1, dimensionCount: 3, pixdim: [1, 0.8, 0.7, 3], qformCode: 1, sformCode: 0,
        quaternion: [0, 0, 0, 1, 2, 3], srow: Array(repeating: 0.1, count: 12), xyztUnits: 2)),
    shapeBeforeCropping: [10, 20, 30], boundingBox: BoundingBox(lower: [1, 2, 3], upper: [9, 20, 25]))

  @Test("Properties survive the way through text")
  func roundTrip() throws {
    let json = try JSON(parsing: Array(properties.json.text().utf8), source: "test")
    #expect(try CaseProperties(json: json, source: "test") == properties)
    #expect(json["shape_after_cropping_and_before_resampling"]?.integers == [8, 18, 22])
  }

  @Test("A box that ends before it begins is refused")
  func badBox() throws {
    var object = try #require(properties.json.object)
    object["bbox_used_for_cropping"] = [[1, 0], [0, 1], [0, 1]]
    let error = #expect(throws: Diagnostic.self) {
      try CaseProperties(json: .object(object), source: "here.json")
    }
    #expect(error?.location == "here.json")
  }
}
