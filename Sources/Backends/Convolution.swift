// One convolution shape on oneDNN: forward, source gradient and weight gradient, each compiled on first use.

internal import COneDNN
import Tensors

/// What distinguishes one convolution primitive from another.
struct ConvolutionKey: Hashable {
  var sourceShape: [Int]
  var outputChannelCount: Int
  var geometry: ConvolutionGeometry
  /// Of source and result; weights and bias are float32 to the caller.
  var precision: Precision
  var sourceIsPlain: Bool
  var hasBias: Bool
}

/// The three primitives of one convolution shape.
final class Convolution {
  let key: ConvolutionKey
  private let context: OneDNNEngine
  /// Where weights in a primitive's own layout live.
  private let weightPool: TensorPool
  private let source: MemoryDescriptor
  private let result: MemoryDescriptor
  /// The weight in whatever layout oneDNN prefers, and its gradient, which is float32 always.
  private let anyWeight: MemoryDescriptor
  private let anyWeightGradient: MemoryDescriptor
  private let plainWeight: MemoryDescriptor
  private let bias: MemoryDescriptor
  /// Weight extents as oneDNN sees them: whole blocks of channels, because its fast implementations want nothing else.
  private let paddedShape: [Int]
  private var isPadded: Bool {
    paddedShape[0] != key.outputChannelCount || paddedShape[1] != key.sourceShape[1]
  }

  init(_ key: ConvolutionKey, block: Int, context: OneDNNEngine, weightPool: TensorPool) throws {
    self.key = key
    self.weightPool = weightPool
    self.context = context
    let rank = key.geometry.kernel.count
    func wholeBlocks(_ count: Int) -> Int { (count + block - 1) / block * block }
    let inputCount = key.sourceIsPlain ? key.sourceShape[1] : wholeBlocks(key.sourceShape[1])
    paddedShape = [wholeBlocks(key.outputChannelCount), inputCount] + key.geometry.kernel
    let type = key.precision == .float32 ? dnnl_f32 : dnnl_bf16
    source = try MemoryDescriptor(
      shape: [key.sourceShape[0], inputCount] + key.sourceShape.dropFirst(2),
      tag: key.sourceIsPlain ? plainTag(rank + 2) : blockedTag(rank + 2, block), type: type)
    let resultShape =
      [key.sourceShape[0], paddedShape[0]]
      + key.geometry.outputShape(for: Array(key.sourceShape.dropFirst(2)))
    result = try MemoryDescriptor(shape: resultShape, tag: blockedTag(rank + 2, block), type: type)
    anyWeight = try MemoryDescriptor(shape: paddedShape, tag: dnnl_format_tag_any, type: type)
    anyWeightGradient = try MemoryDescriptor(shape: paddedShape, tag: dnnl_format_tag_any)
    plainWeight = try MemoryDescriptor(shape: paddedShape, tag: plainTag(rank + 2))
    bias = try MemoryDescriptor(shape: [paddedShape[0]], tag: dnnl_a)
  }

  private var label: String {
    "convolution \(key.sourceShape) to \(key.outputChannelCount), \(key.geometry.kernel)"
  }

  private lazy var forward = Result { try makeForward() }
  private lazy var sourceGradient = Result { try makeSourceGradient() }
  private lazy var weightGradient = Result { try makeWeightGradient() }
  private lazy var unpackWeight = Result {
    try makeReorder(
      from: try weightMemory(try weightGradient.get(), dnnl_query_diff_weights_md), to: plainWeight,
      context: context)
  }

  private func weightMemory(_ primitive: Primitive, _ query: dnnl_query_t) throws -> MemoryDescriptor {
    guard let memory = primitive.memory(query) else { throw OneDNNError(operation: label, status: 3) }
    return memory
  }

  /// The implementations in use, for benchmarks.
  func implementations() throws -> [String] {
    try [forward.get(), sourceGradient.get(), weightGradient.get()].map(\.implementation)
  }

  /// Whether oneDNN has nothing but its reference implementation for the weight gradient.
  var weightGradientIsSlow: Bool {
    guard let primitive = try? weightGradient.get() else { return true }
    return primitive.implementation.hasPrefix("ref")
  }

