// Checkpoints: what is read, and what is refused.

import Archives
import Foundation
import Reporting
import Tensors
import TestSupport
import Testing

/// Refusals must not cost more than this.
private let refusalTime = Duration.milliseconds(500)

@Suite("PyTorchCheckpoint")
struct PyTorchCheckpointTests {
  static let fixtures = Goldens.repository.appending(path: "Tests/ArchivesTests/Fixtures")
  let folder: URL

  init() throws { folder = try Goldens.temporaryFolder("checkpoint") }

  @Test(
    "A checkpoint and a bare state dictionary give the same weights",
    arguments: ["checkpoint.pth", "state.pth"])
  func weights(file: String) throws {
    let weights = try PyTorchCheckpoint.stateDictionary(of: Self.fixtures.appending(path: file))
    #expect(
      weights.map { String($0.name.prefix(1)) } == ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k"])
    let byName = Dictionary(uniqueKeysWithValues: weights.map { ($0.name, $0.tensor) })
    #expect(byName["a.weight"] == NDArray(shape: [2, 3], elements: [0, 0.25, 0.5, 0.75, 1, 1.25]))
    #expect(byName["b.alias"] == byName["a.weight"])
    let transposed = try #require(byName["c.transposed"])
    #expect(transposed.shape == [6, 4])
    #expect(transposed[1, 0] == 1 && transposed[0, 1] == 6 && transposed[5, 3] == 23)
    #expect(byName["d.slice"]?.elements == [5, 6, 7, 8, 9, 10])
    #expect(byName["e.half"]?.elements == [0.5, -2, Float(Float16(1e-3))])
    #expect(byName["f.bfloat"]?.elements == [1.5, -3.25])
    #expect(byName["g.double"]?.elements == [0.1])
    #expect(byName["h.long"] == NDArray(shape: [], elements: [7]))
    #expect(byName["i.int"]?.elements == [1, -2])
    #expect(byName["j.bool"]?.elements == [1, 0])
    #expect(byName["k.empty"]?.shape == [0, 3])
  }

  @Test("Aliases are left out on request")
  func aliases() throws {
    let url = Self.fixtures.appending(path: "checkpoint.pth")
    let names = try PyTorchCheckpoint.stateDictionary(of: url, aliases: .removed).map(\.name)
    #expect(names.contains("a.weight") && !names.contains("b.alias") && names.contains("d.slice"))
  }

  @Test("The rest of a checkpoint is plain data")
  func tree() throws {
    let root = try PyTorchCheckpoint.read(Self.fixtures.appending(path: "checkpoint.pth")).root
    #expect(root["current_epoch"]?.integer == 3)
    #expect(root["_best_ema"]?.double == 0.75)
    #expect(root["count"]?.integer == -9)
    #expect(root["flag"]?.bool == true)
    #expect(root["grad_scaler_state"]?.isNone == true)
    #expect(root["trainer_name"]?.string == "nnUNetTrainer")
    #expect(root["inference_allowed_mirroring_axes"]?.elements?.compactMap(\.integer) == [0, 1])
    #expect(root["logging"]?["mean_fg_dice"]?.elements?.compactMap(\.double) == [0.25, 0.5])
    #expect(root["init_args"]?["device"]?.string == "cuda:0")
    #expect(root["init_args"]?["plans"]?.json == ["patch_size": [8, 8]])
    #expect(root["optimizer_state"]?["param_groups"]?.elements?.first?["lr"]?.double == 0.01)
    #expect(root["network_weights"]?["a.weight"]?.tensor?.shape == [2, 3])
    #expect(root["network_weights"]?.json == nil)
  }

