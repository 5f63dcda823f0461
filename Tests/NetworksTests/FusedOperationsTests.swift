// Every fused operation against the same made of single ones: values and gradients.

import Backends
import Networks
import Tensors
import Testing

/// Both are float32; sums run in different orders.
private let tolerance = 5e-5

@Suite(.serialized) struct FusedOperationsTests {
  private let backend: CPUBackend

  init() throws { backend = try CPUBackend() }

  private func parameter(_ shape: [Int], seed: Int, offset: Double = 0) -> Parameter {
    var random = RandomSource(key: [seed])
    let values = (0..<shape.reduce(1, *)).map { _ in Float(random.normal() + offset) }
    return Parameter(
      name: "parameter \(seed)", value: Tensor(NDArray(shape: shape, elements: values), pool: backend.pool))
  }

  /// Runs both forms on parameters of their own, sends back an uneven gradient, and compares.
  private func compare(
    _ name: String, _ parameters: [Parameter],
    fused: (Tape, [Variable], [Parameter]) throws -> Variable,
    single: (Tape, [Variable]) throws -> Variable
  ) throws {
    var results: [(value: NDArray<Float>, gradients: [NDArray<Float>])] = []
    for form in 0..<2 {
      for parameter in parameters { parameter.gradient = nil }
      let tape = Tape(backend: backend, isRecording: true)
      // The fused form takes its parameters directly; watching them would count their gradients twice.
      let y =
        try form == 0
        ? fused(tape, parameters.map { tape.watch($0) }, parameters)
        : single(tape, parameters.map { tape.watch($0) })
      let plain = tape.plain(y)
      let shape = plain.value.shape
      let weights = NDArray<Float>(
        shape: shape, elements: (0..<shape.reduce(1, *)).map { Float(0.3 + Double($0 * 7 % 11) / 10) })
      let weight = Variable(Tensor(weights, pool: backend.pool), needsGradient: false)
      let total = tape.reduce(tape.combine(plain, weight, .multiply), axes: Array(shape.indices), .sum)
      try tape.backward(from: tape.reshape(total, to: []))
      results.append(
        (
          plain.value.hostArray,
          try parameters.map { try #require($0.gradient, "\(name): no gradient at \($0.name)").hostArray }
        ))
    }
    func near(_ a: NDArray<Float>, _ b: NDArray<Float>, _ what: String) {
      let scale = b.elements.map { abs(Double($0)) }.max() ?? 0
      let difference = zip(a.elements, b.elements).map { abs(Double($0 - $1)) }.max() ?? .infinity
      #expect(
        a.shape == b.shape && difference <= tolerance * max(scale, 1e-3),
        "\(name), \(what): \(difference) of \(scale)")
    }
    near(results[0].value, results[1].value, "value")
    for (i, parameter) in parameters.enumerated() {
      near(results[0].gradients[i], results[1].gradients[i], "gradient of \(parameter.name)")
    }
  }

  @Test("Instance norm with leaky ReLU", arguments: [[2, 16, 3, 4, 5], [1, 5, 6, 7]])
  func normalization(_ shape: [Int]) throws {
    let parameters = [
      parameter(shape, seed: 1, offset: 2), parameter([shape[1]], seed: 2), parameter([shape[1]], seed: 3),
    ]
    let space = Array(2..<shape.count)
    let channels = [1, shape[1]] + space.map { _ in 1 }
    try compare("norm", parameters) { tape, x, parameters in
      try tape.normalize(
        tape.activation(x[0], precision: .float32), scale: parameters[1], shift: parameters[2],
        settings: NormalizationSettings(epsilon: 1e-5, negativeSlope: 0.1))
    } single: { tape, x in
      let centred = tape.combine(x[0], tape.mean(x[0], axes: space), .subtract)
      let variance = tape.mean(tape.map(centred, .power(2)), axes: space)
      let deviation = tape.map(tape.map(variance, .affine(scale: 1, offset: 1e-5)), .squareRoot)
      let normal = tape.combine(centred, deviation, .divide)
      let scaled = tape.combine(normal, tape.reshape(x[1], to: channels), .multiply)
      return tape.map(
        tape.combine(scaled, tape.reshape(x[2], to: channels), .add), .leakyReLU(slope: 0.1))
    }
  }

