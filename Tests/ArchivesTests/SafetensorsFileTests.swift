// Safetensors: aligned deterministic files, mapped reading from many threads, and headers that lie.

import Archives
import Foundation
import Reporting
import Synchronization
import Tensors
import TestSupport
import Testing

@Suite("SafetensorsFile")
struct SafetensorsFileTests {
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("safetensors") }

  static let image = NDArray(shape: [1, 3, 5, 7], elements: (0..<105).map { Float($0) * 0.5 })
  static let labels = NDArray(shape: [3, 5, 7], elements: (0..<105).map { Int16($0 % 4) - 1 })

  func write(_ name: String = "case.safetensors") throws -> URL {
    let url = folder.appending(path: name)
    try SafetensorsFile.write(
      [SafetensorsEntry("seg", Self.labels), SafetensorsEntry("data", Self.image)],
      metadata: [("format", "1")],
      to: url)
    return url
  }

  @Test("Tensors and metadata survive a round trip")
  func roundTrip() throws {
    let file = try SafetensorsFile.open(try write())
    #expect(file.metadata == ["format": "1"])
    #expect(file.tensors.map(\.name) == ["data", "seg"])
    #expect(try file.tensor(named: "data").floats() == Self.image)
    #expect(try file.tensor(named: "seg").integers(Int16.self) == Self.labels)
    let error = #expect(throws: Diagnostic.self) { try file.tensor(named: "dat") }
    #expect(error?.description.contains("closest is data") == true)
  }

  @Test("Payloads are aligned and bytes depend on the content alone")
  func layout() throws {
    let file = try SafetensorsFile.open(try write())
    try file.tensor(named: "data").withBytes { #expect(Int(bitPattern: $0.baseAddress) % 64 == 0) }
    try file.tensor(named: "seg").withBytes { #expect(Int(bitPattern: $0.baseAddress) % 2 == 0) }
    #expect(try Data(contentsOf: try write("a")) == Data(contentsOf: try write("b")))
  }

  @Test("Several threads may read one mapping")
  func threads() throws {
    let tensor = try SafetensorsFile.open(try write()).tensor(named: "data")
    let agreeing = Mutex(0)
    parallelFor(32) { _ in
      if tensor.floats() == Self.image { agreeing.withLock { $0 += 1 } }
    }
    #expect(agreeing.withLock { $0 } == 32)
  }

  func open(header: String, payload: Int) throws -> SafetensorsFile {
    let url = folder.appending(path: "hand.safetensors")
    let length = withUnsafeBytes(of: UInt64(header.utf8.count).littleEndian) { Data($0) }
    try (length + Data(header.utf8) + Data(count: payload)).write(to: url)
    return try SafetensorsFile.open(url)
  }

  @Test("A sound header made by hand is read")
  func sound() throws {
    let file = try open(header: #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#, payload: 8)
    #expect(try file.tensor(named: "a").floats().elements == [0, 0])
  }

  @Test(
    "Headers that lie are refused",
    arguments: [
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#,
      #"{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#,
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}"#,
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,16]}}"#,
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#,
      #"{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}"#,
      #"{"a":{"dtype":"U8","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,8]}}"#,
      #"{"a":{"dtype":"F32","shape":[2]}}"#, #"[1]"#, #"{"a":7}"#, "",
    ])
  func lies(header: String) {
    #expect(throws: Diagnostic.self) { try open(header: header, payload: 8) }
  }

  @Test("A file cut anywhere is refused")
  func truncated() throws {
    let bytes = try Data(contentsOf: try write())
    let url = folder.appending(path: "cut.safetensors")
    for cut in stride(from: 0, to: bytes.count, by: 5) {
      try bytes.prefix(cut).write(to: url)
      #expect(throws: Diagnostic.self) { try SafetensorsFile.open(url) }
    }
  }
}
