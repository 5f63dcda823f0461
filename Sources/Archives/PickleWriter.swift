// Plain data as a pickle that Python reads; the counterpart of PickleReader.

/// Writes one value as a pickle.
///
/// - Source: the opcodes of CPython's `pickletools`; persistent identifiers as `torch.save` writes them.
package struct PickleWriter {
  /// Who will read the pickle.
  package enum Form: Sendable {
    /// Python's `pickle.load`: protocol 4, no tensors.
    case plain
    /// The tree of a PyTorch checkpoint: protocol 2, tensors refer to storages beside it.
    case checkpoint
  }

  private let form: Form
  private var bytes: [UInt8]

  private init(_ form: Form) {
    self.form = form
    bytes = [0x80, form == .plain ? 4 : 2]
  }

  /// The pickle of a value; a tensor may only stand in a checkpoint.
  package static func pickle(_ value: PickleValue, as form: Form = .plain) -> [UInt8] {
    var writer = PickleWriter(form)
    writer.write(value)
    writer.operation(".")
    return writer.bytes
  }

  private mutating func write(_ value: PickleValue) {
    switch value {
    case .none: operation("N")
    case .bool(let value): bytes.append(value ? 0x88 : 0x89)
    case .integer(let value): write(value)
    case .number(let value):
      operation("G")
      append(value.bitPattern.bigEndian)
    case .string(let value): write(value)
    case .bytes(let value): write(value)
    case .list(let values):
      operation("]")
      guard !values.isEmpty else { return }
      operation("(")
      for value in values { write(value) }
      operation("e")
    case .tuple(let values): tuple(values)
    case .dictionary(let dictionary):
      operation("}")
      guard !dictionary.pairs.isEmpty else { return }
      operation("(")
      for (key, value) in dictionary.pairs {
        write(key)
        write(value)
      }
      operation("u")
    case .tensor(let tensor): write(tensor)
    case .array(let array): write(array)
    case .name(let name): global(name.module, name.name)
    case .device(let text):
      global("torch", "device")
      tuple(Self.deviceArguments(text), thenCall: true)
    }
  }

  // MARK: Plain values

  private mutating func write(_ value: Int) {
    if let value = UInt8(exactly: value) {
      operation("K")
      bytes.append(value)
    } else if let value = UInt16(exactly: value) {
      operation("M")
      append(value.littleEndian)
    } else if let value = Int32(exactly: value) {
      operation("J")
      append(value.littleEndian)
    } else {
      bytes += [0x8A, 8]
      append(Int64(value).littleEndian)
    }
  }

  private mutating func write(_ value: String) {
    if form == .plain, let count = UInt8(exactly: value.utf8.count) {
      bytes += [0x8C, count]
    } else {
      precondition(value.utf8.count <= UInt32.max, "a text of \(value.utf8.count) bytes")
      operation("X")
      append(UInt32(value.utf8.count).littleEndian)
    }
    bytes += Array(value.utf8)
  }

  private mutating func write(_ value: [UInt8]) {
    precondition(value.count <= UInt32.max, "\(value.count) bytes in one value")
    guard form == .plain else {
      // Protocol 2 has no bytes: they travel as the text of the same code points.
      global("_codecs", "encode")
      let text = String(String.UnicodeScalarView(value.map { UnicodeScalar($0) }))
      return tuple([.string(text), .string("latin1")], thenCall: true)
    }
    if let count = UInt8(exactly: value.count) {
      operation("C")
      bytes.append(count)
    } else {
      operation("B")
      append(UInt32(value.count).littleEndian)
    }
    bytes += value
  }

  private mutating func tuple(_ values: [PickleValue], thenCall: Bool = false) {
    if values.isEmpty {
      operation(")")
    } else {
      if values.count > 3 { operation("(") }
      for value in values { write(value) }
      if values.count > 3 { operation("t") } else { bytes.append(UInt8(0x84 + values.count)) }
    }
    if thenCall { operation("R") }
  }

  private mutating func global(_ module: String, _ name: String) {
    if form == .plain {
      write(module)
      write(name)
      bytes.append(0x93)
    } else {
      operation("c")
      bytes += Array("\(module)\n\(name)\n".utf8)
    }
  }

  private static func deviceArguments(_ text: String) -> [PickleValue] {
    let parts = text.split(separator: ":", maxSplits: 1)
    guard parts.count == 2, let number = Int(parts[1]) else { return [.string(text)] }
    return [.string(String(parts[0])), .integer(number)]
  }

  // MARK: Arrays and tensors

  /// `numpy._core.multiarray._reconstruct(numpy.ndarray, (0,), b"b")`, then its state.
  private mutating func write(_ array: PickleArray) {
    let code = NumPyHeader.codes.first { $0.1 == array.dataType }?.0 ?? "|b1"
    let order = array.dataType.byteCount == 1 ? "|" : "<"
    global("numpy._core.multiarray", "_reconstruct")
    operation("(")
    global("numpy", "ndarray")
    tuple([.integer(0)])
    write([UInt8(ascii: "b")])
    operation("t")
    operation("R")
    operation("(")
    write(1)
    tuple(array.shape.map { .integer($0) })
    global("numpy", "dtype")
    tuple([.string(String(code.dropFirst())), .bool(false), .bool(true)], thenCall: true)
    tuple([.integer(3), .string(order), .none, .none, .none, .integer(-1), .integer(-1), .integer(0)])
    operation("b")
    bytes.append(array.isFortranOrder ? 0x88 : 0x89)
    write(array.bytes)
    operation("t")
    operation("b")
  }

  /// `torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks)`.
  private mutating func write(_ tensor: PickleTensor) {
    precondition(form == .checkpoint, "a tensor outside a checkpoint")
    global("torch._utils", "_rebuild_tensor_v2")
    operation("(")
    operation("(")
    write("storage")
    global("torch", PickleGlobal.storageName(of: tensor.dataType))
    write(tensor.storageKey)
    write("cpu")
    write(tensor.storageCount)
    operation("t")
    operation("Q")
    write(tensor.offset)
    tuple(tensor.shape.map { .integer($0) })
    tuple(tensor.strides.map { .integer($0) })
    bytes.append(0x89)
    global("collections", "OrderedDict")
    operation(")")
    operation("R")
    operation("t")
    operation("R")
  }

  // MARK: Bytes

  private mutating func operation(_ code: Unicode.Scalar) { bytes.append(UInt8(ascii: code)) }

  private mutating func append(_ value: some FixedWidthInteger) {
    withUnsafeBytes(of: value) { bytes += $0 }
  }
}
