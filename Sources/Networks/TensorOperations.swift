// Differentiable arithmetic of plain tensors: each operation's value with its gradient beside it. Losses and layers of
// scripts are made of these. Shapes are the caller's duty.

package import Backends
package import Tensors

extension Tape {
  /// A result whose gradient goes back through `back`, which owns the gradient's buffer and may keep it.
  private func result(
    _ value: Tensor, of operands: [Variable], _ back: @escaping (Tensor) throws -> Void
  ) -> Variable {
    let y = Variable(value, needsGradient: isRecording && operands.contains { $0.gradient != nil })
    guard let slot = y.gradient else { return y }
    record {
      guard let gradient = slot.take() else { return }
      try back(gradient)
    }
    return y
  }

  /// A learnable tensor as an operand.
  package func watch(_ parameter: Parameter) -> Variable {
    let y = Variable(parameter.value, needsGradient: isRecording)
    record { [backend, slot = y.gradient] in
      if let gradient = slot?.take() { parameter.receive(gradient, backend: backend) }
    }
    return y
  }

  /// The same values as float32 in the plain layout, for arithmetic.
  package func plain(_ x: Variable) -> Variable {
    let value = backend.plain(x.value)
    if value.storage === x.value.storage { return x }
    return result(value, of: [x]) { [backend, precision = x.value.precision, behind = x.gradient] gradient in
      behind?.add(backend.activation(gradient, precision: precision), backend: backend)
    }
  }

  /// Plain values in the layout of activations, for convolutions and norms.
  package func activation(_ x: Variable, precision: Precision) -> Variable {
    if x.value.layout != .plain { return x }
    return result(backend.activation(x.value, precision: precision), of: [x]) {
      [backend, behind = x.gradient] gradient in behind?.add(backend.plain(gradient), backend: backend)
    }
  }

  /// A function of every element.
  package func map(_ x: Variable, _ function: ElementFunction) -> Variable {
    let value = backend.map(x.value, function)
    return result(value, of: [x]) { [backend, source = x.value, behind = x.gradient] gradient in
      behind?.add(
        backend.mapGradient(gradient, x: source, result: value, function), backend: backend)
    }
  }

  /// A function of pairs of elements, with repeated axes where an extent is 1 or an axis is missing.
  package func combine(_ a: Variable, _ b: Variable, _ function: PairFunction) -> Variable {
    let value = backend.combine(a.value, b.value, function)
    let isSmooth = ![PairFunction.less, .lessOrEqual, .equal].contains(function)
    return result(value, of: isSmooth ? [a, b] : []) {
      [backend, first = a.value, second = b.value, behind = (a.gradient, b.gradient)] gradient in
      let pair = PairDerivative(backend: backend, function: function, a: first, b: second, result: value)
      // The one that may be the gradient's own buffer comes last.
      if let slot = behind.1 { slot.add(pair.bySecond(gradient), backend: backend) }
      if let slot = behind.0 { slot.add(pair.byFirst(gradient), backend: backend) }
    }
  }

  /// One number out of those along the axes, which stay with extent 1.
  package func reduce(_ x: Variable, axes: [Int], _ reduction: Reduction) -> Variable {
    let value = backend.reduce(x.value, axes: axes, reduction)
    return result(value, of: [x]) { [backend, source = x.value, behind = x.gradient] gradient in
      guard reduction != .sum else {
        behind?.add(backend.expanded(gradient, to: source.shape), backend: backend)
        return
      }
      // Equal extremes share the gradient.
      let mask = backend.combine(source, value, .equal)
      let share = backend.combine(gradient, backend.reduce(mask, axes: axes, .sum), .divide)
      behind?.add(backend.combine(mask, share, .multiply), backend: backend)
    }
  }

  /// The mean along the axes, which stay with extent 1.
  package func mean(_ x: Variable, axes: [Int]) -> Variable {
    let count = axes.reduce(1) { $0 * x.value.shape[$1] }
    return map(reduce(x, axes: axes, .sum), .affine(scale: 1 / Float(count), offset: 0))
  }

  /// The same elements under another shape.
  package func reshape(_ x: Variable, to shape: [Int]) -> Variable {
    result(x.value.reshaped(shape), of: [x]) { [backend, old = x.value.shape, behind = x.gradient] gradient in
      behind?.add(gradient.reshaped(old), backend: backend)
    }
  }

