// Reverse-mode differentiation: operations note on the tape how to send a gradient back, and the tape replays the notes.

package import Backends
import Synchronization
package import Tensors

/// The order of all notes, across tapes.
private let noteCount = Atomic<Int>(0)

/// A tensor that a gradient may flow back to.
package struct Variable {
  package let value: Tensor
  /// How the backward pass gets at the value.
  let saved: SavedValue
  /// Where the gradient gathers; `nil` if nothing behind this value wants one.
  let gradient: GradientSlot?

  package init(_ value: Tensor, needsGradient: Bool = true) {
    self.init(value, saved: SavedValue(value), needsGradient: needsGradient)
  }

  init(_ value: Tensor, saved: SavedValue, needsGradient: Bool = true) {
    self.value = value
    self.saved = saved
    gradient = needsGradient ? GradientSlot() : nil
  }

  /// Whether something behind this value wants a gradient.
  package var isWatched: Bool { gradient != nil }

  /// Adds to the gradient; the first addend's buffer is kept and written into.
  package func receive(_ addend: Tensor, backend: any Backend) { gradient?.add(addend, backend: backend) }
}

/// The gradient of the loss with respect to a value, in the value's layout, while the tape runs backwards.
///
/// It does not keep the value, so that activations live only as long as some note needs them.
final class GradientSlot {
  private var sum: Tensor?

  func add(_ addend: Tensor, backend: any Backend) {
    if let sum {
      backend.add(addend, into: sum)
    } else {
      sum = addend
    }
  }

  /// Hands the gradient over, so that its buffer can be used again.
  func take() -> Tensor? {
    defer { sum = nil }
    return sum
  }
}

/// A value that the backward pass will need: kept, or computed again from what is kept anyway.
final class SavedValue {
  private var kept: Tensor?
  private let recompute: (() throws -> Tensor)?
  /// The value while somebody else still holds it.
  private weak var storage: TensorStorage?
  private var view: ((TensorStorage) -> Tensor)?

  /// Keeps the value.
  init(_ value: Tensor) {
    kept = value
    recompute = nil
  }

  /// Lets the value go once the forward pass is done with it.
  init(of value: Tensor, recomputedBy recompute: @escaping () throws -> Tensor) {
    self.recompute = recompute
    remember(value)
  }

  func tensor() throws -> Tensor {
    if let kept { return kept }
    if let storage, let view { return view(storage) }
    guard let value = try recompute?() else {
      preconditionFailure("a saved value is kept or can be recomputed")
    }
    remember(value)
    return value
  }

  private func remember(_ value: Tensor) {
    storage = value.storage
    view = { [shape = value.shape, precision = value.precision, layout = value.layout] storage in
      Tensor(shape: shape, precision: precision, layout: layout, storage: storage)
    }
  }
}

/// A learnable tensor in the plain layout, updated in place; or another that is part of a network's state.
package final class Parameter {
  /// The name in nnU-Net's state dictionary, such as `encoder.stages.0.0.convs.0.conv.weight`.
  package let name: String
  /// The name by position under which nnU-Net's state dictionary lists it again, such as
  /// `encoder.stages.0.0.convs.0.all_modules.0.weight`.
  package let positionalName: String?
  package let value: Tensor
  /// Whether it stands in a learnable tensor's place and takes no gradient.
  package let isConstant: Bool
  /// The gradient of the last backward pass; `nil` where none arrived.
  package var gradient: Tensor?

  package init(name: String, value: Tensor, positionalName: String? = nil, isConstant: Bool = false) {
    self.name = name
    self.positionalName = positionalName
    self.value = value
    self.isConstant = isConstant
  }

  /// The same values where no gradient is to arrive.
  var withoutGradient: Parameter { Parameter(name: name, value: value, isConstant: true) }

  /// Adds to the gradient.
  package func receive(_ addend: Tensor, backend: any Backend) {
    if isConstant { return }
    if let gradient {
      backend.add(addend, into: gradient)
    } else {
      gradient = addend
    }
  }

  /// Replaces the values.
  package func assign(_ values: NDArray<Float>) {
    precondition(values.shape == value.shape, "\(name): \(values.shape) assigned to \(value.shape)")
    values.elements.withUnsafeBufferPointer { source in
      if let base = source.baseAddress { value.floats.update(from: base, count: source.count) }
    }
    value.storage.version += 1
  }
}

/// What a forward pass is for: dropout and running statistics know the difference.
package enum ForwardMode: Hashable, Sendable {
  /// What is dropped depends on the key alone.
  case training(key: [Int])
  case evaluation
}

/// The notes of one forward pass.
package final class Tape {
  package let backend: any Backend
  /// Whether a backward pass will follow; without it nothing is kept.
  package let isRecording: Bool
  package let mode: ForwardMode
  /// Random decisions taken so far.
  private var drawCount = 0
  /// Activations of at least this many bytes are computed again on the way back instead of being kept: less memory for
  /// a per cent or two more time, with the same bits.
  package let recomputeByteCount: Int
  /// Where keeping an activation begins to cost more than a second pass over it.
  package static let standardRecomputeByteCount = 96 << 20
  private var steps: [(number: Int, run: () throws -> Void)] = []
  /// Whether the way back has been taken, which can be done once.
  package private(set) var isSpent = false
  /// The tape that has taken over this one's notes.
  private var successor: Tape?

  /// Whether an activation is computed again instead of being kept.
  func recomputes(_ activation: Tensor) -> Bool {
    isRecording && activation.storedByteCount >= recomputeByteCount
  }

  /// The tape that holds this one's notes now.
  package var current: Tape { successor?.current ?? self }

  /// A tape; one that records is for training unless something else is said.
  package init(
    backend: any Backend, isRecording: Bool, mode: ForwardMode? = nil,
    recomputeByteCount: Int = Tape.standardRecomputeByteCount
  ) {
    self.backend = backend
    self.isRecording = isRecording
    self.mode = mode ?? (isRecording ? .training(key: []) : .evaluation)
    self.recomputeByteCount = recomputeByteCount
  }

  var isTraining: Bool { mode != .evaluation }

  /// The key of the pass's next random decision; `nil` in evaluation, where there are none.
  func nextRandomKey() -> UInt64? {
    guard case .training(let key) = mode else { return nil }
    drawCount += 1
    var random = RandomSource(key: key + [drawCount])
    return random.next()
  }

  /// Notes how to send a result's gradient back.
  ///
  /// What the note holds is released once it has run.
  package func record(_ step: @escaping () throws -> Void) {
    guard isRecording else { return }
    if let successor { return successor.record(step) }
    steps.append((noteCount.wrappingAdd(1, ordering: .relaxed).newValue, step))
  }

  /// Takes over the notes of another tape, so that both lead back together, in the order in which they were made.
  package func absorb(_ other: Tape) {
    guard other !== self else { return }
    steps = (steps + other.steps).sorted { $0.number < $1.number }
    other.steps = []
    other.successor = self
  }

  /// Runs the notes from the last to the first.
  package func backward() throws {
    isSpent = true
    if let successor { return try successor.backward() }
    while let step = steps.popLast() { try step.run() }
  }
}
