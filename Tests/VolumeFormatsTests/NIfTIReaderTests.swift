// What readers make of sound files: SimpleITK's answers, and the goldens' geometry.

import Archives
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

/// ITK goes through single-precision matrices.
private let directionTolerance = 1e-6
private let originTolerance = 1e-6
/// One rounding of the scaled value to single precision.
private let voxelTolerance: Float = 1e-6

@Suite("NIfTI reader")
struct NIfTIReaderTests {
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("nifti-reader") }

  static let fixtures = Goldens.repository.appending(path: "Tests/VolumeFormatsTests/Fixtures")

  /// Cases whose fields are not finite or describe no axes: refused here.
  static let refused: Set = [
    "pixdim_nan", "pixdim_inf", "srow_nan", "quat_nan", "qoff_nan", "qoff_inf", "zero_sform", "zero_col",
  ]
  /// Skewed sforms, which ITK refuses and this reader keeps.
  static let skewed: Set = ["skew", "skew_small"]

  func write(_ bytes: [UInt8], _ name: String) throws -> URL {
    let url = folder.appending(path: name)
    try Data(bytes).write(to: url)
    return url
  }

  @Test("Every header of the table gives SimpleITK's geometry and voxels")
  func table() throws {
    let table = try #require(try JSON(contentsOf: Self.fixtures.appending(path: "headers.json")).object)
    #expect(table.count > 60)
    for (name, entry) in table.pairs {
      let url = try write(HeaderBuilder(try #require(entry["header"])).file, "\(name).nii")
      if Self.refused.contains(name) {
        #expect(throws: ImageFileError.self, "\(name)") { try readImage(url) }
        continue
      }
      let image = try readImage(url)
      if Self.skewed.contains(name) {
        let srow = try #require(image.geometry.nifti).srow
        for axis in 0..<3 {
          let length = (0..<3).reduce(0) { $0 + srow[4 * $1 + axis] * srow[4 * $1 + axis] }.squareRoot()
          let cosines = (0..<3).map { srow[4 * $0 + axis] / length * ($0 < 2 ? -1 : 1) }
          let direction = (0..<3).map { image.geometry.direction[3 * $0 + axis] }
          expectClose(direction, cosines, directionTolerance, name)
        }
        continue
      }
      let itk = try #require(entry["itk"], "\(name)")
      if let first = itk["first"]?.doubles {
        for (a, b) in zip(image.voxels.elements, first) {
          #expect(abs(a - Float(b)) <= voxelTolerance * max(1, abs(a)), "\(name)")
        }
      }
      guard let size = itk["size"]?.integers else { continue }
      compare(image, size: size, itk, name)
    }
  }

  func compare(_ image: Volume<Float>, size: [Int], _ itk: JSON, _ name: String) {
    let spacing = itk["spacing"]?.doubles ?? []
    let origin = itk["origin"]?.doubles ?? []
    let direction = itk["direction"]?.doubles ?? []
    if size.count == 2 {
      #expect(image.shape == [1, size[1], size[0]], "\(name)")
      #expect(
        image.geometry.spacing == [999 * max(spacing[0], spacing[1]), spacing[1], spacing[0]], "\(name)")
      let d = image.geometry.direction
      expectClose([d[0], d[1], d[3], d[4]], direction, directionTolerance, name)
      expectClose(Array(image.geometry.origin.prefix(2)), origin, originTolerance, name)
    } else {
      #expect(image.shape == size.reversed(), "\(name)")
      #expect(image.geometry.spacing == spacing.reversed(), "\(name)")
      expectClose(image.geometry.direction, direction, directionTolerance, name)
      expectClose(image.geometry.origin, origin, originTolerance, name)
    }
  }

  func expectClose(_ a: [Double], _ b: [Double], _ tolerance: Double, _ name: String) {
    #expect(a.count == b.count, "\(name)")
    for (x, y) in zip(a, b) { #expect(abs(x - y) <= tolerance * max(1, abs(y)), "\(name): \(a) and \(b)") }
  }

  @Test("The fastest header axis is the last array axis")
  func axisOrder() throws {
    let image = try readImage(try write(HeaderBuilder().file, "order.nii"))
    #expect(image.shape == [2, 3, 4])
    #expect(image.voxels[0, 0, 1] == 6)
    #expect(image.voxels[0, 1, 0] == 21)
    #expect(image.voxels[1, 0, 0] == 61)
  }

  @Test("A byte-swapped file reads like its twin", arguments: [2, 4, 8, 16, 64, 256, 512, 768, 1024, 1280])
  func byteOrder(datatype: Int) throws {
    var builder = HeaderBuilder()
    builder.datatype = datatype
    builder.qform = 1
    builder.qoffset = [1, 2, 3]
    let little = try readImage(try write(builder.file, "little.nii"))
    builder.isBigEndian = true
    let big = try readImage(try write(builder.file, "big.nii"))
    #expect(little.voxels == big.voxels)
    #expect(little.geometry == big.geometry)
    #expect(little.voxels.elements[1] == 6)
  }

  @Test("Labels must be whole numbers")
  func labels() throws {
    var builder = HeaderBuilder()
    builder.qform = 1
    #expect(try readLabels(try write(builder.file, "labels.nii")).voxels.elements[2] == 11)
    builder.slope = 0.3
    let url = try write(builder.file, "scaled.nii")
    let error = #expect(throws: ImageFileError.self) { try readLabels(url) }
    #expect(error?.description.contains("voxel z 0, y 0, x 0") == true)
  }

  @Test("The header alone tells shape and geometry")
  func information() throws {
    let url = try write(try Gzip.compress(HeaderBuilder().file), "information.nii.gz")
    let information = try readImageInformation(url)
    let image = try readImage(url)
    #expect(information.shape == image.shape)
    #expect(information.geometry == image.geometry)
  }

  @Test(
    "The goldens' geometry is reproduced",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func goldens() throws {
    var count = 0
    for (dataset, plans) in [
      ("Dataset801_PhantomCT", "nnUNetPlans_2d"), ("Dataset804_PhantomOblique", "nnUNetPlans_2d"),
    ] {
      let properties = Goldens.path("golden/preprocessed/\(dataset)/\(plans)")
      for url in try FileManager.default.contentsOfDirectory(at: properties, includingPropertiesForKeys: nil)
      where url.pathExtension == "json" {
        let name = url.deletingPathExtension().lastPathComponent
        let image = try readImageInformation(
          Goldens.path("golden/raw/\(dataset)/imagesTr/\(name)_0000.nii.gz"))
        let itk = try #require(try JSON(contentsOf: url)["sitk_stuff"])
        #expect(image.geometry.spacing.reversed() == itk["spacing"]?.doubles)
        expectClose(image.geometry.origin, itk["origin"]?.doubles ?? [], originTolerance, name)
        expectClose(image.geometry.direction, itk["direction"]?.doubles ?? [], directionTolerance, name)
        count += 1
      }
    }
    #expect(count >= 4)
  }
}
