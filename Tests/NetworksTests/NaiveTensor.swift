// The oracle of tensor arithmetic: every operation written out in double precision, and programs made of them.

import Backends
import Tensors

import func Foundation.exp
import func Foundation.log
import func Foundation.pow
import func Foundation.tanh

/// A dense array of doubles.
struct NaiveTensor {
  var shape: [Int]
  var values: [Double]

  init(shape: [Int], _ value: (_ index: [Int]) -> Double) {
    self.shape = shape
    values = []
    let strides = rowMajorStrides(of: shape)
    for position in 0..<shape.reduce(1, *) {
      values.append(value(zip(shape, strides).map { position / $1 % $0 }))
    }
  }

  init(_ array: NDArray<Float>) {
    shape = array.shape
    values = array.elements.map(Double.init)
  }

  /// The value at an index, in which axes of extent 1 and missing leading axes are repeated.
  subscript(_ index: [Int]) -> Double {
    let own = index.suffix(shape.count)
    let strides = rowMajorStrides(of: shape)
    var position = 0
    for (axis, i) in own.enumerated() where shape[axis] != 1 { position += i * strides[axis] }
    return values[position]
  }
}

/// One step of a program, over results of steps before it.
enum NaiveStep {
  case input(Int)
  case map(Int, ElementFunction)
  case combine(Int, Int, PairFunction)
  case reduce(Int, [Int], Reduction)
  case mean(Int, [Int])
  case reshape(Int, [Int])
  case expand(Int, [Int])
  case permute(Int, [Int])
  case slice(Int, axis: Int, Range<Int>, step: Int)
  case join([Int], axis: Int)
  case softmax(Int, axis: Int)
  case logSoftmax(Int, axis: Int)
  case product(Int, Int)
  case select(Int, index: NDArray<Float>, axis: Int)
}

/// A program's last result in double precision.
func evaluate(_ program: [NaiveStep], _ inputs: [NaiveTensor]) -> NaiveTensor {
  var results: [NaiveTensor] = []
  for step in program { results.append(result(of: step, results, inputs)) }
  return results[results.count - 1]
}

private func result(of step: NaiveStep, _ r: [NaiveTensor], _ inputs: [NaiveTensor]) -> NaiveTensor {
  switch step {
  case .input(let i): return inputs[i]
  case .map(let x, let function):
    return NaiveTensor(shape: r[x].shape) { apply(function, r[x][$0]) }
  case .combine(let a, let b, let function):
    return NaiveTensor(shape: broadcastShape(r[a].shape, r[b].shape) ?? []) {
      apply(function, r[a][$0], r[b][$0])
    }
  case .reduce(let x, let axes, let reduction): return reduced(r[x], axes, reduction)
  case .mean(let x, let axes):
    let count = axes.reduce(1) { $0 * r[x].shape[$1] }
    let sum = reduced(r[x], axes, .sum)
    return NaiveTensor(shape: sum.shape) { sum[$0] / Double(count) }
  case .reshape(let x, let shape):
    var y = r[x]
    y.shape = shape
    return y
  case .expand(let x, let shape): return NaiveTensor(shape: shape) { r[x][$0] }
  case .permute(let x, let axes):
    return NaiveTensor(shape: axes.map { r[x].shape[$0] }) { index in
      var source = index
      for (new, old) in axes.enumerated() { source[old] = index[new] }
      return r[x][source]
    }
  case .slice(let x, let axis, let range, let step):
    var shape = r[x].shape
    shape[axis] = (range.count + step - 1) / step
    return NaiveTensor(shape: shape) { index in
      var source = index
      source[axis] = range.lowerBound + index[axis] * step
      return value(of: r[x], at: source)
    }
  case .join(let parts, let axis):
    var shape = r[parts[0]].shape
    shape[axis] = parts.reduce(0) { $0 + r[$1].shape[axis] }
    return NaiveTensor(shape: shape) { index in
      var source = index
      for part in parts {
        if source[axis] < r[part].shape[axis] { return value(of: r[part], at: source) }
        source[axis] -= r[part].shape[axis]
      }
      return .nan
    }
  case .softmax(let x, let axis): return softmax(r[x], axis)
  case .logSoftmax(let x, let axis):
    let p = softmax(r[x], axis)
    return NaiveTensor(shape: p.shape) { log(p[$0]) }
  case .product(let a, let b):
    let (first, second) = (r[a], r[b])
    let inner = first.shape[first.shape.count - 1]
    let lead = (first.shape.count >= second.shape.count ? first : second).shape.dropLast(2)
    let shape = lead + [first.shape[first.shape.count - 2], second.shape[second.shape.count - 1]]
    return NaiveTensor(shape: Array(shape)) { index in
      let (row, column) = (index[index.count - 2], index[index.count - 1])
      return (0..<inner).reduce(0) {
        $0 + first[index.dropLast(2) + [row, $1]] * second[index.dropLast(2) + [$1, column]]
      }
    }
  case .select(let x, let index, let axis):
    let positions = NaiveTensor(index)
    return NaiveTensor(shape: index.shape) { place in
      var source = place
      source[axis] = Int(value(of: positions, at: place))
      return r[x].shape.indices.contains(axis) && (0..<r[x].shape[axis]).contains(source[axis])
        ? value(of: r[x], at: source) : 0
    }
  }
}

