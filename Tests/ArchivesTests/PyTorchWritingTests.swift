// Checkpoints that are written: read back with every value, laid out as PyTorch does.

import Archives
import Foundation
import Tensors
import TestSupport
import Testing

@Suite("PyTorch writing")
struct PyTorchWritingTests {
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("pytorch") }

  @Test("Tensors, aliases and plain values are read back")
  func roundTrip() throws {
    var storages = PyTorchStorages()
    let weight = NDArray<Float>(shape: [2, 3], elements: [0, 0.25, -0.5, 1e-30, .infinity, 5])
    let shared = storages.add(weight)
    let scalar = storages.addIntegers(NDArray(shape: [], elements: [7]))
    let empty = storages.add(NDArray(shape: [0, 3], elements: []))
    let root = PickleValue.dictionary([
      (
        "network_weights",
        .dictionary([("a", shared), ("alias", shared), ("count", scalar), ("empty", empty)])
      ),
      (
        "init_args",
        .dictionary([("device", .device("cpu")), ("plans", PickleValue(["patch_size": [8, 8.5]]))])
      ),
      ("grad_scaler_state", .none),
    ])
    let url = folder.appending(path: "checkpoint.pth")
    try PyTorchCheckpoint.write(root, storages, to: url)

    let checkpoint = try PyTorchCheckpoint.read(url)
    #expect(checkpoint.root["init_args"]?["device"]?.string == "cpu")
    #expect(checkpoint.root["init_args"]?["plans"]?.json == ["patch_size": [8, 8.5]])
    #expect(checkpoint.root["grad_scaler_state"]?.isNone == true)
    let state = try checkpoint.stateDictionary()
    #expect(state.map(\.name) == ["a", "alias", "count", "empty"])
    #expect(state[0].tensor == weight && state[1].tensor == weight)
    #expect(state[2].tensor == NDArray(shape: [], elements: [7]))
    #expect(state[3].tensor.shape == [0, 3])
    #expect(try checkpoint.stateDictionary(aliases: .removed).map(\.name) == ["a", "count", "empty"])
  }

  @Test("Contents begin at multiples of 64 bytes, whatever the length of names and contents")
  func alignment() throws {
    for length in 0..<70 {
      let url = folder.appending(path: "aligned.zip")
      let name = "archive/" + String(repeating: "n", count: length + 1)
      try ZipWriter.write(to: url) { writer in
        for (i, suffix) in ["a", "b", "c"].enumerated() {
          try Array(repeating: UInt8(i), count: length).withUnsafeBytes {
            try writer.add(name + suffix, [$0], isCompressed: false, alignment: 64)
          }
        }
      }
      let reader = try ZipReader(url)
      for (i, entry) in reader.entries.enumerated() {
        #expect(try reader.data(of: entry) == Array(repeating: UInt8(i), count: length))
        let lengths = reader.file.withBytes { bytes in
          [26, 28].map { Int(bytes[entry.headerOffset + $0]) + Int(bytes[entry.headerOffset + $0 + 1]) << 8 }
        }
        #expect((entry.headerOffset + 30 + lengths[0] + lengths[1]).isMultiple(of: 64), "\(length)")
      }
    }
  }
}
