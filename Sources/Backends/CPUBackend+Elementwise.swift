// Arithmetic of plain tensors on the CPU: own loops, and OpenBLAS for matrix products.

internal import CKernels
internal import COpenBLAS
package import Tensors

/// The most axes that the kernels know.
private let kernelRank = Int(NNK_RANK)

extension CPUBackend {
  private func make(_ shape: [Int]) -> Tensor { Tensor(uninitialized: shape, pool: pool) }

  package func map(_ x: Tensor, _ function: ElementFunction) -> Tensor {
    let result = make(x.shape)
    let (kernel, a, b) = function.kernel
    nnk_map(kernel, x.floats, result.floats, x.count, a, b)
    return result
  }

  package func mapGradient(
    _ gradient: Tensor, x: Tensor, result: Tensor, _ function: ElementFunction
  ) -> Tensor {
    let source = make(x.shape)
    let (kernel, a, b) = function.kernel
    nnk_map_gradient(kernel, x.floats, result.floats, gradient.floats, source.floats, x.count, a, b)
    return source
  }

  package func combine(_ a: Tensor, _ b: Tensor, _ function: PairFunction) -> Tensor {
    guard let shape = broadcastShape(a.shape, b.shape) else {
      preconditionFailure("\(a.shape) and \(b.shape) have no common shape")
    }
    let result = make(shape)
    if result.count == 0 { return result }
    let loops = collapsed(
      shape, [broadcastStrides(a.shape, to: shape), broadcastStrides(b.shape, to: shape)])
    nnk_combine(
      function.kernel, a.floats, b.floats, result.floats, loops.shape, loops.strides[0], loops.strides[1])
    return result
  }

  package func reduce(_ x: Tensor, axes: [Int], _ reduction: Reduction) -> Tensor {
    var current = x
    // Neighbouring axes go together, the last first, so that long runs are summed in one go.
    var remaining = axes.sorted()
    while let last = remaining.popLast() {
      var first = last
      while remaining.last == first - 1, let next = remaining.popLast() { first = next }
      var shape = current.shape
      let outer = shape[..<first].reduce(1, *)
      let count = shape[first...last].reduce(1, *)
      let inner = shape[(last + 1)...].reduce(1, *)
      for axis in first...last { shape[axis] = 1 }
      let result = make(shape)
      if count == 0 {
        result.floats.update(repeating: 0, count: result.count)
      } else {
        withExtendedLifetime(current) {
          nnk_reduce(reduction.kernel, current.floats, result.floats, outer, count, inner)
        }
      }
      current = result
    }
    return current
  }

  package func gather(_ x: Tensor, _ view: StridedView) -> Tensor {
    let result = make(view.shape)
    copy(
      x.floats + view.offset, view.strides, to: result.floats, rowMajorStrides(of: view.shape), view.shape)
    return result
  }

  package func place(_ x: Tensor, _ view: StridedView, in shape: [Int]) -> Tensor {
    let result = make(shape)
    if view.shape.reduce(1, *) < result.count { result.floats.update(repeating: 0, count: result.count) }
    copy(
      x.floats, rowMajorStrides(of: view.shape), to: result.floats + view.offset, view.strides, view.shape)
    return result
  }

  package func join(_ tensors: [Tensor], axis: Int) -> Tensor {
    var shape = tensors[0].shape
    shape[axis] = tensors.reduce(0) { $0 + $1.shape[axis] }
    let result = make(shape)
    let strides = rowMajorStrides(of: shape)
    var offset = 0
    for tensor in tensors {
      copy(
        tensor.floats, rowMajorStrides(of: tensor.shape), to: result.floats + offset, strides, tensor.shape)
      offset += tensor.shape[axis] * strides[axis]
    }
    return result
  }

  private func copy(
    _ source: UnsafePointer<Float>, _ sourceStrides: [Int], to result: UnsafeMutablePointer<Float>,
    _ strides: [Int], _ shape: [Int]
  ) {
    if shape.contains(0) { return }
    let loops = collapsed(shape, [sourceStrides, strides])
    nnk_copy_view(source, result, loops.shape, loops.strides[0], loops.strides[1])
  }

  package func softmax(_ x: Tensor, axis: Int) -> Tensor {
    let result = make(x.shape)
    nnk_softmax(
      x.floats, result.floats, x.shape[..<axis].reduce(1, *), x.shape[axis],
      x.shape[(axis + 1)...].reduce(1, *))
    return result
  }