/// The value at an exact index.
private func value(of tensor: NaiveTensor, at index: [Int]) -> Double {
  tensor.values[zip(index, rowMajorStrides(of: tensor.shape)).reduce(0) { $0 + $1.0 * $1.1 }]
}

private func reduced(_ x: NaiveTensor, _ axes: [Int], _ reduction: Reduction) -> NaiveTensor {
  let shape = x.shape.enumerated().map { axes.contains($0) ? 1 : $1 }
  let window = x.shape.enumerated().map { axes.contains($0) ? $1 : 1 }
  return NaiveTensor(shape: shape) { index in
    let values = NaiveTensor(shape: window) { offset in
      value(of: x, at: zip(index, offset).map { $0 + $1 })
    }.values
    switch reduction {
    case .sum: return values.reduce(0, +)
    case .maximum: return values.max() ?? .nan
    case .minimum: return values.min() ?? .nan
    }
  }
}

private func softmax(_ x: NaiveTensor, _ axis: Int) -> NaiveTensor {
  let e = NaiveTensor(shape: x.shape) { exp(value(of: x, at: $0)) }
  let sum = reduced(e, [axis], .sum)
  return NaiveTensor(shape: x.shape) { value(of: e, at: $0) / sum[$0] }
}

private func apply(_ function: ElementFunction, _ x: Double) -> Double {
  switch function {
  case .affine(let scale, let offset): Double(scale) * x + Double(offset)
  case .exponential: exp(x)
  case .logarithm: log(x)
  case .squareRoot: x.squareRoot()
  case .absolute: abs(x)
  case .power(let exponent): pow(x, Double(exponent))
  case .clamp(let low, let high): min(max(x, Double(low)), Double(high))
  case .sigmoid: 1 / (1 + exp(-x))
  case .hyperbolicTangent: tanh(x)
  case .leakyReLU(let slope): x > 0 ? x : Double(slope) * x
  case .softplus: log(1 + exp(x))
  }
}

private func apply(_ function: PairFunction, _ a: Double, _ b: Double) -> Double {
  switch function {
  case .add: a + b
  case .subtract: a - b
  case .multiply: a * b
  case .divide: a / b
  case .power: pow(a, b)
  case .larger: max(a, b)
  case .smaller: min(a, b)
  case .less: a < b ? 1 : 0
  case .lessOrEqual: a <= b ? 1 : 0
  case .equal: a == b ? 1 : 0
  }
}
