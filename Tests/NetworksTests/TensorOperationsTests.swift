// Tensor arithmetic: values against the oracle, gradients against finite differences of the oracle in double precision.

import Backends
import Networks
import Tensors
import Testing

/// Float sums of up to a few hundred terms of order one.
private let valueTolerance = 2e-5
/// Gradients go through two such operations in a row, and random programs through ten.
private let gradientTolerance = 2e-4

@Suite(.serialized) struct TensorOperationsTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  /// The last result of a program on a tape, and the tape.
  private func run(_ program: [NaiveStep], _ parameters: [Parameter], on tape: Tape) -> Variable {
    var r: [Variable] = []
    for step in program {
      switch step {
      case .input(let i): r.append(tape.watch(parameters[i]))
      case .map(let x, let function): r.append(tape.map(r[x], function))
      case .combine(let a, let b, let function): r.append(tape.combine(r[a], r[b], function))
      case .reduce(let x, let axes, let reduction): r.append(tape.reduce(r[x], axes: axes, reduction))
      case .mean(let x, let axes): r.append(tape.mean(r[x], axes: axes))
      case .reshape(let x, let shape): r.append(tape.reshape(r[x], to: shape))
      case .expand(let x, let shape): r.append(tape.expand(r[x], to: shape))
      case .permute(let x, let axes): r.append(tape.permute(r[x], axes))
      case .slice(let x, let axis, let range, let step):
        r.append(tape.slice(r[x], axis: axis, range, step: step))
      case .join(let parts, let axis): r.append(tape.join(parts.map { r[$0] }, axis: axis))
      case .softmax(let x, let axis): r.append(tape.softmax(r[x], axis: axis))
      case .logSoftmax(let x, let axis): r.append(tape.logSoftmax(r[x], axis: axis))
      case .product(let a, let b): r.append(tape.product(r[a], r[b]))
      case .select(let x, let index, let axis):
        r.append(tape.select(r[x], at: Tensor(index, pool: backend.pool), axis: axis))
      }
    }
    return r[r.count - 1]
  }

  /// Compares a program's result with the oracle's, and the gradient of a weighted sum of it with central differences.
  private func check(_ program: [NaiveStep], _ inputs: [NDArray<Float>], _ name: String) throws {
    let parameters = inputs.enumerated().map {
      Parameter(name: "\($0)", value: Tensor($1, pool: backend.pool))
    }
    let tape = Tape(backend: backend, isRecording: true)
    let y = run(program, parameters, on: tape)
    let expected = evaluate(program, inputs.map(NaiveTensor.init))
    #expect(y.value.shape == expected.shape, "\(name)")
    for (a, b) in zip(y.value.hostArray.elements, expected.values) {
      #expect(abs(Double(a) - b) < valueTolerance * max(1, abs(b)), "value of \(name)")
    }
    // Uneven weights, so that a gradient that arrives at the wrong place shows.
    let weights = (0..<expected.values.count).map { 0.3 + Double($0 * 7 % 11) / 10 }
    let weight = Variable(
      Tensor(NDArray(shape: expected.shape, elements: weights.map(Float.init)), pool: backend.pool),
      needsGradient: false)
    let total = tape.reduce(
      tape.combine(y, weight, .multiply), axes: Array(expected.shape.indices), .sum)
    try tape.backward(from: tape.reshape(total, to: []))
    func objective(_ inputs: [NaiveTensor]) -> Double {
      zip(evaluate(program, inputs).values, weights).reduce(0) { $0 + $1.0 * $1.1 }
    }
    let h = 1e-5
    for (i, parameter) in parameters.enumerated() {
      let gradient = try #require(parameter.gradient, "\(name) sends nothing to input \(i)").hostArray
      for position in inputs[i].elements.indices {
        var (up, down) = (inputs.map(NaiveTensor.init), inputs.map(NaiveTensor.init))
        up[i].values[position] += h
        down[i].values[position] -= h
        let numeric = (objective(up) - objective(down)) / (2 * h)
        let found = Double(gradient.elements[position])
        #expect(
          abs(found - numeric) < gradientTolerance * max(1, abs(numeric)),
          "\(name), input \(i)[\(position)]: \(found) against \(numeric)")
      }
    }
  }

  /// Distinct numbers away from 0, from the kinks of clamps and from each other, in no order.
  private func values(_ shape: [Int], seed: Int, positive: Bool = false) -> NDArray<Float> {
    var random = RandomSource(key: [seed])
    let count = shape.reduce(1, *)
    let elements = (0..<count).map { i -> Float in
      let magnitude = 0.15 + 1.3 * (Double(i) + 0.5 + 0.2 * random.uniform()) / Double(count)
      return Float(positive || random.uniform() < 0.5 ? magnitude : -magnitude)
    }
    return NDArray(shape: shape, elements: elements.shuffled(using: &random))
  }

  @Test("Every function of one number")
  func maps() throws {
    let functions: [(ElementFunction, Bool)] = [
      (.affine(scale: -1.5, offset: 0.25), false), (.exponential, false), (.logarithm, true),
      (.squareRoot, true), (.absolute, false), (.power(2), false), (.power(-1), false), (.power(1.7), true),
      (.power(3), false), (.clamp(-0.5, 0.75), false), (.sigmoid, false), (.hyperbolicTangent, false),
      (.leakyReLU(slope: 0.1), false), (.leakyReLU(slope: 0), false), (.softplus, false),
    ]
    for (function, positive) in functions {
      try check(
        [.input(0), .map(0, function)], [values([3, 7], seed: 1, positive: positive)], "\(function)")
    }
  }

  @Test("Every function of two numbers, with every way of repeating axes")
  func pairs() throws {
    let shapes: [([Int], [Int])] = [
      ([2, 3, 4], [2, 3, 4]), ([2, 3, 4], [3, 1]), ([2, 1, 4], [1, 3, 1]), ([5], []), ([4, 1], [1, 6]),
      ([2, 3, 1, 2], [1, 3, 5, 1]),
    ]
    for function in [PairFunction.add, .subtract, .multiply, .divide, .power, .larger, .smaller] {
      for (a, b) in shapes {
        try check(
          [.input(0), .input(1), .combine(0, 1, function)],
          [values(a, seed: 2, positive: function == .power), values(b, seed: 3)],
          "\(function) of \(a) and \(b)")
      }
    }
  }

  @Test("Comparisons give 1 and 0, and no gradient")
  func comparisons() throws {
    let tape = Tape(backend: backend, isRecording: true)
    let a = tape.watch(
      Parameter(name: "a", value: Tensor(NDArray(shape: [3], elements: [1, 2, 3]), pool: backend.pool)))
    let b = Variable(Tensor(NDArray(shape: [], elements: [2]), pool: backend.pool), needsGradient: false)
    let expected: [(PairFunction, [Float])] = [
      (.less, [1, 0, 0]), (.lessOrEqual, [1, 1, 0]), (.equal, [0, 1, 0]),
    ]
    for (function, values) in expected {
      let y = tape.combine(a, b, function)
      #expect(y.value.hostArray.elements == values)
      #expect(!y.isWatched)
    }
  }

  @Test("Reductions over every set of axes, products, selections and shapes")
  func structure() throws {
    let x = values([2, 3, 4], seed: 4)
    for axes in [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2], []] {
      for reduction in [Reduction.sum, .maximum, .minimum] {
        try check([.input(0), .reduce(0, axes, reduction)], [x], "\(reduction) over \(axes)")
      }
    }
    for axis in 0..<3 {
      try check([.input(0), .softmax(0, axis: axis)], [x], "softmax \(axis)")
      try check([.input(0), .logSoftmax(0, axis: axis)], [x], "log softmax \(axis)")
    }
    let others: [(NaiveStep, String)] = [
      (.mean(0, [0, 2]), "mean"), (.reshape(0, [4, 6]), "reshape"), (.permute(0, [2, 0, 1]), "permute"),
      (.permute(0, [0, 2, 1]), "transpose"), (.slice(0, axis: 1, 1..<3, step: 1), "slice"),
      (.slice(0, axis: 2, 0..<4, step: 3), "slice with a step"), (.join([0, 0], axis: 1), "join"),
      (
        .select(0, index: NDArray(shape: [2, 2, 4], elements: (0..<16).map { Float($0 % 4) }), axis: 1),
        "select"
      ),
    ]
    for (step, name) in others { try check([.input(0), step], [x], name) }
    try check([.input(0), .expand(0, [3, 2, 5, 4])], [values([2, 1, 4], seed: 5)], "expand")
    for (a, b) in [
      ([3, 4], [4, 2]), ([2, 3, 4], [2, 4, 5]), ([2, 3, 4], [4, 5]), ([3, 4], [2, 4, 5]),
    ] {
      try check(
        [.input(0), .input(1), .product(0, 1)], [values(a, seed: 6), values(b, seed: 7)], "\(a) times \(b)")
    }
  }

  @Test("Extremes that are equal share the gradient")
  func ties() throws {
    let x = Parameter(
      name: "x", value: Tensor(NDArray(shape: [4], elements: [1, 3, 3, 2]), pool: backend.pool))
    let tape = Tape(backend: backend, isRecording: true)
    try tape.backward(from: tape.reshape(tape.reduce(tape.watch(x), axes: [0], .maximum), to: []))
    #expect(x.gradient?.hostArray.elements == [0, 0.5, 0.5, 0])
  }

  @Test("Random programs of ten operations", arguments: 0..<40)
  func randomPrograms(_ seed: Int) throws {
    var random = RandomSource(key: [seed, 99])
    let inputs = [values([3, 4], seed: seed), values([3, 1], seed: seed + 1), values([4], seed: seed + 2)]
    var program: [NaiveStep] = [.input(0), .input(1), .input(2)]
    var shapes = inputs.map(\.shape)
    // Every input takes part, and every kind of step has its chance.
    program += [.combine(0, 1, .multiply), .combine(3, 2, .add)]
    shapes += [[3, 4], [3, 4]]
    let smooth: [ElementFunction] = [
      .sigmoid, .hyperbolicTangent, .softplus, .affine(scale: 0.7, offset: 0.1),
    ]
    for _ in 0..<8 {
      let x = shapes.count - 1 - random.integer(below: 2)
      let shape = shapes[x]
      switch random.integer(below: 8) {
      case 0, 1:
        program.append(.map(x, smooth[random.integer(below: smooth.count)]))
        shapes.append(shape)
      case 2:
        let y = random.integer(below: shapes.count)
        guard let common = broadcastShape(shape, shapes[y]), common.reduce(1, *) <= 48 else { continue }
        program.append(.combine(x, y, [PairFunction.add, .subtract, .multiply][random.integer(below: 3)]))
        shapes.append(common)
      case 3:
        guard !shape.isEmpty else { continue }
        program.append(.softmax(x, axis: random.integer(below: shape.count)))
        shapes.append(shape)
      case 4:
        guard !shape.isEmpty else { continue }
        let axis = random.integer(below: shape.count)
        program.append(.mean(x, [axis]))
        shapes.append(shape.enumerated().map { $0 == axis ? 1 : $1 })
      case 5:
        program.append(.permute(x, Array(shape.indices.reversed())))
        shapes.append(shape.reversed())
      case 6:
        guard !shape.isEmpty else { continue }
        program.append(.join([x, x], axis: 0))
        shapes.append([2 * shape[0]] + shape.dropFirst())
      default:
        program.append(.logSoftmax(x, axis: shape.count - 1))
        shapes.append(shape)
      }
    }
    // The last result depends on the fifth, and so on every input.
    program.append(.reduce(shapes.count - 1, Array(shapes[shapes.count - 1].indices), .sum))
    program.append(.reduce(4, [0, 1], .sum))
    program.append(.reshape(shapes.count, []))
    program.append(.reshape(shapes.count + 1, []))
    program.append(.combine(shapes.count + 2, shapes.count + 3, .add))
    try check(program, inputs, "program \(seed)")
  }

  @Test("Tapes that meet lead back together, in order")
  func joinedTapes() throws {
    let x = Parameter(name: "x", value: Tensor(NDArray(shape: [], elements: [3]), pool: backend.pool))
    let (first, second) = (
      Tape(backend: backend, isRecording: true), Tape(backend: backend, isRecording: true)
    )
    let a = first.map(first.watch(x), .power(2))
    let b = second.map(second.watch(x), .affine(scale: 5, offset: 0))
    let c = first.map(a, .affine(scale: 2, offset: 0))
    second.absorb(first)
    #expect(first.current === second)
    let y = second.combine(c, b, .multiply)
    try first.backward(from: y)
    // y = 2 x^2 * 5 x = 10 x^3
    #expect(x.gradient?.hostArray.elements == [270])
    #expect(first.current.isSpent && second.isSpent)
  }

  @Test("A gradient through network layers and arithmetic arrives once, in the layout of activations")
  func mixedLayouts() throws {
    let shape = [1, 3, 4, 5]
    let x = Parameter(name: "x", value: Tensor(values(shape, seed: 8), pool: backend.pool))
    let tape = Tape(backend: backend, isRecording: true)
    let blocked = tape.activation(tape.watch(x), precision: .float32)
    let y = tape.combine(tape.plain(blocked), tape.map(tape.plain(blocked), .power(2)), .add)
    try tape.backward(from: tape.reshape(tape.reduce(y, axes: [0, 1, 2, 3], .sum), to: []))
    let gradient = try #require(x.gradient).hostArray
    for (g, v) in zip(gradient.elements, x.value.hostArray.elements) { #expect(abs(g - (1 + 2 * v)) < 1e-5) }
  }
}
