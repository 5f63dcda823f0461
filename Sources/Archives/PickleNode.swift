// The pickle machine's values. Containers live in one table and are named by number, so that values may share and
// refer to each other without deep recursion, whatever a file says.

/// A value on the pickle machine's stack.
enum PickleItem {
  case none
  case bool(Bool)
  case integer(Int)
  case number(Double)
  case string(String)
  case bytes([UInt8])
  /// The number of a node.
  case node(Int)
  case mark
}

/// A container, or one of the few things that known globals make.
enum PickleNode {
  case list([PickleItem])
  case tuple([PickleItem])
  case dictionary([(PickleItem, PickleItem)])
  /// A name that may only be called by the machine itself.
  case global(PickleGlobal)
  /// A name that the caller asked for; nothing can be done with it.
  indirect case name(PickleName)
  case device(String)
  indirect case storage(key: String, type: ElementType, count: Int)
  indirect case tensor(PickleTensor)
  /// A NumPy array, or nil as long as its state is not set.
  indirect case array(PickleArray?)
  /// A NumPy scalar type such as f8.
  case scalarType(String)
}

/// The names that a checkpoint may use; anything else is refused by name.
enum PickleGlobal: Equatable {
  case orderedDictionary
  case rebuildTensor
  case numPyScalar
  case numPyType
  case numPyArray
  case rebuildArray
  case encode
  case device
  case storage(ElementType)

  private static let storages: [String: ElementType] = [
    "FloatStorage": .float32, "DoubleStorage": .float64, "HalfStorage": .float16,
    "BFloat16Storage": .bfloat16,
    "LongStorage": .int64, "IntStorage": .int32, "ShortStorage": .int16, "CharStorage": .int8,
    "ByteStorage": .uint8, "BoolStorage": .bool,
  ]

  /// The name under `torch` of the storage that holds elements of a type.
  static func storageName(of type: ElementType) -> String {
    guard let name = storages.first(where: { $0.value == type })?.key else {
      preconditionFailure("PyTorch has no storage of \(type)")
    }
    return name
  }

  init?(module: String, name: String) {
    switch (module, name) {
    case ("collections", "OrderedDict"): self = .orderedDictionary
    case ("torch._utils", "_rebuild_tensor_v2"): self = .rebuildTensor
    case ("numpy._core.multiarray", "scalar"), ("numpy.core.multiarray", "scalar"): self = .numPyScalar
    case ("numpy", "dtype"): self = .numPyType
    case ("numpy", "ndarray"): self = .numPyArray
    case ("numpy._core.multiarray", "_reconstruct"), ("numpy.core.multiarray", "_reconstruct"):
      self = .rebuildArray
    case ("_codecs", "encode"): self = .encode
    case ("torch", "device"): self = .device
    case ("torch", let name):
      guard let type = Self.storages[name] else { return nil }
      self = .storage(type)
    default: return nil
    }
  }
}
