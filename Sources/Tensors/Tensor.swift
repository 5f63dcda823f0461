// The engine's tensors: shape, element type, memory layout and a buffer from a caching pool.
// N batch, C channels, Z Y X spatial axes (slowest first). Arithmetic on them is the backends' business.

/// How numbers are stored in a tensor.
package enum Precision: String, Sendable, Hashable {
  case float32
  case bfloat16

  /// The short name that users write.
  package var shortName: String { self == .float32 ? "fp32" : "bf16" }

  /// Reads `fp32`, `bf16`, `float32` or `bfloat16`; `nil` for anything else.
  package init?(name: String) {
    guard
      let match = [Precision.float32, .bfloat16].first(where: { [$0.shortName, $0.rawValue].contains(name) })
    else { return nil }
    self = match
  }

  /// Bytes per element.
  package var byteCount: Int { self == .float32 ? 4 : 2 }
}

/// The order of a tensor's elements in memory.
package enum TensorLayout: Hashable, Sendable {
  /// C order over the whole shape.
  case plain
  /// `[N][C / block][spatial][block]`, channels padded with zeros to a whole block.
  case channelBlocked(Int)
}

/// An array of the engine.
///
/// Copies share the buffer: backends write only into tensors they have just made.
package struct Tensor {
  /// Logical extents, `[N, C, spatial...]` for activations.
  package let shape: [Int]
  package let precision: Precision
  package let layout: TensorLayout
  package let storage: TensorStorage

  package init(
    shape: [Int], precision: Precision = .float32, layout: TensorLayout = .plain, storage: TensorStorage
  ) {
    precondition(
      storage.byteCount >= Self.elementCount(shape, layout) * precision.byteCount,
      "a buffer of \(storage.byteCount) bytes is too small for \(shape)")
    self.shape = shape
    self.precision = precision
    self.layout = layout
    self.storage = storage
  }

  /// A tensor with a fresh buffer whose content is undefined.
  package init(
    uninitialized shape: [Int], precision: Precision = .float32, layout: TensorLayout = .plain,
    pool: TensorPool
  ) {
    let bytes = Self.elementCount(shape, layout) * precision.byteCount
    self.init(
      shape: shape, precision: precision, layout: layout, storage: pool.allocate(byteCount: bytes))
  }

  /// A plain float tensor with the values of a host array.
  package init(_ array: NDArray<Float>, pool: TensorPool) {
    self.init(uninitialized: array.shape, pool: pool)
    if pool.isVirtual { return }
    array.elements.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { floats.update(from: base, count: source.count) }
    }
  }

  /// Logical elements.
  package var count: Int { shape.reduce(1, *) }
  /// Elements in memory, padding included.
  package var storedCount: Int { Self.elementCount(shape, layout) }
  /// Bytes in memory, padding included.
  package var storedByteCount: Int { storedCount * precision.byteCount }
  package var batchCount: Int { shape[0] }
  package var channelCount: Int { shape[1] }
  /// The product of the spatial extents.
  package var voxelCount: Int { shape.dropFirst(2).reduce(1, *) }
  package var spatialShape: [Int] { Array(shape.dropFirst(2)) }

  /// The buffer as floats, valid while the tensor lives.
  ///
  /// A local tensor may die after its last mention: hold it with `withExtendedLifetime` across the use of the pointer.
  package var floats: UnsafeMutablePointer<Float> {
    precondition(precision == .float32, "a \(precision.rawValue) tensor read as float32")
    return storage.pointer.assumingMemoryBound(to: Float.self)
  }

  /// The values on the host; the layout must be plain.
  package var hostArray: NDArray<Float> {
    precondition(layout == .plain, "convert to the plain layout first")
    return NDArray(shape: shape, elements: Array(UnsafeBufferPointer(start: floats, count: count)))
  }

  /// The same plain elements under another shape.
  package func reshaped(_ shape: [Int]) -> Tensor {
    precondition(layout == .plain && shape.reduce(1, *) == count, "cannot view \(self.shape) as \(shape)")
    return Tensor(shape: shape, precision: precision, storage: storage)
  }

  /// Elements a buffer needs for a shape in a layout.
  package static func elementCount(_ shape: [Int], _ layout: TensorLayout) -> Int {
    switch layout {
    case .plain: shape.reduce(1, *)
    case .channelBlocked(let block):
      shape[0] * ((shape[1] + block - 1) / block * block) * shape.dropFirst(2).reduce(1, *)
    }
  }
}
