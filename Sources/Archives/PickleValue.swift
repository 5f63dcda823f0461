// The plain data a pickle may hold here: no objects, no code.

/// A value read from a pickle, or to be written as one.
package indirect enum PickleValue: Sendable {
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case bytes([UInt8])
  case list([PickleValue])
  case tuple([PickleValue])
  case dictionary(PickleDictionary)
  case tensor(PickleTensor)
  case array(PickleArray)
  /// The name of a function or class; it is compared, never looked up or called.
  case name(PickleName)
  /// A `torch.device`, such as "cuda:0".
  case device(String)
}

/// A NumPy array: its elements' bytes, little endian.
package struct PickleArray: Sendable, Equatable {
  package var shape: [Int]
  package var dataType: ElementType
  /// Whether the first axis varies fastest.
  package var isFortranOrder: Bool
  package var bytes: [UInt8]

  package init(shape: [Int], dataType: ElementType, isFortranOrder: Bool = false, bytes: [UInt8]) {
    self.shape = shape
    self.dataType = dataType
    self.isFortranOrder = isFortranOrder
    self.bytes = bytes
  }
}

/// The name of a Python function or class as data.
package struct PickleName: Sendable, Hashable {
  package var module: String
  package var name: String

  package init(module: String, name: String) {
    self.module = module
    self.name = name
  }
}

/// Key-value pairs in the order of the file.
package struct PickleDictionary: Sendable {
  package private(set) var pairs: [(key: PickleValue, value: PickleValue)] = []
  private var indices: [String: Int] = [:]

  /// A later value of the same text key replaces an earlier one.
  package init(_ pairs: [(PickleValue, PickleValue)]) {
    for (key, value) in pairs {
      guard case .string(let text) = key else {
        self.pairs.append((key, value))
        continue
      }
      if let index = indices[text] {
        self.pairs[index].value = value
      } else {
        indices[text] = self.pairs.count
        self.pairs.append((key, value))
      }
    }
  }

  package subscript(key: String) -> PickleValue? { indices[key].map { pairs[$0].value } }

  /// The keys that are texts.
  package var keys: [String] { pairs.compactMap { $0.key.string } }
}

/// A view of a storage inside a checkpoint; its elements are read by ``PyTorchCheckpoint``.
package struct PickleTensor: Sendable, Equatable {
  package var storageKey: String
  package var dataType: ElementType
  /// Elements in the whole storage.
  package var storageCount: Int
  /// The first element's place in the storage.
  package var offset: Int
  package var shape: [Int]
  package var strides: [Int]

  package init(
    storageKey: String, dataType: ElementType, storageCount: Int, offset: Int = 0, shape: [Int],
    strides: [Int]
  ) {
    self.storageKey = storageKey
    self.dataType = dataType
    self.storageCount = storageCount
    self.offset = offset
    self.shape = shape
    self.strides = strides
  }

  package var count: Int { shape.reduce(1, *) }
}

extension PickleValue {
  package subscript(key: String) -> PickleValue? {
    if case .dictionary(let dictionary) = self { dictionary[key] } else { nil }
  }

  /// The text of a string or of a device.
  package var string: String? {
    switch self {
    case .string(let value), .device(let value): value
    default: nil
    }
  }
  package var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  package var integer: Int? { if case .integer(let value) = self { value } else { nil } }
  package var name: PickleName? { if case .name(let value) = self { value } else { nil } }
  package var array: PickleArray? { if case .array(let value) = self { value } else { nil } }
  package var tensor: PickleTensor? { if case .tensor(let value) = self { value } else { nil } }
  package var dictionary: PickleDictionary? { if case .dictionary(let value) = self { value } else { nil } }
  package var isNone: Bool { if case .none = self { true } else { false } }

  /// The value as a double; an integer counts.
  package var double: Double? {
    switch self {
    case .integer(let value): Double(value)
    case .number(let value): value
    default: nil
    }
  }

  /// The elements of a list or a tuple.
  package var elements: [PickleValue]? {
    switch self {
    case .list(let values), .tuple(let values): values
    default: nil
    }
  }

  /// The value as JSON, or nil if it holds bytes, arrays, tensors or names; keys become texts as Python's `json` makes them.
  package var json: JSON? {
    switch self {
    case .none: return .null
    case .bool(let value): return .bool(value)
    case .integer(let value): return .integer(value)
    case .number(let value): return .number(value)
    case .string(let value), .device(let value): return .string(value)
    case .bytes, .array, .tensor, .name: return nil
    case .list(let values), .tuple(let values):
      let converted = values.compactMap(\.json)
      return converted.count == values.count ? .array(converted) : nil
    case .dictionary(let dictionary):
      var object = JSONObject()
      for (key, value) in dictionary.pairs {
        guard let key = key.string ?? key.json?.text(indent: nil), let value = value.json else { return nil }
        object[key] = value
      }
      return .object(object)
    }
  }
}

extension PickleValue {
  /// The same data as Python's `json` would make them; objects are dictionaries.
  package init(_ json: JSON) {
    self =
      switch json {
      case .null: .none
      case .bool(let value): .bool(value)
      case .integer(let value): .integer(value)
      case .number(let value): .number(value)
      case .string(let value): .string(value)
      case .array(let values): .list(values.map { PickleValue($0) })
      case .object(let object):
        .dictionary(PickleDictionary(object.pairs.map { (.string($0.key), PickleValue($0.value)) }))
      }
  }

  /// A dictionary of text keys.
  package static func dictionary(_ pairs: [(String, PickleValue)]) -> PickleValue {
    .dictionary(PickleDictionary(pairs.map { (.string($0.0), $0.1) }))
  }
}
