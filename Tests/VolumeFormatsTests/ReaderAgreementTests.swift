// Files of other programs read as nnU-Net's reader classes read them: shape, spacing, position and every voxel.

import Archives
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

/// One rounding of a length or a product of cosines in double precision.
private let spacingTolerance = 1e-12
/// NIfTI geometry goes through single-precision matrices in ITK.
private let positionTolerance = 1e-6

@Suite("Agreement with nnU-Net's readers")
struct ReaderAgreementTests {
  static let folder = Goldens.repository.appending(path: "Tests/VolumeFormatsTests/Fixtures/formats")

  struct Reading: Sendable, CustomTestStringConvertible {
    var file: String
    var reader: String
    var shape: [Int]
    var spacing: [Double]
    var origin: [Double]?
    var direction: [Double]?
    var voxels: [Double]
    var testDescription: String { "\(file) by \(reader)" }
  }

  static let readings: [Reading] = {
    guard let json = try? JSON(contentsOf: folder.appending(path: "readings.json")) else { return [] }
    return (json["readings"]?.array ?? []).map {
      Reading(
        file: $0["file"]?.string ?? "", reader: $0["reader"]?.string ?? "",
        shape: $0["shape"]?.integers ?? [],
        spacing: $0["spacing"]?.doubles ?? [], origin: $0["origin"]?.doubles,
        direction: $0["direction"]?.doubles, voxels: $0["voxels"]?.doubles ?? [])
    }
  }()

  @Test("The table of readings is there")
  func table() { #expect(Self.readings.count > 100) }

  @Test("A file reads as it does in nnU-Net", arguments: readings)
  func agreement(reading: Reading) throws {
    let reader = try #require(ImageReader(rawValue: reading.reader))
    let image = try readChannels(Self.folder.appending(path: reading.file), as: reader)
    #expect(image.shape == reading.shape)
    expectClose(image.geometry.spacing, reading.spacing, spacingTolerance)
    #expect(image.voxels.elements == reading.voxels.map { Float($0) })
    guard let origin = reading.origin, let direction = reading.direction else { return }
    switch origin.count {
    case 2:
      expectClose(Array(image.geometry.origin.prefix(2)), origin, positionTolerance)
      let d = image.geometry.direction
      expectClose([d[0], d[1], d[3], d[4]], direction, positionTolerance)
      #expect(image.geometry.axisCount == 2)
    case 4:
      expectClose(image.geometry.origin, Array(origin.prefix(3)), positionTolerance)
      let spatial = (0..<3).flatMap { row in (0..<3).map { direction[4 * row + $0] } }
      expectClose(image.geometry.direction, spatial, positionTolerance)
    default:
      expectClose(image.geometry.origin, origin, positionTolerance)
      expectClose(image.geometry.direction, direction, positionTolerance)
    }
  }

  func expectClose(_ a: [Double], _ b: [Double], _ tolerance: Double) {
    #expect(a.count == b.count)
    #expect(zip(a, b).allSatisfy { abs($0 - $1) <= tolerance * max(1, abs($1)) }, "\(a) and \(b)")
  }

  @Test(
    "Each ending gets nnU-Net's reader class",
    arguments: [
      (".png", "grey.png", "NaturalImage2DIO"), (".bmp", "grey.bmp", "NaturalImage2DIO"),
      (".nii.gz", "int16.nii.gz", "SimpleITKIO"), (".nrrd", "int16.nrrd", "SimpleITKIO"),
      (".mha", "int16.mha", "SimpleITKIO"), (".gipl", "int16.gipl", "SimpleITKIO"),
      (".nii", "micron.nii", "NibabelIO"), (".tif", "grey.tif", "NaturalImage2DIO"),
      (".tif", "rgb.tif", "NaturalImage2DIO"), (".tif", "stack.tif", "Tiff3DIO"),
      // nnU-Net takes a stack of three slices for a colour picture.
      (".tif", "three.tif", "NaturalImage2DIO"),
    ])
  func choice(ending: String, file: String, reader: String) throws {
    let example = Self.folder.appending(path: file)
    #expect(
      try ImageReader.chosen(named: nil, fileEnding: ending, example: example)
        == ImageReader(rawValue: reader))
    #expect(
      try ImageReader.chosen(named: "NibabelIOWithReorient", fileEnding: ending, example: example)
        == .nibabelReoriented)
    #expect(
      try ImageReader.chosen(named: "MyOwnIO", fileEnding: ending, example: example)
        == ImageReader(rawValue: reader))
  }

  @Test("An ending that no format has is refused with the endings there are")
  func unknownEnding() {
    let error = #expect(throws: ImageFileError.self) {
      try ImageReader.chosen(named: nil, fileEnding: ".dcm", example: nil)
    }
    #expect(error?.description.contains(".nrrd") == true)
  }

  @Test("A reader refuses the files of another")
  func wrongReader() {
    #expect(throws: ImageFileError.self) {
      try readChannels(Self.folder.appending(path: "grey.png"), as: .nibabel)
    }
    #expect(throws: ImageFileError.self) {
      try readChannels(Self.folder.appending(path: "flat.nii.gz"), as: .nibabel)
    }
  }

  @Test(
    "One channel is asked for, several are refused",
    arguments: ["rgb.png", "four.mha", "table8.png", "rgb.tif"])
  func severalChannels(file: String) {
    let url = Self.folder.appending(path: file)
    #expect(throws: ImageFileError.self) { try readImage(url) }
    #expect(throws: ImageFileError.self) { try readLabels(url) }
  }
}