  @Test("Activated sum of branches, and the mean over windows")
  func residualAndPool() throws {
    let shape = [2, 16, 4, 6]
    try compare("residual", [parameter(shape, seed: 1), parameter(shape, seed: 2)]) { tape, x, _ in
      tape.addActivated(
        tape.activation(x[0], precision: .float32), tape.activation(x[1], precision: .float32),
        negativeSlope: 0.01)
    } single: { tape, x in
      tape.map(tape.combine(x[0], x[1], .add), .leakyReLU(slope: 0.01))
    }
    try compare("pool", [parameter(shape, seed: 3)]) { tape, x, _ in
      tape.averagePool(tape.activation(x[0], precision: .float32), kernel: [2, 3])
    } single: { tape, x in
      let windows = tape.reshape(x[0], to: [2, 16, 2, 2, 2, 3])
      return tape.reshape(tape.mean(windows, axes: [3, 5]), to: [2, 16, 2, 2])
    }
  }

  @Test("Concatenation of channels, in whole blocks and in part", arguments: [16, 5])
  func concatenation(_ channels: Int) throws {
    try compare(
      "concatenation", [parameter([2, channels, 3, 4], seed: 1), parameter([2, 7, 3, 4], seed: 2)]
    ) { tape, x, _ in
      tape.concatenate(
        tape.activation(x[0], precision: .float32), tape.activation(x[1], precision: .float32))
    } single: { tape, x in
      tape.join(x, axis: 1)
    }
  }

  @Test("Convolution with bias, pointwise: a matrix product")
  func pointwiseConvolution() throws {
    let parameters = [
      parameter([2, 16, 3, 4], seed: 1), parameter([8, 16, 1, 1], seed: 2), parameter([8], seed: 3),
    ]
    try compare("convolution", parameters) { tape, x, parameters in
      try tape.convolve(
        tape.activation(x[0], precision: .float32), weight: parameters[1], bias: parameters[2],
        geometry: ConvolutionGeometry(kernel: [1, 1], stride: [1, 1]))
    } single: { tape, x in
      let product = tape.product(tape.reshape(x[1], to: [8, 16]), tape.reshape(x[0], to: [2, 16, 12]))
      return tape.reshape(
        tape.combine(product, tape.reshape(x[2], to: [1, 8, 1]), .add), to: [2, 8, 3, 4])
    }
  }

  @Test("Transposed convolution: a matrix product, with its offsets put into place")
  func upsampling() throws {
    let parameters = [
      parameter([2, 16, 3, 4], seed: 1), parameter([16, 8, 2, 2], seed: 2), parameter([8], seed: 3),
    ]
    try compare("upsampling", parameters) { tape, x, parameters in
      try tape.upsample(
        tape.activation(x[0], precision: .float32), weight: parameters[1], bias: parameters[2],
        stride: [2, 2])
    } single: { tape, x in
      let weight = tape.permute(tape.reshape(x[1], to: [16, 32]), [1, 0])
      let product = tape.product(weight, tape.reshape(x[0], to: [2, 16, 12]))
      let spread = tape.permute(tape.reshape(product, to: [2, 8, 2, 2, 3, 4]), [0, 1, 4, 2, 5, 3])
      return tape.combine(
        tape.reshape(spread, to: [2, 8, 6, 8]), tape.reshape(x[2], to: [1, 8, 1, 1]), .add)
    }
  }

  // MARK: - Losses

  private static let labels = (0..<2 * 24).map { Int16($0 * 53 % 97 % 4) }

  private func onehot(_ ignored: Int16? = nil) -> (y: Variable, valid: Variable) {
    let shape = [2, 4, 4, 6]
    let y = NDArray<Float>(
      shape: shape,
      elements: (0..<192).map { Self.labels[$0 / 96 * 24 + $0 % 24] == Int16($0 / 24 % 4) ? 1 : 0 })
    let valid = NDArray<Float>(shape: [2, 1, 4, 6], elements: Self.labels.map { $0 == ignored ? 0 : 1 })
    func constant(_ array: NDArray<Float>) -> Variable {
      Variable(Tensor(array, pool: backend.pool), needsGradient: false)
    }
    return (constant(y), constant(valid))
  }