  @Test(
    "Every golden checkpoint is read", .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func goldens() throws {
    var count = 0
    for root in ["golden/network", "golden/models/results"] {
      let files = FileManager.default.enumerator(at: Goldens.path(root), includingPropertiesForKeys: nil)
      while let url = files?.nextObject() as? URL {
        guard url.pathExtension == "pth" else { continue }
        let weights = try PyTorchCheckpoint.stateDictionary(of: url)
        #expect(weights.count > 20, "\(url.path)")
        #expect(weights.allSatisfy { $0.tensor.elements.allSatisfy(\.isFinite) })
        count += 1
      }
    }
    #expect(count > 20)
  }

  // MARK: Refusals

  func checkpoint(_ pickle: [UInt8], _ members: [(String, [UInt8])] = []) throws -> URL {
    let url = folder.appending(path: "\(UUID().uuidString).pth")
    try ZipWriter.write(to: url) { writer in
      try writer.add("archive/data.pkl", pickle, isCompressed: false)
      for (name, content) in members { try writer.add(name, content, isCompressed: false) }
    }
    return url
  }

  func refusal(_ pickle: [UInt8]) throws -> String? {
    let url = try checkpoint(pickle)
    let start = ContinuousClock.now
    defer { #expect(start.duration(to: .now) < refusalTime) }
    do {
      _ = try PyTorchCheckpoint.read(url)
      return nil
    } catch {
      return error.description
    }
  }

  static let protocol2: [UInt8] = [0x80, 2]

  @Test(
    "A pickle that names code is refused by that name",
    arguments: [
      ("cos\nsystem\nX\u{2}\0\0\0id\u{85}R.", "os.system"),
      ("cbuiltins\neval\nX\u{1}\0\0\0" + "1\u{85}R.", "builtins.eval"),
      ("cposix\nsystem\n.", "posix.system"), ("ctorch\nload\n.", "torch.load"),
      ("ctorch._utils\n_rebuild_tensor\n.", "_rebuild_tensor"),
      ("ccollections\nOrderedDict.x\n.", "OrderedDict.x"),
      ("(ios\nsystem\n.", "'i'"), ("(cos\nsystem\no.", "os.system"), ("(I1\no.", "'I'"), ("Pid\n.", "'P'"),
      ("ccollections\nOrderedDict\n)\u{81}.", "opcode 129"),
    ])
  func code(text: String, name: String) throws {
    let bytes = text.unicodeScalars.map { UInt8($0.value) }
    let message = try #require(try refusal(Self.protocol2 + bytes))
    #expect(message.contains(name), "\(message)")
    #expect(message.contains("never code"))
  }

  @Test("A global named on the stack is checked like any other")
  func stackGlobal() throws {
    var pickle: [UInt8] = [0x80, 4]
    for text in ["os", "system"] { pickle += [0x8C, UInt8(text.utf8.count)] + Array(text.utf8) }
    #expect(try refusal(pickle + [0x93, UInt8(ascii: ".")])?.contains("os.system") == true)
  }

  @Test("Setting the state of other values is refused")
  func build() throws {
    #expect(try refusal(Self.protocol2 + Array("]}b.".utf8)) != nil)
    #expect(try refusal(Self.protocol2 + Array("N}b.".utf8)) != nil)
  }

  @Test("A pickle cut anywhere is refused")
  func truncated() throws {
    let archive = try ZipReader(Self.fixtures.appending(path: "checkpoint.pth"))
    let entry = try #require(archive.entries.first { $0.name.hasSuffix("data.pkl") })
    let pickle = try archive.data(of: entry)
    for cut in stride(from: 0, to: pickle.count, by: 17) {
      #expect(try refusal(Array(pickle.prefix(cut))) != nil, "at \(cut)")
    }
  }

  @Test("Bombs and cycles are refused quickly")
  func bombs() throws {
    let marks = Self.protocol2 + Array(repeating: UInt8(ascii: "("), count: 100_001)
    #expect(try refusal(marks)?.contains("in flight") == true)
    let deep =
      Self.protocol2 + Array(repeating: UInt8(ascii: "]"), count: 50_000)
      + Array(repeating: UInt8(ascii: "a"), count: 49_999) + [UInt8(ascii: ".")]
    #expect(try refusal(deep)?.contains("nested") == true)
    let cycle = Self.protocol2 + Array("]q\0h\0a.".utf8)
    #expect(try refusal(cycle)?.contains("cycle") == true)
    let hugeText = Self.protocol2 + [0x8D] + Array(repeating: 0xFF, count: 7) + [0x7F]
    #expect(try refusal(hugeText)?.contains("more bytes") == true)
    // A hundred doublings: cheap to read, but whoever walks through the values never ends.
    var doubling = Self.protocol2 + Array("]q\0".utf8)
    for i in 0..<100 {
      doubling +=
        Array("](h".utf8) + [UInt8(i)] + Array("h".utf8) + [UInt8(i)] + Array("eq".utf8) + [UInt8(i + 1)]
    }
    #expect(try refusal(doubling + [UInt8(ascii: ".")])?.contains("as often as they appear") == true)
  }

  @Test("A tensor outside its storage is refused")
  func tensorBounds() throws {
    func pickle(count: UInt8, offset: UInt8, shape: UInt8, stride: UInt8) -> [UInt8] {
      Self.protocol2
        + Array(
          "ctorch._utils\n_rebuild_tensor_v2\n((U\u{7}storagectorch\nFloatStorage\nU\u{1}0U\u{3}cpuK".utf8)
        + [count] + Array("tQK".utf8) + [offset] + Array("K".utf8) + [shape, 0x85] + Array("K".utf8) + [
          stride, 0x85, 0x89,
        ]
        + Array("NtR.".utf8)
    }
    #expect(try refusal(pickle(count: 4, offset: 0, shape: 4, stride: 1)) == nil)
    #expect(
      try refusal(pickle(count: 4, offset: 1, shape: 4, stride: 1))?.contains("inside its storage") == true)
    #expect(
      try refusal(pickle(count: 4, offset: 0, shape: 3, stride: 2))?.contains("inside its storage") == true)
    #expect(
      try refusal(pickle(count: 4, offset: 0, shape: 200, stride: 0))?.contains("inside its storage") == true)
    // Storage too short: found when the tensor is read.
    let url = try checkpoint(
      pickle(count: 4, offset: 0, shape: 4, stride: 1), [("archive/data/0", [1, 2, 3])])
    let opened = try PyTorchCheckpoint.read(url)
    let tensor = try #require(opened.root.tensor)
    #expect(throws: Diagnostic.self) { try opened.values(of: tensor) }
  }

  @Test("An old checkpoint and other files are refused with advice")
  func otherFiles() throws {
    let url = folder.appending(path: "old.pth")
    try Data(Self.protocol2 + Array("}.".utf8)).write(to: url)
    let error = #expect(throws: Diagnostic.self) { try PyTorchCheckpoint.read(url) }
    #expect(error?.description.contains("torch.save") == true)
    try Data("hello".utf8).write(to: url)
    #expect(throws: Diagnostic.self) { try PyTorchCheckpoint.read(url) }
  }
}
