// NumPy files: round trips, NumPy's own files, and broken ones.

import Archives
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing

@Suite("NumPyFile")
struct NumPyFileTests {
  static let fixtures = Goldens.repository.appending(path: "Tests/ArchivesTests/Fixtures")
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("numpy") }

  @Test("Arrays survive a round trip", arguments: [[], [5], [2, 3], [2, 0, 4], [1, 2, 3, 4]])
  func roundTrip(shape: [Int]) throws {
    let url = folder.appending(path: "array.npy")
    let count = shape.reduce(1, *)
    let floats = NDArray(shape: shape, elements: (0..<count).map { Float($0) * -0.3 })
    try writeNPY(floats, to: url)
    #expect(try readNPY(url).floats() == floats)
    #expect(try Data(contentsOf: url).count == (count * 4 + 128), "the header is padded to 128 bytes")
    let words = NDArray(shape: shape, elements: (0..<count).map { Int16($0) - 3 })
    try writeNPY(words, to: url)
    #expect(try readNPY(url).int16s() == words)
    #expect(try readNPY(url).dataType == .int16)
  }

  @Test("A mapped file lends its elements, and refuses column order and a wrong length")
  func mapped() throws {
    let url = folder.appending(path: "mapped.npy")
    let words = NDArray(shape: [2, 3, 4], elements: (0..<24).map { Int16($0) - 3 })
    try writeNPY(words, to: url)
    let file = try MappedNumPyFile(url)
    #expect(file.shape == [2, 3, 4] && file.dataType == .int16 && file.byteCount == 48)
    let elements = file.withElements { bytes in
      (0..<24).map { bytes.loadUnaligned(fromByteOffset: 2 * $0, as: Int16.self) }
    }
    #expect(elements == words.elements)
    #expect(throws: Diagnostic.self) { try MappedNumPyFile(Self.fixtures.appending(path: "fortran.npy")) }
    try Data(try Data(contentsOf: url).dropLast()).write(to: url)
    #expect(throws: Diagnostic.self) { try MappedNumPyFile(url) }
  }

  @Test("Column-major files are reordered")
  func fortran() throws {
    let array = try readNPY(Self.fixtures.appending(path: "fortran.npy")).int32s()
    #expect(array == NDArray(shape: [2, 3], elements: [0, 1, 2, 3, 4, 5]))
  }

  @Test("NumPy's compressed and stored archives are read")
  func archives() throws {
    let arrays = try readNPZ(Self.fixtures.appending(path: "arrays.npz"))
    #expect(arrays.keys.sorted() == ["data", "scalar", "seg"])
    #expect(arrays["data"]?.floats() == NDArray(shape: [2, 3, 4], elements: (0..<24).map(Float.init)))
    #expect(try arrays["seg"]?.int16s().elements == [-1, 0, 1, 2, 3, 4])
    #expect(arrays["scalar"]?.doubles() == NDArray(shape: [], elements: [2.5]))
    #expect(
      try readNPZ(Self.fixtures.appending(path: "stored.npz"))["data"]?.uint8s().elements == [0, 1, 2, 3])
  }

  @Test("A written archive is read back and deterministic")
  func writer() throws {
    let (a, b) = (folder.appending(path: "a.npz"), folder.appending(path: "b.npz"))
    let big = NDArray(shape: [40, 50, 60], elements: (0..<120_000).map { Float16($0 % 100) })
    for url in [a, b] {
      try NPZWriter.write(to: url) { writer in
        try writer.add("probabilities", big)
        try writer.add("plain", NDArray<Int64>(shape: [2], elements: [1, -1]), isCompressed: false)
      }
    }
    #expect(try Data(contentsOf: a) == Data(contentsOf: b))
    let arrays = try readNPZ(a)
    #expect(arrays["probabilities"]?.floats() == big.map(Float.init))
    #expect(try arrays["plain"]?.int64s().elements == [1, -1])
  }

  @Test("Values that do not fit are refused, not wrapped")
  func range() throws {
    let url = folder.appending(path: "range.npy")
    try writeNPY(NDArray<Int32>(shape: [2], elements: [1, 40000]), to: url)
    let array = try readNPY(url)
    let error = #expect(throws: Diagnostic.self) { try array.int16s() }
    #expect(error?.description.contains("element 1") == true)
  }

  @Test("A file cut anywhere and other types are refused")
  func broken() throws {
    let url = folder.appending(path: "broken.npy")
    try writeNPY(NDArray<Float>(shape: [3, 4], repeating: 1), to: url)
    let bytes = [UInt8](try Data(contentsOf: url))
    for cut in 0..<bytes.count {
      #expect(throws: Diagnostic.self) { try NumPyArray(npy: Array(bytes.prefix(cut)), source: "cut") }
    }
    for (from, to) in [("<f4", ">f4"), ("<f4", "|O8"), ("(3, 4)", "(3,-4)"), ("(3, 4)", "(9, 9)")] {
      let text = String(decoding: bytes.prefix(128), as: UTF8.self).replacingOccurrences(of: from, with: to)
      let changed = [0x93] + Array(text.utf8.dropFirst(3)) + bytes.dropFirst(128)
      #expect(throws: Diagnostic.self) { try NumPyArray(npy: changed, source: to) }
    }
  }
}