  /// The overlap ratio of sums, averaged with a minus sign.
  private func overlap(
    _ tape: Tape, _ p: Variable, _ y: Variable, _ ratio: OverlapRatio, valid: Variable
  ) -> Variable {
    let axes = ratio.batch == true ? [0, 2, 3] : [2, 3]
    func sum(_ v: Variable) -> Variable { tape.reduce(tape.combine(v, valid, .multiply), axes: axes, .sum) }
    func scaled(_ v: Variable, _ factor: Double) -> Variable {
      tape.map(v, .affine(scale: Float(factor), offset: 0))
    }
    let intersection = sum(tape.combine(p, y, .multiply))
    let tooMuch = tape.combine(sum(p), intersection, .subtract)
    let tooLittle = tape.combine(sum(y), intersection, .subtract)
    let numerator = tape.map(intersection, .affine(scale: 2, offset: Float(ratio.smoothing)))
    let mass = tape.combine(
      scaled(tooMuch, 2 * ratio.falsePositiveWeight), scaled(tooLittle, 2 * ratio.falseNegativeWeight), .add)
    let index = tape.combine(numerator, tape.combine(numerator, mass, .add), .divide)
    let classes = index.value.shape[1]
    let counted = ratio.includesBackground ? index : tape.slice(index, axis: 1, 1..<classes)
    return scaled(tape.mean(counted, axes: [0, 1, 2, 3]), -1)
  }

  @Test(
    "Overlap losses of labels, per sample and over the batch, with background and without",
    arguments: [true, false], [true, false])
  func overlapLosses(_ batch: Bool, _ background: Bool) throws {
    for (a, b) in [(0.5, 0.5), (0.3, 0.8)] {
      let ratio = OverlapRatio(
        falsePositiveWeight: a, falseNegativeWeight: b, batch: batch, includesBackground: background,
        smoothing: 0.01)
      let (y, valid) = onehot()
      try compare("overlap \(ratio)", [parameter([2, 4, 4, 6], seed: 5)]) { tape, x, _ in
        tape.segmentationLoss(
          x[0], .labels(Self.labels, ignored: nil), [WeightedLossTerm(1, .overlap(ratio))])
      } single: { tape, x in
        tape.reshape(self.overlap(tape, tape.softmax(x[0], axis: 1), y, ratio, valid: valid), to: [])
      }
    }
  }

