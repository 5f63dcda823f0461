// A pickle machine that knows data only: there is no way to call anything that is not spelled out here.

package import Reporting

/// Reads one pickle of protocol 2 to 5.
package struct PickleReader {
  private let bytes: [UInt8]
  let source: String
  private let names: Set<PickleName>
  private var position = 0
  private var stack: [PickleItem] = []
  /// Remembered values by their number; writers number them from 0 without gaps.
  private var memo: [PickleItem] = []
  var nodes: [PickleNode] = []

  /// Checkpoints stay far below these; Python's writer puts at most a thousand values of a container in flight.
  private static let maximumStackDepth = 100_000
  private static let maximumNodeCount = 2_000_000
  private static let maximumMemoCount = 5_000_000

  init(_ bytes: [UInt8], source: String, names: [PickleName] = []) {
    self.bytes = bytes
    self.source = source
    self.names = Set(names)
  }

  /// The value that the pickle describes.
  ///
  /// - Parameters:
  ///   - source: where the bytes come from, for errors.
  ///   - names: functions and classes whose names may appear as data (``PickleValue/name(_:)``); they are never called.
  package static func read(
    _ bytes: [UInt8], source: String, names: [PickleName] = []
  ) throws(Diagnostic) -> PickleValue {
    var reader = PickleReader(bytes, source: source, names: names)
    let item = try reader.run()
    var builder = PickleTreeBuilder(nodes: reader.nodes, source: source)
    return try builder.value(of: item, depth: 0)
  }

  func refuse(_ expected: String, _ found: String) -> Diagnostic {
    Diagnostic(
      "refused to read a pickle", at: "\(source), byte \(position)", expected: expected, found: found,
      remedy: "use a file that nnU-Net v2 wrote; only plain data and tensors are read, never code")
  }

  private mutating func run() throws(Diagnostic) -> PickleItem {
    while true {
      let opcode = try byte()
      if opcode == UInt8(ascii: ".") { return try pop() }
      if try scalar(opcode) { continue }
      if try container(opcode) { continue }
      if try reference(opcode) { continue }
      let name = (0x21...0x7E).contains(opcode) ? " ('\(Character(UnicodeScalar(opcode)))')" : ""
      throw refuse("opcodes that make plain data", "opcode \(opcode)\(name)")
    }
  }

  // MARK: Input

  private mutating func byte() throws(Diagnostic) -> UInt8 {
    guard position < bytes.count else { throw refuse("more data", "the end after \(bytes.count) bytes") }
    defer { position += 1 }
    return bytes[position]
  }

  private mutating func unsigned(_ byteCount: Int) throws(Diagnostic) -> Int {
    var value: UInt64 = 0
    for shift in 0..<byteCount { value |= UInt64(try byte()) << UInt64(8 * shift) }
    guard let result = Int(exactly: value) else { throw refuse("a length below 2^63", "\(value)") }
    return result
  }

  private mutating func take(_ count: Int) throws(Diagnostic) -> [UInt8] {
    guard count <= bytes.count - position else {
      throw refuse("\(count) more bytes", "\(bytes.count - position)")
    }
    defer { position += count }
    return Array(bytes[position..<position + count])
  }

  private mutating func text(_ count: Int) throws(Diagnostic) -> String {
    String(decoding: try take(count), as: UTF8.self)
  }

  private mutating func line() throws(Diagnostic) -> String {
    guard let end = bytes[position...].prefix(1024).firstIndex(of: 0x0A) else {
      throw refuse("a line of text", "none within 1024 bytes")
    }
    defer { position = end + 1 }
    return String(decoding: bytes[position..<end], as: UTF8.self)
  }

  private mutating func longInteger(_ count: Int) throws(Diagnostic) -> Int {
    guard count <= 8 else { throw refuse("an integer of at most 64 bits", "\(count) bytes") }
    let digits = try take(count)
    let isNegative = (digits.last ?? 0) & 0x80 != 0
    return digits.reversed().reduce(isNegative ? -1 : 0) { $0 << 8 | Int($1) }
  }

  // MARK: Stack

  mutating func push(_ item: PickleItem) throws(Diagnostic) {
    guard stack.count < Self.maximumStackDepth else {
      throw refuse("at most \(Self.maximumStackDepth) values in flight", "more")
    }
    stack.append(item)
  }

  mutating func push(_ node: PickleNode) throws(Diagnostic) {
    guard nodes.count < Self.maximumNodeCount else {
      throw refuse("at most \(Self.maximumNodeCount) values", "more")
    }
    nodes.append(node)
    try push(.node(nodes.count - 1))
  }

  private mutating func pop() throws(Diagnostic) -> PickleItem {
    guard let item = stack.popLast() else { throw refuse("a value", "an empty stack") }
    if case .mark = item { throw refuse("a value", "a mark") }
    return item
  }

  private mutating func popToMark() throws(Diagnostic) -> [PickleItem] {
    guard let mark = stack.lastIndex(where: { if case .mark = $0 { true } else { false } }) else {
      throw refuse("a mark", "none")
    }
    let items = Array(stack[(mark + 1)...])
    stack.removeSubrange(mark...)
    return items
  }

  private mutating func popPairs() throws(Diagnostic) -> [(PickleItem, PickleItem)] {
    let items = try popToMark()
    guard items.count.isMultiple(of: 2) else { throw refuse("pairs", "\(items.count) values") }
    return stride(from: 0, to: items.count, by: 2).map { (items[$0], items[$0 + 1]) }
  }

  // MARK: Opcodes

  private mutating func scalar(_ opcode: UInt8) throws(Diagnostic) -> Bool {
    switch opcode {
    case 0x80:
      let version = try byte()
      guard (2...5).contains(version) else { throw refuse("pickle protocol 2 to 5", "\(version)") }
    case 0x95: _ = try take(8)  // FRAME only helps buffered readers
    case UInt8(ascii: "N"): try push(PickleItem.none)
    case 0x88: try push(.bool(true))
    case 0x89: try push(.bool(false))
    case UInt8(ascii: "J"): try push(.integer(Int(Int32(truncatingIfNeeded: try unsigned(4)))))
    case UInt8(ascii: "K"): try push(.integer(try unsigned(1)))
    case UInt8(ascii: "M"): try push(.integer(try unsigned(2)))
    case 0x8A: try push(.integer(try longInteger(try unsigned(1))))
    case 0x8B: try push(.integer(try longInteger(try unsigned(4))))
    case UInt8(ascii: "G"):
      let pattern = try take(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
      try push(.number(Double(bitPattern: pattern)))
    case UInt8(ascii: "X"): try push(.string(try text(try unsigned(4))))
    case 0x8C: try push(.string(try text(try unsigned(1))))
    case 0x8D: try push(.string(try text(try unsigned(8))))
    case UInt8(ascii: "U"): try push(.string(try text(try unsigned(1))))
    case UInt8(ascii: "T"): try push(.string(try text(try unsigned(4))))
    case UInt8(ascii: "C"): try push(.bytes(try take(try unsigned(1))))
    case UInt8(ascii: "B"): try push(.bytes(try take(try unsigned(4))))
    case 0x8E: try push(.bytes(try take(try unsigned(8))))
    default: return false
    }
    return true
  }

  private mutating func container(_ opcode: UInt8) throws(Diagnostic) -> Bool {
    switch opcode {
    case UInt8(ascii: "("): try push(.mark)
    case UInt8(ascii: "0"): _ = try pop()
    case UInt8(ascii: "1"): _ = try popToMark()
    case UInt8(ascii: "]"): try push(.list([]))
    case UInt8(ascii: "}"): try push(.dictionary([]))
    case UInt8(ascii: ")"): try push(.tuple([]))
    case UInt8(ascii: "l"): try push(.list(try popToMark()))
    case UInt8(ascii: "t"): try push(.tuple(try popToMark()))
    case UInt8(ascii: "d"): try push(.dictionary(try popPairs()))
    case 0x85, 0x86, 0x87:
      var items: [PickleItem] = []
      for _ in 0..<(opcode - 0x84) { items.insert(try pop(), at: 0) }
      try push(.tuple(items))
    case UInt8(ascii: "a"): try append([try pop()])
    case UInt8(ascii: "e"): try append(try popToMark())
    case UInt8(ascii: "s"):
      let value = try pop()
      try insert([(try pop(), value)])
    case UInt8(ascii: "u"): try insert(try popPairs())
    default: return false
    }
    return true
  }

  private mutating func reference(_ opcode: UInt8) throws(Diagnostic) -> Bool {
    switch opcode {
    case UInt8(ascii: "h"): try recall(try unsigned(1))
    case UInt8(ascii: "j"): try recall(try unsigned(4))
    case UInt8(ascii: "q"): try remember(try unsigned(1))
    case UInt8(ascii: "r"): try remember(try unsigned(4))
    case 0x94: try remember(memo.count)
    case UInt8(ascii: "c"): try pushGlobal(module: try line(), name: try line())
    case 0x93:
      guard case .string(let name) = try pop(), case .string(let module) = try pop() else {
        throw refuse("the name of a global as two texts", "other values")
      }
      try pushGlobal(module: module, name: name)
    case UInt8(ascii: "Q"): try push(try storage(try pop()))
    case UInt8(ascii: "R"):
      let arguments = try pop()
      try call(try pop(), arguments)
    case UInt8(ascii: "b"):
      let state = try pop()
      try build(state)
    default: return false
    }
    return true
  }

  private mutating func recall(_ index: Int) throws(Diagnostic) {
    guard index < memo.count else { throw refuse("a remembered value", "number \(index), never stored") }
    try push(memo[index])
  }

  private mutating func remember(_ index: Int) throws(Diagnostic) {
    guard let top = stack.last else { throw refuse("a value to remember", "none") }
    guard index <= memo.count, index < Self.maximumMemoCount else {
      throw refuse("values numbered without gaps, at most \(Self.maximumMemoCount)", "number \(index)")
    }
    if index == memo.count { memo.append(top) } else { memo[index] = top }
  }

  private mutating func append(_ items: [PickleItem]) throws(Diagnostic) {
    // Taken out of the table first, so that appending happens in place.
    guard case .node(let index) = stack.last, case .list(var list) = nodes[index] else {
      throw refuse("a list to append to", "another value")
    }
    nodes[index] = .list([])
    list += items
    nodes[index] = .list(list)
  }

  private mutating func insert(_ pairs: [(PickleItem, PickleItem)]) throws(Diagnostic) {
    guard case .node(let index) = stack.last, case .dictionary(var dictionary) = nodes[index] else {
      throw refuse("a dictionary to insert into", "another value")
    }
    nodes[index] = .dictionary([])
    dictionary += pairs
    nodes[index] = .dictionary(dictionary)
  }

  private mutating func pushGlobal(module: String, name: String) throws(Diagnostic) {
    if let global = PickleGlobal(module: module, name: name) { return try push(.global(global)) }
    let name = PickleName(module: module, name: name)
    guard names.contains(name) else {
      throw refuse(
        "only names that this file of nnU-Net needs", "\(module.prefix(80)).\(name.name.prefix(80))")
    }
    try push(.name(name))
  }

  /// Sets the state of the value on top: the byte order of a scalar type; an ordered dictionary's is not needed.
  private mutating func build(_ state: PickleItem) throws(Diagnostic) {
    guard case .node(let index) = stack.last else {
      throw refuse("an object that has a state", "a plain value")
    }
    switch nodes[index] {
    case .dictionary: return
    case .scalarType:
      guard case .node(let tuple) = state, case .tuple(let fields) = nodes[tuple], fields.count > 1,
        case .string(let order) = fields[1], order != ">"
      else { throw refuse("a little-endian scalar type", "another state") }
    case .array(nil): nodes[index] = .array(try array(state))
    default: throw refuse("an object that has a state", "another value")
    }
  }
}