  package func product(
    _ a: Tensor, _ b: Tensor, transposingFirst: Bool, transposingSecond: Bool
  ) -> Tensor {
    let (firstMatrix, secondMatrix) = (Array(a.shape.suffix(2)), Array(b.shape.suffix(2)))
    let rows = transposingFirst ? firstMatrix[1] : firstMatrix[0]
    let inner = transposingFirst ? firstMatrix[0] : firstMatrix[1]
    let columns = transposingSecond ? secondMatrix[0] : secondMatrix[1]
    let lead = Array((a.shape.count >= b.shape.count ? a.shape : b.shape).dropLast(2))
    let result = make(lead + [rows, columns])
    let (firstStep, secondStep) = (
      a.shape.count > 2 ? rows * inner : 0, b.shape.count > 2 ? inner * columns : 0
    )
    for i in 0..<lead.reduce(1, *) {
      cblas_sgemm(
        CblasRowMajor, transposingFirst ? CblasTrans : CblasNoTrans,
        transposingSecond ? CblasTrans : CblasNoTrans, Int32(rows), Int32(columns), Int32(inner), 1,
        a.floats + i * firstStep, Int32(max(firstMatrix[1], 1)), b.floats + i * secondStep,
        Int32(max(secondMatrix[1], 1)), 0, result.floats + i * rows * columns, Int32(max(columns, 1)))
    }
    return result
  }

  package func select(_ x: Tensor, at index: Tensor, axis: Int) -> Tensor {
    let result = make(index.shape)
    nnk_gather(
      x.floats, index.floats, result.floats, x.shape[..<axis].reduce(1, *), x.shape[axis], index.shape[axis],
      x.shape[(axis + 1)...].reduce(1, *))
    return result
  }

  package func scatter(_ gradient: Tensor, at index: Tensor, axis: Int, extent: Int) -> Tensor {
    var shape = index.shape
    shape[axis] = extent
    let result = make(shape)
    result.floats.update(repeating: 0, count: result.count)
    nnk_scatter_add(
      gradient.floats, index.floats, result.floats, shape[..<axis].reduce(1, *), extent, index.shape[axis],
      shape[(axis + 1)...].reduce(1, *))
    return result
  }

  // MARK: - Loops

  private func broadcastStrides(_ shape: [Int], to result: [Int]) -> [Int] {
    let full = leadingOnes(shape, result.count)
    return zip(full, rowMajorStrides(of: full)).map { $0 == 1 ? 0 : $1 }
  }

  /// Axes that are walked together as one, filled up with ones in front to the rank that the kernels take.
  private func collapsed(_ shape: [Int], _ strides: [[Int]]) -> (shape: [Int], strides: [[Int]]) {
    var extents: [Int] = []
    var steps: [[Int]] = strides.map { _ in [] }
    for axis in shape.indices.reversed() where shape[axis] != 1 {
      let joins =
        !extents.isEmpty && strides.indices.allSatisfy { strides[$0][axis] == steps[$0][0] * extents[0] }
      if joins {
        extents[0] *= shape[axis]
      } else {
        extents.insert(shape[axis], at: 0)
        for i in strides.indices { steps[i].insert(strides[i][axis], at: 0) }
      }
    }
    precondition(extents.count <= kernelRank, "a tensor with \(shape.count) axes")
    let missing = kernelRank - extents.count
    return (
      Array(repeating: 1, count: missing) + extents,
      steps.map { Array(repeating: 0, count: missing) + $0 }
    )
  }
}

extension ElementFunction {
  /// The kernel's name and constants.
  fileprivate var kernel: (nnk_function, Float, Float) {
    switch self {
    case .affine(let scale, let offset): (NNK_AFFINE, scale, offset)
    case .exponential: (NNK_EXP, 0, 0)
    case .logarithm: (NNK_LOG, 0, 0)
    case .squareRoot: (NNK_SQRT, 0, 0)
    case .absolute: (NNK_ABS, 0, 0)
    case .power(let exponent): (NNK_POWER, exponent, 0)
    case .clamp(let low, let high): (NNK_CLAMP, low, high)
    case .sigmoid: (NNK_SIGMOID, 0, 0)
    case .hyperbolicTangent: (NNK_TANH, 0, 0)
    case .leakyReLU(let slope): (NNK_LEAKY, slope, 0)
    case .softplus: (NNK_SOFTPLUS, 0, 0)
    }
  }
}

extension PairFunction {
  fileprivate var kernel: nnk_pair {
    switch self {
    case .add: NNK_ADD
    case .subtract: NNK_SUBTRACT
    case .multiply: NNK_MULTIPLY
    case .divide: NNK_DIVIDE
    case .power: NNK_RAISE
    case .larger: NNK_LARGER
    case .smaller: NNK_SMALLER
    case .less: NNK_LESS
    case .lessOrEqual: NNK_LESS_EQUAL
    case .equal: NNK_EQUAL
    }
  }
}

extension Reduction {
  fileprivate var kernel: nnk_reduction {
    switch self {
    case .sum: NNK_SUM
    case .maximum: NNK_MAXIMUM
    case .minimum: NNK_MINIMUM
    }
  }
}
