// Every format that is written: voxels and geometry come back, the bytes depend on the content alone.

import Archives
import Foundation
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("Writing every format")
struct FormatWriterTests {
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("format-writer") }

  static let stackEndings = [
    ".nii", ".nii.gz", ".nrrd", ".mha", ".mhd", ".gipl", ".gipl.gz", ".tif", ".tiff", ".npy",
  ]
  /// Formats that keep direction and origin.
  static let fullGeometryEndings: Set = [".nii", ".nii.gz", ".nrrd", ".mha", ".mhd"]

  /// Spacings that single precision holds exactly.
  static let geometry = ImageGeometry(
    spacing: [2.5, 0.75, 0.5], origin: [-10.5, 20.25, 3], direction: [0, 1, 0, -1, 0, 0, 0, 0, 1])

  func labels(maximum: Int) -> Volume<Int16> {
    let elements = (0..<3 * 5 * 7).map { Int16($0 * 7 % (maximum + 1)) }
    return Volume(voxels: NDArray(shape: [3, 5, 7], elements: elements), geometry: Self.geometry)
  }

  @Test("Labels and geometry come back", arguments: stackEndings, [3, 300])
  func labelRoundTrip(ending: String, maximum: Int) throws {
    let url = folder.appending(path: "case" + ending)
    let volume = labels(maximum: maximum)
    try writeLabels(volume, to: url, maximumLabel: maximum)
    let back = try readLabels(url)
    #expect(back.voxels == volume.voxels)
    #expect(back.geometry.spacing == volume.geometry.spacing)
    #expect(try readImageInformation(url).dataType == (maximum < 255 ? .uint8 : .uint16))
    guard Self.fullGeometryEndings.contains(ending) else { return }
    #expect(back.geometry.origin == volume.geometry.origin)
    #expect(zip(back.geometry.direction, volume.geometry.direction).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test("Images come back bit for bit", arguments: stackEndings)
  func imageRoundTrip(ending: String) throws {
    let url = folder.appending(path: "case" + ending)
    let elements = (0..<3 * 5 * 7).map { Float($0) * 0.37 - 12 }
    let volume = Volume(voxels: NDArray(shape: [3, 5, 7], elements: elements), geometry: Self.geometry)
    try writeImage(volume, to: url)
    #expect(try readImage(url).voxels == volume.voxels)
  }

  @Test("The same content gives the same bytes", arguments: stackEndings + [".png", ".bmp"])
  func determinism(ending: String) throws {
    var volume = labels(maximum: 3)
    if ending == ".png" || ending == ".bmp" {
      volume = Volume(
        voxels: NDArray(shape: [1, 15, 7], elements: volume.voxels.elements),
        geometry: ImageGeometry(spacing: [999, 1, 1], axisCount: 2))
    }
    let (a, b) = (folder.appending(path: "a/case" + ending), folder.appending(path: "b/case" + ending))
    try writeLabels(volume, to: a, maximumLabel: 3)
    try writeLabels(volume, to: b, maximumLabel: 3)
    #expect(try Data(contentsOf: a) == Data(contentsOf: b))
    let left = try FileManager.default.contentsOfDirectory(atPath: a.deletingLastPathComponent().path)
    #expect(!left.contains { $0.hasSuffix(".tmp") })
  }

  @Test("A picture stays a picture", arguments: [".png", ".bmp", ".tif", ".npy", ".nrrd", ".mha", ".nii.gz"])
  func pictures(ending: String) throws {
    let elements = (0..<15 * 7).map { Int16($0 % 200) }
    let volume = Volume(
      voxels: NDArray(shape: [1, 15, 7], elements: elements),
      geometry: ImageGeometry(spacing: [999, 1, 1], axisCount: 2))
    let url = folder.appending(path: "case" + ending)
    try writeLabels(volume, to: url, maximumLabel: 199)
    let back = try readLabels(url)
    #expect(back.voxels == volume.voxels)
    #expect(back.geometry.axisCount == 2)
    #expect(back.geometry.spacing == [999, 1, 1])
    #expect(!FileManager.default.fileExists(atPath: folder.appending(path: "case.json").path))
  }

  @Test("Pictures of 16 bits keep labels beyond 255; BMP refuses them")
  func widePictures() throws {
    let volume = Volume(
      voxels: NDArray<Int16>(shape: [1, 1, 3], elements: [0, 255, 700]),
      geometry: ImageGeometry(spacing: [999, 1, 1], axisCount: 2))
    let url = folder.appending(path: "wide.png")
    try writeLabels(volume, to: url, maximumLabel: 700)
    #expect(try readLabels(url).voxels == volume.voxels)
    #expect(throws: ImageFileError.self) {
      try writeLabels(volume, to: folder.appending(path: "wide.bmp"), maximumLabel: 700)
    }
  }

  @Test(
    "What a format cannot hold is refused before a file appears",
    arguments: [".png", ".bmp", ".jpg", ".nhdr", ".hdr"])
  func refusals(ending: String) throws {
    let url = folder.appending(path: "case" + ending)
    #expect(throws: ImageFileError.self) { try writeLabels(labels(maximum: 3), to: url, maximumLabel: 3) }
    #expect(!FileManager.default.fileExists(atPath: url.path))
  }

  @Test(
    "An image that a reader has turned is written back along the axes of its file",
    arguments: [
      ("permuted.nii.gz", ImageReader.nibabelReoriented), ("permuted.nii.gz", .simpleITKReoriented),
      ("permuted.mha", .simpleITKReoriented), ("int16.nrrd", .simpleITKReoriented),
      ("turned.nii", .nibabelReoriented),
    ])
  func turnedBack(file: String, reader: ImageReader) throws {
    let source = ReaderAgreementTests.folder.appending(path: file)
    let plain = try readImage(source)
    let turned = try readImage(source, as: reader)
    let labels = Volume(voxels: turned.voxels.map { Int16($0 > 500 ? 1 : 0) }, geometry: turned.geometry)
    let url = folder.appending(path: file)
    try writeLabels(labels, to: url, maximumLabel: 1)
    let back = try readLabels(url)
    #expect(back.voxels == plain.voxels.map { Int16($0 > 500 ? 1 : 0) })
    #expect(back.geometry.origin == plain.geometry.origin)
    #expect(back.geometry.nifti == plain.geometry.nifti)
    #expect(zip(back.geometry.direction, plain.geometry.direction).allSatisfy { abs($0 - $1) < 1e-12 })
  }

  @Test("Taking a NIfTI file apart keeps type and voxels of each image")
  func splitting() throws {
    let source = ReaderAgreementTests.folder.appending(path: "four.nii.gz")
    let whole = try readChannels(source)
    let parts = try splitNIfTI(source) { folder.appending(path: "part_000\($0).nii.gz") }
    #expect(parts.count == 2)
    let count = whole.voxels.count / 2
    for (index, url) in parts.enumerated() {
      let part = try readImage(url)
      #expect(part.voxels.elements == Array(whole.voxels.elements[(index * count)..<((index + 1) * count)]))
      #expect(
        part.geometry.spacing == whole.geometry.spacing && part.geometry.origin == whole.geometry.origin)
      #expect(try readImageInformation(url).dataType == readImageInformation(source).dataType)
    }
  }

  @Test("A report names format, orientation, labels and oddities")
  func report() throws {
    let url = folder.appending(path: "case.mha")
    try writeLabels(labels(maximum: 3), to: url, maximumLabel: 3)
    let report = try ImageReport(of: url)
    #expect(report.labels == [0, 1, 2, 3])
    #expect(
      report.information.geometry.orientationCode == "APS"
        || report.information.geometry.orientationCode.count == 3)
    #expect(report.text.contains("MetaImage, uint8, zlib") && report.text.contains("3 × 5 × 7"))
    #expect(report.json["spacing"]?.doubles == [2.5, 0.75, 0.5])
    let skewed = try ImageReport(of: ReaderAgreementTests.folder.appending(path: "skew.mha"))
    #expect(skewed.oddities.contains { $0.contains("right angles") })
  }
}
