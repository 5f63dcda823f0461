// oneDNN 2.x in Swift terms: engine, memory descriptors, primitives, errors. Convolutions are in CPUBackend+Convolution.

internal import COneDNN
package import Reporting

/// A oneDNN call that failed.
package struct OneDNNError: DiagnosableError {
  package let operation: String
  package let status: UInt32

  package var diagnostic: Diagnostic {
    Diagnostic(
      "oneDNN refused an operation", at: operation, expected: "status 0 (success)", found: "status \(status)",
      remedy: status == 1
        ? "free memory, or choose a smaller patch or batch"
        : "run `lunette doctor` and report the versions it prints")
  }
}

func check(_ status: dnnl_status_t, _ operation: @autoclosure () -> String) throws(OneDNNError) {
  if status != dnnl_success { throw OneDNNError(operation: operation(), status: status.rawValue) }
}

/// The CPU engine and its stream, one per backend.
final class OneDNNEngine {
  let engine: dnnl_engine_t
  let stream: dnnl_stream_t

  init() throws {
    var engine: dnnl_engine_t?
    try check(dnnl_engine_create(&engine, dnnl_cpu, 0), "create the CPU engine")
    guard let engine else { throw OneDNNError(operation: "create the CPU engine", status: 1) }
    var stream: dnnl_stream_t?
    try check(dnnl_stream_create(&stream, engine, dnnl_stream_default_flags.rawValue), "create a stream")
    guard let stream else { throw OneDNNError(operation: "create a stream", status: 1) }
    self.engine = engine
    self.stream = stream
  }

  deinit {
    dnnl_stream_destroy(stream)
    dnnl_engine_destroy(engine)
  }

  /// The version of the library in use, such as "2.6.3".
  static var version: String {
    guard let version = dnnl_version()?.pointee else { return "unknown" }
    return "\(version.major).\(version.minor).\(version.patch)"
  }
}

/// A memory descriptor and what is needed to compare and allocate it.
struct MemoryDescriptor {
  var raw: dnnl_memory_desc_t

  init(_ raw: dnnl_memory_desc_t) { self.raw = raw }

  init(shape: [Int], tag: dnnl_format_tag_t, type: dnnl_data_type_t = dnnl_f32) throws {
    var raw = dnnl_memory_desc_t()
    let dims = shape.map { Int64($0) }
    try check(
      dnnl_memory_desc_init_by_tag(&raw, Int32(shape.count), dims, type, tag),
      "describe a tensor of shape \(shape)")
    self.raw = raw
  }

  var byteCount: Int {
    var copy = raw
    return dnnl_memory_desc_get_size(&copy)
  }

  static func == (a: MemoryDescriptor, b: MemoryDescriptor) -> Bool {
    var a = a.raw
    var b = b.raw
    return dnnl_memory_desc_equal(&a, &b) != 0
  }
}

/// A compiled primitive with its descriptor.
final class Primitive {
  private let descriptor: dnnl_primitive_desc_t
  private let primitive: dnnl_primitive_t
  private let context: OneDNNEngine

  /// Takes ownership of a primitive descriptor.
  init(_ descriptor: dnnl_primitive_desc_t?, context: OneDNNEngine, operation: String) throws {
    guard let descriptor else { throw OneDNNError(operation: operation, status: 3) }
    var primitive: dnnl_primitive_t?
    let status = dnnl_primitive_create(&primitive, descriptor)
    guard status == dnnl_success, let primitive else {
      dnnl_primitive_desc_destroy(descriptor)
      throw OneDNNError(operation: operation, status: status.rawValue)
    }
    self.descriptor = descriptor
    self.primitive = primitive
    self.context = context
  }

  deinit {
    dnnl_primitive_destroy(primitive)
    dnnl_primitive_desc_destroy(descriptor)
  }

  /// For compiling the backward primitives of the same operation.
  var descriptorForHints: dnnl_primitive_desc_t { descriptor }

  /// The memory descriptor the primitive wants for one of its arguments.
  func memory(_ query: dnnl_query_t) -> MemoryDescriptor? {
    dnnl_primitive_desc_query_md(descriptor, query, 0).map { MemoryDescriptor($0.pointee) }
  }

  /// The implementation oneDNN chose, such as "jit:avx512_core"; for benchmarks.
  var implementation: String {
    var name: UnsafePointer<CChar>?
    dnnl_primitive_desc_query(descriptor, dnnl_query_impl_info_str, 0, &name)
    return name.map { String(cString: $0) } ?? "unknown"
  }

  /// Runs the primitive on the given buffers.
  func execute(_ arguments: [(Int32, MemoryDescriptor, UnsafeMutableRawPointer)]) throws {
    var memories: [dnnl_memory_t] = []
    defer { for memory in memories { dnnl_memory_destroy(memory) } }
    var bound: [dnnl_exec_arg_t] = []
    for (argument, descriptor, pointer) in arguments {
      var memory: dnnl_memory_t?
      var raw = descriptor.raw
      try check(dnnl_memory_create(&memory, &raw, context.engine, pointer), "wrap a buffer")
      if let memory {
        memories.append(memory)
        bound.append(dnnl_exec_arg_t(arg: argument, memory: memory))
      }
    }
    try check(dnnl_primitive_execute(primitive, context.stream, Int32(bound.count), bound), implementation)
    try check(dnnl_stream_wait(context.stream), implementation)
  }
}

/// A copy from one memory layout to another.
func makeReorder(
  from source: MemoryDescriptor, to destination: MemoryDescriptor, context: OneDNNEngine
) throws -> Primitive {
  var descriptor: dnnl_primitive_desc_t?
  var source = source.raw
  var destination = destination.raw
  try check(
    dnnl_reorder_primitive_desc_create(
      &descriptor, &source, context.engine, &destination, context.engine, nil),
    "prepare a reorder")
  return try Primitive(descriptor, context: context, operation: "prepare a reorder")
}
