// One Lua state, owned by the thread that made it. Everything it does goes through one protected entry in C.

import CLuaShims
package import Reporting
import Synchronization

/// A Lua state and the Swift objects that its code holds.
package final class LuaState {
  private var context: OpaquePointer?
  private let objects: LuaObjectTable
  /// What this state's code may reach.
  package let sandbox: SandboxLevel
  /// Stops the state from other threads.
  package let interrupter = LuaInterrupter()
  private var entryCount = 0
  /// Whatever the host wants to find again from a state, such as its session.
  package var attachment: AnyObject?

  /// - Throws: ``LuaError`` when memory is too short for a state.
  package init(sandbox: SandboxLevel = .full, memoryLimit: Int? = nil) throws {
    self.sandbox = sandbox
    objects = LuaObjectTable(cancellation: CancellationFlag())
    var host = Self.callbacks
    host.host = Unmanaged.passRetained(objects).toOpaque()
    // The libraries come first, without a limit: the limit is for the scripts.
    guard let context = nnl_create(&host, 0) else {
      Unmanaged.passUnretained(objects).release()
      throw LuaError(.outOfMemory, "not enough memory for a Lua state")
    }
    self.context = context
    interrupter.attach(context)
    objects.state = self
    try prune()
    nnl_set_memory_limit(context, memoryLimit ?? sandbox.memoryLimit)
  }

  deinit {
    objects.state = nil
    close()
  }

  /// Runs the finalizers that are left and frees the state; what was made from it is dead afterwards.
  package func close() {
    guard let context else { return }
    interrupter.detach()
    self.context = nil
    nnl_close(context)
    Unmanaged.passUnretained(objects).release()
  }

  private func prune() throws {
    guard let globals = sandbox.globals else { return }
    let allowed = globals.mapValues { $0.isEmpty ? LuaValue.boolean(true) : .array($0) }
    _ = try run(
      SandboxLevel.pruner, named: "=sandbox", arguments: [.fields(allowed), .boolean(sandbox.locksStrings)])
  }

  // MARK: measures

  /// Bytes in use by Lua itself.
  package var memoryInUse: Int { context.map { nnl_memory_used($0) } ?? 0 }
  /// Bytes of Swift memory behind the objects that Lua holds.
  package var foreignByteCount: Int { context.map { nnl_foreign_bytes($0) } ?? 0 }
  /// Swift objects and functions that Lua holds.
  package var liveObjectCount: Int { objects.liveCount }
  /// Set as soon as the state is interrupted, for the engine to poll; cleared when the next evaluation starts.
  package var cancellation: CancellationFlag { objects.cancellation }

  /// Sets how many bytes Lua may use from now on; 0 for no limit.
  package func limitMemory(to byteCount: Int) { if let context { nnl_set_memory_limit(context, byteCount) } }

  /// The largest string that one library call may build, in bytes.
  package func limitStrings(to byteCount: Int) { if let context { nnl_set_string_limit(context, byteCount) } }

  // MARK: output

  /// Receives what `print` writes, with its line end.
  package func redirectOutput(_ write: @escaping (String) -> Void) { objects.write = write }
  package func redirectWarnings(_ warn: @escaping (String) -> Void) { objects.warn = warn }

  // MARK: interrupts

  /// Lets Ctrl-C stop this state's evaluations; at most one state at a time.
  package func watchControlC() { nnl_watch_ctrl_c(context) }
  package static func ignoreControlC() { nnl_watch_ctrl_c(nil) }
  package var isInterrupted: Bool { context.map { nnl_is_interrupted($0) != 0 } ?? false }
  /// Forgets an interrupt that came while nothing ran.
  package func clearInterrupt() {
    if let context { nnl_clear_interrupt(context) }
    objects.cancellation.reset()
  }

  // MARK: operations

  /// Runs source text and gives its results, or those of `finisher` called with them.
  /// - Parameters:
  ///   - source: The text of the chunk.
  ///   - name: `@path` for a file, `=text` for a name shown as it is.
  ///   - arguments: The values of `...`.
  ///   - keepsLocals: Whether top-level locals become globals, also after an error.
  ///   - finisher: Called with the chunk's results while they are still in Lua.
  /// - Returns: The results.
  /// - Throws: ``LuaError``.
  package func run(
    _ source: String, named name: String, arguments: [LuaValue] = [], keepsLocals: Bool = false,
    finisher: LuaValue = .nil
  ) throws -> [LuaValue] {
    let flags = keepsLocals ? NNL_KEEP_LOCALS : 0
    return try perform(NNL_RUN, [.string(source), .string(name), .integer(flags), finisher] + arguments)
  }

  /// Checks the syntax of source text without running it.
  /// - Throws: ``LuaError`` of kind `syntax`.
  package func compile(_ source: String, named name: String) throws {
    _ = try perform(NNL_COMPILE, [.string(source), .string(name)])
  }

  package func call(_ function: LuaValue, _ arguments: [LuaValue] = []) throws -> [LuaValue] {
    try perform(NNL_CALL, [function] + arguments)
  }

  /// The value of a global; tables come as references.
  package func global(_ name: String) throws -> LuaValue { try get(.nil, .string(name)) }
  package func setGlobal(_ name: String, _ value: LuaValue) throws { try set(.nil, .string(name), value) }

  /// The field of a table or object, with metamethods.
  ///
  /// Tables come as references. A nil container is the globals.
  package func get(_ container: LuaValue, _ key: LuaValue) throws -> LuaValue {
    try perform(NNL_GET, [container, key]).first ?? .nil
  }

  package func set(_ container: LuaValue, _ key: LuaValue, _ value: LuaValue) throws {
    _ = try perform(NNL_SET, [container, key, value])
  }

  /// The keys of a table, in no order; none for other values.
  ///
  /// A nil container is the globals.
  package func keys(_ container: LuaValue) throws -> [LuaValue] { try perform(NNL_KEYS, [container]) }

  /// What `tostring` says of a value.
  package func describe(_ value: LuaValue) throws -> String {
    try perform(NNL_DESCRIBE, [value]).first?.string ?? ""
  }

  /// Where a Lua function was written, and the values that it closes over.
  package func information(on function: LuaFunction) throws -> LuaFunctionInformation {
    let values = try perform(NNL_FUNCTION_INFO, [.function(function)])
    return LuaFunctionInformation(
      source: values[0].string ?? "", shortSource: values[1].string ?? "", firstLine: values[2].integer ?? -1,
      lastLine: values[3].integer ?? -1, upvalues: values[4].table?.fields ?? [:])
  }

  /// Keeps a Lua value alive for as long as the answered handle.
  package func pin(_ value: LuaValue) throws -> LuaValue {
    let reference: LuaReference
    switch value {
    case .reference(let handle): reference = handle
    case .function(let function):
      guard case .reference(let handle) = function.storage else { return value }
      reference = handle
    default: return value
    }
    _ = try perform(NNL_PIN, [value])
    reference.markPinned()
    return value
  }

  /// Collects all garbage and runs the finalizers that became due.
  package func collectGarbage() throws { _ = try perform(NNL_COLLECT, []) }

  // MARK: the entry

  private func perform(_ operation: Int, _ arguments: [LuaValue]) throws -> [LuaValue] {
    guard let context else { throw LuaError(.runtime, "the Lua state is closed") }
    if entryCount == 0 && nnl_is_interrupted(context) == 0 { objects.cancellation.reset() }
    try passOnUnpinned(context)
    objects.sweepUnboxed()
    var encoder = LuaEncoder(objects)
    for argument in arguments { encoder.encode(argument) }
    var results = nnl_buffer()
    defer { nnl_free(&results) }
    entryCount += 1
    let status = encoder.bytes.withUnsafeBufferPointer {
      nnl_perform(context, Int32(operation), $0.baseAddress, $0.count, &results)
    }
    entryCount -= 1
    precondition(Int(status) != NNL_WRONG_THREAD, "a Lua state was used from a thread that does not own it")
    var decoder = LuaDecoder(UnsafeRawBufferPointer(start: results.bytes, count: results.count), objects)
    let values = try decoder.decodeAll()
    if Int(status) == NNL_OK { return values }
    throw error(Int(status), values)
  }

  private func passOnUnpinned(_ context: OpaquePointer) throws {
    guard !objects.unpinned.isEmpty else { return }
    var encoder = LuaEncoder(objects)
    for reference in objects.takeUnpinned() { encoder.encode(.integer(Int(reference))) }
    var results = nnl_buffer()
    defer { nnl_free(&results) }
    encoder.bytes.withUnsafeBufferPointer {
      _ = nnl_perform(context, Int32(NNL_UNPIN), $0.baseAddress, $0.count, &results)
    }
  }

  private func error(_ status: Int, _ values: [LuaValue]) -> LuaError {
    let kind: LuaError.Kind =
      switch status {
      case NNL_OUT_OF_MEMORY: .outOfMemory
      case NNL_HANDLER_FAILED: .handlerFailed
      case NNL_INTERRUPTED: .interrupted
      case NNL_SYNTAX: .syntax
      default: .runtime
      }
    guard values.count == 3 else {
      return LuaError(
        kind, kind == .outOfMemory ? "not enough memory" : "an error that could not be reported")
    }
    var message = values[1].string ?? ""
    if kind == .interrupted { message = "interrupted" }
    var error = LuaError(kind, message, traceback: values[2].string ?? "")
    switch values[0] {
    case .reference(let reference):
      reference.markPinned()
      error.value = values[0]
    case .function(let function):
      if case .reference(let reference) = function.storage { reference.markPinned() }
      error.value = values[0]
    case .string: break
    default: error.value = values[0]
    }
    if let last = objects.lastError, message.hasSuffix(last.message) { error.underlying = last.error }
    objects.lastError = nil
    return error
  }

  private static var callbacks: nnl_host {
    nnl_host(
      host: nil,
      call: { host, key, arguments, count, results in
        guard let host, let results else { return -1 }
        return Unmanaged<LuaObjectTable>.fromOpaque(host).takeUnretainedValue()
          .answer(key, UnsafeRawBufferPointer(start: arguments, count: count), results)
      },
      retain: { host, key in
        if let host { Unmanaged<LuaObjectTable>.fromOpaque(host).takeUnretainedValue().retain(key) }
      },
      release: { host, key in
        if let host { Unmanaged<LuaObjectTable>.fromOpaque(host).takeUnretainedValue().release(key) }
      },
      write: { host, bytes, count in
        guard let host else { return }
        let text = String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
        Unmanaged<LuaObjectTable>.fromOpaque(host).takeUnretainedValue().write(text)
      },
      warn: { host, bytes, count in
        guard let host else { return }
        let text = String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
        Unmanaged<LuaObjectTable>.fromOpaque(host).takeUnretainedValue().warn(text)
      },
      interrupted: { host in
        if let host { Unmanaged<LuaObjectTable>.fromOpaque(host).takeUnretainedValue().cancellation.cancel() }
      })
  }
}

/// Where a Lua function was written.
package struct LuaFunctionInformation {
  /// The chunk's name: `@path`, `=name` or the text itself.
  package let source: String
  package let shortSource: String
  package let firstLine: Int
  package let lastLine: Int
  package let upvalues: [String: LuaValue]
}

/// Stops a state from any thread, also after the state is gone.
package final class LuaInterrupter: Sendable {
  /// The context's address; 0 when there is none.
  private let context = Mutex<UInt>(0)

  func attach(_ pointer: OpaquePointer) { context.withLock { $0 = UInt(bitPattern: pointer) } }
  func detach() { context.withLock { $0 = 0 } }

  package func interrupt() {
    context.withLock { address in
      if let pointer = OpaquePointer(bitPattern: address) { nnl_interrupt(pointer) }
    }
  }
}
