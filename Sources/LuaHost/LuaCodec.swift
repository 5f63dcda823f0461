// Values to and from the flat form in which they cross into C; the tags are described in CLuaShims.h.

import CLuaShims

/// Writes values in their flat form.
struct LuaEncoder {
  private(set) var bytes: [UInt8] = []
  private let objects: LuaObjectTable
  private var path: [ObjectIdentifier] = []

  init(_ objects: LuaObjectTable) { self.objects = objects }

  private mutating func tag(_ tag: Int) { bytes.append(UInt8(truncatingIfNeeded: tag)) }

  private mutating func put(_ value: Int64) { withUnsafeBytes(of: value) { bytes.append(contentsOf: $0) } }

  private mutating func put(_ text: String) {
    tag(NNL_STRING)
    var text = text
    text.withUTF8 { utf8 in
      put(Int64(utf8.count))
      bytes.append(contentsOf: utf8)
    }
  }

  mutating func encode(_ value: LuaValue) {
    switch value {
    case .nil: tag(NNL_NIL)
    case .boolean(let flag): tag(flag ? NNL_TRUE : NNL_FALSE)
    case .integer(let number):
      tag(NNL_INTEGER)
      put(Int64(number))
    case .number(let number):
      tag(NNL_NUMBER)
      put(Int64(bitPattern: number.bitPattern))
    case .string(let text): put(text)
    case .table(let table): encode(table)
    case .function(let function): encode(function)
    case .object(let object): encode(object)
    case .reference(let reference):
      tag(NNL_REFERENCE)
      put(reference.number)
      put(reference.typeName)
    }
  }

  private mutating func encode(_ table: LuaTable) {
    tag(NNL_TABLE)
    put(Int64(table.array.count))
    for value in table.array { encode(value) }
    // Sorted, so that tables are built alike in every run.
    for (key, value) in table.fields.sorted(by: { $0.key < $1.key }) where !value.isNil {
      put(key)
      encode(value)
    }
    for (key, value) in table.others where !key.isNil {
      encode(key)
      encode(value)
    }
    tag(NNL_END)
  }

  private mutating func encode(_ function: LuaFunction) {
    switch function.storage {
    case .native(let native):
      tag(NNL_NATIVE)
      put(objects.key(for: native))
      put(native.name)
    case .reference(let reference):
      tag(NNL_FUNCTION)
      put(reference.number)
      put(0)
    }
  }

  private mutating func encode(_ object: any LuaObject) {
    tag(NNL_OBJECT)
    put(objects.key(for: object))
    put(Int64(object.luaForeignByteCount))
    // An object that is reached again through its own anchors needs none a second time.
    let identity = ObjectIdentifier(object)
    let anchors = path.contains(identity) ? [] : object.luaAnchors
    put(Int64(anchors.count))
    path.append(identity)
    for anchor in anchors { encode(anchor) }
    path.removeLast()
  }
}

/// Reads values from their flat form; C is trusted to have written it whole.
struct LuaDecoder {
  private let bytes: UnsafeRawBufferPointer
  private let objects: LuaObjectTable
  private var at = 0

  init(_ bytes: UnsafeRawBufferPointer, _ objects: LuaObjectTable) {
    self.bytes = bytes
    self.objects = objects
  }

  mutating func decodeAll() throws -> [LuaValue] {
    var values: [LuaValue] = []
    while at < bytes.count { values.append(try decode()) }
    return values
  }

  private mutating func integer() -> Int64 {
    defer { at += 8 }
    return bytes.loadUnaligned(fromByteOffset: at, as: Int64.self)
  }

  private mutating func text() -> String {
    let count = Int(integer())
    defer { at += count }
    return String(decoding: UnsafeRawBufferPointer(rebasing: bytes[at..<at + count]), as: UTF8.self)
  }

  private mutating func decode() throws -> LuaValue {
    let tag = Int(bytes[at])
    at += 1
    switch tag {
    case NNL_FALSE: return .boolean(false)
    case NNL_TRUE: return .boolean(true)
    case NNL_INTEGER: return .integer(Int(integer()))
    case NNL_NUMBER: return .number(Double(bitPattern: UInt64(bitPattern: integer())))
    case NNL_STRING: return .string(text())
    case NNL_TABLE: return .table(try table())
    case NNL_FUNCTION: return function()
    case NNL_OBJECT: return try object()
    case NNL_REFERENCE:
      let number = integer()
      at += 1  // the tag of the type's name
      return .reference(LuaReference(number, typeName: text(), owner: objects))
    default: return .nil
    }
  }

  private mutating func table() throws -> LuaTable {
    let count = Int(integer())
    var table = LuaTable()
    table.array.reserveCapacity(count)
    for _ in 0..<count { table.array.append(try decode()) }
    while Int(bytes[at]) != NNL_END {
      let key = try decode()
      let value = try decode()
      if case .string(let name) = key {
        table.fields[name] = value
      } else {
        table.others.append((key, value))
      }
    }
    at += 1
    return table
  }

  private mutating func function() -> LuaValue {
    let number = integer()
    let key = integer()
    if key != 0, let native = objects.object(for: key) as? LuaNativeFunction {
      return .function(LuaFunction(native))
    }
    return .function(LuaFunction(LuaReference(number, typeName: "function", owner: objects)))
  }

  private mutating func object() throws -> LuaValue {
    let key = integer()
    at += 16  // foreign bytes and the count of anchors, always 0 in this direction
    guard let object = objects.luaObject(for: key) else {
      throw LuaBridgeError("this object was closed")
    }
    return .object(object)
  }
}
