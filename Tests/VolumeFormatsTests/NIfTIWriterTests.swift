// Written files: geometry fields bit for bit, deterministic bytes, and the right voxel type.

import Archives
import Foundation
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("NIfTI writer")
struct NIfTIWriterTests {
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("nifti-writer") }

  /// dim, pixdim, xyzt_units, qform_code to srow_z: byte ranges of a NIfTI-1 header.
  static let geometryFields = [40..<56, 76..<108, 123..<124, 252..<328]

  func content(_ url: URL) throws -> [UInt8] {
    let bytes = [UInt8](try Data(contentsOf: url))
    return bytes.withUnsafeBytes(Gzip.isCompressed) ? try Gzip.decompress(bytes) : bytes
  }

  func expectSameGeometryFields(_ a: URL, _ b: URL) throws {
    let (a, b) = (try content(a), try content(b))
    for range in Self.geometryFields { #expect(Array(a[range]) == Array(b[range]), "bytes \(range)") }
  }

  func labels(like image: Volume<Float>) -> Volume<Int16> {
    let elements = image.voxels.elements.indices.map { Int16($0 % 7) }
    return Volume(voxels: NDArray(shape: image.shape, elements: elements), geometry: image.geometry)
  }

  @Test(
    "A prediction carries every golden image's geometry fields bit for bit",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)),
    arguments: [
      "golden/raw/Dataset801_PhantomCT/imagesTr/ct_000_0000.nii.gz",
      "golden/raw/Dataset804_PhantomOblique/imagesTr/ob_000_0000.nii.gz",
      "golden/raw/Dataset804_PhantomOblique/imagesTr/ob_003_0000.nii.gz",
      "data/Dataset004_Hippocampus/imagesTr/hippocampus_003_0000.nii.gz",
    ])
  func goldenGeometry(path: String) throws {
    let source = Goldens.path(path)
    let image = try readImage(source)
    let url = folder.appending(path: "prediction.nii.gz")
    try writeLabels(labels(like: image), to: url, maximumLabel: 6)
    try expectSameGeometryFields(source, url)
    #expect(try readLabels(url).voxels == labels(like: image).voxels)
  }

  @Test("Unusual header fields survive a round trip")
  func unusualFields() throws {
    let table = try #require(
      try JSON(contentsOf: NIfTIReaderTests.fixtures.appending(path: "headers.json")).object)
    var count = 0
    for (name, entry) in table.pairs where !NIfTIReaderTests.refused.contains(name) && !name.hasSuffix("_be")
    {
      let header = try #require(entry["header"])
      // Extents beyond those that dim[0] counts are not kept.
      if ["dim0_lie", "3d_dim4_9", "4d_dim4_0"].contains(name) { continue }
      let source = folder.appending(path: "\(name).nii")
      try Data(HeaderBuilder(header).file).write(to: source)
      let image = try readImage(source)
      let url = folder.appending(path: "\(name)_out.nii.gz")
      try writeLabels(labels(like: image), to: url, maximumLabel: 6)
      try expectSameGeometryFields(source, url)
      #expect(try readImage(url).geometry == image.geometry, "\(name)")
      count += 1
    }
    #expect(count > 50)
  }

  @Test("Labels below 255 take 8 bits, others 16", arguments: [(254, 2), (255, 512), (300, 512)])
  func labelWidth(maximumLabel: Int, datatype: Int) throws {
    let volume = Volume(
      voxels: NDArray<Int16>(shape: [1, 2, 2], elements: [0, 1, 2, Int16(maximumLabel)]),
      geometry: ImageGeometry(spacing: [3, 2, 1]))
    let url = folder.appending(path: "width.nii")
    try writeLabels(volume, to: url, maximumLabel: maximumLabel)
    let bytes = try content(url)
    #expect(Int(bytes[70]) + 256 * Int(bytes[71]) == datatype)
    #expect(try readLabels(url).voxels == volume.voxels)
  }

  @Test("Negative labels are refused")
  func negative() {
    let volume = Volume(
      voxels: NDArray<Int16>(shape: [1, 1, 1], elements: [-1]), geometry: ImageGeometry(spacing: [1, 1, 1]))
    #expect(throws: (any Error).self) {
      try writeLabels(volume, to: folder.appending(path: "negative.nii.gz"), maximumLabel: 3)
    }
  }

  @Test("An image without header fields keeps its geometry")
  func freshGeometry() throws {
    let (c, s) = (cos(0.3), sin(0.3))
    let geometry = ImageGeometry(
      spacing: [2.5, 0.75, 0.5], origin: [10, -20, 30], direction: [c, -s, 0, s, c, 0, 0, 0, 1])
    let volume = Volume(
      voxels: NDArray<Float>(shape: [2, 3, 4], elements: (0..<24).map { Float($0) * 0.37 }),
      geometry: geometry)
    let url = folder.appending(path: "fresh.nii.gz")
    try writeImage(volume, to: url)
    let back = try readImage(url)
    #expect(back.voxels == volume.voxels)
    #expect(back.geometry.spacing == geometry.spacing)
    #expect(back.geometry.origin == geometry.origin)
    // Single-precision header fields.
    for (a, b) in zip(back.geometry.direction, geometry.direction) { #expect(abs(a - b) < 1e-6) }
  }

  @Test("The same content gives the same bytes, without a time stamp")
  func determinism() throws {
    let volume = Volume(
      voxels: NDArray<Int16>(shape: [4, 4, 4], repeating: 1), geometry: ImageGeometry(spacing: [1, 1, 1]))
    let (a, b) = (folder.appending(path: "a.nii.gz"), folder.appending(path: "b.nii.gz"))
    try writeLabels(volume, to: a, maximumLabel: 1)
    try writeLabels(volume, to: b, maximumLabel: 1)
    let bytes = [UInt8](try Data(contentsOf: a))
    #expect(bytes == [UInt8](try Data(contentsOf: b)))
    #expect(bytes[4..<8].allSatisfy { $0 == 0 })
  }

  @Test("An unknown ending is refused")
  func ending() {
    let volume = Volume(
      voxels: NDArray<Float>(shape: [1, 1, 1], repeating: 0), geometry: ImageGeometry(spacing: [1, 1, 1]))
    #expect(throws: ImageFileError.self) { try writeImage(volume, to: folder.appending(path: "image.dcm")) }
  }
}
