// Pickles of plain data: written and read back, and the names of functions as data.

import Archives
import Foundation
import Reporting
import TestSupport
import Testing

@Suite("Pickle")
struct PickleTests {
  static let removeComponents = PickleName(
    module: "nnunetv2.postprocessing.remove_connected_components",
    name: "remove_all_but_largest_component_from_segmentation")

  /// One of everything that has a pickle outside a checkpoint.
  static let everything = PickleValue.dictionary(
    PickleDictionary([
      (.string("none"), .none), (.string("flags"), .list([.bool(true), .bool(false)])),
      (
        .string("integers"),
        .list(
          [0, 255, 256, 65535, 65536, -1, Int(Int32.max), Int(Int32.min), 1 << 40, .min].map { .integer($0) })
      ),
      (.string("numbers"), .tuple([.number(0.1), .number(-.infinity), .number(.leastNonzeroMagnitude)])),
      (
        .string("texts"),
        .tuple([.string(""), .string("Grüße\n"), .string(String(repeating: "x", count: 300))])
      ),
      (.integer(3), .bytes([0, 127, 128, 255])), (.string("long"), .bytes(Array(repeating: 200, count: 256))),
      (.string("tuples"), .list((0...5).map { .tuple((0..<$0).map { .integer($0) }) })),
      (.tuple([.integer(1), .integer(2)]), .list([])),
      (.string("empty"), .dictionary(PickleDictionary([]))), (.string("device"), .device("cuda:1")),
    ]))

  @Test("What is written is read back", arguments: [PickleWriter.Form.plain, .checkpoint])
  func roundTrip(form: PickleWriter.Form) throws {
    let pickle = PickleWriter.pickle(Self.everything, as: form)
    let value = try PickleReader.read(pickle, source: "memory")
    #expect(PickleWriter.pickle(value, as: form) == pickle)
    let pairs = try #require(value.dictionary?.pairs)
    let expected = try #require(Self.everything.dictionary?.pairs)
    #expect(pairs.map { String(reflecting: $0.key) } == expected.map { String(reflecting: $0.key) })
    for (pair, other) in zip(pairs, expected) where other.value.dictionary == nil {
      #expect(String(reflecting: pair.value) == String(reflecting: other.value))
    }
    #expect(value["numbers"]?.elements?.last?.double == Double.leastNonzeroMagnitude)
  }

  @Test("A tensor is written as PyTorch writes it")
  func tensor() throws {
    let tensor = PickleTensor(
      storageKey: "17", dataType: .bfloat16, storageCount: 12, offset: 2, shape: [2, 3], strides: [4, 1])
    let pickle = PickleWriter.pickle(.list([.tensor(tensor)]), as: .checkpoint)
    #expect(try PickleReader.read(pickle, source: "memory").elements?.first?.tensor == tensor)
  }

  @Test("A function's name is data where the caller asked for it, and refused elsewhere")
  func names() throws {
    let value = PickleValue.tuple([
      .list([.name(Self.removeComponents)]),
      .list([
        .dictionary(PickleDictionary([(.string("labels_or_regions"), .list([.integer(1), .integer(2)]))]))
      ]),
    ])
    for form in [PickleWriter.Form.plain, .checkpoint] {
      let pickle = PickleWriter.pickle(value, as: form)
      let read = try PickleReader.read(pickle, source: "memory", names: [Self.removeComponents])
      #expect(read.elements?.first?.elements?.first?.name == Self.removeComponents)
      let error = #expect(throws: Diagnostic.self) { try PickleReader.read(pickle, source: "memory") }
      #expect(error?.found?.contains(Self.removeComponents.name) == true)
      var other = Self.removeComponents
      other.name += "s"
      #expect(throws: Diagnostic.self) { try PickleReader.read(pickle, source: "memory", names: [other]) }
    }
  }

  @Test("A name that may be read is never called")
  func calls() throws {
    let call = Array("\u{80}cos\nsystem\nX\u{2}\0\0\0id\u{85}R.".unicodeScalars.map { UInt8($0.value) })
    let pickle = [call[0], 2] + call.dropFirst()
    let system = PickleName(module: "os", name: "system")
    let error = #expect(throws: Diagnostic.self) {
      try PickleReader.read(pickle, source: "memory", names: [system])
    }
    #expect(error?.found?.contains("a call") == true)
  }

  @Test(
    "Golden pickles of predictions and postprocessing are read",
    .enabled(if: Goldens.areAvailable, Comment(rawValue: Goldens.absence)))
  func goldens() throws {
    let files = FileManager.default.enumerator(
      at: Goldens.path("golden/models"), includingPropertiesForKeys: nil)
    var counts = ["properties": 0, "postprocessing": 0]
    while let url = files?.nextObject() as? URL {
      guard url.pathExtension == "pkl" else { continue }
      let value = try PickleReader.read(
        [UInt8](try Data(contentsOf: url)), source: url.path, names: [Self.removeComponents])
      if url.lastPathComponent == "postprocessing.pkl" {
        let steps = try #require(value.elements)
        #expect(steps.count == 2 && steps[0].elements?.count == steps[1].elements?.count)
        #expect(steps[0].elements?.allSatisfy { $0.name == Self.removeComponents } == true)
        #expect(steps[1].elements?.first?["labels_or_regions"]?.elements?.isEmpty == false)
        counts["postprocessing", default: 0] += 1
      } else {
        #expect(value["shape_before_cropping"]?.elements?.count == 3, "\(url.path)")
        for (_, places) in value["class_locations"]?.dictionary?.pairs ?? [] {
          // Rows of channel and place; a label that does not occur has an empty list.
          #expect(
            places.array.map { $0.shape.count == 2 && $0.shape[1] == 4 } ?? places.elements?.isEmpty == true)
        }
        let again = PickleWriter.pickle(value)
        #expect(PickleWriter.pickle(try PickleReader.read(again, source: "memory")) == again)
        counts["properties", default: 0] += 1
      }
    }
    #expect(counts["properties", default: 0] > 10 && counts["postprocessing", default: 0] > 0)
  }
}
