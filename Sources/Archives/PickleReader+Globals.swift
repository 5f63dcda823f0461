// What the few known globals mean, as data.

import Reporting

extension PickleReader {
  /// The storage that a persistent identifier names; where it lived when it was saved does not matter.
  func storage(_ identifier: PickleItem) throws(Diagnostic) -> PickleNode {
    guard let fields = tuple(identifier), fields.count == 5, case .string("storage") = fields[0],
      case .node(let type) = fields[1], case .global(.storage(let elementType)) = nodes[type],
      case .string(let key) = fields[2], case .integer(let count) = fields[4], count >= 0
    else { throw refuse("a storage's identifier", "another value") }
    guard !key.isEmpty, key.utf8.count <= 64,
      key.utf8.allSatisfy({ ($0 | 0x20) >= 0x61 || (0x30...0x39).contains($0) })
    else { throw refuse("a storage key of letters and digits", key) }
    return .storage(key: key, type: elementType, count: count)
  }

  /// Does what calling `function` with `arguments` would have made.
  mutating func call(_ function: PickleItem, _ arguments: PickleItem) throws(Diagnostic) {
    guard case .node(let index) = function, case .global(let global) = nodes[index],
      let fields = tuple(arguments)
    else { throw refuse("a call of a known name", "a call of another value") }
    switch global {
    case .orderedDictionary: try push(.dictionary(try pairs(fields)))
    case .rebuildTensor: try push(.tensor(try tensor(fields)))
    case .numPyType:
      guard case .string(let code)? = fields.first else {
        throw refuse("a scalar type's code", "another value")
      }
      try push(.scalarType(code))
    case .numPyScalar: try push(try scalar(fields))
    case .encode:
      guard case .string(let text)? = fields.first, fields.count <= 2 else {
        throw refuse("a text", "another value")
      }
      if fields.count == 2 {
        guard case .string(let name) = fields[1], name == "latin1" || name == "latin-1" else {
          throw refuse("a text in latin1", "another encoding")
        }
      }
      let bytes = text.unicodeScalars.compactMap { UInt8(exactly: $0.value) }
      guard bytes.count == text.unicodeScalars.count else {
        throw refuse("a text in latin1", "other characters")
      }
      try push(.bytes(bytes))
    case .device:
      guard case .string(let kind)? = fields.first else { throw refuse("a device", "another value") }
      if fields.count > 1, case .integer(let number) = fields[1] {
        try push(.device("\(kind):\(number)"))
      } else {
        try push(.device(kind))
      }
    case .rebuildArray:
      guard fields.count == 3, case .node(let type) = fields[0], case .global(.numPyArray) = nodes[type]
      else {
        throw refuse("a NumPy array", "another class")
      }
      try push(.array(nil))
    case .storage, .numPyArray:
      throw refuse("a storage by its identifier, a known function", "a call of a class")
    }
  }

  private func tuple(_ item: PickleItem) -> [PickleItem]? {
    if case .node(let index) = item, case .tuple(let fields) = nodes[index] { fields } else { nil }
  }

  /// The pairs that an ordered dictionary is made of.
  private func pairs(_ fields: [PickleItem]) throws(Diagnostic) -> [(PickleItem, PickleItem)] {
    guard let first = fields.first else { return [] }
    guard fields.count == 1, case .node(let index) = first, case .list(let items) = nodes[index] else {
      throw refuse("a list of pairs", "another value")
    }
    var pairs: [(PickleItem, PickleItem)] = []
    for item in items {
      let values: [PickleItem]?
      if case .node(let index) = item, case .list(let list) = nodes[index] {
        values = list
      } else {
        values = tuple(item)
      }
      guard let values, values.count == 2 else { throw refuse("a pair", "another value") }
      pairs.append((values[0], values[1]))
    }
    return pairs
  }

  private func integers(_ item: PickleItem) -> [Int]? {
    guard let fields = tuple(item), fields.count <= 16 else { return nil }
    let values = fields.compactMap { if case .integer(let value) = $0 { value } else { nil } }
    return values.count == fields.count ? values : nil
  }

  private func tensor(_ fields: [PickleItem]) throws(Diagnostic) -> PickleTensor {
    guard fields.count >= 6, case .node(let index) = fields[0],
      case .storage(let key, let type, let count) = nodes[index],
      case .integer(let offset) = fields[1], let shape = integers(fields[2]),
      let strides = integers(fields[3])
    else { throw refuse("a tensor's storage, offset, shape and strides", "other values") }
    guard offset >= 0, shape.count == strides.count, strides.allSatisfy({ $0 >= 0 }),
      let elementCount = checkedElementCount(shape)
    else {
      throw refuse("a tensor inside its storage", "offset \(offset), shape \(shape), strides \(strides)")
    }
    var last = offset
    if elementCount > 0 {
      for (extent, stride) in zip(shape, strides) {
        let (step, overflow) = (extent - 1).multipliedReportingOverflow(by: stride)
        let (sum, overflow2) = last.addingReportingOverflow(step)
        guard !overflow, !overflow2 else { throw refuse("strides inside the storage", "\(strides)") }
        last = sum
      }
    }
    // Repeating elements by strides of zero would let a small file ask for any amount of memory.
    guard elementCount == 0 || last < count, elementCount <= count else {
      throw refuse("a tensor inside its storage of \(count) elements", "shape \(shape), strides \(strides)")
    }
    return PickleTensor(
      storageKey: key, dataType: type, storageCount: count, offset: offset, shape: shape, strides: strides)
  }

  /// A NumPy scalar as a plain number.
  private func scalar(_ fields: [PickleItem]) throws(Diagnostic) -> PickleItem {
    guard fields.count == 2, case .node(let index) = fields[0], case .scalarType(let code) = nodes[index],
      case .bytes(let bytes) = fields[1]
    else { throw refuse("a NumPy number's type and bytes", "other values") }
    guard let type = elementType(code), bytes.count == type.byteCount else {
      throw refuse("a NumPy number", "type \(code) of \(bytes.count) bytes")
    }
    if type == .bool { return .bool(bytes[0] != 0) }
    if type.isInteger {
      let value = bytes.withUnsafeBytes { buffer in
        Result { () throws(Diagnostic) in
          try ElementReader(type, buffer, count: 1).integers(Int.self, source: source)[0]
        }
      }
      return .integer(try value.get())
    }
    return .number(bytes.withUnsafeBytes { ElementReader(type, $0, count: 1).doubles()[0] })
  }

  private func elementType(_ code: String) -> ElementType? {
    let name = code.hasPrefix("<") || code.hasPrefix("|") ? String(code.dropFirst()) : code
    return NumPyHeader.codes.first { $0.0.dropFirst() == name }?.1
  }

  /// The array that a state describes: version, shape, type, order and bytes.
  func array(_ state: PickleItem) throws(Diagnostic) -> PickleArray {
    guard let fields = tuple(state), fields.count == 5, let shape = integers(fields[1]),
      case .node(let type) = fields[2], case .scalarType(let code) = nodes[type],
      case .bool(let isFortranOrder) = fields[3], case .bytes(let bytes) = fields[4]
    else { throw refuse("a NumPy array's shape, type and bytes", "other values") }
    guard let type = elementType(code), let count = checkedElementCount(shape),
      case let (size, overflow) = count.multipliedReportingOverflow(by: type.byteCount), !overflow,
      size == bytes.count
    else {
      throw refuse("an array of numbers as long as its shape", "type \(code), \(shape), \(bytes.count) bytes")
    }
    return PickleArray(shape: shape, dataType: type, isFortranOrder: isFortranOrder, bytes: bytes)
  }
}