  /// Repeats axes of extent 1, and puts new ones in front.
  package func expand(_ x: Variable, to shape: [Int]) -> Variable {
    result(backend.expanded(x.value, to: shape), of: [x]) {
      [backend, old = x.value.shape, behind = x.gradient] gradient in
      behind?.add(backend.summed(gradient, to: old), backend: backend)
    }
  }

  /// The elements that a view picks; none may be picked twice.
  package func view(_ x: Variable, _ view: StridedView) -> Variable {
    result(backend.gather(x.value, view), of: [x]) {
      [backend, shape = x.value.shape, behind = x.gradient] gradient in
      behind?.add(backend.place(gradient, view, in: shape), backend: backend)
    }
  }

  /// Axis `i` of the result is axis `axes[i]` of `x`.
  package func permute(_ x: Variable, _ axes: [Int]) -> Variable {
    let strides = rowMajorStrides(of: x.value.shape)
    return view(
      x, StridedView(shape: axes.map { x.value.shape[$0] }, strides: axes.map { strides[$0] }))
  }

  /// Every `step`-th element of a range along an axis.
  package func slice(_ x: Variable, axis: Int, _ range: Range<Int>, step: Int = 1) -> Variable {
    var (shape, strides) = (x.value.shape, rowMajorStrides(of: x.value.shape))
    let offset = range.lowerBound * strides[axis]
    shape[axis] = (range.count + step - 1) / step
    strides[axis] *= step
    return view(x, StridedView(shape: shape, strides: strides, offset: offset))
  }

  /// Tensors one after the other along an axis.
  package func join(_ parts: [Variable], axis: Int) -> Variable {
    result(backend.join(parts.map(\.value), axis: axis), of: parts) {
      [backend, parts = parts.map { ($0.value.shape, $0.gradient) }] gradient in
      let strides = rowMajorStrides(of: gradient.shape)
      var offset = 0
      for (shape, behind) in parts {
        behind?.add(
          backend.gather(gradient, StridedView(shape: shape, strides: strides, offset: offset)),
          backend: backend)
        offset += shape[axis] * strides[axis]
      }
    }
  }

  /// Probabilities along an axis.
  package func softmax(_ x: Variable, axis: Int) -> Variable {
    let value = backend.softmax(x.value, axis: axis)
    return result(value, of: [x]) { [backend, behind = x.gradient] gradient in
      let weighted = backend.combine(gradient, value, .multiply)
      let mean = backend.reduce(weighted, axes: [axis], .sum)
      behind?.add(
        backend.combine(value, backend.combine(gradient, mean, .subtract), .multiply), backend: backend)
    }
  }

  /// Logarithms of probabilities along an axis, exact where a probability is tiny.
  package func logSoftmax(_ x: Variable, axis: Int) -> Variable {
    let shifted = backend.combine(x.value, backend.reduce(x.value, axes: [axis], .maximum), .subtract)
    let total = backend.reduce(backend.map(shifted, .exponential), axes: [axis], .sum)
    let value = backend.combine(shifted, backend.map(total, .logarithm), .subtract)
    return result(value, of: [x]) { [backend, behind = x.gradient] gradient in
      let sum = backend.reduce(gradient, axes: [axis], .sum)
      let share = backend.combine(backend.map(value, .exponential), sum, .multiply)
      behind?.add(backend.combine(gradient, share, .subtract), backend: backend)
    }
  }

  /// Matrix products of the last two axes; leading axes are equal, or missing from one operand.
  package func product(_ a: Variable, _ b: Variable) -> Variable {
    let value = backend.product(a.value, b.value, transposingFirst: false, transposingSecond: false)
    return result(value, of: [a, b]) {
      [backend, first = a.value, second = b.value, behind = (a.gradient, b.gradient)] gradient in
      func folded(_ tensor: Tensor, like operand: Tensor) -> Tensor {
        let extra = Array(0..<(tensor.shape.count - operand.shape.count))
        return extra.isEmpty
          ? tensor : backend.reduce(tensor, axes: extra, .sum).reshaped(operand.shape)
      }
      if let slot = behind.0 {
        let full = backend.product(gradient, second, transposingFirst: false, transposingSecond: true)
        slot.add(folded(full, like: first), backend: backend)
      }
      if let slot = behind.1 {
        let full = backend.product(first, gradient, transposingFirst: true, transposingSecond: false)
        slot.add(folded(full, like: second), backend: backend)
      }
    }
  }