  func run(source: Tensor, weight: Tensor, bias: Tensor?, into result: Tensor, pool: TensorPool) throws {
    let primitive = try forward.get()
    let packed = try pack(
      weight, as: weightMemory(primitive, dnnl_query_weights_md), form: "forward", pool: pool)
    var arguments = [
      (Int32(DNNL_ARG_SRC_0), self.source, source.storage.pointer),
      (Int32(DNNL_ARG_WEIGHTS_0), packed.descriptor, packed.storage.pointer),
      (Int32(DNNL_ARG_DST_0), self.result, result.storage.pointer),
    ]
    let paddedBias = bias.map { widened($0, to: [paddedShape[0]], pool: pool) }
    defer { withExtendedLifetime(paddedBias) {} }
    if let paddedBias { arguments.append((Int32(DNNL_ARG_BIAS), self.bias, paddedBias.storage.pointer)) }
    try primitive.execute(arguments)
  }

  func runSourceGradient(_ gradient: Tensor, weight: Tensor, into source: Tensor, pool: TensorPool) throws {
    let primitive = try sourceGradient.get()
    let packed = try pack(
      weight, as: weightMemory(primitive, dnnl_query_weights_md), form: "source gradient", pool: pool)
    try primitive.execute([
      (DNNL_ARG_DIFF_DST, result, gradient.storage.pointer),
      (Int32(DNNL_ARG_WEIGHTS_0), packed.descriptor, packed.storage.pointer),
      (DNNL_ARG_DIFF_SRC, self.source, source.storage.pointer),
    ])
  }

  func runWeightGradient(
    _ gradient: Tensor, source: Tensor, into weight: Tensor, bias: Tensor?, pool: TensorPool
  ) throws {
    let primitive = try weightGradient.get()
    let descriptor = try weightMemory(primitive, dnnl_query_diff_weights_md)
    let packed = pool.allocate(byteCount: descriptor.byteCount)
    defer { withExtendedLifetime(packed) {} }
    var arguments = [
      (Int32(DNNL_ARG_SRC_0), self.source, source.storage.pointer),
      (DNNL_ARG_DIFF_DST, result, gradient.storage.pointer),
      (DNNL_ARG_DIFF_WEIGHTS, descriptor, packed.pointer),
    ]
    let wholeBias = isPadded ? bias.map { _ in Tensor(uninitialized: [paddedShape[0]], pool: pool) } : bias
    if let wholeBias { arguments.append((DNNL_ARG_DIFF_BIAS, self.bias, wholeBias.storage.pointer)) }
    try primitive.execute(arguments)
    let wholeWeight = isPadded ? Tensor(uninitialized: paddedShape, pool: pool) : weight
    try unpackWeight.get().execute([
      (Int32(DNNL_ARG_SRC_0), descriptor, packed.pointer),
      (Int32(DNNL_ARG_DST_0), plainWeight, wholeWeight.storage.pointer),
    ])
    guard isPadded else { return }
    copyCorner(from: wholeWeight, to: weight)
    if let bias, let wholeBias { copyCorner(from: wholeBias, to: bias) }
  }

  /// A tensor with zeros beyond its first two extents; the tensor itself if they fit.
  private func widened(_ tensor: Tensor, to shape: [Int], pool: TensorPool) -> Tensor {
    if tensor.shape == shape { return tensor }
    let result = Tensor(uninitialized: shape, pool: pool)
    result.floats.update(repeating: 0, count: result.count)
    copyCorner(from: tensor, to: result)
    return result
  }

  /// Copies what two tensors have in common of their first two axes; the others are equal.
  private func copyCorner(from source: Tensor, to destination: Tensor) {
    let inner = source.shape.dropFirst(2).reduce(1, *)
    let columns = (source.shape.dropFirst().first ?? 1, destination.shape.dropFirst().first ?? 1)
    let count = min(columns.0, columns.1) * inner
    for row in 0..<min(source.shape[0], destination.shape[0]) {
      (destination.floats + row * columns.1 * inner).update(
        from: source.floats + row * columns.0 * inner, count: count)
    }
  }

