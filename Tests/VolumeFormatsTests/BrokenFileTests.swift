// What readers make of broken files: a verdict in words, never a crash, a hang or a large allocation.

import Archives
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing
import VolumeFormats
import Volumes

@Suite("Broken NIfTI files")
struct BrokenFileTests {
  let folder: URL
  let good: [UInt8]

  init() throws {
    folder = try Goldens.temporaryFolder("nifti-broken")
    var builder = HeaderBuilder()
    builder.dim = [3, 20, 10, 5]
    good = builder.file
  }

  func error(of bytes: [UInt8], _ name: String = "case.nii") throws -> ImageFileError? {
    let url = folder.appending(path: name)
    try Data(bytes).write(to: url)
    do {
      _ = try readImage(url)
      return nil
    } catch let error as ImageFileError {
      return error
    }
  }

  /// A change that breaks a header, and the field its verdict names.
  struct Lie: Sendable, CustomTestStringConvertible {
    var field: String
    var change: @Sendable (inout HeaderBuilder) -> Void
    var testDescription: String { field }
  }

  static let lies: [Lie] = [
    Lie(field: "dim[0]") { $0.dim = [0, 4, 3, 2] }, Lie(field: "dim[0]") { $0.dim = [8, 4, 3, 2] },
    Lie(field: "dim[0]") { $0.dim = [1, 24] }, Lie(field: "dim[0]") { $0.dim = [-3, 4, 3, 2] },
    Lie(field: "dim[2]") { $0.dim = [3, 4, 0, 2] }, Lie(field: "dim[3]") { $0.dim = [3, 4, 3, -2] },
    Lie(field: "bitpix") { $0.bitpix = 8 }, Lie(field: "datatype") { $0.datatype = 0 },
    Lie(field: "datatype") { $0.datatype = 1792 }, Lie(field: "datatype") { $0.datatype = 32 },
    Lie(field: "datatype") { $0.datatype = 1536 }, Lie(field: "datatype") { $0.datatype = 77 },
    Lie(field: "vox_offset") { $0.voxelOffset = .nan },
    Lie(field: "vox_offset") { $0.voxelOffset = .infinity },
    Lie(field: "vox_offset") { $0.voxelOffset = -352 }, Lie(field: "vox_offset") { $0.voxelOffset = 0 },
    Lie(field: "vox_offset") { $0.voxelOffset = 352.5 }, Lie(field: "vox_offset") { $0.voxelOffset = 1e30 },
    Lie(field: "pixdim") { $0.pixdim[2] = .nan }, Lie(field: "magic") { $0.magic = "ni1\0" },
    Lie(field: "srow") {
      $0.sform = 1
      $0.srow[5] = .infinity
    },
    Lie(field: "quatern") {
      $0.qform = 1
      $0.quatern[0] = .nan
    },
  ]

  @Test("A header that lies is refused by the name of its field", arguments: lies)
  func lyingHeader(lie: Lie) throws {
    var builder = HeaderBuilder()
    lie.change(&builder)
    let bytes = builder.header + [UInt8](repeating: 0, count: 4096)
    guard case .badHeader(_, let field, _, _) = try error(of: bytes) else {
      Issue.record("not refused: \(lie.field)")
      return
    }
    #expect(field.contains(lie.field))
    #expect(try error(of: try Gzip.compress(bytes)) != nil)
  }

  @Test("A file of 377 bytes cannot ask for 18 GB", arguments: [false, true])
  func tinyFileHugePromise(isCompressed: Bool) throws {
    var builder = HeaderBuilder()
    builder.dim = [3, 32767, 32767, 9]
    let bytes = Array((builder.header + [UInt8](repeating: 0, count: 25)).prefix(377))
    let start = ContinuousClock.now
    let verdict = try error(of: isCompressed ? try Gzip.compress(bytes) : bytes)
    #expect(start.duration(to: .now) < .milliseconds(500))
    guard case .tooShort(_, let expected, _) = verdict else {
      Issue.record("not refused: \(String(describing: verdict))")
      return
    }
    #expect(expected == 352 + 32767 * 32767 * 9 * 2)
  }

