// From the machine's table of nodes to a tree of values. Shared nodes are built once; cycles are refused.

import Reporting

struct PickleTreeBuilder {
  let nodes: [PickleNode]
  let source: String
  private var finished: [Int: (value: PickleValue, count: Int)] = [:]
  private var open: Set<Int> = []
  /// Values so far, those that are shared counted as often as they appear.
  private var count = 0

  /// Plans and logs nest less than 20 deep.
  private static let maximumDepth = 200
  /// A few bytes can share a value with itself so often that nobody could walk through the result.
  private static let maximumCount = 5_000_000

  init(nodes: [PickleNode], source: String) {
    self.nodes = nodes
    self.source = source
  }

  mutating func value(of item: PickleItem, depth: Int) throws(Diagnostic) -> PickleValue {
    try grow(by: 1)
    switch item {
    case .none: return PickleValue.none
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(let value): return .string(value)
    case .bytes(let value): return .bytes(value)
    case .mark: throw error("a value", "a mark")
    case .node(let index):
      if let (value, count) = finished[index] {
        try grow(by: count)
        return value
      }
      guard depth < Self.maximumDepth else {
        throw error("at most \(Self.maximumDepth) nested levels", "more")
      }
      guard open.insert(index).inserted else {
        throw error("values that do not contain themselves", "a cycle")
      }
      let start = count
      let value = try container(nodes[index], depth: depth + 1)
      open.remove(index)
      finished[index] = (value, count - start)
      return value
    }
  }

  private mutating func grow(by values: Int) throws(Diagnostic) {
    count += values
    guard count <= Self.maximumCount else {
      throw error("at most \(Self.maximumCount) values, counted as often as they appear", "more")
    }
  }

  private mutating func container(_ node: PickleNode, depth: Int) throws(Diagnostic) -> PickleValue {
    switch node {
    case .list(let items): return .list(try values(items, depth))
    case .tuple(let items): return .tuple(try values(items, depth))
    case .dictionary(let items):
      var pairs: [(PickleValue, PickleValue)] = []
      pairs.reserveCapacity(items.count)
      for (key, value) in items {
        pairs.append((try self.value(of: key, depth: depth), try self.value(of: value, depth: depth)))
      }
      return .dictionary(PickleDictionary(pairs))
    case .tensor(let tensor): return .tensor(tensor)
    case .array(let array):
      guard let array else { throw error("an array's elements", "an array without") }
      return .array(array)
    case .scalarType(let code): return .string(code)
    case .name(let name): return .name(name)
    case .device(let text): return .device(text)
    case .global, .storage: throw error("plain values and tensors", "the name of a class or a bare storage")
    }
  }

  private mutating func values(_ items: [PickleItem], _ depth: Int) throws(Diagnostic) -> [PickleValue] {
    var values: [PickleValue] = []
    values.reserveCapacity(items.count)
    for item in items { values.append(try value(of: item, depth: depth)) }
    return values
  }

  private func error(_ expected: String, _ found: String) -> Diagnostic {
    Diagnostic(
      "refused to read a pickle", at: source, expected: expected, found: found,
      remedy: "use a file that nnU-Net v2 wrote")
  }
}