  /// The weight in a primitive's own layout, made again only when the values have changed.
  private func pack(
    _ weight: Tensor, as descriptor: MemoryDescriptor, form: String, pool: TensorPool
  ) throws -> (descriptor: MemoryDescriptor, storage: TensorStorage) {
    let slot = AnyHashable([AnyHashable(form), AnyHashable(key)])
    if let known = weight.storage.derivedForms[slot], known.version == weight.storage.version {
      return (descriptor, known.storage)
    }
    let storage =
      weight.storage.derivedForms[slot]?.storage ?? weightPool.allocate(byteCount: descriptor.byteCount)
    let reorder = try packers[form] ?? makeReorder(from: plainWeight, to: descriptor, context: context)
    packers[form] = reorder
    let whole = widened(weight, to: paddedShape, pool: pool)
    defer { withExtendedLifetime(whole) {} }
    try reorder.execute([
      (Int32(DNNL_ARG_SRC_0), plainWeight, whole.storage.pointer),
      (Int32(DNNL_ARG_DST_0), descriptor, storage.pointer),
    ])
    weight.storage.derivedForms[slot] = (weight.storage.version, storage)
    return (descriptor, storage)
  }

  private var packers: [String: Primitive] = [:]

  // MARK: - Compilation

  private func makeForward() throws -> Primitive {
    var operation = dnnl_convolution_desc_t()
    var (source, weight, bias, result) = (self.source.raw, anyWeight.raw, self.bias.raw, self.result.raw)
    let (stride, padding) = (key.geometry.stride.map(Int64.init), key.geometry.padding.map(Int64.init))
    let status = withUnsafePointer(to: &bias) { bias in
      dnnl_convolution_forward_desc_init(
        &operation, dnnl_forward_training, dnnl_convolution_direct, &source, &weight,
        key.hasBias ? bias : nil, &result,
        stride, padding, padding)
    }
    try check(status, label)
    return try compile(&operation, hint: nil)
  }

  private func makeSourceGradient() throws -> Primitive {
    var operation = dnnl_convolution_desc_t()
    var (source, weight, result) = (self.source.raw, anyWeight.raw, self.result.raw)
    let (stride, padding) = (key.geometry.stride.map(Int64.init), key.geometry.padding.map(Int64.init))
    try check(
      dnnl_convolution_backward_data_desc_init(
        &operation, dnnl_convolution_direct, &source, &weight, &result, stride, padding, padding), label)
    return try compile(&operation, hint: try forward.get())
  }

  private func makeWeightGradient() throws -> Primitive {
    var operation = dnnl_convolution_desc_t()
    var (source, weight, bias, result) = (
      self.source.raw, anyWeightGradient.raw, self.bias.raw, self.result.raw
    )
    let (stride, padding) = (key.geometry.stride.map(Int64.init), key.geometry.padding.map(Int64.init))
    let status = withUnsafePointer(to: &bias) { bias in
      dnnl_convolution_backward_weights_desc_init(
        &operation, dnnl_convolution_direct, &source, &weight, key.hasBias ? bias : nil, &result, stride,
        padding, padding)
    }
    try check(status, label)
    return try compile(&operation, hint: try forward.get())
  }

  private func compile(_ operation: inout dnnl_convolution_desc_t, hint: Primitive?) throws -> Primitive {
    var descriptor: dnnl_primitive_desc_t?
    let status = withUnsafePointer(to: &operation) { operation in
      dnnl_primitive_desc_create(&descriptor, operation, nil, context.engine, hint?.descriptorForHints)
    }
    try check(status, label)
    return try Primitive(descriptor, context: context, operation: label)
  }
}

/// C order for a rank.
func plainTag(_ rank: Int) -> dnnl_format_tag_t {
  switch rank {
  case 1: dnnl_a
  case 2: dnnl_ab
  case 3: dnnl_abc
  case 4: dnnl_abcd
  default: dnnl_abcde
  }
}

/// Channels in blocks of 8 or 16, for images of rank 4 and volumes of rank 5.
func blockedTag(_ rank: Int, _ block: Int) -> dnnl_format_tag_t {
  switch (rank, block) {
  case (4, 16): dnnl_aBcd16b
  case (4, _): dnnl_aBcd8b
  case (_, 16): dnnl_aBcde16b
  default: dnnl_aBcde8b
  }
}