  @Test("Extents whose product overflows are refused in NIfTI-2 too")
  func overflow() throws {
    var bytes = [UInt8](repeating: 0, count: 1000)
    func put<T: FixedWidthInteger>(_ value: T, _ offset: Int) {
      withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(offset..<offset + $0.count, with: $0) }
    }
    put(Int32(540), 0)
    bytes.replaceSubrange(4..<12, with: Array("n+2\0\r\n\u{1A}\n".utf8))
    put(Int16(4), 12)
    put(Int16(16), 14)
    for (i, extent) in [3, Int64(1) << 40, 1 << 40, 2].enumerated() { put(extent, 16 + 8 * i) }
    put(Int64(544), 168)
    guard case .badHeader(_, "dim", _, _) = try error(of: bytes) else {
      Issue.record("not refused")
      return
    }
  }

  @Test("A fourth axis is channels; more axes are refused with their extents")
  func fourAxes() throws {
    var builder = HeaderBuilder()
    builder.dim = [4, 4, 3, 2, 2]
    #expect(
      try error(of: builder.file)
        == .severalChannels(folder.appending(path: "case.nii").path, channelCount: 2))
    #expect(try readChannels(folder.appending(path: "case.nii")).shape == [2, 2, 3, 4])
    builder.dim = [5, 4, 3, 2, 2, 2]
    #expect(try error(of: builder.file)?.description.contains("4×3×2×2×2") == true)
    builder.dim = [5, 4, 3, 2, 1, 1]
    #expect(try error(of: builder.file) == nil)
  }

  @Test("A file cut at any place is refused")
  func truncated() throws {
    let compressed = try Gzip.compress(good)
    for cut in 0..<200 {
      let plain = try error(of: Array(good.prefix(good.count * cut / 200)))
      #expect(plain != nil, "plain at \(cut)")
      let packed = try error(of: Array(compressed.prefix(compressed.count * cut / 200)))
      #expect(packed != nil, "compressed at \(cut)")
    }
    let text = try error(of: Array(compressed.dropLast(200)))?.description ?? ""
    #expect(text.contains("2352 bytes") && text.contains("case.nii") && text.contains("try:"))
    // Only the checksum is missing.
    #expect(try error(of: Array(compressed.dropLast(1))) != nil)
  }

  @Test("A wrong checksum, a second image and garbage are told apart")
  func trailing() throws {
    let compressed = try Gzip.compress(good)
    #expect(try error(of: compressed) == nil)
    var wrong = compressed
    wrong[wrong.count - 6] ^= 1
    guard case .damaged(_, let found) = try error(of: wrong) else {
      Issue.record("wrong checksum accepted")
      return
    }
    #expect(found.contains("incorrect data check"))
    #expect(try error(of: compressed + compressed)?.description.contains("another gzip member") == true)
    #expect(try error(of: compressed + [1, 2, 3])?.description.contains("3 more bytes") == true)
    let halves = try Gzip.compress(Array(good.prefix(999))) + Gzip.compress(Array(good.dropFirst(999)))
    #expect(try error(of: halves) == nil, "block compression makes one image of many members")
  }

  @Test("Flipped bits never crash the reader")
  func flippedBits() throws {
    let compressed = try Gzip.compress(good)
    var refusals = 0
    for i in 0..<min(compressed.count * 8, 300) {
      var bytes = compressed
      bytes[(i * 7) % bytes.count] ^= 1 << UInt8(i % 8)
      if try error(of: bytes) != nil { refusals += 1 }
      var header = good
      header[i % 352] ^= 1 << UInt8(i / 352 * 3 % 8)
      _ = try error(of: header)
    }
    #expect(refusals > 200)
  }

  @Test("A folder, a pipe and a missing file are refused at once")
  func specialFiles() throws {
    let subfolder = folder.appending(path: "folder.nii.gz")
    try createFolder(subfolder)
    #expect(throws: Diagnostic.self) { try readImage(subfolder) }
    #expect(throws: ImageFileError.self) { try readImage(folder) }
    #expect(throws: Diagnostic.self) { try readImage(folder.appending(path: "absent.nii.gz")) }
    let pipe = folder.appending(path: "pipe.nii.gz")
    #expect(mkfifo(pipe.path, 0o600) == 0)
    #expect(throws: Diagnostic.self) { try readImage(pipe) }
  }
}