  @Test("Losses over voxels: cross-entropy, label smoothing, focal, top-k")
  func voxelLosses() throws {
    let (y, valid) = onehot(3)
    func mean(_ tape: Tape, _ perVoxel: Variable) -> Variable {
      let sum = tape.reduce(tape.combine(perVoxel, valid, .multiply), axes: [0, 1, 2, 3], .sum)
      let count = valid.value.hostArray.elements.reduce(0, +)
      return tape.reshape(tape.map(sum, .affine(scale: 1 / count, offset: 0)), to: [])
    }
    func entropy(_ tape: Tape, _ x: Variable, _ smoothing: Float) -> Variable {
      let log = tape.map(tape.logSoftmax(x, axis: 1), .affine(scale: -1, offset: 0))
      let own = tape.reduce(tape.combine(log, y, .multiply), axes: [1], .sum)
      return tape.combine(
        tape.map(own, .affine(scale: 1 - smoothing, offset: 0)),
        tape.map(tape.mean(log, axes: [1]), .affine(scale: smoothing, offset: 0)), .add)
    }
    let cases: [(LossTerm, (Tape, Variable) -> Variable)] = [
      (.crossEntropy(labelSmoothing: 0), { mean($0, entropy($0, $1, 0)) }),
      (.crossEntropy(labelSmoothing: 0.1), { mean($0, entropy($0, $1, 0.1)) }),
      (
        .focal(gamma: 2),
        { tape, x in
          let e = entropy(tape, x, 0)
          let p = tape.map(tape.map(e, .affine(scale: -1, offset: 0)), .exponential)
          return mean(
            tape, tape.combine(tape.map(tape.map(p, .affine(scale: -1, offset: 1)), .power(2)), e, .multiply))
        }
      ),
    ]
    for (term, single) in cases {
      try compare("\(term)", [parameter([2, 4, 4, 6], seed: 6)]) { tape, x, _ in
        tape.segmentationLoss(x[0], .labels(Self.labels, ignored: 3), [WeightedLossTerm(1, term)])
      } single: { tape, x in
        single(tape, x[0])
      }
    }
    // The five voxels of the largest entropy, found on the host.
    try compare("top-k", [parameter([2, 4, 4, 6], seed: 7)]) { tape, x, _ in
      tape.segmentationLoss(
        x[0], .labels(Self.labels, ignored: nil),
        [WeightedLossTerm(1, .topK(fraction: 0.11, labelSmoothing: 0))])
    } single: { tape, x in
      let log = tape.map(tape.logSoftmax(x[0], axis: 1), .affine(scale: -1, offset: 0))
      let e = tape.reduce(tape.combine(log, y, .multiply), axes: [1], .sum)
      let limit = e.value.hostArray.elements.sorted(by: >)[4]
      let mask = Variable(
        Tensor(e.value.hostArray.map { $0 >= limit ? 0.2 : 0 }, pool: self.backend.pool), needsGradient: false
      )
      return tape.reshape(
        tape.reduce(tape.combine(e, mask, .multiply), axes: [0, 1, 2, 3], .sum), to: [])
    }
  }

  @Test(
    "Losses of regions: binary cross-entropy and Dice, with a map of what does not count and without",
    arguments: [true, false])
  func regionLosses(_ hasIgnoreMap: Bool) throws {
    let count = hasIgnoreMap ? 4 : 3
    let maps = (0..<2 * count * 24).map { Int16($0 * 53 % 97 % 2) }
    func constant(_ channels: Range<Int>, _ value: (Int16) -> Float) -> Variable {
      var elements: [Float] = []
      for n in 0..<2 {
        for c in channels { elements += maps[((n * count + c) * 24)..<((n * count + c + 1) * 24)].map(value) }
      }
      return Variable(
        Tensor(NDArray(shape: [2, channels.count, 4, 6], elements: elements), pool: backend.pool),
        needsGradient: false)
    }
    let y = constant(0..<3) { Float($0) }
    let valid =
      hasIgnoreMap ? constant(3..<4) { 1 - Float($0) } : constant(0..<1) { _ in 1 }
    let voxels = valid.value.hostArray.elements.reduce(0, +)
    try compare("regions", [parameter([2, 3, 4, 6], seed: 8)]) { tape, x, _ in
      tape.segmentationLoss(
        x[0], .regions(maps, hasIgnoreMap: hasIgnoreMap),
        [
          WeightedLossTerm(0.7, .crossEntropy(labelSmoothing: 0)),
          WeightedLossTerm(1.3, .dice(batch: true, smoothing: 0.01)),
        ])
    } single: { tape, x in
      let entropy = tape.combine(
        tape.map(x[0], .softplus), tape.combine(x[0], y, .multiply), .subtract)
      let sum = tape.reduce(tape.combine(entropy, valid, .multiply), axes: [0, 1, 2, 3], .sum)
      // With a map the sum over all regions is divided by the voxels of one.
      let divisor = hasIgnoreMap ? voxels : 3 * voxels
      let ratio = OverlapRatio(batch: true, includesBackground: true, smoothing: 0.01)
      let dice = self.overlap(tape, tape.map(x[0], .sigmoid), y, ratio, valid: valid)
      return tape.reshape(
        tape.combine(
          tape.map(sum, .affine(scale: 0.7 / divisor, offset: 0)),
          tape.map(dice, .affine(scale: 1.3, offset: 0)), .add), to: [])
    }
  }
}
