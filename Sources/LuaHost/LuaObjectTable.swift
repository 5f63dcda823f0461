// The Swift objects that Lua holds, under the keys that Lua's boxes carry; also the far end of every call from C.

import CLuaShims
import Reporting

/// Objects by key, with a count of the boxes that Lua has for each.
final class LuaObjectTable {
  private struct Entry {
    let object: AnyObject
    /// The same as what it is most often asked for; a cast at every access would cost more than the access.
    let luaObject: (any LuaObject)?
    var boxCount = 0

    init(_ object: AnyObject) {
      self.object = object
      luaObject = object as? any LuaObject
    }
  }

  // SAFETY: the state sets it to nil before it goes. A weak reference would make every retain of the state, several in
  // each call from Lua, go through a side table.
  unowned(unsafe) var state: LuaState?
  let cancellation: CancellationFlag
  var write: (String) -> Void = { text in
    var text = text
    text.withUTF8 { nnl_write_stdout($0.baseAddress, $0.count) }
  }
  var warn: (String) -> Void = { text in
    var line = "warning: \(text)\n"
    line.withUTF8 { nnl_write_stderr($0.baseAddress, $0.count) }
  }
  /// The last Swift error that was handed to Lua, to be recognised should it come back.
  var lastError: (message: String, error: any Error)?

  private var entries: [Int64: Entry] = [:]
  private var keys: [ObjectIdentifier: Int64] = [:]
  private var nextKey: Int64 = 1
  /// Keys handed out for a value that C has not boxed yet.
  private var unboxed: [Int64] = []
  private var pinCounts: [Int64: Int] = [:]
  private(set) var unpinned: [Int64] = []

  init(cancellation: CancellationFlag) { self.cancellation = cancellation }

  /// How many Swift objects and functions Lua holds.
  var liveCount: Int { entries.count }

  // MARK: keys

  func key(for object: AnyObject) -> Int64 {
    if let key = keys[ObjectIdentifier(object)] { return key }
    let key = nextKey
    nextKey += 1
    entries[key] = Entry(object)
    keys[ObjectIdentifier(object)] = key
    unboxed.append(key)
    return key
  }

  func object(for key: Int64) -> AnyObject? { entries[key]?.object }
  func luaObject(for key: Int64) -> (any LuaObject)? { entries[key]?.luaObject }

  /// Drops the objects whose box was never made; called when no encoded value is under way.
  func sweepUnboxed() {
    guard !unboxed.isEmpty else { return }
    let candidates = unboxed
    unboxed = []
    for key in candidates where entries[key]?.boxCount == 0 { remove(key) }
  }

  func retain(_ key: Int64) { entries[key]?.boxCount += 1 }

  func release(_ key: Int64) {
    guard let count = entries[key]?.boxCount else { return }
    if count > 1 { entries[key]?.boxCount = count - 1 } else { remove(key) }
  }

  private func remove(_ key: Int64) {
    guard let entry = entries.removeValue(forKey: key) else { return }
    keys[ObjectIdentifier(entry.object)] = nil
  }

  // MARK: pins

  func notePin(_ reference: Int64) { pinCounts[reference, default: 0] += 1 }

  /// Notes a pin that ended; the next entry into Lua passes it on.
  func unpin(_ reference: Int64) {
    let count = (pinCounts[reference] ?? 1) - 1
    pinCounts[reference] = count > 0 ? count : nil
    if count <= 0 { unpinned.append(reference) }
  }

  func takeUnpinned() -> [Int64] {
    defer { unpinned = [] }
    return unpinned.filter { pinCounts[$0] == nil }
  }

  // MARK: calls from C

  /// Answers a call from Lua: decodes, runs the Swift function and encodes what came of it; never raises.
  func answer(_ key: Int64, _ arguments: UnsafeRawBufferPointer, _ results: UnsafeMutablePointer<nnl_buffer>)
    -> Int32
  {
    var encoder = LuaEncoder(self)
    var code: Int32 = 0
    do {
      guard let state else { throw LuaBridgeError("the Lua state is closing") }
      var decoder = LuaDecoder(arguments, self)
      let values = try decoder.decodeAll()
      let answers: [LuaValue]
      if key > 0 {
        guard let native = object(for: key) as? LuaNativeFunction else {
          throw LuaBridgeError("this function of the engine is gone")
        }
        answers = try named(native.name) { try native.body(LuaCall(state: state, arguments: values)) }
      } else {
        answers = try LuaMetamethods.answer(Int(key), values, in: state)
      }
      sweepUnboxed()
      for value in answers { encoder.encode(value) }
    } catch {
      encoder = LuaEncoder(self)
      code = encodeError(error, into: &encoder)
    }
    let isWritten = encoder.bytes.withUnsafeBytes { nnl_append(results, $0.baseAddress, $0.count) == 0 }
    if !isWritten { results.pointee.count = 0 }
    return isWritten ? code : -1
  }

  /// Puts the operation's name before the text of an error that the engine throws.
  private func named<Result>(_ name: String, _ body: () throws -> Result) throws -> Result {
    do { return try body() } catch let error as LuaError {
      throw error
    } catch {
      throw NamedError(name: name, underlying: error)
    }
  }

  private func encodeError(_ error: any Error, into encoder: inout LuaEncoder) -> Int32 {
    if let error = error as? LuaError {
      let isText = error.value.isNil
      if let underlying = error.underlying { lastError = (error.message, underlying) }
      encoder.encode(isText ? .string(error.message) : error.value)
      if !error.traceback.isEmpty { encoder.encode(.string(error.traceback)) }
      return -2
    }
    let text = "\(error)"
    lastError = (text, (error as? NamedError)?.underlying ?? error)
    encoder.encode(.string(text))
    return -1
  }
}

/// An engine error with the name of the operation in front.
private struct NamedError: Error, CustomStringConvertible {
  let name: String
  let underlying: any Error
  var description: String { "\(name): \(underlying)" }
}
