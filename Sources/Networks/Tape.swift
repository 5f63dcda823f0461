// Reverse-mode differentiation: operations note on the tape how to send a gradient back, and the tape replays the notes.

package import Backends
package import Tensors

/// A tensor that a gradient may flow back to.
package final class Variable {
  package let value: Tensor
  /// The gradient of the loss with respect to the value, in the value's layout, while the tape runs backwards.
  package private(set) var gradient: Tensor?
  /// Whether anything behind this value wants a gradient.
  package let needsGradient: Bool

  package init(_ value: Tensor, needsGradient: Bool = true) {
    self.value = value
    self.needsGradient = needsGradient
  }

  /// Adds to the gradient; the first addend's buffer is kept and written into.
  package func receive(_ addend: Tensor, backend: any Backend) {
    guard needsGradient else { return }
    if let gradient {
      backend.add(addend, into: gradient)
    } else {
      gradient = addend
    }
  }

  /// Hands the gradient over, so that its buffer can be used again.
  package func takeGradient() -> Tensor? {
    defer { gradient = nil }
    return gradient
  }
}

/// A learnable tensor in the plain layout, updated in place.
package final class Parameter {
  /// The name in nnU-Net's state dictionary, such as `encoder.stages.0.0.convs.0.conv.weight`.
  package let name: String
  package let value: Tensor
  /// The gradient of the last backward pass; `nil` where none arrived.
  package var gradient: Tensor?

  package init(name: String, value: Tensor) {
    self.name = name
    self.value = value
  }

  /// Adds to the gradient.
  package func receive(_ addend: Tensor, backend: any Backend) {
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

/// The notes of one forward pass.
package final class Tape {
  package let backend: any Backend
  /// Whether a backward pass will follow; without it nothing is kept.
  package let isRecording: Bool
  private var steps: [() throws -> Void] = []

  package init(backend: any Backend, isRecording: Bool) {
    self.backend = backend
    self.isRecording = isRecording
  }

  /// Notes how to send a result's gradient back.
  ///
  /// What the note holds is released once it has run.
  package func record(_ step: @escaping () throws -> Void) {
    if isRecording { steps.append(step) }
  }

  /// Runs the notes from the last to the first.
  package func backward() throws {
    while let step = steps.popLast() { try step() }
  }
}
