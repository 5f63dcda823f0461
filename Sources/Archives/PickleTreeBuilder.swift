// From the machine's table of nodes to a tree of values. Shared nodes are built once; cycles are refused.

import Reporting

struct PickleTreeBuilder {
  let nodes: [PickleNode]
  let source: String
  private var finished: [Int: PickleValue] = [:]
  private var open: Set<Int> = []

  /// Plans and logs nest less than 20 deep.
  private static let maximumDepth = 200

  init(nodes: [PickleNode], source: String) {
    self.nodes = nodes
    self.source = source
  }

  mutating func value(of item: PickleItem, depth: Int) throws(Diagnostic) -> PickleValue {
    switch item {
    case .none: return PickleValue.none
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(let value): return .string(value)
    case .bytes(let value): return .bytes(value)
    case .mark: throw error("a value", "a mark")
    case .node(let index):
      if let value = finished[index] { return value }
      guard depth < Self.maximumDepth else {
        throw error("at most \(Self.maximumDepth) nested levels", "more")
      }
      guard open.insert(index).inserted else {
        throw error("values that do not contain themselves", "a cycle")
      }
      let value = try container(nodes[index], depth: depth + 1)
      open.remove(index)
      finished[index] = value
      return value
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
    case .scalarType(let code): return .string(code)
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
      "refused to read a checkpoint", at: source, expected: expected, found: found,
      remedy: "use a checkpoint that nnU-Net v2 wrote")
  }
}
