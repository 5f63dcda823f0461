// Pickles made to do harm: each is refused, with a reason.

import Archives
import Foundation
import Reporting
import TestSupport
import Testing

@Suite("Hostile pickles")
struct HostilePickleTests {
  /// A pickle as text, one character a byte, and a word of the reason for which it is refused.
  struct Case {
    var name: String
    var text: String
    var reason: String

    var bytes: [UInt8] { ("\u{80}\u{2}" + text).unicodeScalars.map { UInt8($0.value) } }

    init(_ name: String, _ text: String, reason: String) {
      self.name = name
      self.text = text
      self.reason = reason
    }
  }

  private static let deep =
    String(repeating: "]", count: 50_000) + String(repeating: "a", count: 49_999) + "."

  /// A list of the list before twice, sixty times.
  private static let doubling: String = {
    var text = "]q\0"
    for i in 0..<60 {
      let (this, next) = (UnicodeScalar(UInt8(i)), UnicodeScalar(UInt8(i + 1)))
      text += "](h\(this)h\(this)eq\(next)"
    }
    return text + "."
  }()

  private static let array =
    "cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\u{85}C\u{1}b\u{87}R(K\u{1}J\0\0\0\u{7F}\u{85}"
    + "cnumpy\ndtype\nX\u{2}\0\0\0f8\u{89}\u{88}\u{87}R\u{89}C\u{4}abcdtb."

  static let cases: [Case] = [
    Case("calls os.system", "cos\nsystem\nX\u{2}\0\0\0id\u{85}R.", reason: "os.system"),
    Case("reaches into a name", "ctorch._utils\n_rebuild_tensor_v2.__globals__\n.", reason: "__globals__"),
    Case("makes an object", "ccollections\nOrderedDict\n)\u{81}.", reason: "opcode 129"),
    Case("calls a class", "cnumpy\nndarray\n)R.", reason: "a call of a class"),
    Case("contains itself", "]q\0h\0a.", reason: "cycle"),
    Case("nests deeply", deep, reason: "nested"),
    Case("shares a list with itself", doubling, reason: "as often as they appear"),
    Case("piles up marks", String(repeating: "(", count: 100_001), reason: "in flight"),
    Case("piles up lists", String(repeating: "]0", count: 2_000_001), reason: "2000000 values"),
    Case("claims a text of 2 GB", "X\u{FF}\u{FF}\u{FF}\u{7F}abc.", reason: "more bytes"),
    Case("claims an integer of 2 GB", "\u{8B}\u{FF}\u{FF}\u{FF}\u{7F}\u{1}.", reason: "64 bits"),
    Case("remembers at a far place", "Nr\u{FF}\u{FF}\u{FF}\u{7F}.", reason: "without gaps"),
    Case("has an array larger than its bytes", array, reason: "as long as its shape"),
    Case("gives a class", "cnumpy\nndarray\n.", reason: "the name of a class"),
    Case("is not finished", "](K\u{1}", reason: "more data"),
    Case("has nothing to give", ".", reason: "an empty stack"),
  ]

  @Test("A hostile pickle is refused with its reason", arguments: cases.indices)
  func refusal(index: Int) throws {
    let pickle = Self.cases[index]
    let error = #expect(throws: Diagnostic.self, "a pickle that \(pickle.name)") {
      try PickleReader.read(pickle.bytes, source: "memory")
    }
    #expect(error?.description.contains(pickle.reason) == true, "\(error?.description ?? "")")
  }

  @Test("A tree that PyTorch would not compress may not expand without bounds")
  func compressedTree() throws {
    let folder = try Goldens.temporaryFolder("hostile")
    let tree: [UInt8] = [0x80, 2] + [UInt8](repeating: UInt8(ascii: "]"), count: 1 << 25)
    let url = folder.appending(path: "bomb.pth")
    try ZipWriter.write(to: url) { try $0.add("archive/data.pkl", tree) }
    let error = #expect(throws: Diagnostic.self) { try PyTorchCheckpoint.read(url) }
    #expect(error?.expected?.contains("reasonable size") == true)
  }
}