  /// Along an axis, the elements at the positions in `index`, which has no gradient; 0 where one lies outside.
  package func select(_ x: Variable, at index: Tensor, axis: Int) -> Variable {
    result(backend.select(x.value, at: index, axis: axis), of: [x]) {
      [backend, extent = x.value.shape[axis], behind = x.gradient] gradient in
      behind?.add(
        backend.scatter(gradient, at: index, axis: axis, extent: extent), backend: backend)
    }
  }

  /// A weighted sum of built-in losses of one head's logits, as a number.
  package func segmentationLoss(
    _ logits: Variable, _ target: SegmentationTarget, _ terms: [WeightedLossTerm]
  ) -> Variable {
    let loss = backend.segmentationLoss(
      logits: logits.value, target: target, terms: terms,
      wantsGradient: isRecording && logits.gradient != nil)
    let value = Tensor(NDArray(shape: [], elements: [Float(loss.value)]), pool: backend.pool)
    return result(value, of: [logits]) { [backend, behind = logits.gradient] gradient in
      guard let slope = loss.gradient else { return }
      behind?.add(backend.combine(slope, gradient, .multiply), backend: backend)
    }
  }

  /// Sends the gradient 1 back from a result of one element.
  package func backward(from y: Variable) throws {
    let one = NDArray<Float>(shape: y.value.shape, repeating: 1)
    y.receive(Tensor(one, pool: backend.pool), backend: backend)
    try backward()
  }
}

extension Backend {
  /// Repeats axes of extent 1, and puts new ones in front.
  func expanded(_ x: Tensor, to shape: [Int]) -> Tensor {
    let full = leadingOnes(x.shape, shape.count)
    let strides = zip(full, rowMajorStrides(of: full)).map { $0 == 1 ? 0 : $1 }
    return gather(x, StridedView(shape: shape, strides: strides))
  }

  /// The sums along repeated axes, which is the adjoint of `expanded`; the tensor itself if there are none.
  func summed(_ x: Tensor, to shape: [Int]) -> Tensor {
    let full = leadingOnes(shape, x.shape.count)
    let axes = x.shape.indices.filter { full[$0] == 1 && x.shape[$0] != 1 }
    return (axes.isEmpty ? x : reduce(x, axes: axes, .sum)).reshaped(shape)
  }
}

/// The derivatives of a function of pairs.
private struct PairDerivative {
  let backend: any Backend
  let function: PairFunction
  let a: Tensor
  let b: Tensor
  let result: Tensor

  /// The gradient with respect to the first operand; may be the gradient itself.
  func byFirst(_ gradient: Tensor) -> Tensor {
    let full =
      switch function {
      case .add, .subtract: gradient
      case .multiply: backend.combine(gradient, b, .multiply)
      case .divide: backend.combine(gradient, b, .divide)
      case .power:
        // b a^(b - 1)
        times(
          gradient,
          backend.combine(
            b, backend.combine(a, backend.map(b, .affine(scale: 1, offset: -1)), .power), .multiply))
      default: times(gradient, firstIsChosen)
      }
    return backend.summed(full, to: a.shape)
  }

  /// The gradient with respect to the second operand, in a buffer of its own.
  func bySecond(_ gradient: Tensor) -> Tensor {
    let full =
      switch function {
      case .add: backend.map(gradient, .affine(scale: 1, offset: 0))
      case .subtract: backend.map(gradient, .affine(scale: -1, offset: 0))
      case .multiply: times(gradient, a)
      case .divide:
        // -a / b^2
        backend.map(
          backend.combine(times(gradient, result), b, .divide), .affine(scale: -1, offset: 0))
      case .power: times(gradient, times(result, backend.map(a, .logarithm)))
      default: times(gradient, backend.map(firstIsChosen, .affine(scale: -1, offset: 1)))
      }
    return backend.summed(full, to: b.shape)
  }

  /// 1 where the larger or smaller of two is the first; equals count as the first.
  private var firstIsChosen: Tensor {
    function == .larger ? backend.combine(b, a, .lessOrEqual) : backend.combine(a, b, .lessOrEqual)
  }

  private func times(_ x: Tensor, _ y: Tensor) -> Tensor { backend.combine(x, y, .multiply) }
}
